package rollup

import (
	"errors"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/codec"
)

// ErrValue says that a value is not of the format that Sums.Append writes.
var ErrValue = errors.New("rollup value is not of this format")

// visitor receives the series of a value. The key has the value's own numbers of strings and is nil for "other"; key and row
// are valid during the call.
type visitor func(t Table, k *key, r *row)

// chooser says which series a visitor is to receive; likewise.
type chooser func(k *key) bool

func every(*key) bool { return true }

// value is an encoded value whose strings were read.
type value struct {
	strings  [][]byte // by number - 1
	sections []byte
	// bare says that durations are passed over.
	bare bool
	// unpacked is what a packed value was unpacked into.
	unpacked []byte
}

// open reads a value and checks all of it, so that what is wrong somewhere has no effect anywhere. The encoded bytes must stay
// as they are while the value is used, until close.
func open(encoded []byte) (*value, error) {
	d, v := newDecoder(encoded), new(value)
	switch d.Byte() {
	case valueVersion:
	case packedVersion:
		if !v.unpack(&d) {
			return nil, ErrValue
		}
		d = newDecoder(v.unpacked)
	default:
		return nil, ErrValue
	}
	v.strings = d.strings()
	v.sections = d.Bytes(d.Len())
	if d.Failed() || !v.visit(AllTables, nil, nil, nil) {
		v.close()
		return nil, ErrValue
	}
	return v, nil
}

// visit calls f for the series of the tables that it is to receive, and beyond for the tables that counted something in their "other", where the value
// says so. Both may be nil. It says whether the value could be read.
func (v *value) visit(tables Tables, choose chooser, f visitor, beyond func(t Table, count uint64)) bool {
	d := newDecoder(v.sections)
	for d.Len() > 0 && !d.Failed() {
		t := Table(d.Byte())
		body := newDecoder(d.bytes())
		switch {
		case t == 0 || t > others:
			return false
		case t == others:
			body.others(beyond)
		case tables.has(t):
			body.section(v, t, choose, f)
		default:
			continue
		}
		if !body.Done() {
			return false
		}
	}
	return !d.Failed()
}

// decoder reads a value from its front. After a failure every read answers zero.
type decoder struct{ *codec.Reader }

func newDecoder(buf []byte) decoder { return decoder{codec.NewReader(buf)} }

func (d *decoder) section(v *value, t Table, choose chooser, f visitor) {
	var k key
	var r row
	durations := &r.durations
	if v.bare {
		durations = nil
	}
	give := func(k *key) {
		if f == nil || !choose(k) {
			d.pass(t)
			return
		}
		if d.row(t, &r, durations); !d.Failed() {
			f(t, k, &r)
		}
	}
	if d.flag() {
		give(nil)
	}
	for n := d.Uvarint(); n > 0 && !d.Failed(); n-- {
		for i := range k[:shapes[t].columns] {
			k[i] = d.below(uint32(len(v.strings)) + 1)
		}
		give(&k)
	}
}

func (d *decoder) others(beyond func(t Table, count uint64)) {
	for t := Operations; t < others; t++ {
		if count := d.Uvarint(); beyond != nil && count > 0 && !d.Failed() {
			beyond(t, count)
		}
	}
}

// row reads into r, whose memory it uses again, and its durations into durations, if that is not nil.
func (d *decoder) row(t Table, r *row, durations *sketch) {
	for i := range r.numbers[:shapes[t].numbers] {
		r.numbers[i] = d.Uvarint()
	}
	if shapes[t].durations {
		d.durations(durations)
	}
	if shapes[t].occurrences {
		d.occurrences(r.happened())
	}
}

// pass passes over a row, and fails where row would.
func (d *decoder) pass(t Table) {
	for range shapes[t].numbers {
		d.Uvarint()
	}
	if shapes[t].durations {
		d.durations(nil)
	}
	if shapes[t].occurrences {
		d.occurrences(new(occurrences))
	}
}

// durations reads into s, or passes over them where it is nil.
func (d *decoder) durations(s *sketch) {
	zeros, n := d.Uvarint(), d.Count(1)
	if s != nil {
		s.zeros, s.bins = zeros, s.bins[:0]
	}
	last := uint32(0)
	for i := range n {
		distance, count := d.Uvarint(), uint64(1)
		many := distance&1 == 1
		if distance >>= 1; many {
			count = d.Uvarint()
		}
		if distance == 0 && i > 0 || distance > uint64(maxIndex-last) || many && count < 2 { // as after a failure
			d.Fail()
			return
		}
		last += uint32(distance)
		if s != nil {
			s.bins = append(s.bins, bin{last, count})
		}
	}
}

func (d *decoder) occurrences(o *occurrences) {
	o.first = d.below(math.MaxUint32)
	o.last = o.first + d.below(math.MaxUint32-o.first)
	o.traces = o.traces[:0]
	for n := d.below(maxTraceIDs + 1); n > 0 && !d.Failed(); n-- {
		var id pcommon.TraceID
		copy(id[:], d.Bytes(len(id)))
		o.traces = append(o.traces, id)
	}
}

// bytes reads a length and the bytes.
func (d *decoder) bytes() []byte { return d.Bytes(d.Count(1)) }

func (d *decoder) flag() bool {
	b := d.Byte()
	if b > 1 {
		d.Fail()
	}
	return b == 1
}

// below reads a number that must be smaller than the bound.
func (d *decoder) below(bound uint32) uint32 { return uint32(d.Below(int(bound))) }

// strings reads the strings of a value.
func (d *decoder) strings() [][]byte {
	list := make([][]byte, d.Count(1)) // each takes at least a byte
	for i := range list {
		list[i] = d.bytes()
	}
	return list
}
