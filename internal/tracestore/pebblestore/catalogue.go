package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
)

const (
	// maxCatalogue bounds how many keys or values one query tells apart; those met later are left out.
	maxCatalogue = 10_000
	// maxCatalogueTime bounds for how long blocks are read: answers are for suggestions.
	maxCatalogueTime = 200 * time.Millisecond
)

// AttributeKeys implements tracestore.CatalogueReader. It reads blocks of the days that the window touches, the newest first, for maxCatalogueTime.
func (s *Store) AttributeKeys(
	ctx context.Context, tenant string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeKey, error) {
	count := tracestore.NewKeyCount(query, maxCatalogue)
	err := s.eachBody(ctx, tenant, query, func(body *block.Body, wanted func(int) bool) error { return body.AttributeKeys(wanted, count.Add) })
	if err != nil {
		return nil, fmt.Errorf("list attribute keys: %w", err)
	}
	return count.List(), nil
}

// AttributeValues implements tracestore.CatalogueReader likewise.
func (s *Store) AttributeValues(
	ctx context.Context, tenant string, scope tracestore.AttributeScope, key string, query *tracestore.CatalogueQuery,
) ([]tracestore.AttributeValue, error) {
	count := tracestore.NewValueCount(scope, key, query, maxCatalogue)
	err := s.eachBody(ctx, tenant, query, func(body *block.Body, wanted func(int) bool) error {
		return body.AttributeValues(key, wanted, count.Add)
	})
	if err != nil {
		return nil, fmt.Errorf("list values of attribute %q: %w", key, err)
	}
	return count.List(), nil
}

// bodyReader reads those releases of a body that are wanted.
type bodyReader func(body *block.Body, wanted func(release int) bool) error

// eachBody calls read for the bodies of the days that the window touches, newest first, until the time is over.
func (s *Store) eachBody(ctx context.Context, tenant string, query *tracestore.CatalogueQuery, read bodyReader) error {
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
	if !query.Start.Before(query.End) {
		return nil
	}
	snapshot := s.db.NewSnapshot()
	defer func() { _ = snapshot.Close() }() // fails only if closed before
	deadline := time.Now().Add(s.options.catalogueTime)
	first, last := dayOf(unixNano(query.Start)), dayOf(unixNano(query.End)-1)
	for _, at := range s.partitions.of(tenantPrefix(tenant)) {
		if at.day < first || at.day > last {
			continue
		}
		if more, err := s.eachBodyOf(ctx, snapshot, at.partition, deadline, read); err != nil || !more {
			return err
		}
	}
	return nil
}

func (s *Store) eachBodyOf(
	ctx context.Context, snapshot *pebble.Snapshot, at partition, deadline time.Time, read bodyReader,
) (more bool, err error) {
	lower, upper := at.span(kindBody)
	iter, err := snapshot.NewIter(iterOptions(lower, upper))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	for valid := iter.Last(); valid; valid = iter.Prev() {
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case s.ctx.Err() != nil:
			return false, tracestore.ErrClosed
		case time.Now().After(deadline):
			return false, nil
		}
		sequence, err := at.decodeSequence(iter.Key(), kindBody)
		if err != nil {
			return false, err
		}
		marks, err := readMarks(snapshot, at, sequence)
		if err == nil {
			err = readOpen(iter, func(body *block.Body) error {
				return read(body, func(release int) bool { return marks[uint16(release)] != markDeleted })
			})
		}
		if err != nil && !isUnreadable(err) { // reading its traces tells of a block that cannot be read
			return false, err
		}
	}
	return true, iter.Error()
}

// readOpen opens the body that the iterator stands on for as long as f takes.
func readOpen(iter *pebble.Iterator, f func(body *block.Body) error) error {
	value, err := iter.ValueAndErr()
	if err != nil {
		return err
	}
	body, err := block.OpenBody(value)
	if err != nil {
		return err
	}
	defer body.Close()
	return f(body)
}
