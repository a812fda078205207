package neo4jmap

import (
	"sync"
	"testing"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/servicemaptest"
)

func (w *Writer) statement(t *testing.T, statement string) {
	t.Helper()
	require.NoError(t, w.change(t.Context(), func(tx *transaction) error { return tx.run(statement, nil, nil) }))
}

// schemaOf are the names of our constraints and indexes that are there.
func schemaOf(t *testing.T, w *Writer) (constraints, indexes []string) {
	t.Helper()
	for statement, names := range map[string]*[]string{
		"SHOW CONSTRAINTS YIELD name WHERE name STARTS WITH 'tracewright_' RETURN name ORDER BY name":                         &constraints,
		"SHOW INDEXES YIELD name, state WHERE name STARTS WITH 'tracewright_' AND state = 'ONLINE' RETURN name ORDER BY name": &indexes,
	} {
		require.NoError(t, w.client.transaction(t.Context(), neo4j.AccessModeRead, func(tx *transaction) error {
			*names = nil
			return tx.run(statement, nil, func(r record) { *names = append(*names, r.text("name")) })
		}))
	}
	return constraints, indexes
}

// dropSchema leaves an empty database without ours.
func (w *Writer) dropSchema(t *testing.T) {
	t.Helper()
	w.statement(t, "MATCH (n) DETACH DELETE n")
	constraints, indexes := schemaOf(t, w)
	for _, name := range constraints {
		w.statement(t, "DROP CONSTRAINT "+name)
	}
	for _, name := range indexes {
		w.statement(t, "DROP INDEX "+name+" IF EXISTS")
	}
}

// testOlderSchema: a writer that finds a part of the schema, and what was written under it, makes the rest and goes on.
func testOlderSchema(t *testing.T, s *server) {
	now := Options{Now: func() time.Time { return start }}
	w, r := s.empty(t, now), s.reader(t)
	f := servicemaptest.NewTraffic(8)
	first := f.Call(t, "", "production", start, 10)
	require.NoError(t, w.WriteCall(t.Context(), first))
	constraints, indexes := schemaOf(t, w)
	require.Len(t, indexes, len(Schema()), "each constraint has an index")
	for _, name := range []string{"calls_key", "service_key", "batch_id"} {
		w.statement(t, "DROP CONSTRAINT tracewright_"+name)
	}
	for _, name := range []string{"passes_pair", "calls_bucket"} {
		w.statement(t, "DROP INDEX tracewright_"+name)
	}

	later := s.writer(t, now)
	require.NoError(t, later.WriteCall(t.Context(), first), "it is there already")
	require.NoError(t, later.WriteCall(t.Context(), f.Call(t, "", "production", start, 10)))
	gotConstraints, gotIndexes := schemaOf(t, w)
	require.Equal(t, constraints, gotConstraints)
	require.Equal(t, indexes, gotIndexes)
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Minute)))
}

// testComesBackEmpty: a server that lost everything while nothing was written has the schema again before anybody writes.
func testComesBackEmpty(t *testing.T, s *server) {
	w := s.empty(t, Options{})
	require.NoError(t, w.Maintain(t.Context()))
	constraints, indexes := schemaOf(t, w)
	require.Len(t, indexes, len(Schema()))
	w.dropSchema(t)
	require.NoError(t, w.Maintain(t.Context()))
	gotConstraints, gotIndexes := schemaOf(t, w)
	require.Equal(t, constraints, gotConstraints)
	require.Equal(t, indexes, gotIndexes)
}

// testSchemaTogether: gateways that start together make the same schema, and none of them is in the way of another.
func testSchemaTogether(t *testing.T, s *server) {
	w := s.empty(t, Options{})
	for range 3 {
		w.dropSchema(t)
		var wait sync.WaitGroup
		for range 4 {
			other := s.writer(t, Options{})
			wait.Go(func() { assert.NoError(t, other.schema.ensure(t.Context(), other.client)) })
		}
		wait.Wait()
		_, indexes := schemaOf(t, w)
		require.Len(t, indexes, len(Schema()))
	}
}

// testForeignSchema: what others made stands in the way. It is named, nothing is written, and the same writer goes on once it is gone.
func testForeignSchema(t *testing.T, s *server) {
	now := Options{Now: func() time.Time { return start }}
	w, r := s.empty(t, now), s.reader(t)
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(1, "", start, "host"))) // so that there is a schema
	f := servicemaptest.NewTraffic(9)
	td := f.Call(t, "", "production", start, 5)
	for name, test := range map[string]struct{ in, out, says string }{
		"an index": {
			"CREATE INDEX of_others FOR (x:Service) ON (x.key)", "DROP INDEX of_others",
			"There already exists an index (:Service {key}). A constraint cannot be created until the index has been dropped.",
		},
		"nodes of one key": {
			"UNWIND [1, 2] AS n CREATE (:Service {key: 'same'})", "MATCH (s:Service {key: 'same'}) DELETE s",
			"have the label `Service` and property `key` = 'same'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.statement(t, "DROP CONSTRAINT tracewright_service_key IF EXISTS")
			w.statement(t, "MATCH (n) DETACH DELETE n")
			w.statement(t, test.in)
			later := s.writer(t, now)
			for range 2 {
				err := later.WriteCall(t.Context(), td)
				require.ErrorIs(t, err, servicemap.ErrUnavailable)
				require.ErrorContains(t, err, "Neo4j at "+s.config.URI+" does not make the schema that is needed; mend what it says: ")
				require.ErrorContains(t, err, test.says)
			}
			require.ErrorIs(t, later.Maintain(t.Context()), servicemap.ErrUnavailable)
			require.EqualValues(t, 0, w.numbers(t, "MATCH ()-[r]->() RETURN count(r) AS n", nil))
			w.statement(t, test.out)
			require.NoError(t, later.WriteCall(t.Context(), td))
			servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Minute)))
		})
	}
}
