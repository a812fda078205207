package block

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Head is the first half of a block. It reads as little as it is asked for. It is not safe for concurrent use.
type Head struct {
	headers []Header
}

// OpenHead opens what Encode appended to head. data is kept and must not change while the Head is used. The error is ErrCorrupt or
// ErrVersion.
func OpenHead(data []byte) (*Head, error) {
	content, err := unseal(data)
	if err != nil {
		return nil, err
	}
	h := &Head{}
	if err := gob.NewDecoder(bytes.NewReader(content)).Decode(&h.headers); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return h, nil
}

// Len is the number of releases.
func (h *Head) Len() int { return len(h.headers) }

// Starts are the first and the last start among the rows (Row.Start), Unix nanoseconds; zeros in an empty block.
func (h *Head) Starts() (first, last int64) {
	for i := range h.headers {
		start := h.headers[i].Row.Start
		if i == 0 {
			first, last = start, start
		}
		first, last = min(first, start), max(last, start)
	}
	return first, last
}

// TraceID is that of the i-th release. It reads no row.
func (h *Head) TraceID(i int) pcommon.TraceID { return h.headers[i].Row.TraceID }

// Headers are those of all releases, in their order. The caller may keep and change them.
func (h *Head) Headers() ([]Header, error) { return h.headers, nil }

// MayMatch says whether one of the block's spans may meet all the conditions: false is certain. It reads the filter alone.
func (h *Head) MayMatch(conditions *tracestore.SpanConditions) bool { return true }

func unseal(data []byte) ([]byte, error) {
	if len(data) < 8 || binary.BigEndian.Uint64(data) != xxhash.Sum64(data[8:]) {
		return nil, ErrCorrupt
	}
	return data[8:], nil
}
