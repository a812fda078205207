package rollup

import (
	"encoding/binary"
	"errors"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ErrValue says that a value is not of the format that Sums.Append writes.
var ErrValue = errors.New("rollup value is not of this format")

// visitor receives the series of a value. The key has the value's own numbers of strings and is nil for "other"; key and row
// are valid during the call.
type visitor func(t Table, k *key, r *row)

// value is an encoded value whose strings were read.
type value struct {
	strings  [][]byte // by number - 1
	sections []byte
}

// open reads a value and checks all of it, so that what is wrong somewhere has no effect anywhere. The encoded bytes must stay
// as they are while the value is used.
func open(encoded []byte) (*value, error) {
	d := decoder{buf: encoded}
	if d.byte() != valueVersion {
		return nil, ErrValue
	}
	v := &value{strings: d.strings(), sections: d.buf}
	if d.failed || !v.visit(AllTables, nil, nil) {
		return nil, ErrValue
	}
	return v, nil
}

// visit calls f for the series of the tables, and beyond for the tables that counted something in their "other", where the value
// says so. Both may be nil. It says whether the value could be read.
func (v *value) visit(tables Tables, f visitor, beyond func(t Table, count uint64)) bool {
	d := decoder{buf: v.sections}
	for len(d.buf) > 0 && !d.failed {
		t := Table(d.byte())
		body := decoder{buf: d.bytes(d.number())}
		switch {
		case t == 0 || t > others:
			return false
		case t == others:
			body.others(beyond)
		case tables.has(t):
			body.section(t, uint32(len(v.strings)), f)
		default:
			continue
		}
		if body.failed || len(body.buf) != 0 {
			return false
		}
	}
	return !d.failed
}

// decoder reads a value from its front. After a failure every read answers zero.
type decoder struct {
	buf    []byte
	failed bool
}

func (d *decoder) section(t Table, strings uint32, f visitor) {
	var k key
	var r row
	if d.flag() {
		d.row(t, &r)
		if f != nil && !d.failed {
			f(t, nil, &r)
		}
	}
	for n := d.number(); n > 0 && !d.failed; n-- {
		for i := range k[:shapes[t].columns] {
			k[i] = d.below(strings + 1)
		}
		d.row(t, &r)
		if f != nil && !d.failed {
			f(t, &k, &r)
		}
	}
}

func (d *decoder) others(beyond func(t Table, count uint64)) {
	for t := Operations; t < others; t++ {
		if count := d.number(); beyond != nil && count > 0 && !d.failed {
			beyond(t, count)
		}
	}
}

// row reads into r, whose memory it uses again.
func (d *decoder) row(t Table, r *row) {
	for i := range r.numbers[:shapes[t].numbers] {
		r.numbers[i] = d.number()
	}
	if shapes[t].durations {
		d.durations(&r.durations)
	}
	if shapes[t].occurrences {
		d.occurrences(r.happened())
	}
}

func (d *decoder) durations(s *sketch) {
	s.zeros, s.bins = d.number(), s.bins[:0]
	last := uint32(0)
	for n := d.number(); n > 0 && !d.failed; n-- {
		distance, count := d.below(maxIndex+1-last), d.number()
		if distance == 0 && len(s.bins) > 0 || count == 0 {
			d.failed = true
			return
		}
		last += distance
		s.bins = append(s.bins, bin{last, count})
	}
}

func (d *decoder) occurrences(o *occurrences) {
	o.first = d.below(math.MaxUint32)
	o.last = o.first + d.below(math.MaxUint32-o.first)
	o.traces = o.traces[:0]
	for n := d.below(maxTraceIDs + 1); n > 0 && !d.failed; n-- {
		var id pcommon.TraceID
		copy(id[:], d.bytes(uint64(len(id))))
		o.traces = append(o.traces, id)
	}
}

func (d *decoder) bytes(n uint64) []byte {
	if d.failed || n > uint64(len(d.buf)) {
		d.failed = true
		return nil
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) flag() bool {
	b := d.byte()
	d.failed = d.failed || b > 1
	return b == 1
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.buf)
	if d.failed || size <= 0 {
		d.failed = true
		return 0
	}
	d.buf = d.buf[size:]
	return n
}

// below reads a number that must be smaller than the bound.
func (d *decoder) below(bound uint32) uint32 {
	n := d.number()
	if n >= uint64(bound) {
		d.failed = true
		return 0
	}
	return uint32(n)
}

// strings reads the strings of a value.
func (d *decoder) strings() [][]byte {
	n := d.number()
	if d.failed || n > uint64(len(d.buf)) { // each takes at least a byte
		d.failed = true
		return nil
	}
	list := make([][]byte, n)
	for i := range list {
		list[i] = d.bytes(d.number())
	}
	return list
}
