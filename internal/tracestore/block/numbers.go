package block

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// Encodings of a column of numbers.
const (
	numbersPacked  = 0 // all as many bits as the difference to the least one takes
	numbersListed  = 1 // a byte for each: the place in a list of at most 256
	numbersClassed = 2 // classed zigzag numbers
	numbersDouble  = 3 // the 12 highest bits as 2 bytes, the others as bits
	numbersShare   = 4 // see shares.go
)

// maxListed bounds the distinct numbers of which a column is a list.
const maxListed = 256

// census counts the distinct numbers of a column, up to maxListed.
type census struct {
	slots    [1024]censusSlot
	distinct int // maxListed + 1: more
	list     []uint64
}

type censusSlot struct {
	value uint64
	count uint32
	place uint8 // in the list
}

func (c *census) slot(v uint64) *censusSlot {
	i := spot(v, len(c.slots))
	for c.slots[i].count > 0 && c.slots[i].value != v {
		i = (i + 1) % len(c.slots)
	}
	return &c.slots[i]
}

func (c *census) take(values []uint64) {
	clear(c.slots[:])
	c.distinct, c.list = 0, c.list[:0]
	for _, v := range values {
		s := c.slot(v)
		if s.count == 0 {
			if c.distinct++; c.distinct > maxListed {
				return
			}
			s.value = v
			c.list = append(c.list, v)
		}
		s.count++
	}
	slices.SortFunc(c.list, func(a, b uint64) int { return cmp.Compare(int64(a), int64(b)) })
	for i, v := range c.list {
		c.slot(v).place = uint8(i)
	}
}

// entropy estimates the bits that a compressed stream of symbols takes, of which one with this count is.
func entropy(count, all int) float64 {
	n := float64(count)
	return n * max(0.05, math.Log2(float64(all)/n))
}

// finishNumbers writes the column's numbers: what is worth compressing to codes, the rest to bits. It chooses the encoding that
// promises to be the smallest.
func (e *Encoder) finishNumbers(c *column) {
	c.codes = append(c.codes[:0], numbersPacked)
	if len(c.numbers) > 0 {
		c.tokens = false
	}
	least, most := bounds(c.numbers, c.kind)
	switch {
	case len(c.numbers) == 0:
	case c.kind == kindInt && c.forecast != forecastNone: // not known
		c.bound(1 << 63)
		c.bound(1<<63 - 1)
	default:
		c.bound(least)
		c.bound(most)
	}
	if c.forecast == forecastShare {
		c.codes[0] = numbersShare
		return // the rest is written already
	}
	e.census.take(c.numbers)
	listed := math.Inf(1)
	if e.census.distinct <= maxListed {
		listed = 12 * float64(e.census.distinct)
		for _, v := range e.census.list {
			listed += entropy(int(e.census.slot(v).count), len(c.numbers))
		}
		e.addNumberTokens(c)
	}
	if c.kind == kindDouble {
		if listed <= 60*float64(len(c.numbers)) {
			e.writeListed(c)
		} else {
			writeDoubles(c)
		}
		return
	}
	var classes [maxClass + 1]int
	for _, v := range c.numbers {
		classes[bits.Len64(zigzag(int64(v)))]++
	}
	classed := 0.0
	for class, count := range classes {
		if count > 0 {
			classed += float64(count*int(classWidth(byte(class)))) + entropy(count, len(c.numbers))
		}
	}
	width := bits.Len64(most - least)
	switch packed := float64(width * len(c.numbers)); {
	case packed <= 1.02*min(classed, listed):
		c.codes[0] = numbersPacked
		c.codes = append(binary.AppendVarint(c.codes, int64(least)), byte(width))
		for _, v := range c.numbers {
			c.bits.write(v-least, uint(width))
		}
	case listed <= classed:
		e.writeListed(c)
	default:
		c.codes[0] = numbersClassed
		for _, v := range c.numbers {
			c.codes = c.bits.classed(c.codes, zigzag(int64(v)))
		}
	}
}

// bound widens the bounds of the column's values.
func (c *column) bound(v uint64) {
	if !c.bounded {
		c.bounded, c.least, c.most = true, v, v
	}
	if less(v, c.least, c.kind) {
		c.least = v
	}
	if less(c.most, v, c.kind) {
		c.most = v
	}
}

// bounds are the least and the largest number: as numbers, not as bits.
func bounds(values []uint64, k kind) (least, most uint64) {
	if len(values) == 0 {
		return 0, 0
	}
	least, most = values[0], values[0]
	for _, v := range values[1:] {
		if less(v, least, k) {
			least = v
		}
		if less(most, v, k) {
			most = v
		}
	}
	return least, most
}

func less(a, b uint64, k kind) bool {
	if k == kindDouble {
		return math.Float64frombits(a) < math.Float64frombits(b)
	}
	return int64(a) < int64(b)
}

func (e *Encoder) writeListed(c *column) {
	c.codes[0] = numbersListed
	c.codes = binary.AppendUvarint(c.codes, uint64(len(e.census.list)))
	for _, v := range e.census.list {
		if c.kind == kindDouble {
			c.codes = binary.LittleEndian.AppendUint64(c.codes, v)
		} else {
			c.codes = binary.AppendVarint(c.codes, int64(v))
		}
	}
	for _, v := range c.numbers {
		c.codes = append(c.codes, e.census.slot(v).place)
	}
}

func writeDoubles(c *column) {
	c.codes[0] = numbersDouble
	for _, v := range c.numbers {
		c.codes = append(c.codes, byte(v>>60), byte(v>>52))
		c.bits.write(v&(1<<52-1), 52)
	}
}

// addNumberTokens lets the filter know the column's numbers, if they are themselves: a search compares text.
func (e *Encoder) addNumberTokens(c *column) {
	if c.forecast != forecastNone || c.kind == kindDouble {
		return
	}
	c.tokens = true // the values that stand with operations are in it anyway
	for _, v := range e.census.list {
		e.tokens.add(e.numberToken(c, v))
	}
}

func (e *Encoder) numberToken(c *column, v uint64) uint64 {
	switch c.kind {
	case kindBool:
		e.digits = strconv.AppendBool(e.digits[:0], v != 0)
	default:
		e.digits = strconv.AppendInt(e.digits[:0], int64(v), 10)
	}
	return token(c.key.hash, xxhash.Sum64(e.digits))
}
