package traceassemblyprocessor

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/memstore"
	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/processor/traceanalysisprocessor"
)

// mortalFS is a file system in memory whose power is cut before one of its operations: what is there from then on is what a disk may
// have of it. Whoever still writes to it writes to nothing.
type mortalFS struct {
	vfs.FS
	mem *vfs.MemFS

	mu    sync.Mutex // guards the fields below
	rng   *rand.Rand
	left  int // operations; below 0 the power stays
	after *vfs.MemFS
}

func newMortalFS(mem *vfs.MemFS, rng *rand.Rand, operations int) *mortalFS {
	return &mortalFS{FS: mem, mem: mem, rng: rng, left: operations}
}

func (fs *mortalFS) tick() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.after != nil || fs.left < 0 {
		return
	}
	if fs.left--; fs.left < 0 {
		fs.after = fs.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: fs.rng.IntN(101), RNG: fs.rng})
	}
}

// crashed is what the crash left, nil before it.
func (fs *mortalFS) crashed() *vfs.MemFS {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.after
}

func (fs *mortalFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &mortalFile{file, fs}, nil
}

func (fs *mortalFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	fs.tick()
	return fs.wrap(fs.FS.Create(name, category))
}

func (fs *mortalFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	fs.tick()
	return fs.wrap(fs.FS.ReuseForWrite(from, to, category))
}

func (fs *mortalFS) OpenDir(name string) (vfs.File, error) { return fs.wrap(fs.FS.OpenDir(name)) }

// Lock waits for a crash: MemFS's own comes to a standstill when one begins in the middle of it.
func (fs *mortalFS) Lock(name string) (io.Closer, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.FS.Lock(name)
}

func (fs *mortalFS) Remove(name string) error {
	fs.tick()
	return fs.FS.Remove(name)
}

func (fs *mortalFS) Rename(from, to string) error {
	fs.tick()
	return fs.FS.Rename(from, to)
}

type mortalFile struct {
	vfs.File
	fs *mortalFS
}

func (f *mortalFile) Write(p []byte) (int, error) {
	f.fs.tick()
	return f.File.Write(p)
}

func (f *mortalFile) Sync() error {
	f.fs.tick()
	return f.File.Sync()
}

func (f *mortalFile) SyncData() error {
	f.fs.tick()
	return f.File.SyncData()
}

// trip makes random traces of services that call services, databases and a queue. Some spans fail, some calls have no answer.
type trip struct {
	*rand.Rand
	trace uint64
	spans []testSpan
}

func (r *trip) add(parent uint64, service, name string, kind ptrace.SpanKind, attributes string) uint64 {
	id := uint64(len(r.spans) + 1)
	start := r.trace*1e6 + id*1e3 + r.Uint64N(500)
	r.spans = append(r.spans, testSpan{
		trace: r.trace, id: id, parent: parent, service: service, name: name, kind: kind, start: start, end: start + 1 + r.Uint64N(1e6),
		failed: r.IntN(8) == 0, attributes: attributes,
	})
	return id
}

func (r *trip) serve(parent uint64, service string, depth int) {
	kind := []ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindServer, ptrace.SpanKindConsumer}[r.IntN(3)]
	id := r.add(parent, service, fmt.Sprint("op", r.IntN(3)), kind, "http.request.method=GET")
	for range r.IntN(4) {
		switch r.IntN(4) {
		case 0:
			r.add(id, service, "compute", ptrace.SpanKindInternal, "")
		case 1:
			r.add(id, service, "SELECT", ptrace.SpanKindClient, "db.system.name=mysql db.namespace=db"+strconv.Itoa(r.IntN(2)))
		default:
			callee := fmt.Sprint("s", r.IntN(4))
			kind, attributes := ptrace.SpanKindClient, "http.request.method=POST peer.service="+callee
			if r.IntN(4) == 0 {
				kind, attributes = ptrace.SpanKindProducer, "messaging.system=kafka messaging.destination.name=topic"
			}
			call := r.add(id, service, "call", kind, attributes)
			if depth < 3 && len(r.spans) < 60 && r.IntN(10) > 0 {
				r.serve(call, callee, depth+1)
			}
		}
	}
}

