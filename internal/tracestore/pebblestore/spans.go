package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The value of a 't' key: the spans of one release.
//
//	codec (1 byte: 1 = OTLP TracesData under zstd) ‖ xxhash64 of what follows (8 bytes) ‖ zstd frame

const (
	codecOTLPZstd = 1
	spansHeader   = 1 + 8
	// maxReleaseBytes bounds one release before compression: assembly's parts are far below.
	maxReleaseBytes = 256 << 20
	// zstdWindow is enough for a release's repetitions; the default window costs megabytes for each encoder.
	zstdWindow = 512 << 10
)

// errCorrupt says that a stored value is not what was written.
var errCorrupt = errors.New("stored value is corrupt")

// Encoders are pooled rather than shared: one encoder compresses one value at a time.
var encoders = sync.Pool{New: func() any {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(zstdWindow))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err)) // they are constants
	}
	return encoder
}}

var decoders = sync.Pool{New: func() any {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxReleaseBytes))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err)) // they are constants
	}
	return decoder
}}

// appendSpans appends the value for a release of which otlp is the marshalled TracesData.
func appendSpans(buf, otlp []byte) []byte {
	start := len(buf)
	buf = append(buf, make([]byte, spansHeader)...)
	encoder := encoders.Get().(*zstd.Encoder)
	buf = encoder.EncodeAll(otlp, buf)
	encoders.Put(encoder)
	buf[start] = codecOTLPZstd
	binary.BigEndian.PutUint64(buf[start+1:], xxhash.Sum64(buf[start+spansHeader:]))
	return buf
}

// decodeSpans returns the release, which the caller owns. The value is not kept. The error is errCorrupt in any case.
func decodeSpans(value []byte) (ptrace.Traces, error) {
	if len(value) < spansHeader {
		return ptrace.Traces{}, fmt.Errorf("%w: only %d bytes", errCorrupt, len(value))
	}
	if value[0] != codecOTLPZstd {
		return ptrace.Traces{}, fmt.Errorf("%w: unknown codec %d", errCorrupt, value[0])
	}
	if binary.BigEndian.Uint64(value[1:]) != xxhash.Sum64(value[spansHeader:]) {
		return ptrace.Traces{}, fmt.Errorf("%w: wrong checksum", errCorrupt)
	}
	decoder := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(decoder)
	otlp, err := decoder.DecodeAll(value[spansHeader:], nil)
	if err != nil {
		return ptrace.Traces{}, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(otlp)
	if err != nil {
		return ptrace.Traces{}, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return td, nil
}
