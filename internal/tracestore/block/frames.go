package block

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/tracewright/tracewright/internal/codec"
)

// Streams are compressed together in frames: one for what every look-up needs, one for all small streams, one for each large one. A frame for
// each stream would cost a header for each, and a single one would be decompressed as a whole for every look-up.

const (
	frameTables = 0 // strings, operations and the like, and the dictionaries of columns
	frameSmall  = 1
	frameRaw    = 2 // not worth compressing: ids and bits
	frameFirst  = 3 // of large streams

	// largeStream is from where on a stream has a frame of its own.
	largeStream = 2 << 10
)

// assignFrames says in which frame each stream stands, and how many frames there are.
func assignFrames(lengths []int, frames []int32) ([]int32, int) {
	n := frameFirst
	for stream, length := range lengths {
		frame := frameSmall
		switch {
		case !compressed(stream):
			frame = frameRaw
		case stream <= streamPairs || stream >= numStreams && (stream-numStreams)%columnStreams == columnHeap:
			frame = frameTables
		case length >= largeStream:
			frame = n
			n++
		}
		frames = append(frames, int32(frame))
	}
	return frames, n
}

// maxExpanded bounds what is made of n bytes: of all frames together, and of one release. An encoder fills a block with zero bytes
// until what is in it is below.
func maxExpanded(n int) int { return 1<<20 + min(n, 1<<40)*4096 }

// appendFrames appends the streams in their frames. directory gets each frame's length and checksum.
func (e *Encoder) appendFrames(buf, directory []byte, streams [][]byte, frameOf []int32, n int) (newBuf, newDirectory []byte) {
	for frame := range n {
		e.frame = e.frame[:0]
		for stream, content := range streams {
			if int(frameOf[stream]) == frame {
				e.frame = append(e.frame, content...)
			}
		}
		start := len(buf)
		if frame != frameRaw && len(e.frame) > 0 {
			buf = e.zstd.EncodeAll(e.frame, buf)
		}
		if frame == frameRaw || len(buf)-start >= len(e.frame) {
			buf = append(buf[:start], e.frame...)
		}
		directory = binary.AppendUvarint(directory, uint64(len(buf)-start))
		directory = binary.BigEndian.AppendUint64(directory, xxhash.Sum64(buf[start:]))
	}
	return buf, directory
}

// frame is a frame that was read.
type frame struct {
	stored []byte
	sum    uint64
	length int // of the content
	data   []byte
	open   bool
	pooled bool
}

// readFrames reads what appendFrames wrote to the directory; content is what it wrote to buf.
func readFrames(directory *codec.Reader, content []byte, lengths []int, frameOf []int32, n int) ([]frame, error) {
	frames := make([]frame, n)
	total := 0
	for stream, length := range lengths {
		frames[frameOf[stream]].length += length
		total += length
	}
	limit := maxExpanded(len(content))
	if total > limit {
		return nil, fmt.Errorf("%w: %d bytes make %d", ErrCorrupt, len(content), total)
	}
	for i := range frames {
		stored := directory.Uvarint()
		frames[i].sum = directory.Fixed64()
		if stored > uint64(len(content)) || stored > uint64(frames[i].length) {
			return nil, fmt.Errorf("%w: frame %d has %d bytes", ErrCorrupt, i, stored)
		}
		frames[i].stored, content = content[:stored], content[stored:]
	}
	for _, b := range content {
		if b != 0 {
			return nil, fmt.Errorf("%w: unknown bytes at the end", ErrCorrupt)
		}
	}
	return frames, nil
}

// read checks and decompresses the frame, once.
func (f *frame) read() ([]byte, error) {
	if f.open {
		return f.data, nil
	}
	if xxhash.Sum64(f.stored) != f.sum {
		return nil, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	f.data = f.stored
	if len(f.stored) != f.length {
		out, err := codec.Decompress(f.stored, f.length)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		f.data, f.pooled = out, true
	}
	f.open = true
	return f.data, nil
}

func (f *frame) close() {
	if f.pooled {
		codec.GiveBuffer(f.data)
	}
	f.data, f.open, f.pooled = nil, false, false
}
