package memstore

import (
	"bytes"
	"context"

	"github.com/tracewright/tracewright/internal/tracestore"
)

var _ tracestore.SourceKeeper = (*Store)(nil)

// Sources implements tracestore.SourceKeeper.
func (s *Store) Sources(ctx context.Context) ([]tracestore.SourceRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var records []tracestore.SourceRecord
	for _, record := range s.sources {
		record.Value = bytes.Clone(record.Value)
		records = append(records, record)
	}
	return records, nil
}

// PutSource implements tracestore.SourceKeeper.
func (s *Store) PutSource(ctx context.Context, record tracestore.SourceRecord) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	record.Value = bytes.Clone(record.Value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sources[record.Name].Version != record.Version-1 {
		return tracestore.ErrSourceVersion
	}
	s.sources[record.Name] = record
	return nil
}

// DeleteSource implements tracestore.SourceKeeper.
func (s *Store) DeleteSource(ctx context.Context, name string, version int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if record, stored := s.sources[name]; !stored || record.Version != version {
		return tracestore.ErrSourceVersion
	}
	delete(s.sources, name)
	return nil
}
