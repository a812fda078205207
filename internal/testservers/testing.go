package testservers

import (
	"context"
	"errors"
	"os"
	"testing"
)

// server is what tests start.
type server interface {
	Start(ctx context.Context) error
	Stop() error
	Log() string
}

// StartClickHouse starts a ClickHouse for the test, which is stopped with it. The test is skipped where npm is missing, or the machine is
// none for which ClickHouse is published.
func StartClickHouse(t testing.TB) *ClickHouse {
	t.Helper()
	return start(t, NewClickHouse)
}

// StartNeo4j starts a Neo4j for the test, which is stopped with it. The test is skipped where Java or Maven is missing.
func StartNeo4j(t testing.TB) *Neo4j {
	t.Helper()
	return start(t, NewNeo4j)
}

// StartKafka starts a Kafka for the test, which is stopped with it. The test is skipped where Java or Maven is missing.
func StartKafka(t testing.TB) *Kafka {
	t.Helper()
	return start(t, NewKafka)
}

// Neo4jURI is that of the Neo4j that the environment names in TRACEWRIGHT_TEST_NEO4J_URI, or of one that is started for the test.
func Neo4jURI(t testing.TB) string {
	t.Helper()
	if uri := os.Getenv("TRACEWRIGHT_TEST_NEO4J_URI"); uri != "" {
		return uri
	}
	return StartNeo4j(t).URI()
}

// StoppedClickHouse is a ClickHouse that is not started yet, and stopped with the test.
func StoppedClickHouse(t testing.TB) *ClickHouse {
	t.Helper()
	return stopped(t, NewClickHouse)
}

// StoppedNeo4j is a Neo4j that is not started yet, and stopped with the test.
func StoppedNeo4j(t testing.TB) *Neo4j {
	t.Helper()
	return stopped(t, NewNeo4j)
}

func start[S server](t testing.TB, create func(context.Context, string) (S, error)) S {
	t.Helper()
	s := stopped(t, create)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func stopped[S server](t testing.TB, create func(context.Context, string) (S, error)) S {
	t.Helper()
	s, err := create(t.Context(), t.TempDir())
	if errors.Is(err, errMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("%v\n%s", err, s.Log())
		} else if t.Failed() {
			t.Log(s.Log())
		}
	})
	return s
}
