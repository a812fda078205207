package neo4jmap

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/servicemaptest"
	"github.com/tracewright/tracewright/internal/testservers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNeo4j runs everything that needs a server on one.
func TestNeo4j(t *testing.T) {
	s := &server{config: NewDefaultClientConfig()}
	s.config.URI, s.config.Username, s.config.Password = testservers.Neo4jURI(t), testservers.Neo4jUser, testservers.Neo4jPassword
	t.Run("nothing was written", func(t *testing.T) { // there is no schema either
		w := window(start, start.Add(time.Hour))
		m, err := s.reader(t).Map(t.Context(), "", w)
		require.NoError(t, err)
		require.Empty(t, m.Services)
		n, err := s.reader(t).Neighbours(t.Context(), "", w, "checkout", 2)
		require.NoError(t, err)
		require.Empty(t, n.Callers)
		reached, err := s.reader(t).Radius(t.Context(), "", w, "checkout")
		require.NoError(t, err)
		require.Empty(t, reached)
	})
	t.Run("suite", func(t *testing.T) {
		servicemaptest.Run(t, func(t *testing.T, now func() time.Time) (servicemap.Reader, servicemaptest.Writer) {
			return s.reader(t), s.empty(t, Options{Now: now})
		})
	})
	for name, test := range map[string]func(*testing.T, *server){
		"plans":                      testPlans,
		"virtual nodes":              testVirtualNodes,
		"a service was virtual":      testBecomesService,
		"minutes are folded":         testFold,
		"hostile counts":             testHostileCounts,
		"retention":                  testRetention,
		"call ids expire":            testCallIDsExpire,
		"one maintains":              testOneMaintains,
		"clocks differ":              testClocks,
		"idle upkeep":                testIdleUpkeep,
		"minute starts":              testMinuteStarts,
		"many writers":               testManyWriters,
		"no update is lost":          testNoLostUpdates,
		"folding while others write": testFoldWhileWriting,
		"folding while others read":  testFoldWhileReading,
		"a fold was left":            testLeftFolding,
		"older schema":               testOlderSchema,
		"comes back empty":           testComesBackEmpty,
		"made together":              testSchemaTogether,
		"foreign schema":             testForeignSchema,
		"TLS":                        testTLS,
		"idle connections":           testIdleConnections,
		"questions of the docs":      testDocs,
		"wrong password":             testWrongPassword,
		"wrong database":             testWrongDatabase,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

type server struct{ config ClientConfig }

func (s *server) reader(t *testing.T) *Reader {
	reader, err := NewReader(t.Context(), &s.config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, reader.Close(context.WithoutCancel(t.Context()))) })
	return reader
}

func (s *server) writer(t *testing.T, options Options) *Writer {
	if options.MaxVirtualNodes == 0 {
		options.MaxVirtualNodes = 1000
	}
	if options.CallIDRetention == 0 {
		options.CallIDRetention = 24 * time.Hour
	}
	writer, err := NewWriter(t.Context(), &s.config, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, writer.Close(context.WithoutCancel(t.Context()))) })
	return writer
}

// empty is the writer of an empty database.
func (s *server) empty(t *testing.T, options Options) *Writer {
	w := s.writer(t, options)
	require.NoError(t, w.change(t.Context(), func(tx *transaction) error { return tx.run("MATCH (n) DETACH DELETE n", nil, nil) }))
	return w
}

// numbers runs a statement that answers one number, named n.
func (w *Writer) numbers(t *testing.T, statement string, parameters map[string]any) (n int64) {
	t.Helper()
	require.NoError(t, w.client.transaction(t.Context(), neo4j.AccessModeRead, func(tx *transaction) error {
		return tx.run(statement, parameters, func(r record) { n = r.number("n") })
	}))
	return n
}

