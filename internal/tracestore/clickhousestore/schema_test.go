package clickhousestore

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// oneSpan is a call of a trace of one span.
func oneSpan(releasedAt time.Time, id byte) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, releasedAt.UnixNano())
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{15: id})
	span.SetSpanID(pcommon.SpanID{7: 1})
	span.SetName("GET /")
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(releasedAt.Add(-time.Second)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(releasedAt))
	return td
}

func count(t *testing.T, store *Store, what string) (n uint64) {
	t.Helper()
	require.NoError(t, store.db.QueryRow(t.Context(), "SELECT count() FROM "+what).Scan(&n))
	return n
}

// A call that is written again, by anybody, changes nothing: not in the table, and in none that views fill.
func TestRepeatedInsert(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	one, other := newWriter(t, options), newWriter(t, options)
	now := time.Now()
	for _, w := range []writer{one, one, other} {
		require.NoError(t, w.WriteCall(t.Context(), oneSpan(now, 1)))
	}
	require.NoError(t, one.WriteCall(t.Context(), oneSpan(now, 2)))
	for _, table := range []string{"otel_traces", "trace_times", "traces"} {
		require.EqualValues(t, 2, count(t, store, store.table(table)), table)
	}
}

// Several that start at once make one schema.
func TestMigrateAtOnce(t *testing.T) {
	options := testOptions(t)
	openStore(t, options) // drops the database
	options.Database = newDatabase(t)
	var wg sync.WaitGroup
	for range 4 {
		store, err := Open(options)
		require.NoError(t, err)
		wg.Go(func() {
			assert.NoError(t, store.Ready(t.Context()))
			assert.NoError(t, store.Close())
		})
	}
	wg.Wait()
	store := openStore(t, options)
	version, err := store.schemaVersion(t.Context())
	require.NoError(t, err)
	migrations, err := store.schema.migrations()
	require.NoError(t, err)
	require.EqualValues(t, len(migrations), version)
}

var update = flag.Bool("update", false, "write the golden files anew")

// The variants for clusters have not run on one here: what would run is looked at.
func TestClusterSchemas(t *testing.T) {
	for _, variant := range []Variant{VariantOnCluster, VariantReplicated} {
		schema := Schema{Database: "tracewright", Variant: variant, Cluster: "main", Retention: 30 * 24 * time.Hour}
		text, err := schema.SQL(true)
		require.NoError(t, err)
		golden := filepath.Join("testdata", "schema."+string(variant)+".sql")
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(text), 0o600))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), text, "run the test with -update and look at the difference")
		// Nothing is left out: whatever is made is made on all servers.
		migrations, err := schema.migrations()
		require.NoError(t, err)
		for _, m := range migrations {
			for _, statement := range append(m.statements, schema.beginning()...) {
				require.Contains(t, strings.SplitN(statement, "\n", 2)[0], " ON CLUSTER `main`", m.name)
				require.Equal(t, variant == VariantReplicated && strings.Contains(statement, "MergeTree"),
					strings.Contains(statement, "ENGINE = Replicated"), statement)
			}
		}
	}
}

// Names go into statements as identifiers, whatever is in them.
func TestOddNames(t *testing.T) {
	options := testOptions(t)
	options.Database += " `with` 'quotes' and \\"
	store := openStore(t, options)
	require.NoError(t, newWriter(t, options).WriteCall(t.Context(), oneSpan(time.Now(), 1)))
	require.EqualValues(t, 1, count(t, store, store.table("traces")))
}

// An older schema becomes the newest, and what is in it stays. The retention follows the configuration.
func TestMigrate(t *testing.T) {
	options := testOptions(t)
	store := openStore(t, options)
	now := time.Now()
	require.NoError(t, newWriter(t, options).WriteCall(t.Context(), oneSpan(now, 1)))

	// As if only the first migration had run.
	for _, statement := range []string{
		"DROP TABLE " + store.table("traces_view"), "DROP TABLE " + store.table("traces"),
		"TRUNCATE TABLE " + store.table(migrationsTable), "INSERT INTO " + store.table(migrationsTable) + " (Number, Name) VALUES (1, '0001_spans')",
	} {
		require.NoError(t, store.db.Exec(t.Context(), statement))
	}
	for _, retention := range []time.Duration{0, 48 * time.Hour, 72 * time.Hour, 0} {
		options.Retention = retention
		again, err := Open(options)
		require.NoError(t, err)
		require.NoError(t, again.Ready(t.Context()))
		require.NoError(t, newWriter(t, options).WriteCall(t.Context(), oneSpan(now.Add(retention), 2)))
		for _, table := range []string{"otel_traces", "traces"} {
			var engine string
			row := again.db.QueryRow(t.Context(), "SELECT engine_full FROM system.tables WHERE database = ? AND name = ?", options.Database, table)
			require.NoError(t, row.Scan(&engine))
			if retention == 0 {
				require.NotContains(t, engine, "TTL ")
			} else {
				require.Contains(t, engine, fmt.Sprintf("toIntervalSecond(%d)", int(retention.Seconds())))
			}
		}
		require.NoError(t, again.Close())
	}
	require.EqualValues(t, 4, count(t, store, store.table("otel_traces")))
	require.EqualValues(t, 3, count(t, store, store.table("traces")), "the release from before is in the older table alone")
}

