package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tracewright/tracewright/internal/tracestore"
)

var _ tracestore.SourceKeeper = (*Store)(nil)

// Sources implements tracestore.SourceKeeper.
func (s *Store) Sources(ctx context.Context) (records []tracestore.SourceRecord, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = eachSource(s.db, func(key, value []byte) error {
		version, value, err := decodeSourceValue(bytes.Clone(value))
		if err != nil {
			return fmt.Errorf("source %q: %w", decodeSource(key), err)
		}
		records = append(records, tracestore.SourceRecord{Name: decodeSource(key), Version: version, Value: value})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list sources: %w", err)
	}
	return records, nil
}

// eachSource calls f with all keys of sources and their values, which are valid during the call.
func eachSource(db *pebble.DB, f func(key, value []byte) error) error {
	lower, upper := sourceSpan()
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for valid := iter.First(); valid; valid = iter.Next() {
		value, err := iter.ValueAndErr()
		if err == nil {
			err = f(iter.Key(), value)
		}
		if err != nil {
			return errors.Join(err, iter.Close())
		}
	}
	return errors.Join(iter.Error(), iter.Close())
}

// PutSource implements tracestore.SourceKeeper.
func (s *Store) PutSource(ctx context.Context, record tracestore.SourceRecord) error {
	return s.changeSource(ctx, record.Name, record.Version-1, func(batch *pebble.Batch) error {
		return batch.Set(sourceKey(record.Name), appendSourceValue(nil, record.Version, record.Value), nil)
	})
}

// DeleteSource implements tracestore.SourceKeeper.
func (s *Store) DeleteSource(ctx context.Context, name string, version int64) error {
	if version < 1 {
		return tracestore.ErrSourceVersion
	}
	return s.changeSource(ctx, name, version, func(batch *pebble.Batch) error { return batch.Delete(sourceKey(name), nil) })
}

// changeSource makes a change where the version stands under the name, 0 where nothing does, and waits until it is durable.
func (s *Store) changeSource(ctx context.Context, name string, version int64, change func(*pebble.Batch) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	commit, err := s.applySource(ctx, name, version, change)
	if err == nil {
		err = s.await(ctx, commit)
	}
	if err != nil && !errors.Is(err, tracestore.ErrSourceVersion) {
		return fmt.Errorf("change source %q: %w", name, err)
	}
	return err
}

func (s *Store) applySource(ctx context.Context, name string, version int64, change func(*pebble.Batch) error) (*pending, error) {
	if err := s.lockWriter(ctx); err != nil {
		return nil, err
	}
	defer s.unlockWriter()
	if err := ctx.Err(); err != nil { // the lock was free all the same
		return nil, err
	}
	stored := int64(0)
	if _, err := get(s.db, sourceKey(name), func(value []byte) (err error) {
		stored, _, err = decodeSourceValue(value)
		return err
	}); err != nil {
		return nil, err
	}
	if stored != version {
		return nil, tracestore.ErrSourceVersion
	}
	batch := s.db.NewBatch()
	if err := change(batch); err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	if err := s.apply(batch); err != nil {
		return nil, err
	}
	return s.whenDurable(batch, func() {}), nil
}
