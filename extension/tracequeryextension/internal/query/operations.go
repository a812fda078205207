package query

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// OperationsPage is one page of operations.
type OperationsPage struct {
	// Operations are sorted by calls, the most first, of equals by service, operation, kind and version.
	Operations []tracestore.OperationAggregate
	// Next is nil on the last page.
	Next         *Cursor
	Completeness tracestore.Completeness
}

// Operations answers one page of at most limit operations: the first where cursor is nil, else the one after it, in the
// cursor's window. Pages over closed minutes fit exactly; in the open minute an operation may move from one to another. Errors:
// tracestore.ErrCursor, tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) Operations(
	ctx context.Context, tenant string, asked *tracestore.AggregateQuery, limit int, cursor *Cursor,
) (*OperationsPage, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	page, err := s.readOperations(ctx, tenant, asked, limit, cursor)
	if err != nil {
		return nil, fmt.Errorf("read the operations: %w", err)
	}
	return page, nil
}

func (s *Service) readOperations(
	ctx context.Context, tenant string, asked *tracestore.AggregateQuery, limit int, cursor *Cursor,
) (*OperationsPage, error) {
	var after *tracestore.OperationAggregate
	if cursor != nil {
		asked.Start, asked.End = cursor.Start, cursor.End
		var err error
		if after, err = decodeOperation(cursor.storage, askedFor(tenant, asked)); err != nil {
			return nil, err
		}
	}
	reader, err := s.Storage()
	if err != nil {
		return nil, err
	}
	page := &OperationsPage{}
	for operation, err := range reader.Operations(ctx, tenant, asked) {
		if err != nil {
			return nil, err
		}
		if after == nil || compareOperations(&operation, after) > 0 {
			page.Operations = append(page.Operations, operation)
		}
	}
	slices.SortFunc(page.Operations, func(a, b tracestore.OperationAggregate) int { return compareOperations(&a, &b) })
	if len(page.Operations) > limit {
		page.Operations = page.Operations[:limit]
		last := &page.Operations[limit-1]
		page.Next = &Cursor{Start: asked.Start, End: asked.End, storage: encodeOperation(last, askedFor(tenant, asked))}
	}
	if page.Completeness, err = reader.Completeness(ctx, tenant, asked); err != nil {
		return nil, err
	}
	return page, ctx.Err()
}

func compareOperations(a, b *tracestore.OperationAggregate) int {
	return cmp.Or(
		cmp.Compare(b.Calls, a.Calls),
		cmp.Compare(a.Service, b.Service),
		cmp.Compare(a.Operation.Operation, b.Operation.Operation),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Version, b.Version),
	)
}

// A cursor's place among operations is
//
//	hash of what is asked for (8, big endian) | calls (8) | length of service (uvarint) | service |
//	length of operation (uvarint) | operation | length of kind (uvarint) | kind | version
const operationHeader = 8 + 8

// askedFor binds a cursor to the tenant and the conditions, not to the window, which the cursor has itself.
func askedFor(tenant string, asked *tracestore.AggregateQuery) uint64 {
	hash := xxhash.New()
	_, _ = fmt.Fprintf(hash, "operations %q %q %t", tenant, asked.Service, asked.ByVersion) // a hash never fails to write
	if asked.Environment != nil {
		_, _ = fmt.Fprintf(hash, " environment %q", *asked.Environment)
	}
	return hash.Sum64()
}

func encodeOperation(o *tracestore.OperationAggregate, asked uint64) string {
	raw := binary.BigEndian.AppendUint64(nil, asked)
	raw = binary.BigEndian.AppendUint64(raw, uint64(o.Calls))
	for _, name := range []string{o.Service, o.Operation.Operation, o.Kind} {
		raw = binary.AppendUvarint(raw, uint64(len(name)))
		raw = append(raw, name...)
	}
	return string(append(raw, o.Version...))
}

// decodeOperation reads what compareOperations needs; the error is tracestore.ErrCursor.
func decodeOperation(text string, asked uint64) (*tracestore.OperationAggregate, error) {
	raw := []byte(text)
	if len(raw) < operationHeader || binary.BigEndian.Uint64(raw) != asked {
		return nil, tracestore.ErrCursor
	}
	o := &tracestore.OperationAggregate{Calls: int64(binary.BigEndian.Uint64(raw[8:]))}
	raw = raw[operationHeader:]
	for _, name := range []*string{&o.Service, &o.Operation.Operation, &o.Kind} {
		length, n := binary.Uvarint(raw)
		if n <= 0 || length > uint64(len(raw)-n) {
			return nil, tracestore.ErrCursor
		}
		end := n + int(length)
		*name = string(raw[n:end])
		raw = raw[end:]
	}
	o.Version = string(raw)
	return o, nil
}