// A retention that is changed holds for what is stored already: a longer one keeps it, a shorter one lets it go.
func TestRetentionOfStored(t *testing.T) {
	options := testOptions(t)
	options.Retention = 10 * 24 * time.Hour
	store := openStore(t, options)
	released := time.Now().AddDate(0, 0, -5)
	require.NoError(t, newWriter(t, options).WriteCall(t.Context(), oneSpan(released, 1)))
	const stored = "SELECT count(), toInt64(max(delete_ttl_info_max)) FROM system.parts WHERE active AND rows > 0 AND database = ? AND table = ?"
	for _, days := range []int{20, 0, 30, 3} {
		options.Retention = time.Duration(days) * 24 * time.Hour
		again, err := Open(options)
		require.NoError(t, err)
		require.NoError(t, again.Ready(t.Context()))
		require.NoError(t, again.Close())
		for _, table := range []string{"otel_traces", "trace_times", "traces", "attribute_catalogue"} {
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				var parts uint64
				var over int64
				require.NoError(c, store.db.QueryRow(t.Context(), stored, options.Database, table).Scan(&parts, &over))
				switch {
				case days == 3:
					require.Zero(c, parts)
				case days > 0:
					require.InDelta(c, released.Add(options.Retention).Unix(), over, 24*3600)
				}
				require.Equal(c, days != 3, parts > 0)
			}, 10*time.Second, 20*time.Millisecond, "%s, %d days", table, days)
		}
	}
}

// A schema is made newer while calls come. None is lost, and what its new tables did not see they get when the calls are repeated.
func TestMigrateUnderLoad(t *testing.T) {
	options := testOptions(t)
	options.upTo = 2
	openStore(t, options)
	w := newWriter(t, options)
	day := time.Now().UTC().Truncate(24 * time.Hour)
	const each = 10
	call := func(n int) ptrace.Traces { return visits(day, each*n, each) }
	require.NoError(t, w.WriteCall(t.Context(), call(0)))

	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		n := 1
		for ; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			for w.WriteCall(t.Context(), call(n)) != nil { //nolint:revive // a view that is half made fails; the exporter repeats the call too
			}
		}
	}()
	options.upTo = 0
	store, err := Open(options)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	require.NoError(t, store.Ready(t.Context()))
	close(stop)
	n := <-stopped
	require.NoError(t, w.WriteCall(t.Context(), call(n)))

	total := int64(each * (n + 1))
	got := contents(t, store, day)
	for _, what := range []string{"stored spans", "trace times", "traces"} {
		require.Equal(t, total, got[what], what)
	}
	for _, what := range []string{"operation GET /", "edge web shop", "entry GET /", "key user.tier"} {
		require.GreaterOrEqual(t, got[what], int64(each), what)
		require.LessOrEqual(t, got[what], total-each, what)
	}
	for i := range n + 1 {
		require.NoError(t, w.WriteCall(t.Context(), call(i)))
	}
	got = contents(t, store, day)
	for _, what := range []string{"stored spans", "trace times", "traces", "operation GET /", "edge web shop", "entry GET /", "key user.tier"} {
		require.Equal(t, total, got[what], what)
	}
}

// Where nobody may make the schema, the store says what is missing.
func TestWithoutSchema(t *testing.T) {
	options := testOptions(t)
	options.CreateSchema = false
	health := make(chan error, 10)
	options.OnHealth = func(err error) { health <- err }
	store, err := Open(options)
	require.NoError(t, err)
	require.ErrorContains(t, <-health, options.Database)
	_, err = store.Sources(t.Context())
	require.ErrorIs(t, err, tracestore.ErrClosed, "it is starting")
	require.NoError(t, store.Close())
	require.ErrorIs(t, store.Ready(t.Context()), tracestore.ErrClosed)
}
