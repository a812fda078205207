package traceassemblyprocessor

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/tracewright/tracewright/internal/conventions"
)

// memoryStorage is a storage extension and its one client.
type memoryStorage struct {
	component.StartFunc
	component.ShutdownFunc
	storage.Client // nil: what is not defined here is not called

	mu     sync.Mutex // guards the fields below
	values map[string][]byte
	sets   int
	closed int
	err    error
}

func (m *memoryStorage) GetClient(_ context.Context, kind component.Kind, id component.ID, _ string) (storage.Client, error) {
	if kind != component.KindProcessor || id.Type() != NewFactory().Type() {
		return nil, errors.New("another component's")
	}
	return m, nil
}

func (m *memoryStorage) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], m.err
}

func (m *memoryStorage) Set(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets++
	if m.err == nil {
		m.values[key] = value
	}
	return m.err
}

func (m *memoryStorage) Close(context.Context) error { m.closed++; return nil }

var storageID = component.MustNewID("file_storage")

// startKeeping is start with a storage.
func startKeeping(t *testing.T, from *memoryStorage, shards int) *fixture {
	cfg := createDefaultConfig().(*Config)
	cfg.NumShards, cfg.StorageID = shards, &storageID
	f := &fixture{t: t, sink: &sink{t: t}, telemetry: componenttest.NewTelemetry()}
	f.assemblyProcessor = newTestProcessor(t, cfg, f.telemetry, f.sink)
	require.NoError(t, f.Start(t.Context(), host{storageID: from}))
	return f
}

// TestLearningSurvivesRestart learns with three shards that one client has a child and another has none, and that gaps are short, and
// asks a processor of two.
func TestLearningSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := &memoryStorage{values: make(map[string][]byte)}
		f := startKeeping(t, stored, 3)
		for trace := range uint64(600) {
			f.send(callers(1 + trace)...)
			childless := webClient(1 + trace)
			childless.id, childless.name = 9, "GET rates"
			f.send(childless)
			f.wait(time.Second / 10)
			if trace >= 15 { // they come 1.5s after their clients
				f.send(servers(1 + trace - 15)...)
			}
		}
		require.Equal(t, 1, stored.sets, "once a minute")
		f.stop()
		require.Equal(t, 2, stored.sets)
		require.Equal(t, 1, stored.closed)
		require.Less(t, len(stored.values[keepKey]), 10_000)

		f = startKeeping(t, stored, 2)
		begin := time.Now()
		childless := webClient(5001)
		childless.name = "GET rates"
		f.send(webRoot(5001), childless)
		f.send(callers(5002)...)
		f.wait(20 * time.Second)
		outcome, _, after := f.first(5001, begin)
		require.Equal(t, conventions.OutcomeComplete, outcome)
		require.Equal(t, 200*time.Millisecond, after)
		outcome, _, after = f.first(5002, begin)
		require.Equal(t, conventions.OutcomeQuiet, outcome, "the child is awaited")
		require.Greater(t, after, 1400*time.Millisecond)
		require.Less(t, after, 3*time.Second, "not 10s, as if nothing were known")
		f.stop()
	})
}

// TestKeptStateRoundTrips saves what was loaded as it was.
func TestKeptStateRoundTrips(t *testing.T) {
	p := newTestProcessor(t, createDefaultConfig().(*Config), componenttest.NewTelemetry(), &sink{t: t})
	newOne := func() *shard { return newShard(p, nil, 2) }
	s := newOne()
	entry, client := operation{"web", "page"}, operation{"web", "GET /cart"}
	for range 1000 {
		s.quiet.released(entry, time.Second, 0)
		s.learned.put(client)
	}
	o := s.learned.put(client)
	for range 50 {
		o.ok.arrived(time.Second)
		o.failed.missed()
		s.learned.all.arrived(time.Second)
	}
	o.parent.missed()
	state := merge([]*knowledge{s.knowledge(), s.knowledge()})
	require.Len(t, state.Operations, 1)
	require.Equal(t, float32(100), state.Operations[0].OK.Came[6])
	require.Equal(t, float32(100), state.Operations[0].Failed.Never)
	data, err := json.Marshal(state)
	require.NoError(t, err)

	var read keptState
	require.NoError(t, json.Unmarshal(data, &read))
	require.NoError(t, read.check())
	r := newOne()
	read.restore(r)
	require.InDelta(t, 1000, r.quiet.entries[entry].sketch.GetCount(), 1e-6)
	require.InEpsilon(t, time.Second, r.quiet.period(entry, 0), quietAccuracy)
	require.Equal(t, forever, r.learned.byName[client].waits(false))
	require.Zero(t, r.learned.byName[client].waits(true))
	again, err := json.Marshal(merge([]*knowledge{r.knowledge()}))
	require.NoError(t, err)
	require.JSONEq(t, string(data), string(again))
}

