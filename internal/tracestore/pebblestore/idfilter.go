package pebblestore

import (
	"encoding/binary"
	"sync"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// idFilter tells of a partition whether it may hold a trace. Two questions hang on it: a look-up by id asks each day, and the
// writer asks for each release whether its trace is stored already. Pebble's own filters answer that in a microsecond a
// day; these, in memory, in some nanoseconds.
//
// It is a list of blocked Bloom filters (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007): an id has
// all its bits in one line of 64 bytes. Only the last one grows; the others are written down, see chunk.
type idFilter struct {
	mu     sync.RWMutex // guards the fields below, and the chunks' lines
	chunks []*idChunk
	// given says that the filter was given up for its memory: it answers that every id may be there.
	given bool
}

// idChunk is one Bloom filter.
type idChunk struct {
	// upTo is the sequence of the last block whose ids are in this chunk or an earlier one.
	upTo  uint64
	ids   int
	lines []idLine
}

type idLine [8]uint64

const (
	// firstChunkIDs and maxChunkIDs are how many ids the first and the largest chunk of a partition hold: each has twice as many as
	// the one before, so that a day of a hundred million spans has about a dozen.
	firstChunkIDs = 1 << 13
	maxChunkIDs   = 1 << 20
	// idBits of the filter for each id make one of 200 unknown ones pass.
	idBits   = 12
	idProbes = 6
)

func newIDChunk(ids int) *idChunk {
	return &idChunk{lines: make([]idLine, (ids*idBits+511)/512)}
}

func (c *idChunk) capacity() int { return len(c.lines) * 512 / idBits }

func hashID(id pcommon.TraceID) uint64 { return xxhash.Sum64(id[:]) }

// line and the bits in it come from different parts of the hash.
func (c *idChunk) line(hash uint64) *idLine {
	return &c.lines[(hash>>32)*uint64(len(c.lines))>>32]
}

func bits(hash uint64) (at, step uint32) {
	return uint32(hash), uint32(hash>>9) | 1
}

func (c *idChunk) add(hash uint64) {
	line := c.line(hash)
	at, step := bits(hash)
	for range idProbes {
		line[at>>6&7] |= 1 << (at & 63)
		at += step
	}
	c.ids++
}

func (c *idChunk) has(hash uint64) bool {
	line := c.line(hash)
	at, step := bits(hash)
	for range idProbes {
		if line[at>>6&7]&(1<<(at&63)) == 0 {
			return false
		}
		at += step
	}
	return true
}

// mayHold says whether an id was added: false is certain.
func (f *idFilter) mayHold(hash uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, c := range f.chunks {
		if c.has(hash) {
			return true
		}
	}
	return f.given
}

// giveUp frees the filter's memory.
func (f *idFilter) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chunks, f.given = nil, true
}

// add adds the ids of a block and returns the chunk that it filled, if any: it is to be written down.
func (f *idFilter) add(sequence uint64, hashes []uint64) (full *idChunk) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.given {
		return nil
	}
	last := len(f.chunks) - 1
	if last < 0 || f.chunks[last].ids >= f.chunks[last].capacity() {
		if last >= 0 {
			full = f.chunks[last]
		}
		f.chunks = append(f.chunks, newIDChunk(f.nextSize()))
		last++
	}
	c := f.chunks[last]
	for _, hash := range hashes {
		c.add(hash)
	}
	c.upTo = max(c.upTo, sequence)
	return full
}

func (f *idFilter) nextSize() int {
	if len(f.chunks) == 0 {
		return firstChunkIDs
	}
	return min(2*f.chunks[len(f.chunks)-1].capacity(), maxChunkIDs)
}

// size is the filter's memory, bytes.
func (f *idFilter) size() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n := 0
	for _, c := range f.chunks {
		n += len(c.lines) * 64
	}
	return n
}

// A chunk is written down as: checksum (xxHash64 of the rest, 8 bytes) ‖ number of ids (8) ‖ lines, 64 bytes each. Integers are
// big-endian. upTo stands in the key.
const chunkHeader = 16

func (c *idChunk) append(buf []byte) []byte {
	start := len(buf)
	buf = append(buf, make([]byte, 8)...)
	buf = binary.BigEndian.AppendUint64(buf, uint64(c.ids))
	for i := range c.lines {
		for _, word := range c.lines[i] {
			buf = binary.BigEndian.AppendUint64(buf, word)
		}
	}
	binary.BigEndian.PutUint64(buf[start:], xxhash.Sum64(buf[start+8:]))
	return buf
}

func decodeIDChunk(upTo uint64, buf []byte) (*idChunk, error) {
	if len(buf) <= chunkHeader || (len(buf)-chunkHeader)%64 != 0 || len(buf) > chunkHeader+(maxChunkIDs*idBits/8+64) {
		return nil, errValue
	}
	if binary.BigEndian.Uint64(buf) != xxhash.Sum64(buf[8:]) {
		return nil, errValue
	}
	c := &idChunk{upTo: upTo, lines: make([]idLine, (len(buf)-chunkHeader)/64)}
	ids := binary.BigEndian.Uint64(buf[8:])
	c.ids = int(min(ids, 1<<40))
	words := buf[chunkHeader:]
	for i := range c.lines {
		for k := range c.lines[i] {
			c.lines[i][k] = binary.BigEndian.Uint64(words)
			words = words[8:]
		}
	}
	return c, nil
}
