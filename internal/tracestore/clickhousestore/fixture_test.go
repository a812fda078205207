package clickhousestore

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/tracewright/tracewright/internal/testservers"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// clickHouse is the server of all tests of this package.
var clickHouse testservers.SharedClickHouse

func TestMain(m *testing.M) {
	code := m.Run()
	if err := clickHouse.Stop(); err != nil {
		log.Println(err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		log.Println(err)
		code = 1
	}
	os.Exit(code)
}

var databases atomic.Int32

// newDatabase names a database that is the test's own, and is dropped with it.
func newDatabase(t testing.TB) string {
	t.Helper()
	clickHouse.DSN(t)
	return fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
}

// testOptions are those of a store with a database of its own.
func testOptions(t testing.TB) Options {
	t.Helper()
	return Options{Endpoint: clickHouse.DSN(t), Database: newDatabase(t), CreateSchema: true, Variant: VariantPlain}
}

// openStore opens a store whose schema is there; its database is dropped with the test.
func openStore(t testing.TB, options Options) *Store {
	t.Helper()
	health := make(chan error, 100)
	options.OnHealth = func(err error) {
		select {
		case health <- err:
		default:
		}
	}
	store, err := Open(options)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, store.db.Exec(ctx, "DROP DATABASE IF EXISTS "+quoted(options.Database)))
		require.NoError(t, store.Close())
	})
	waitReady(t, store, health)
	return store
}

// waitReady waits for the schema, and says what is wrong if it does not come.
func waitReady(t testing.TB, store *Store, health <-chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := store.Ready(ctx); err != nil {
		t.Fatalf("%v: %v", err, <-health)
	}
}

// writer is the clickhouse exporter as a tracestore.Writer, told where to insert as trace_clickhouse tells it.
type writer struct {
	first, repeated, missing exporter.Traces
	database                 string
}

// newWriter starts an exporter for each of the tables.
func newWriter(t testing.TB, options Options) writer {
	t.Helper()
	start := func(table string) exporter.Traces {
		factory := clickhouseexporter.NewFactory()
		config := factory.CreateDefaultConfig().(*clickhouseexporter.Config)
		require.NoError(t, confmap.NewFromStringMap(map[string]any{
			"endpoint": options.Endpoint, "database": options.Database, "create_schema": false, "async_insert": false,
			"traces_table_name": table,
			"timeout":           "60s",
			"retry_on_failure":  map[string]any{"enabled": false},
		}).Unmarshal(config))
		config.QueueSettings = configoptional.None[exporterhelper.QueueBatchConfig]()
		traces, err := factory.CreateTraces(t.Context(), exportertest.NewNopSettings(factory.Type()), config)
		require.NoError(t, err)
		require.NoError(t, traces.Start(t.Context(), componenttest.NewNopHost()))
		t.Cleanup(func() { require.NoError(t, traces.Shutdown(context.WithoutCancel(t.Context()))) })
		return traces
	}
	return writer{first: start(Table), repeated: start(RepeatedTable), missing: start(MissingTable), database: options.Database}
}

// written are the calls that somebody tried to write, by their database.
var written sync.Map

// triedCall is one of them. A call is in one queue, so nobody writes it for the first time while another one repeats it.
type triedCall struct {
	sync.Mutex
	repeated bool
}

type writtenCall struct {
	database string
	id       tracetree.CallID
}

// WriteCall implements tracestore.Writer.
func (w writer) WriteCall(ctx context.Context, td ptrace.Traces) error {
	id := callID(td)
	known, _ := written.LoadOrStore(writtenCall{w.database, id}, new(triedCall))
	tried := known.(*triedCall)
	targets := []exporter.Traces{w.first}
	tried.Lock()
	if tried.repeated {
		tried.Unlock()
		targets = []exporter.Traces{w.repeated, w.missing}
	} else {
		defer tried.Unlock()
		tried.repeated = true
	}
	for _, target := range targets {
		if err := Insert(ctx, id, func(ctx context.Context) error { return target.ConsumeTraces(ctx, td) }); err != nil {
			return err
		}
	}
	return nil
}

func callID(td ptrace.Traces) tracetree.CallID { return tracetree.NewCallID(tracetree.Releases(td)) }
