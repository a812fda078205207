package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
)

// maxCatalogue bounds how many keys or values one query tells apart; those met later are left out.
const maxCatalogue = 10_000

// AttributeKeys implements tracestore.CatalogueReader. It reads the spans of the days that the window touches, until
// Options.MaxSearchTime.
func (s *Store) AttributeKeys(
	ctx context.Context, tenant string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeKey, error) {
	count := tracestore.NewKeyCount(query, maxCatalogue)
	if err := s.eachAttribute(ctx, tenant, query, count.Add); err != nil {
		return nil, fmt.Errorf("list attribute keys: %w", err)
	}
	return count.List(), nil
}

// AttributeValues implements tracestore.CatalogueReader likewise.
func (s *Store) AttributeValues(
	ctx context.Context, tenant string, scope tracestore.AttributeScope, key string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeValue, error) {
	count := tracestore.NewValueCount(scope, key, query, maxCatalogue)
	if err := s.eachAttribute(ctx, tenant, query, count.Add); err != nil {
		return nil, fmt.Errorf("list values of attribute %q: %w", key, err)
	}
	return count.List(), nil
}

// eachAttribute calls f for the attributes of the spans of the days that the window touches, newest day first, and for those of
// their resources.
func (s *Store) eachAttribute(
	ctx context.Context, tenant string, query *tracestore.CatalogueQuery,
	f func(scope tracestore.AttributeScope, key string, value pcommon.Value, spans int),
) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	if query.Limit < 1 {
		return fmt.Errorf("limit is %d, must be at least 1", query.Limit)
	}
	deadline := time.Now().Add(s.options.MaxSearchTime)
	first, last := dayOf(unixNano(query.Start)), dayOf(unixNano(query.End)-1)
	if !query.Start.Before(query.End) {
		return nil
	}
	for _, at := range s.partitions.of(tenantPrefix(tenant)) {
		if at.day < first || at.day > last {
			continue
		}
		if more, err := s.eachAttributeOf(ctx, at.partition, deadline, f); err != nil || !more {
			return err
		}
	}
	return nil
}

func (s *Store) eachAttributeOf(
	ctx context.Context, at partition, deadline time.Time,
	f func(scope tracestore.AttributeScope, key string, value pcommon.Value, spans int),
) (more bool, err error) {
	snapshot := s.db.NewSnapshot()
	defer func() { _ = snapshot.Close() }() // fails only if closed before
	lower, upper := at.span(kindBody)
	iter, err := snapshot.NewIter(iterOptions(lower, upper))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	for valid := iter.Last(); valid; valid = iter.Prev() {
		sequence, err := at.decodeSequence(iter.Key(), kindBody)
		if err != nil {
			return false, err
		}
		marks, err := readMarks(snapshot, at, sequence)
		if isCorrupt(err) {
			continue
		}
		if err != nil {
			return false, err
		}
		body, err := readBody(snapshot, at, sequence)
		if isCorrupt(err) {
			continue // reading its traces tells of it
		}
		if err != nil {
			return false, err
		}
		more, err = s.eachAttributeIn(ctx, body, marks, deadline, f)
		body.Close()
		if err != nil || !more {
			return more, err
		}
	}
	return true, iter.Error()
}

// eachAttributeIn goes through one block, and passes over what was deleted.
func (s *Store) eachAttributeIn(
	ctx context.Context, body *block.Body, marks map[uint16]mark, deadline time.Time,
	f func(scope tracestore.AttributeScope, key string, value pcommon.Value, spans int),
) (more bool, err error) {
	for i := range body.Len() {
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case s.ctx.Err() != nil:
			return false, tracestore.ErrClosed
		case time.Now().After(deadline):
			return false, nil
		case marks[uint16(i)] == markDeleted:
			continue
		}
		if td, err := body.Traces(i); err == nil { // else reading it tells of it
			tracestore.EachAttribute(td, f)
		}
	}
	return true, nil
}
