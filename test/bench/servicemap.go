package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
	"github.com/tracewright/tracewright/internal/testservers"
)

const (
	// leastEdgeUpdates is how many CALLS a second have to be added to.
	leastEdgeUpdates = 5000

	mapServices = 300
	// edgesOfCall are how many pairs one call of trace_assembly adds to.
	edgesOfCall = 1000
	mapEntries  = 20
	// maxRepeated bounds how often attempts fail: a server that takes nothing ends the run.
	maxRepeated = 1000
)

type serviceMapOptions struct {
	uri, username, password string
	calls, pairs            int
	duration, warmup        time.Duration
	writers                 int
	seed                    uint64

	pid int // of the server; 0 where it is somebody else's
}

func (o *serviceMapOptions) parse(args []string) error {
	f := flag.NewFlagSet("bench service-map", flag.ContinueOnError)
	f.StringVar(&o.uri, "uri", os.Getenv("TRACEWRIGHT_TEST_NEO4J_URI"), "an empty Neo4j; one is started where none is named")
	f.StringVar(&o.username, "username", testservers.Neo4jUser, "of its user")
	f.StringVar(&o.password, "password", testservers.Neo4jPassword, "of its user")
	f.IntVar(&o.calls, "calls", 5_000_000, "CALLS that the graph holds before")
	f.IntVar(&o.pairs, "pairs", 2500, "of services that call")
	f.DurationVar(&o.duration, "duration", time.Minute, "how long it is written to")
	f.DurationVar(&o.warmup, "warmup", time.Minute, "how long before: a JVM that has just started is slow")
	f.IntVar(&o.writers, "writers", 4, "that write at the same time")
	f.Uint64Var(&o.seed, "seed", 1, "of the traffic")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.calls < 0 || o.pairs < edgesOfCall || o.pairs > mapServices*(mapServices-1)/2 || o.duration <= 0 || o.warmup < 0 || o.writers < 1 || f.NArg() > 0 {
		return fmt.Errorf("--pairs is %d to %d, --duration and --writers are positive, and nothing stands behind the flags",
			edgesOfCall, mapServices*(mapServices-1)/2)
	}
	return nil
}

// serviceMap measures how many edges a second a large graph in Neo4j takes, all that is written with them included.
func serviceMap(ctx context.Context, args []string) (err error) {
	var o serviceMapOptions
	if err := o.parse(args); err != nil {
		return err
	}
	stop, err := o.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	config := neo4jmap.NewDefaultClientConfig()
	config.URI, config.Username, config.Password = o.uri, o.username, configopaque.String(o.password)
	writer, err := neo4jmap.NewWriter(ctx, &config, neo4jmap.Options{MaxVirtualNodes: 1000, CallIDRetention: 24 * time.Hour})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, writer.Close(context.WithoutCancel(ctx))) }()
	reader, err := neo4jmap.NewReader(ctx, &config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close(context.WithoutCancel(ctx))) }()

	pairs := o.makePairs()
	began := time.Now()
	told := began
	if err := o.fill(ctx, writer, pairs, func(calls int) {
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			fmt.Printf("%d CALLS after %s\n", calls, time.Since(began).Round(time.Second))
		}
	}); err != nil {
		return err
	}
	fmt.Printf("%d CALLS of %d pairs are there after %s\n", o.calls, o.pairs, time.Since(began).Round(time.Second))
	warm, err := o.write(ctx, writer, pairs, o.warmup)
	if err != nil {
		return err
	}
	fmt.Println("warm-up:", warm)
	did, err := o.write(ctx, writer, pairs, o.duration)
	if err != nil {
		return err
	}
	if err := ask(ctx, reader); err != nil {
		return err
	}
	m := did.measure()
	fmt.Printf("\n%s\n", m)
	if !m.pass() {
		return errMissed
	}
	return nil
}

