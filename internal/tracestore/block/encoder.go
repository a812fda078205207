package block

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// Encoder makes blocks, one after the other. It keeps what it learned about operations and strings from block to block, so it is
// to be kept too: one for each writer. It is not safe for concurrent use.
type Encoder struct {
	zstd    *zstd.Encoder
	headers []Header
	spans   int
	bodies  [][]byte
}

// NewEncoder makes an empty encoder.
func NewEncoder() *Encoder {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err)) // they are constants
	}
	return &Encoder{zstd: encoder}
}

// Add appends a release to the block; its number in the block is Len before the call. header is taken over. release and its
// spans are neither changed nor kept. After ErrTooLarge the block is as it was.
func (e *Encoder) Add(release *tracetree.Release, header Header) error {
	if len(e.headers) == MaxReleases {
		return fmt.Errorf("%w: the block has %d already", ErrTooLarge, MaxReleases)
	}
	otlp, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(copyRelease(release))
	if err != nil {
		return fmt.Errorf("marshal release: %w", err)
	}
	if len(otlp) > MaxReleaseBytes {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(otlp), MaxReleaseBytes)
	}
	header.Spans, header.Size = len(release.Spans), len(otlp)
	header.Row.TraceID = release.TraceID
	e.headers = append(e.headers, header)
	e.spans += len(release.Spans)
	e.bodies = append(e.bodies, e.zstd.EncodeAll(otlp, nil))
	return nil
}

func copyRelease(release *tracetree.Release) ptrace.Traces {
	td := ptrace.NewTraces()
	var rs ptrace.ResourceSpans
	var ss ptrace.ScopeSpans
	for i := range release.Spans {
		span := &release.Spans[i]
		newResource := i == 0 || span.Resource != release.Spans[i-1].Resource
		if newResource {
			rs = td.ResourceSpans().AppendEmpty()
			span.Resource.CopyTo(rs.Resource())
			rs.SetSchemaUrl(span.SchemaURL)
		}
		if newResource || span.Scope != release.Spans[i-1].Scope {
			ss = rs.ScopeSpans().AppendEmpty()
			span.Scope.CopyTo(ss.Scope())
			ss.SetSchemaUrl(span.ScopeSchemaURL)
		}
		span.CopyTo(ss.Spans().AppendEmpty())
	}
	return td
}

// Len is the number of releases in the block so far.
func (e *Encoder) Len() int { return len(e.headers) }

// Spans is the number of spans in the block so far.
func (e *Encoder) Spans() int { return e.spans }

// Encode appends the two halves of the block to head and body and begins the next block. A block without releases is valid.
func (e *Encoder) Encode(head, body []byte) (newHead, newBody []byte) {
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(e.headers); err != nil {
		panic(err)
	}
	head = seal(head, buf.Bytes())
	var raw []byte
	raw = binary.AppendUvarint(raw, uint64(len(e.bodies)))
	for _, b := range e.bodies {
		raw = binary.AppendUvarint(raw, uint64(len(b)))
		raw = append(raw, b...)
	}
	body = seal(body, raw)
	e.Reset()
	return head, body
}

// Reset throws away what was added since the last block.
func (e *Encoder) Reset() {
	e.headers, e.bodies, e.spans = nil, nil, 0
}

func seal(dst, content []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, xxhash.Sum64(content)), content...)
}