// testPlans: what is written and read with every call is found by indexes.
func testPlans(t *testing.T, s *server) {
	w := s.empty(t, Options{})
	require.NoError(t, w.schema.ensure(t.Context(), w.client))
	parameters := spanOf("", &servicemap.Window{Start: time.Unix(0, 0), End: time.Unix(3600, 0)}).parameters()
	for key, value := range map[string]any{
		"rows": []map[string]any{}, "keys": []string{}, "service": "", "limit": 1, "id": "", "attempt": "", "retention": 0,
		"before": 0, "fold": 0, "seen": time.Unix(0, 0).UTC(), "tenants": []string{"a", ""}, "timeout": 1, "interval": 1,
	} {
		parameters[key] = value
	}
	relationship, nodes := "DirectedRelationshipUniqueIndexSeek(Locking)", "NodeUniqueIndexSeek"
	statements := map[string]struct {
		statement string
		want      []string
	}{
		"batch":       {mergeBatch, []string{"NodeUniqueIndexSeek(Locking)"}},
		"services":    {mergeServices, []string{"NodeUniqueIndexSeek(Locking)"}},
		"entries":     {mergeEntries, []string{"NodeUniqueIndexSeek(Locking)"}},
		"missing":     {missingServices, []string{nodes}},
		"virtual":     {countVirtual, []string{"NodeIndexSeek"}},
		"map":         {readEdges, []string{"CALLS(tenant, width, bucket)"}},
		"answered":    {readServices, []string{"ANSWERED(tenant, width, bucket)"}},
		"entered":     {readEntries, []string{"ENTERS(tenant, width, bucket)"}},
		"passes":      {readPasses, []string{"PASSES(pair, bucket)"}},
		"callees":     {stepTo + called, []string{nodes, "CALLS(pair, bucket)"}},
		"callers":     {stepFrom + called, []string{nodes, "CALLS(pair, bucket)"}},
		"folds":       {readFolds, []string{nodes}},
		"begin fold":  {beginFold, []string{nodes}},
		"upkeep":      {readMaintenance, []string{nodes}},
		"renew":       {renewMaintenance, []string{nodes}},
		"old batches": {oldBatches + deleteSome, []string{"Batch(expires)"}},
	}
	for _, statement := range findDue() {
		statements["due "+statement] = struct {
			statement string
			want      []string
		}{statement, []string{"(tenant"}}
	}
	for _, pattern := range expired() {
		statements["expired "+pattern] = struct {
			statement string
			want      []string
		}{strings.ReplaceAll(pattern, "$TENANT", "$tenant") + deleteSome, []string{"(tenant"}}
	}
	for _, b := range bucketed {
		of := strings.NewReplacer("$REL", b.rel, "$FIRST", b.first, "$SECOND", b.second, "$TENANT", "$tenant")
		statements["write "+b.rel] = struct {
			statement string
			want      []string
		}{mergeStatements[b.rel], []string{relationship, nodes}}
		statements["add to "+b.rel] = struct {
			statement string
			want      []string
		}{addStatements[b.rel], []string{"DirectedRelationshipUniqueIndexSeek"}}
		statements["minutes of "+b.rel] = struct {
			statement string
			want      []string
		}{of.Replace(readMinutes), []string{b.rel + "(tenant, width, bucket)"}}
		statements["fold "+b.rel] = struct {
			statement string
			want      []string
		}{of.Replace(deleteMinutes), []string{"DirectedRelationshipUniqueIndexSeek"}}
	}
	for name, test := range statements {
		t.Run(name, func(t *testing.T) {
			plan := w.plan(t, test.statement, parameters)
			for _, want := range test.want {
				require.Contains(t, plan, want)
			}
			require.NotContains(t, plan, "Scan", plan)
		})
	}
}

// plan lists the operators by which a statement runs, with no rows. It asks for the profile: the driver's tree of what EXPLAIN says
// shows some operators twice and others not at all.
func (w *Writer) plan(t *testing.T, statement string, parameters map[string]any) string {
	t.Helper()
	session := w.client.driver.NewSession(t.Context(), neo4j.SessionConfig{})
	defer session.Close(t.Context())
	result, err := session.Run(t.Context(), "PROFILE "+statement, parameters)
	require.NoError(t, err)
	summary, err := result.Consume(t.Context())
	require.NoError(t, err)
	var list strings.Builder
	var walk func(p neo4j.ProfiledPlan)
	walk = func(p neo4j.ProfiledPlan) {
		fmt.Fprintln(&list, p.Operator(), p.Arguments()["Details"])
		for _, child := range p.Children() {
			walk(child)
		}
	}
	walk(summary.Profile())
	return list.String()
}
