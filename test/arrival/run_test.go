package arrival

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

const (
	seed = 1
	// shards is fixed because each learns on its own: the figures must not depend on the machine.
	shards = 2
)

// run plays the pattern's traffic to trace_assembly for as long as duration, in virtual time, and waits until everything is
// released.
func run(t *testing.T, p *pattern, rate float64, duration time.Duration) []*trace {
	visits := int(rate * duration.Seconds())
	model := p.shop()
	plan := schedule.Build(model, p.schedule(rate), 0, visits)
	traces, places := newTraces(model, visits)
	cfg := config(t)
	synctest.Test(t, func(t *testing.T) {
		recorder := &recorder{t: t, began: time.Now(), places: places}
		factory := traceassemblyprocessor.NewFactory()
		assembly, err := factory.CreateTraces(t.Context(), processortest.NewNopSettings(factory.Type()), cfg, recorder)
		require.NoError(t, err)
		require.NoError(t, assembly.Start(t.Context(), componenttest.NewNopHost()))
		for _, request := range plan.Waves[0].Requests {
			time.Sleep(request.Delay - time.Since(recorder.began))
			require.NoError(t, request.Send(wire.Mask{}, recorder.began.UnixNano(), func(body []byte) error {
				td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
				require.NoError(t, err)
				recorder.arrive(td)
				return assembly.ConsumeTraces(t.Context(), td)
			}))
		}
		time.Sleep(cfg.MaxWait + time.Second)
		synctest.Wait()
		recorder.mu.Lock()
		require.Zero(t, recorder.waiting, "spans held longer than max_wait")
		recorder.mu.Unlock()
		require.NoError(t, assembly.Shutdown(context.Background()))
	})
	return traces
}

// config is what config/tracewright.yaml says, without what needs a disk.
func config(t *testing.T) *traceassemblyprocessor.Config {
	file, err := confmaptest.LoadConf("../../config/tracewright.yaml")
	require.NoError(t, err)
	section, err := file.Sub("processors::trace_assembly")
	require.NoError(t, err)
	section.Delete("journal")
	section.Delete("storage")
	cfg := traceassemblyprocessor.NewFactory().CreateDefaultConfig().(*traceassemblyprocessor.Config)
	require.NoError(t, section.Unmarshal(cfg))
	cfg.NumShards = shards
	require.NoError(t, cfg.Validate())
	return cfg
}

// recorder stands before and behind trace_assembly and writes down what arrives and what is released.
type recorder struct {
	t      *testing.T
	began  time.Time
	places map[uint64]place // read only

	mu      sync.Mutex // guards the traces behind places, and waiting
	waiting int        // spans that arrived and were not released
}

func (*recorder) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// arrive notes the spans of a request; the patterns send none twice.
func (r *recorder) arrive(td ptrace.Traces) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.began)
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				at := r.place(s.SpanID())
				span := &at.trace.spans[at.span]
				require.Equal(r.t, absent, span.arrived, "a span is sent twice")
				span.arrived = now
				r.waiting++
			}
		}
	}
}

// ConsumeTraces notes the releases of a call.
func (r *recorder) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.began)
	for _, tr := range tracetree.Releases(td) {
		made := release{at: now, outcome: tr.Outcome, version: tr.Version}
		of := r.place(tr.Spans[0].SpanID()).trace
		for _, s := range tr.Spans {
			at := r.place(s.SpanID())
			require.Same(r.t, of, at.trace, "a span of another trace")
			made.spans = append(made.spans, at.span)
		}
		of.releases = append(of.releases, made)
		r.waiting -= len(made.spans)
	}
	return nil
}

func (r *recorder) place(id pcommon.SpanID) place {
	at, known := r.places[binary.BigEndian.Uint64(id[:])]
	require.True(r.t, known, "span %s was never sent", id)
	return at
}
