package main

import "context"

const holdCommand = "hold"

func hold(ctx context.Context, args []string) error { return nil }
func measureMemory(ctx context.Context, b *bench, o *assemblyOptions) ([]measure, error) {
	return nil, nil
}

func measureHeld(ctx context.Context, b *bench, o *assemblyOptions) ([]measure, error) {
	return nil, nil
}
