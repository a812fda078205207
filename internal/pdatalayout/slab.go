package pdatalayout

import "unsafe"

// Slabs grow from leastBytes to mostBytes, so that few spans take little.
const (
	leastBytes = 1 << 10
	mostBytes  = 128 << 10
)

// Slab is memory that values are cut from, from the front. One that is not full keeps alive whatever stands in it, so a new one is to be
// begun for what is not to live as long. The zero value is ready. It is not safe for concurrent use.
type Slab[T any] struct {
	free []T
	size int // of the last slab, in bytes
}

// Take cuts n values with room for spare more.
func (s *Slab[T]) Take(n, spare int) []T {
	if len(s.free) < n+spare && !s.grow(n+spare) {
		return make([]T, n, n+spare)
	}
	cut := s.free[: n : n+spare]
	s.free = s.free[n+spare:]
	return cut
}

// grow begins a slab, if the n values that are wanted are few for it.
func (s *Slab[T]) grow(n int) bool {
	var one T
	s.size = min(max(leastBytes, 2*s.size), mostBytes)
	values := s.size / int(unsafe.Sizeof(one))
	if n > values/2 {
		return false
	}
	s.free = make([]T, values)
	return true
}

// One cuts a value.
func (s *Slab[T]) One() *T {
	if len(s.free) == 0 && !s.grow(1) {
		return new(T)
	}
	first := &s.free[0]
	s.free = s.free[1:]
	return first
}
