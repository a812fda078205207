package clickhousestore

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// errSketch says that a state of quantilesDD is not written as the server writes it.
var errSketch = errors.New("state of quantilesDD is not of the known format")

// Flags in the state of quantilesDD.
const (
	flagMapping  = 0b10
	flagPositive = 0b01
	flagNegative = 0b11
	flagZeros    = 0b100

	binsSparse     = 1 << 2
	binsContiguous = 3 << 2
)

// gamma is by what the bins of quantilesDD(0.01) grow: those of rollup.Bins.
const gamma = 1.01 / 0.99

// readSketch reads a state of quantilesDD(0.01, …):
//
//	state     0x02 ‖ gamma ‖ index offset ‖ 0x01 ‖ bins, of positive values ‖ 0x03 ‖ bins, of negative ones ‖ 0x04 ‖ count of zeros
//	bins      0x04 ‖ number of bins ‖ (distance of the index from that of the bin before ‖ count) …, or
//	          0x0C ‖ number of bins ‖ index of the first ‖ distance of indexes ‖ counts …
//
// Numbers of bins are uvarints, indexes and distances varints, all else float64, little endian.
func readSketch(state []byte) (rollup.Bins, error) {
	d := stateReader{rest: state}
	var b rollup.Bins
	if d.byte() != flagMapping || math.Abs(d.float()-gamma) > 1e-9 || d.float() != 0 || d.byte() != flagPositive {
		return rollup.Bins{}, errSketch
	}
	d.bins(&b)
	var negative rollup.Bins
	if d.byte() != flagNegative {
		return rollup.Bins{}, errSketch
	}
	d.bins(&negative)
	if d.byte() != flagZeros {
		return rollup.Bins{}, errSketch
	}
	b.Zeros = d.count()
	if d.failed || len(d.rest) > 0 || len(negative.Counts) > 0 {
		return rollup.Bins{}, errSketch
	}
	return b, nil
}

// stateReader reads from the front. After a failure every read answers zero.
type stateReader struct {
	rest   []byte
	failed bool
}

func (d *stateReader) fail() {
	d.rest, d.failed = nil, true
}

func (d *stateReader) byte() (b byte) {
	if len(d.rest) == 0 {
		d.fail()
		return 0
	}
	b, d.rest = d.rest[0], d.rest[1:]
	return b
}

func (d *stateReader) float() (f float64) {
	if len(d.rest) < 8 {
		d.fail()
		return 0
	}
	f, d.rest = math.Float64frombits(binary.LittleEndian.Uint64(d.rest)), d.rest[8:]
	return f
}

// count reads how many there are, a whole number.
func (d *stateReader) count() uint64 {
	f := d.float()
	if !(f >= 0 && f < 1<<63) { // NaN is none either
		d.fail()
		return 0
	}
	return uint64(math.Round(f))
}

func (d *stateReader) uvarint() uint64 {
	n, size := binary.Uvarint(d.rest)
	return d.skip(n, size)
}

func (d *stateReader) varint() int64 {
	n, size := binary.Varint(d.rest)
	return int64(d.skip(uint64(n), size))
}

func (d *stateReader) skip(n uint64, size int) uint64 {
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *stateReader) bins(b *rollup.Bins) {
	encoding, n := d.byte(), d.uvarint()
	if n > uint64(len(d.rest)/8) { // each takes at least its count
		d.fail()
		return
	}
	index, step := int64(0), int64(0)
	switch encoding {
	case binsSparse:
	case binsContiguous:
		index, step = d.varint(), d.varint()
		index -= step
	default:
		d.fail()
	}
	for ; n > 0 && !d.failed; n-- {
		if encoding == binsSparse {
			step = d.varint()
		}
		index += step
		count := d.count()
		if index < 0 || index > math.MaxUint16 || len(b.Indexes) > 0 && index <= int64(b.Indexes[len(b.Indexes)-1]) {
			d.fail()
			return
		}
		if count > 0 {
			b.Indexes, b.Counts = append(b.Indexes, uint32(index)), append(b.Counts, count)
		}
	}
}
