package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// SharedClickHouse is one ClickHouse for all tests of a package: the first that asks starts it, and TestMain stops it when all have run.
type SharedClickHouse struct {
	once   sync.Once
	server *ClickHouse
	dsn    string
	folder string
	err    error
}

// DSN is that of the ClickHouse that the environment names in TRACEWRIGHT_TEST_CLICKHOUSE_DSN, or of the shared one. The test is skipped
// where StartClickHouse would skip it.
func (s *SharedClickHouse) DSN(t testing.TB) string {
	t.Helper()
	s.once.Do(func() {
		if s.dsn = os.Getenv("TRACEWRIGHT_TEST_CLICKHOUSE_DSN"); s.dsn != "" {
			return
		}
		if s.folder, s.err = os.MkdirTemp("", "clickhouse"); s.err != nil { //nolint:usetesting // it outlives the test
			return
		}
		ctx := context.Background() // it outlives the test that happens to be the first
		if s.server, s.err = NewClickHouse(ctx, s.folder); s.err != nil {
			return
		}
		if s.err = s.server.Start(ctx); s.err == nil {
			s.dsn = s.server.DSN()
		}
	})
	if errors.Is(s.err, errMissing) {
		t.Skip(s.err)
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.dsn
}

// Stop stops the server if it was started, and removes its data.
func (s *SharedClickHouse) Stop() error {
	var errs []error
	if s.server != nil {
		if err := s.server.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("%w\n%s", err, s.server.Log()))
		}
	}
	if s.folder != "" {
		errs = append(errs, os.RemoveAll(s.folder))
	}
	return errors.Join(errs...)
}
