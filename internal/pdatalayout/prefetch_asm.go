//go:build amd64 || arm64

package pdatalayout

import "unsafe"

// prefetchLines fetches n lines of the cache, at least one, from at on.
//
//go:noescape
func prefetchLines(at unsafe.Pointer, n int)

// prefetchValues fetches where the keys and the boxes of n attributes, at least one, point to. It knows the layout of Attribute.
//
//go:noescape
func prefetchValues(list unsafe.Pointer, n int)
