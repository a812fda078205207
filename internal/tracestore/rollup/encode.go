package rollup

import (
	"encoding/binary"
)

// How sums are written down. Numbers are uvarints where nothing else is said.
//
//	value    version (1 byte: 4) ‖ number of strings ‖ strings ‖ section …
//	         or 5 (1 byte) ‖ length ‖ zstd frame of so many bytes, which are a value behind its version
//	string   length ‖ bytes
//	section  table (1 byte) ‖ length in bytes ‖ other (1 byte: 0, or 1 and its sums) ‖ number of series ‖ series
//	series   key: a number for each column, 0 = the empty string, 1 = the first string, … ‖ sums
//	sums     numbers ‖ durations ‖ occurrences, what the table has of them
//	durations    zeros ‖ number of bins ‖ (distance of the bin's index from that of the one before << 1 ‖, where the count is above 1, + 1 ‖ count) …
//	occurrences  first minute ‖ last minute − first minute ‖ number of traces ‖ trace ids (16 bytes each)
//
// The last section, of table 9, is written where AllTables are: what each table counted in its "other", Operations first.
const (
	valueVersion  = 4
	packedVersion = 5
)

// Append appends the tables to buf as a value. Series stand in it in the order in which they came.
func (s *Sums) Append(buf []byte, tables Tables) []byte {
	e := encoder{sums: s, local: make([]uint32, len(s.strings.list)+1)}
	for t := range tables.All() {
		e.section(t)
	}
	if tables.has(Spans) {
		e.others()
	}
	buf = append(buf, valueVersion)
	buf = binary.AppendUvarint(buf, uint64(len(e.strings)))
	for _, text := range e.strings {
		buf = binary.AppendUvarint(buf, uint64(len(text)))
		buf = append(buf, text...)
	}
	return append(buf, e.sections...)
}

// encoder writes the sections first and learns which strings they need.
type encoder struct {
	sums     *Sums
	strings  []string
	local    []uint32 // the number of a string in the value, by its number in the sums
	sections []byte
	body     []byte
}

func (e *encoder) section(t Table) {
	from := &e.sums.tables[t]
	if len(from.keys) == 0 && from.other == nil {
		return
	}
	e.body = e.body[:0]
	if from.other == nil {
		e.body = append(e.body, 0)
	} else {
		e.body = append(e.body, 1)
		e.row(t, from.other)
	}
	e.number(uint64(len(from.keys)))
	for i := range from.keys {
		for _, id := range from.keys[i][:shapes[t].columns] {
			e.number(uint64(e.string(id)))
		}
		e.row(t, &from.rows[i])
	}
	e.close(t)
}

// others writes down what went to "other".
func (e *encoder) others() {
	e.body = e.body[:0]
	beyond := false
	for t := Operations; t < others; t++ {
		count := uint64(0)
		if other := e.sums.tables[t].other; other != nil {
			count = other.numbers[numCount]
			beyond = true
		}
		e.number(count)
	}
	if beyond {
		e.close(others)
	}
}

func (e *encoder) close(t Table) {
	e.sections = append(e.sections, byte(t))
	e.sections = binary.AppendUvarint(e.sections, uint64(len(e.body)))
	e.sections = append(e.sections, e.body...)
}

func (e *encoder) string(id uint32) uint32 {
	if id == 0 {
		return 0
	}
	if e.local[id] == 0 {
		e.strings = append(e.strings, e.sums.strings.text(id))
		e.local[id] = uint32(len(e.strings))
	}
	return e.local[id]
}

func (e *encoder) row(t Table, r *row) {
	for _, n := range r.numbers[:shapes[t].numbers] {
		e.number(n)
	}
	if shapes[t].durations {
		e.number(r.durations.zeros)
		e.number(uint64(len(r.durations.bins)))
		last := uint32(0)
		for _, b := range r.durations.bins {
			distance := uint64(b.index-last) << 1
			last = b.index
			if b.count == 1 { // as in most series of a minute
				e.number(distance)
				continue
			}
			e.number(distance | 1)
			e.number(b.count)
		}
	}
	if shapes[t].occurrences {
		o := r.happened()
		e.number(uint64(o.first))
		e.number(uint64(o.last - o.first))
		e.number(uint64(len(o.traces)))
		for _, id := range o.traces {
			e.body = append(e.body, id[:]...)
		}
	}
}

func (e *encoder) number(n uint64) { e.body = binary.AppendUvarint(e.body, n) }
