package tracestore

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Position is a place in the order of a search: newest search time first, of equals the larger trace id first.
type Position struct {
	// Time is the trace's search time (SearchTime), Unix nanoseconds.
	Time    int64
	TraceID pcommon.TraceID
	// Found is how many traces the pages up to here have answered.
	Found int
}

// A cursor is, before base64: version (1 byte), time, trace id, the query's fingerprint, found (uvarint).
const (
	cursorVersion = 1
	cursorFixed   = 1 + 8 + 16 + 8
)

// EncodeCursor makes the cursor that continues the query after the position. It is bound to the tenant and to the query's
// conditions, not to its window (which moves when it is given relative to now) nor to its limit.
func EncodeCursor(tenant string, query *SearchQuery, after Position) string {
	buf := make([]byte, 0, cursorFixed+binary.MaxVarintLen64)
	buf = append(buf, cursorVersion)
	buf = binary.BigEndian.AppendUint64(buf, uint64(after.Time))
	buf = append(buf, after.TraceID[:]...)
	buf = binary.BigEndian.AppendUint64(buf, fingerprint(tenant, query))
	buf = binary.AppendUvarint(buf, uint64(max(0, after.Found)))
	return base64.RawURLEncoding.EncodeToString(buf)
}

// DecodeCursor reads query.Cursor. The error is ErrCursor where the cursor was not made for this query.
func DecodeCursor(tenant string, query *SearchQuery) (Position, error) {
	buf, err := base64.RawURLEncoding.DecodeString(query.Cursor)
	if err != nil || len(buf) <= cursorFixed || buf[0] != cursorVersion {
		return Position{}, ErrCursor
	}
	if binary.BigEndian.Uint64(buf[25:]) != fingerprint(tenant, query) {
		return Position{}, ErrCursor
	}
	found, n := binary.Uvarint(buf[cursorFixed:])
	if n != len(buf)-cursorFixed || found > math.MaxInt32 {
		return Position{}, ErrCursor
	}
	position := Position{Time: int64(binary.BigEndian.Uint64(buf[1:])), Found: int(found)}
	copy(position.TraceID[:], buf[9:25])
	return position, nil
}

// fingerprint hashes the tenant and the query's conditions.
func fingerprint(tenant string, query *SearchQuery) uint64 {
	hash := xxhash.New()
	// %q keeps the parts apart; the hash never fails to write.
	span := &query.Span
	_, _ = fmt.Fprintf(hash, "%q %q %q %q %d %d", tenant, span.Service, span.Operation, span.Category, span.MinDuration, span.MaxDuration)
	if span.Kind != nil {
		_, _ = fmt.Fprintf(hash, " kind %d", *span.Kind)
	}
	if span.Errors != nil {
		_, _ = fmt.Fprintf(hash, " errors %t", *span.Errors)
	}
	for _, attr := range span.Attributes {
		_, _ = fmt.Fprintf(hash, " attribute %d %q %q %q %g", attr.Scope, attr.Key, attr.Op, attr.Text, attr.Number)
		if attr.Regex != nil {
			_, _ = fmt.Fprintf(hash, " %q", attr.Regex.String())
		}
	}
	trace := &query.Trace
	_, _ = fmt.Fprintf(hash, " trace %q %q %q %d %d", trace.Entry.Service, trace.Entry.Operation, trace.Outcome,
		trace.MinDuration, trace.MaxDuration)
	return hash.Sum64()
}
