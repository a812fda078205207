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
	var one T
	if n > mostBytes/int(unsafe.Sizeof(one))/2 {
		return false
	}
	for i := s.used; i < len(s.kept); i++ { // those that are too small, of which there are few, keep their turn
		if n <= len(s.kept[i])/2 {
			s.use(i)
			clear(s.free) // now, because it brings it into the processor's caches
			return true
		}
	}
	s.size = min(max(leastBytes, 2*s.size), mostBytes)
	values := s.size / int(unsafe.Sizeof(one))
	if n > values/2 {
		return false
	}
	if s.Keep && len(s.kept) < maxKept {
		s.kept = append(s.kept, make([]T, values))
		s.use(len(s.kept) - 1)
	} else {
		s.free = make([]T, values)
	}
	return true
}

// use begins one of kept, which are in the order in which they are used.
func (s *Slab[T]) use(i int) {
	s.free = s.kept[i]
	s.kept[i], s.kept[s.used] = s.kept[s.used], s.free
	if s.used < s.full {
		s.full = max(s.full, i+1)
	}
	s.used++
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
