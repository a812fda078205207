package traceassemblyprocessor

// operation names a service and one of its span names, as they were sent.
type operation struct {
	service string
	name    string
}

// symbols numbers the operations of the spans that a shard holds or remembers, so that a skeleton holds no pointers: the
// garbage collector does not look into millions of remembered spans.
type symbols struct {
	index  map[operation]uint32
	table  []symbol
	free   []uint32
	weight int64 // estimated bytes

	learned map[operation]*learnedOperation // read only
}

type symbol struct {
	operation
	refs    int
	learned *learnedOperation // nil for nothing
}

// symbolWeight is the memory of a symbol without its name; service names are shared.
const symbolWeight = 160

func newSymbols() *symbols { return &symbols{index: make(map[operation]uint32)} }

// ref returns the operation's number, which stays its own until it is given back as often as it was taken.
func (s *symbols) ref(op operation) uint32 {
	n, ok := s.index[op]
	if !ok {
		if last := len(s.free) - 1; last >= 0 {
			n, s.free = s.free[last], s.free[:last]
		} else {
			n = uint32(len(s.table))
			s.table = append(s.table, symbol{})
		}
		s.table[n].operation, s.table[n].learned = op, s.learned[op]
		s.index[op] = n
		s.weight += symbolWeight + int64(len(op.name))
	}
	s.table[n].refs++
	return n
}

// again takes a number once more.
func (s *symbols) again(n uint32) uint32 {
	s.table[n].refs++
	return n
}

func (s *symbols) unref(n uint32) {
	e := &s.table[n]
	e.refs--
	if e.refs > 0 {
		return
	}
	delete(s.index, e.operation)
	s.weight -= symbolWeight + int64(len(e.name))
	e.operation, e.learned = operation{}, nil
	s.free = append(s.free, n)
}

func (s *symbols) at(n uint32) operation { return s.table[n].operation }