func TestBadKeptState(t *testing.T) {
	valid, err := json.Marshal(merge(nil))
	require.NoError(t, err)
	change := func(edit func(*keptState)) []byte {
		state := merge(nil)
		edit(state)
		data, err := json.Marshal(state)
		require.NoError(t, err)
		return data
	}
	tests := map[string]struct {
		data []byte
		bad  bool
	}{
		"nothing":     {nil, false},
		"valid":       {valid, false},
		"no JSON":     {[]byte("\x00"), true},
		"empty":       {[]byte("{}"), true},
		"newer":       {change(func(s *keptState) { s.Version = 2 }), true},
		"no sketch":   {change(func(s *keptState) { s.All.Sketch = []byte{1, 2, 3} }), true},
		"widening":    {change(func(s *keptState) { s.All.Widening = 1e9 }), true},
		"entry":       {change(func(s *keptState) { s.Entries = make([]keptQuiet, 1) }), true},
		"negative":    {change(func(s *keptState) { s.Operations = []keptOperation{{OK: keptExpectation{Never: -1}}} }), true},
		"above limit": {change(func(s *keptState) { s.Children.Never = 1e9 }), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stored := &memoryStorage{values: map[string][]byte{keepKey: test.data}}
				f := startKeeping(t, stored, 2)
				f.look(func(s *shard) { require.Empty(t, s.learned.byName) })
				f.send(testSpan{trace: 1, id: 1})
				f.wait(time.Second)
				require.Len(t, f.sink.of(1), 1)
				f.stop()
				require.Equal(t, 1, stored.sets, "written anew")
			})
		})
	}
}

// TestFailingStorage goes on without one that fails, and does not start without one that is not there.
func TestFailingStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := &memoryStorage{err: errors.New("disk is gone")}
		f := startKeeping(t, stored, 2)
		f.send(testSpan{trace: 1, id: 1})
		f.wait(3 * time.Minute)
		require.Len(t, f.sink.of(1), 1)
		f.stop()
		require.Equal(t, 4, stored.sets)
	})
	for name, extensions := range map[string]host{
		"missing":   {},
		"no stores": {storageID: &registry{}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			cfg.StorageID = &storageID
			telemetry := componenttest.NewTelemetry()
			p := newTestProcessor(t, cfg, telemetry, &sink{t: t})
			require.ErrorContains(t, p.Start(t.Context(), extensions), `storage: extension "file_storage"`)
			require.NoError(t, p.Shutdown(t.Context()))
			require.NoError(t, telemetry.Shutdown(t.Context()))
		})
	}
}

// hangingStorage takes no value until its caller gives up.
type hangingStorage struct{ *memoryStorage }

func (h hangingStorage) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return h, nil
}

func (hangingStorage) Set(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestStorageHangs shuts down while the storage takes nothing, in the middle of a save: what is held is handed on all the same, and soon.
func TestStorageHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.NumShards, cfg.StorageID = 1, &storageID
		f := &fixture{t: t, sink: &sink{t: t}, telemetry: componenttest.NewTelemetry()}
		f.assemblyProcessor = newTestProcessor(t, cfg, f.telemetry, f.sink)
		require.NoError(t, f.Start(t.Context(), host{storageID: hangingStorage{&memoryStorage{}}}))
		f.wait(keepInterval + time.Second)
		f.send(testSpan{trace: 1, id: 1, parent: 7})
		begin := time.Now()
		f.stop()
		require.Len(t, f.sink.of(1), 1)
		require.LessOrEqual(t, time.Since(begin), saveTimeout)
	})
}
