package block

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Version is the format version of both halves that are written. Those of version 1 are read, too: their filters lack the tokens of pairs and failures, and their
// resources are whole; their bodies have the trace ids, too.
const Version = 2

const (
	headMagic = "TWH"
	bodyMagic = "TWB"
)

// Encode appends the two halves of the block to head and body and begins the next block. A block without releases is valid.
func (e *Encoder) Encode(head, body []byte) (newHead, newBody []byte) {
	streams := e.finish()
	body = e.appendBody(body, streams)
	head = e.appendHead(head)
	e.Reset()
	return head, body
}

// finish is all streams of the block.
func (e *Encoder) finish() [][]byte {
	width := operationWidth(int(e.numOperations))
	e.out[streamSpanOps] = appendNumbers(e.out[streamSpanOps], e.spanOps, width)
	e.out[streamSubOps] = appendNumbers(e.out[streamSubOps], e.subOps, width)
	e.out[streamGapBits] = append(e.out[streamGapBits], e.gapBits.finish()...)
	e.out[streamTailBits] = append(e.out[streamTailBits], e.tailBits.finish()...)
	e.out[streamBaseBits] = append(e.out[streamBaseBits], e.baseBits.finish()...)
	e.out[streamEventBits] = append(e.out[streamEventBits], e.eventBits.finish()...)
	e.out[streamReleasedBits] = append(e.out[streamReleasedBits], e.releasedBits.finish()...)
	streams := append(e.streams[:0], e.out[:]...)
	for _, c := range e.used {
		if !c.kind.textual() && c.kind != kindEmpty && len(c.numbers) > 0 {
			e.finishNumbers(c)
		}
		streams = append(streams, c.codes, c.heap, c.templates, c.whole, c.variables, c.bits.finish())
		if c.kind <= kindAny {
			e.keys.add(attributeKey{key: c.key.s, kind: c.kind, tokens: c.tokens, least: c.least, most: c.most})
		}
	}
	e.streams = streams
	return streams
}

// operationWidth is how many bytes the number of an operation takes where there are so many.
func operationWidth(operations int) int {
	switch {
	case operations <= 1<<8:
		return 1
	case operations <= 1<<16:
		return 2
	}
	return 4
}

func appendNumbers(buf []byte, numbers []uint32, width int) []byte {
	for _, n := range numbers {
		switch width {
		case 1:
			buf = append(buf, byte(n))
		case 2:
			buf = binary.LittleEndian.AppendUint16(buf, uint16(n))
		default:
			buf = binary.LittleEndian.AppendUint32(buf, n)
		}
	}
	return buf
}

// appendBody appends the body.
//
//	magic, version (4 bytes) ‖ directory's length (4) ‖ its checksum (8) ‖ directory ‖ frames ‖ zero bytes
//	directory: releases, spans, events and links, operations, columns ‖ checksum of the trace ids (8) ‖ lengths of streams ‖ of each frame length, checksum (8)
func (e *Encoder) appendBody(buf []byte, streams [][]byte) []byte {
	directory := e.directory[:0]
	for _, n := range []int{len(e.headers), len(e.spanOps), len(e.subOps), int(e.numOperations), len(e.used)} {
		directory = binary.AppendUvarint(directory, uint64(n))
	}
	directory = binary.BigEndian.AppendUint64(directory, xxhash.Sum64(e.traceIDs))
	e.lengths = e.lengths[:0]
	total := 0
	for _, s := range streams {
		e.lengths = append(e.lengths, len(s))
		total += len(s)
	}
	directory = appendLengths(directory, e.lengths)
	var frames int
	e.frameOf, frames = assignFrames(e.lengths, e.frameOf[:0])
	e.frames, directory = e.appendFrames(e.frames[:0], directory, streams, e.frameOf, frames)
	e.directory = directory

	return appendSealed(buf, bodyMagic, directory, e.frames, max(total, e.largest))
}

// appendLengths writes the lengths of the streams: for each column a byte says which are not empty.
func appendLengths(buf []byte, lengths []int) []byte {
	for _, n := range lengths[:numStreams] {
		buf = binary.AppendUvarint(buf, uint64(n))
	}
	for at := numStreams; at < len(lengths); at += columnStreams {
		present := byte(0)
		for i, n := range lengths[at : at+columnStreams] {
			if n > 0 {
				present |= 1 << i
			}
		}
		buf = append(buf, present)
		for _, n := range lengths[at : at+columnStreams] {
			if n > 0 {
				buf = binary.AppendUvarint(buf, uint64(n))
			}
		}
	}
	return buf
}
