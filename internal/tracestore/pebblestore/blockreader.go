package pebblestore

import (
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore/block"
)

// maxReadBlocks is how many blocks a blockReader keeps open: that of late fragments, which came in one call, and some of the traces to which
// they belong.
const maxReadBlocks = 4

// blockReader reads releases out of a snapshot, and keeps the blocks open that it read last: opening one takes longer than anything that
// is read out of it.
type blockReader struct {
	reader pebble.Reader
	blocks []*readBlock // the last one was used last
}

// readBlock is what was read of a block.
type readBlock struct {
	at       partition
	sequence uint64
	body     *storedBody    // nil: not asked for
	headers  []block.Header // likewise
}

// block is the block of a release.
func (b *blockReader) block(r ref) *readBlock {
	i := slices.IndexFunc(b.blocks, func(k *readBlock) bool { return k.sequence == r.sequence && k.at == r.at })
	if i < 0 {
		if len(b.blocks) == maxReadBlocks {
			b.blocks[0].close()
			b.blocks = slices.Delete(b.blocks, 0, 1)
		}
		b.blocks = append(b.blocks, &readBlock{at: r.at, sequence: r.sequence})
		return b.blocks[len(b.blocks)-1]
	}
	known := b.blocks[i]
	b.blocks = append(slices.Delete(b.blocks, i, i+1), known)
	return known
}

// traces are the spans of a release of the trace.
func (b *blockReader) traces(r ref, id pcommon.TraceID) (ptrace.Traces, error) {
	k := b.block(r)
	if k.body == nil {
		body, err := readBody(b.reader, r.at, r.sequence)
		if err != nil {
			return ptrace.Traces{}, err
		}
		k.body = body
	}
	if int(r.number) >= k.body.Len() {
		return ptrace.Traces{}, fmt.Errorf("%w: block %d lacks release %d", errCorrupt, r.sequence, r.number)
	}
	return k.body.Traces(int(r.number), id)
}

// header is what the block says of a release of the trace.
func (b *blockReader) header(r ref, key traceKey) (block.Header, error) {
	k := b.block(r)
	if k.headers == nil {
		headers, err := readHeaders(b.reader, r.at, r.sequence)
		if err != nil {
			return block.Header{}, err
		}
		k.headers = headers
	}
	if int(r.number) >= len(k.headers) || k.headers[r.number].Row.TraceID != key.id {
		return block.Header{}, fmt.Errorf("%w: block %d lacks release %d", errCorrupt, r.sequence, r.number)
	}
	return k.headers[r.number], nil
}

func (b *blockReader) close() {
	for _, k := range b.blocks {
		k.close()
	}
	b.blocks = nil
}

func (k *readBlock) close() {
	if k.body != nil {
		k.body.Close()
	}
}
