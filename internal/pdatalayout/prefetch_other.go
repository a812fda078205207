//go:build !amd64 && !arm64

package pdatalayout

import "unsafe"

func prefetchLines(unsafe.Pointer, int) {}

func prefetchValues(unsafe.Pointer, int) {}