// traffic is some traces, each span when it is sent: most soon, some late, some twice.
func traffic(rng *rand.Rand, traces int) (all []arrived) {
	for trace := range uint64(traces) {
		r := &trip{Rand: rng, trace: trace + 1}
		r.serve(0, "web", 0)
		begin := time.Duration(rng.IntN(40_000)) * time.Millisecond
		for _, s := range r.spans {
			if s.parent != 0 && rng.IntN(50) == 0 {
				continue // it never comes
			}
			delay := time.Duration(rng.IntN(700)) * time.Millisecond
			if rng.IntN(20) == 0 {
				delay = time.Duration(rng.IntN(30_000)) * time.Millisecond
			}
			all = append(all, arrived{begin + delay, s})
			if rng.IntN(20) == 0 {
				all = append(all, arrived{begin + delay + time.Duration(rng.IntN(20_000))*time.Millisecond, s})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b arrived) int { return cmp.Compare(a.at, b.at) })
	return all
}

// analysed puts trace_analysis before a sink.
func analysed(t *testing.T, sink consumer.ConsumeTracesFunc) consumer.Traces {
	next, err := consumer.NewTraces(sink)
	require.NoError(t, err)
	factory := traceanalysisprocessor.NewFactory()
	p, err := factory.CreateTraces(t.Context(), processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), next)
	require.NoError(t, err)
	started(t, p)
	return p
}

func started(t *testing.T, p component.Component) {
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
}

// life is a pipeline from a start to a crash.
type life struct {
	t     *testing.T
	fs    *mortalFS
	store *pebblestore.Store
	p     *assemblyProcessor
}

func begin(t *testing.T, fs *mortalFS, cfg *Config) *life {
	store, err := pebblestore.Open(pebblestore.Options{Path: "traces", FS: fs})
	require.NoError(t, err)
	l := &life{t: t, fs: fs, store: store}
	l.p = newTestProcessor(t, cfg, componenttest.NewTelemetry(), analysed(t, store.WriteCall))
	l.p.fs = fs
	started(t, l.p)
	return l
}

func (l *life) end() {
	require.NoError(l.t, l.p.Shutdown(l.t.Context()))
	require.NoError(l.t, l.store.Close())
}

// sums are what a store adds up over all releases.
type sums struct {
	Edges, Operations, Entries map[string][2]int64   // calls or traces, errors
	Durations                  map[string][2]float64 // of the edges to services: how many, and the sum of some quantiles
	Unrepaired                 int64
}

func sumsOf(t *testing.T, store tracestore.Backend) sums {
	s := sums{
		Edges: make(map[string][2]int64), Operations: make(map[string][2]int64), Entries: make(map[string][2]int64),
		Durations: make(map[string][2]float64),
	}
	query := &tracestore.AggregateQuery{Start: time.Unix(0, 0), End: time.Now().Add(time.Hour)}
	for e, err := range store.Edges(t.Context(), "", query) {
		require.NoError(t, err)
		key := fmt.Sprint(e.Parent, " → ", e.Child, " ", e.ChildKind, " ", e.Protocol)
		s.Edges[key] = [2]int64{e.Calls, e.Errors}
		if e.ChildKind == "service" {
			q, err := e.Durations.GetValuesAtQuantiles([]float64{0, 0.5, 1})
			require.NoError(t, err)
			s.Durations[key] = [2]float64{e.Durations.GetCount(), math.Round(q[0] + q[1] + q[2])}
		}
	}
	for o, err := range store.Operations(t.Context(), "", query) {
		require.NoError(t, err)
		s.Operations[fmt.Sprint(o.Service, " ", o.Operation.Operation, " ", o.Kind)] = [2]int64{o.Calls, o.Errors}
	}
	for e, err := range store.Entries(t.Context(), "", query) {
		require.NoError(t, err)
		s.Entries[fmt.Sprint(e.Operation)] = [2]int64{e.Traces, e.Errors}
	}
	done, err := store.Completeness(t.Context(), "", query)
	require.NoError(t, err)
	s.Unrepaired = done.Unrepaired
	return s
}

// TestPowerLoss cuts the power of the journal and of the store, which share a disk, before random operations of theirs. Senders repeat
// what was not acknowledged. At the end every span that was sent can be read, once, and every sum is that of whole traces.
// TRACEWRIGHT_POWER_ROUNDS says how many rounds there are.
func TestPowerLoss(t *testing.T) {
	rounds := 3
	if value, ok := os.LookupEnv("TRACEWRIGHT_POWER_ROUNDS"); ok {
		var err error
		rounds, err = strconv.Atoi(value)
		require.NoError(t, err)
	}
	for seed := range uint64(rounds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { losePower(t, rand.New(rand.NewPCG(seed, 17))) })
		})
	}
}

