package pdatalayout

import "unsafe"

// Slabs grow from leastBytes to mostBytes, so that few spans take little.
const (
	leastBytes = 1 << 10
	mostBytes  = 128 << 10
)

// maxKept is how many of its slabs a Slab that Keeps holds for the next use, 32 MiB.
const maxKept = 256

// Slab is memory that values are cut from, from the front. One that is not full keeps alive whatever stands in it, so a new one is to be
// begun for what is not to live as long. The zero value is ready. It is not safe for concurrent use.
type Slab[T any] struct {
	// Keep says that Rewind may be called.
	Keep bool

	free []T
	size int   // of the last slab, in bytes
	kept [][]T // what was begun, where it may be used again
	used int   // of kept, since Rewind
	full int   // of kept, which have what was cut before Rewind
}

// Rewind lets the memory of all that was cut be cut again. Nobody may have any of it any more. What stands in it is kept alive until it is
// cut, or until the next Rewind.
func (s *Slab[T]) Rewind() {
	for i := s.used; i < s.full; i++ {
		clear(s.kept[i])
	}
	s.free, s.full, s.used = nil, s.used, 0
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
	for s.used < len(s.kept) {
		values := s.kept[s.used]
		s.used++
		if n <= len(values)/2 {
			clear(values) // now, because it brings it into the processor's caches
			s.free = values
			return true
		}
	}
	var one T
	s.size = min(max(leastBytes, 2*s.size), mostBytes)
	values := s.size / int(unsafe.Sizeof(one))
	if n > values/2 {
		return false
	}
	s.free = make([]T, values)
	if s.Keep && s.used < maxKept {
		s.kept = append(s.kept, s.free)
		s.used++
	}
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