// start starts a Neo4j where none is named.
func (o *serviceMapOptions) start(ctx context.Context) (stop func() error, err error) {
	if o.uri != "" {
		return func() error { return nil }, nil
	}
	folder, err := os.MkdirTemp("", "bench-service-map-")
	if err != nil {
		return nil, err
	}
	server, err := testservers.NewNeo4j(ctx, folder)
	if err == nil {
		server.HeapMiB, server.PageCacheMiB = 2048, 4096
		err = server.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	o.uri, o.pid = server.URI(), server.PID()
	return func() error {
		size, sizeErr := diskUsage(folder)
		fmt.Printf("%.1f GB on disk\n", float64(size)/1e9)
		return errors.Join(sizeErr, server.Stop(), os.RemoveAll(folder))
	}, nil
}

// makePairs are services in layers: each calls services with higher numbers.
func (o *serviceMapOptions) makePairs() []pair {
	random := rand.New(rand.NewPCG(o.seed, 1))
	var pairs []pair
	seen := make(map[pair]bool)
	for len(pairs) < o.pairs {
		from, to := random.IntN(mapServices), random.IntN(mapServices)
		p := pair{Parent: serviceNamed(min(from, to)), Child: serviceNamed(max(from, to))}
		if from != to && !seen[p] {
			seen[p] = true
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// pair is a service and one that it calls.
type pair struct{ Parent, Child string }

func serviceNamed(n int) string { return fmt.Sprintf("service-%03d", n) }

// written is what writers did in a while.
type written struct {
	calls, repeated, updates int64
	took, cpu                time.Duration
}

// write has writers write calls for a while.
func (o *serviceMapOptions) write(ctx context.Context, writer *neo4jmap.Writer, pairs []pair, duration time.Duration) (w written, err error) {
	var calls, repeated atomic.Int64
	var wait sync.WaitGroup
	failed := make(chan error, o.writers)
	updates := writer.Stats().Updates
	cpu, err := o.serverCPU()
	if err != nil {
		return w, err
	}
	began := time.Now()
	end := began.Add(duration)
	for range o.writers {
		seed := rand.Uint64()
		wait.Go(func() {
			random := rand.New(rand.NewPCG(o.seed, seed))
			for time.Now().Before(end) && ctx.Err() == nil {
				td := mapCall(random, pairs, edgesOfCall, time.Now())
				for {
					err := writer.WriteCall(ctx, td)
					if err == nil {
						break
					}
					if repeated.Add(1) > maxRepeated || ctx.Err() != nil {
						failed <- err
						return
					}
				}
				calls.Add(1)
			}
		})
	}
	wait.Wait()
	w.took = time.Since(began)
	select {
	case err := <-failed:
		return w, err
	default:
	}
	after, err := o.serverCPU()
	w.calls, w.repeated, w.updates, w.cpu = calls.Load(), repeated.Load(), writer.Stats().Updates-updates, after-cpu
	return w, errors.Join(err, ctx.Err())
}

func (w written) String() string {
	return fmt.Sprintf("%d calls of %d edges in %s, %.0f updates of relationships a second in all, %d attempts repeated, %.2f CPU s of the server for 1,000 edges",
		w.calls, edgesOfCall, w.took.Round(time.Second), float64(w.updates)/w.took.Seconds(), w.repeated,
		w.cpu.Seconds()/float64(max(1, w.calls*edgesOfCall))*1000)
}

func (w written) measure() measure {
	return measure{
		name: "edge updates", figure: float64(w.calls*edgesOfCall) / w.took.Seconds(), target: leastEdgeUpdates, atLeast: true, unit: "CALLS a second",
		note: w.String(),
	}
}

// serverCPU is what the server has used so far.
func (o *serviceMapOptions) serverCPU() (time.Duration, error) {
	if o.pid == 0 {
		return 0, nil
	}
	return cpuTime(o.pid)
}

// mapCall is a call of trace_assembly as far as a map looks at it: a span for each of so many pairs.
func mapCall(random *rand.Rand, pairs []pair, edges int, released time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	var trace pcommon.TraceID
	for i, at := range random.Perm(len(pairs))[:edges] {
		const spansOfTrace = 20
		if i%spansOfTrace == 0 {
			for b := range trace {
				trace[b] = byte(random.Uint32())
			}
		}
		rs := td.ResourceSpans().AppendEmpty()
		resource := rs.Resource().Attributes()
		resource.PutStr("service.name", pairs[at].Child)
		resource.PutStr("deployment.environment.name", "production")
		resource.PutInt(conventions.AttrReleasedAt, released.UnixNano())
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(trace)
		span.SetSpanID(pcommon.SpanID{6: byte(i >> 8), 7: byte(i)})
		span.SetParentSpanID(pcommon.SpanID{0: 1, 7: byte(i)})
		span.SetName("answer")
		span.SetKind(ptrace.SpanKindServer)
		attrs := span.Attributes()
		attrs.PutInt(conventions.AttrSpanCount, spansOfTrace)
		attrs.PutStr("http.request.method", "GET")
		attrs.PutStr(conventions.AttrParentService, pairs[at].Parent)
		attrs.PutStr(conventions.AttrParentOperation, "call")
		attrs.PutStr(conventions.AttrEntryService, serviceNamed(0))
		attrs.PutStr(conventions.AttrEntryOperation, fmt.Sprintf("GET /%d", (i/spansOfTrace)%mapEntries))
	}
	return td
}

// ask asks for the map of the last hour, which has no target of its own.
func ask(ctx context.Context, reader *neo4jmap.Reader) error {
	var took []float64
	edges := 0
	for range 5 {
		now := time.Now()
		m, err := reader.Map(ctx, "", &servicemap.Window{Start: now.Add(-time.Hour), End: now})
		if err != nil {
			return err
		}
		took, edges = append(took, float64(time.Since(now).Milliseconds())), len(m.Edges)
	}
	fmt.Printf("map of an hour: %.0f ms for %d edges\n", median(took), edges)
	return nil
}