func losePower(t *testing.T, rng *rand.Rand) {
	cfg := createDefaultConfig().(*Config)
	withJournal(cfg)
	cfg.NumShards = 1 + rng.IntN(3)
	cfg.ReleaseBatch.MaxSpans = 1 + rng.IntN(300)
	cfg.LateWindow, cfg.ShutdownTimeout = time.Hour, 10*time.Millisecond
	if rng.IntN(3) == 0 {
		cfg.InterimInterval = time.Second
	}
	if rng.IntN(3) == 0 {
		cfg.MaxTraceSpans, cfg.MaxPartBytes = 1+rng.IntN(20), 1+rng.Int64N(2000)
	}
	require.NoError(t, cfg.Validate())
	t.Logf("%d shards, calls of %d spans, parts of traces of %d spans, interim releases every %s", cfg.NumShards, cfg.ReleaseBatch.MaxSpans,
		cfg.MaxTraceSpans, cfg.InterimInterval)

	all := traffic(rng, 200)
	truth := wholeTraces(t, all)
	sent := make(map[string]map[string]bool) // trace → identities
	lives := 0
	next := func(mem *vfs.MemFS) *life {
		operations := 1 + rng.IntN([]int{20, 80, 400}[rng.IntN(3)])
		lives++
		return begin(t, newMortalFS(mem, rand.New(rand.NewPCG(rng.Uint64(), 1)), operations), cfg)
	}
	l := next(vfs.NewCrashableMem())
	start := time.Now()
	for rest := all; len(rest) > 0; {
		n := min(1+rng.IntN(60), len(rest))
		time.Sleep(rest[n-1].at - time.Since(start))
		spans := make([]testSpan, n)
		for i, a := range rest[:n] {
			spans[i] = a.span
		}
		err := l.p.ConsumeTraces(t.Context(), request(spans...))
		if mem := l.fs.crashed(); mem != nil { // whatever it answered, nobody heard it
			l.end()
			l = next(mem)
			continue
		}
		if err != nil { // not there yet
			time.Sleep(10 * time.Millisecond)
			continue
		}
		for _, s := range spans {
			trace := traceID(s.trace).String()
			if sent[trace] == nil {
				sent[trace] = make(map[string]bool)
			}
			sent[trace][identity(s.id, s.kind, s.start, s.end)] = true
		}
		rest = rest[n:]
	}
	for range 20 { // crashes in which nobody sends
		time.Sleep(time.Duration(rng.IntN(8000)) * time.Millisecond)
		if mem := l.fs.crashed(); mem != nil {
			l.end()
			l = next(mem)
		}
	}
	l.fs.mu.Lock()
	l.fs.left = -1
	l.fs.mu.Unlock()
	if mem := l.fs.crashed(); mem != nil {
		l.end()
		l = begin(t, newMortalFS(mem, nil, -1), cfg)
	}
	time.Sleep(2 * time.Minute)
	last := l.fs.mem.CrashClone(vfs.CrashCloneCfg{})
	l.end()

	store, err := pebblestore.Open(pebblestore.Options{Path: "traces", FS: last})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	spans := 0
	for trace := range uint64(200) {
		id := traceID(trace + 1)
		found := make(map[string]bool)
		for td, err := range store.Trace(t.Context(), "", id) {
			require.NoError(t, err)
			for _, r := range tracetree.Releases(td) {
				for _, s := range readRelease(r).spans {
					require.NotContains(t, found, s, "stored twice")
					found[s] = true
				}
			}
		}
		require.Equal(t, sent[id.String()], found)
		spans += len(found)
	}
	got := sumsOf(t, store)
	require.Equal(t, truth.Entries, got.Entries)
	require.Equal(t, truth.Operations, got.Operations)
	require.Equal(t, truth.Edges, got.Edges)
	require.Equal(t, truth.Durations, got.Durations)
	require.Equal(t, truth.Unrepaired, got.Unrepaired)
	t.Logf("%d spans of 200 traces over %d lives: 0 lost, 0 stored twice, every sum is that of whole traces", spans, lives)
}

// wholeTraces are the sums of the same spans, each trace sent at once and no crash.
func wholeTraces(t *testing.T, all []arrived) sums {
	store := memstore.New(time.Hour, time.Now)
	p := newTestProcessor(t, createDefaultConfig().(*Config), componenttest.NewTelemetry(), analysed(t, store.WriteCall))
	started(t, p)
	spans := make([]testSpan, len(all))
	for i, a := range all {
		spans[i] = a.span
	}
	require.NoError(t, p.ConsumeTraces(t.Context(), request(spans...)))
	time.Sleep(time.Minute)
	s := sumsOf(t, store)
	require.NoError(t, p.Shutdown(t.Context()))
	return s
}
