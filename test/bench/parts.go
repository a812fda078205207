package main

import (
	"context"
	"strings"
)

// part is one of the measurements of a command.
type part struct {
	name string
	make func(context.Context) ([]measure, error)
}

// makeAll makes the measurements that are named in only, shows each figure, and says whether all targets were met. One that fails is a miss: the
// figures of the others are still worth something.
func makeAll(ctx context.Context, only string, parts []part, show func(measure)) (passed bool, err error) {
	passed = true
	for _, p := range parts {
		if !contains(only, p.name) {
			continue
		}
		made, err := p.make(ctx)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			made = append(made, measure{name: p.name, absent: err.Error()})
		}
		for _, m := range made {
			show(m)
			passed = passed && m.pass()
		}
	}
	return passed, nil
}

// contains says whether a list with commas has a word.
func contains(list, word string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one == word {
			return true
		}
	}
	return false
}
