package pebblestore

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// idFilter tells of a partition whether it may hold a trace. Two questions hang on it: a look-up by id asks each day, and the
// writer asks for each release whether its trace is stored already. Pebble's own filters answer that in a microsecond a
// day; these, in memory, in some nanoseconds.
//
// It is a list of blocked Bloom filters (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007): an id has
// all its bits in one line of 64 bytes. Only the last one grows. They are written down now and then, see chunkWrite.
type idFilter struct {
	mu     sync.RWMutex // guards the fields below, and the chunks
	chunks []*idChunk
	// upTo: the ids of all releases that were written as a block up to this sequence are in the chunks. Merging does not change it.
	upTo uint64
	// given says that the filter was given up for its memory: it answers that every id may be there. The chunks are of what came since.
	given bool
	// epoch counts how often it was given up.
	epoch uint64
	// stale says that what is written down is of no use.
	stale bool
}

// idChunk is one Bloom filter.
type idChunk struct {
	ids   int
	lines []idLine
	// unwritten are those of ids that came since the chunk was written down.
	unwritten int
}

type idLine [8]uint64

const (
	// firstChunkIDs and maxChunkIDs are how many ids the first and the largest chunk of a partition hold. The first is small, because
	// of many tenants most have few traces a day. Up to steadyChunkIDs each holds eight times as many as the one before, behind it
	// twice as many, so that a day of a hundred million spans has about a dozen.
	firstChunkIDs  = 64
	steadyChunkIDs = 1 << 13
	maxChunkIDs    = 1 << 20
	// idBits of the filter for each id make one of 500 unknown ones pass a chunk, and one of 40 those of a day of a hundred million spans. Each that
	// passes costs the writer a look-up.
	idBits   = 16
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
	c.unwritten++
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
	return f.given || f.has(hash)
}

func (f *idFilter) has(hash uint64) bool {
	for _, c := range f.chunks {
		if c.has(hash) {
			return true
		}
	}
	return false
}

// mayHoldSince says whether an id was added to a filter that was given up, since givenUp answered an epoch: false is certain.
func (f *idFilter) mayHoldSince(hash, epoch uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.epoch != epoch || f.has(hash)
}

// givenUp says whether the filter was given up, and as of when.
func (f *idFilter) givenUp() (epoch uint64, given bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.epoch, f.given
}

// giveUp frees the filter's memory.
func (f *idFilter) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.chunks, f.given = nil, true
	f.epoch++
}

// add adds the ids of a block that was written up to a sequence. Those of all blocks before it were added.
func (f *idFilter) add(upTo uint64, hashes []uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.upTo = max(f.upTo, upTo)
	for len(hashes) > 0 {
		c := f.room(len(hashes))
		n := min(len(hashes), c.capacity()-c.ids)
		for _, hash := range hashes[:n] {
			c.add(hash)
		}
		hashes = hashes[n:]
	}
}

// room is the chunk to add to. Where that is a new one it has room for all of n ids, within bounds.
func (f *idFilter) room(n int) *idChunk {
	size := firstChunkIDs
	if last := len(f.chunks) - 1; last >= 0 {
		c := f.chunks[last]
		switch capacity := c.capacity(); {
		case c.ids < capacity:
			return c
		case capacity < steadyChunkIDs:
			size = min(8*capacity, steadyChunkIDs)
		default:
			size = 2 * capacity
		}
	}
	c := newIDChunk(min(max(size, n), maxChunkIDs))
	f.chunks = append(f.chunks, c)
	return c
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

// chunkWrite is a chunk that is to be written down, under its number. Chunks are written in their order, so that at any moment what is
// written down either says truly up to which sequence all ids are in it, or does not say so:
//
//   - the last chunk has upTo; one that others follow has 0;
//   - each has the number of ids in those before it. A chunk that grew since does not go with it.
type chunkWrite struct {
	chunk  *idChunk
	number int
	value  []byte
	// first: what is written down is to be removed before.
	first bool
}

// nextWrite encodes the first chunk that changed since it was written down; ok is false where there is none.
func (f *idFilter) nextWrite() (w chunkWrite, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.given {
		return chunkWrite{}, false // what is written down stays true
	}
	before := 0
	for number, c := range f.chunks {
		if c.unwritten > 0 {
			stored := storedChunk{idChunk: c, before: uint64(before)}
			if number == len(f.chunks)-1 {
				stored.upTo = f.upTo
			}
			return chunkWrite{c, number, stored.append(nil), f.stale}, true
		}
		before += c.ids
	}
	return chunkWrite{}, false
}

// wrote notes that a chunk was written down; nothing was added since nextWrite.
func (f *idFilter) wrote(w chunkWrite) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.chunk.unwritten, f.stale = 0, false
}

// worthWriting says whether much came since the filter was written down.
func (f *idFilter) worthWriting() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	ids, unwritten := 0, 0
	for _, c := range f.chunks {
		ids += c.ids
		unwritten += c.unwritten
	}
	return !f.given && unwritten > 0 && unwritten >= ids/8
}

// restore makes the filter of what was written down, in order, or says that it is of no use. The filter is empty.
func (f *idFilter) restore(chunks []storedChunk) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var before uint64
	for _, c := range chunks {
		if c.before != before {
			return false
		}
		before += uint64(c.ids)
	}
	if len(chunks) > 0 && chunks[len(chunks)-1].upTo == 0 {
		return false
	}
	for _, c := range chunks {
		f.chunks = append(f.chunks, c.idChunk)
		f.upTo = c.upTo
	}
	return true
}

// A chunk is written down as: checksum (xxHash64 of the rest) ‖ upTo ‖ number of ids in the chunks before ‖ number of ids, 8 bytes each ‖
// lines, 64 bytes each. Integers are big-endian.
type storedChunk struct {
	*idChunk
	upTo, before uint64
}

const chunkHeader = 32

func (c *storedChunk) append(buf []byte) []byte {
	start := len(buf)
	buf = append(slices.Grow(buf, chunkHeader+64*len(c.lines)), make([]byte, 8)...)
	for _, n := range []uint64{c.upTo, c.before, uint64(c.ids)} {
		buf = binary.BigEndian.AppendUint64(buf, n)
	}
	for i := range c.lines {
		for _, word := range c.lines[i] {
			buf = binary.BigEndian.AppendUint64(buf, word)
		}
	}
	binary.BigEndian.PutUint64(buf[start:], xxhash.Sum64(buf[start+8:]))
	return buf
}

func decodeIDChunk(buf []byte) (storedChunk, error) {
	if len(buf) <= chunkHeader || (len(buf)-chunkHeader)%64 != 0 || len(buf) > chunkHeader+(maxChunkIDs*idBits/8+64) {
		return storedChunk{}, errValue
	}
	if binary.BigEndian.Uint64(buf) != xxhash.Sum64(buf[8:]) {
		return storedChunk{}, errValue
	}
	c := storedChunk{
		idChunk: &idChunk{lines: make([]idLine, (len(buf)-chunkHeader)/64)},
		upTo:    binary.BigEndian.Uint64(buf[8:]), before: binary.BigEndian.Uint64(buf[16:]),
	}
	c.ids = int(min(binary.BigEndian.Uint64(buf[24:]), 1<<40))
	words := buf[chunkHeader:]
	for i := range c.lines {
		for k := range c.lines[i] {
			c.lines[i][k] = binary.BigEndian.Uint64(words)
			words = words[8:]
		}
	}
	return c, nil
}
