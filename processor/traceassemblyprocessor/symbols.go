package traceassemblyprocessor

import "strings"

// operation names a service and one of its operations, as aggregates do.
type operation struct {
	service string
	name    string
}

func (o operation) bytes() int { return len(o.name) } // service names are shared

// endpoint is what the rollups count a call or an entry under: an operation of a service, or a virtual peer (without an
// operation), as seen from one environment.
type endpoint struct {
	operation
	kind        string // of a virtual peer
	protocol    string
	environment string
}

func (e endpoint) bytes() int {
	return len(e.service) + len(e.name) + len(e.kind) + len(e.protocol) + len(e.environment)
}

// own is the endpoint with strings of its own: those of a span may hold on to more than themselves.
func (e endpoint) own() endpoint {
	return endpoint{
		operation{strings.Clone(e.service), strings.Clone(e.name)}, e.kind, strings.Clone(e.protocol), strings.Clone(e.environment),
	}
}

func (o operation) own() operation { return operation{o.service, strings.Clone(o.name)} }

// symbols numbers the operations of the spans that a shard holds or remembers, and what else their skeletons name, so that a
// skeleton holds no pointers: the garbage collector does not look into millions of remembered spans. No symbol is 0.
type symbols[K symbolic[K]] struct {
	index  map[K]uint32
	table  []*symbol[K]
	free   []uint32
	weight int64 // estimated bytes

	learned map[K]*learnedOperation // read only; nil but for operations
}

type symbolic[K any] interface {
	comparable
	bytes() int
	own() K
}

// symbol is a name with a number. The name never changes, so that others may keep the symbol to read it.
type symbol[K any] struct {
	name K
	refs int // the shard's
	// learned is what traffic has taught about the operation, nil for nothing; the shard's.
	learned *learnedOperation
}

// symbolWeight is the memory of a symbol without the bytes of its names.
const symbolWeight = 160

func newSymbols[K symbolic[K]]() *symbols[K] {
	return &symbols[K]{index: make(map[K]uint32), table: []*symbol[K]{{}}}
}

// ref returns the number of a name, which stays its own until it is given back as often as it was taken.
func (s *symbols[K]) ref(name K) uint32 {
	n, ok := s.index[name]
	if !ok {
		name = name.own()
		if last := len(s.free) - 1; last >= 0 {
			n, s.free = s.free[last], s.free[:last]
		} else {
			n = uint32(len(s.table))
			s.table = append(s.table, nil)
		}
		s.table[n] = &symbol[K]{name: name, learned: s.learned[name]}
		s.index[name] = n
		s.weight += symbolWeight + int64(name.bytes())
	}
	s.table[n].refs++
	return n
}

// find is the number of a name, 0 if it has none. It takes no reference.
func (s *symbols[K]) find(name K) uint32 { return s.index[name] }

// again takes a number once more.
func (s *symbols[K]) again(n uint32) uint32 {
	s.table[n].refs++
	return n
}

// unref gives a number back; 0 is nobody's.
func (s *symbols[K]) unref(n uint32) {
	if n == 0 {
		return
	}
	e := s.table[n]
	e.refs--
	if e.refs > 0 {
		return
	}
	delete(s.index, e.name)
	s.weight -= symbolWeight + int64(e.name.bytes())
	s.table[n] = nil
	s.free = append(s.free, n)
}

func (s *symbols[K]) at(n uint32) K { return s.table[n].name }
