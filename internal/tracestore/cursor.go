package tracestore

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/cespare/xxhash/v2"
)

// A cursor is, before base64: version (1 byte), value, time, trace id, the query's fingerprint, found (uvarint).
const (
	cursorVersion = 2
	cursorFixed   = 1 + 8 + 8 + 16 + 8
)

// EncodeCursor makes the cursor that continues the query after the position. It is bound to the tenant, to the query's
// conditions and its order, not to its window (which moves when it is given relative to now) nor to its limit.
func EncodeCursor(tenant string, query *SearchQuery, after Position) string {
	buf := make([]byte, 0, cursorFixed+binary.MaxVarintLen64)
	buf = append(buf, cursorVersion)
	buf = binary.BigEndian.AppendUint64(buf, uint64(after.Value))
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
	if binary.BigEndian.Uint64(buf[33:]) != fingerprint(tenant, query) {
		return Position{}, ErrCursor
	}
	found, n := binary.Uvarint(buf[cursorFixed:])
	if n != len(buf)-cursorFixed || found > math.MaxInt32 {
		return Position{}, ErrCursor
	}
	position := Position{
		Value: int64(binary.BigEndian.Uint64(buf[1:])), Time: int64(binary.BigEndian.Uint64(buf[9:])), Found: int(found),
	}
	copy(position.TraceID[:], buf[17:33])
	return position, nil
}

// fingerprint hashes the tenant, the order and the conditions.
func fingerprint(tenant string, query *SearchQuery) uint64 {
	hash := xxhash.New() // which never fails to write; %q keeps the parts apart
	_, _ = fmt.Fprintf(hash, "%q order %q", tenant, query.Order)
	hashConditions(hash, &query.Where)
	return hash.Sum64()
}

func hashConditions(hash io.Writer, c *Conditions) {
	hashSpan(hash, &c.Span)
	t := &c.Trace
	_, _ = fmt.Fprintf(hash, " trace %q %q %q %d %d %q", t.Entry.Service, t.Entry.Operation, t.Outcome, t.MinDuration, t.MaxDuration, t.Services)
	for _, count := range []CountRange{t.Spans, t.Errors} {
		_, _ = fmt.Fprintf(hash, " count %d", count.Min)
		if count.Max != nil {
			_, _ = fmt.Fprintf(hash, " to %d", *count.Max)
		}
	}
	for i := range c.Structure {
		s := &c.Structure[i]
		_, _ = fmt.Fprintf(hash, " above(")
		hashSpan(hash, &s.Above)
		_, _ = fmt.Fprintf(hash, ") %q below(", s.Relation)
		hashSpan(hash, &s.Below)
		_, _ = fmt.Fprintf(hash, ")")
	}
	hashBranches(hash, c.And, c.Or, c.Not, hashConditions)
}

func hashSpan(hash io.Writer, c *SpanConditions) {
	_, _ = fmt.Fprintf(hash, " span %q %q %q %d %d", c.Service, c.Operation, c.Category, c.MinDuration, c.MaxDuration)
	if c.Kind != nil {
		_, _ = fmt.Fprintf(hash, " kind %d", *c.Kind)
	}
	if c.Errors != nil {
		_, _ = fmt.Fprintf(hash, " errors %t", *c.Errors)
	}
	for _, attr := range c.Attributes {
		_, _ = fmt.Fprintf(hash, " attribute %d %q %q %q %g", attr.Scope, attr.Key, attr.Op, attr.Text, attr.Number)
		if attr.Regex != nil {
			_, _ = fmt.Fprintf(hash, " %q", attr.Regex.String())
		}
	}
	hashBranches(hash, c.And, c.Or, c.Not, hashSpan)
}

func hashBranches[T any](hash io.Writer, and, or []T, not *T, branch func(io.Writer, *T)) {
	for name, list := range [][]T{and, or} {
		_, _ = fmt.Fprintf(hash, " %d(", name)
		for i := range list {
			branch(hash, &list[i])
			_, _ = fmt.Fprintf(hash, ",")
		}
		_, _ = fmt.Fprintf(hash, ")")
	}
	if not != nil {
		_, _ = fmt.Fprintf(hash, " not(")
		branch(hash, not)
		_, _ = fmt.Fprintf(hash, ")")
	}
}
