package playtest

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/processor/traceanalysisprocessor"
	"github.com/tracewright/tracewright/processor/traceassemblyprocessor"
)

// Midnight is when virtual time begins.
var Midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// atRest is how long nothing is sent before the pipeline is stopped.
const atRest = 2 * time.Minute

// Traffic is a stretch of visits.
type Traffic struct {
	Shop   shop.Options
	Rate   float64 // visits a second
	Visits int
	Late   schedule.Late
	// Change is done to every request before it is received; nil for nothing.
	Change func(td ptrace.Traces)
}

// calls are what assembly and analysis make of traffic, as a store is given them.
type calls struct {
	list []ptrace.Traces
	mu   sync.Mutex // guards list
}

func (c *calls) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	kept := ptrace.NewTraces()
	td.CopyTo(kept)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, kept)
	return nil
}

// Play sends traffic through assembly and analysis, in virtual time, one stretch behind the other, after a delay. The result is what a
// store is given.
func Play(t *testing.T, after time.Duration, stretches ...Traffic) []ptrace.Traces {
	t.Helper()
	var made calls
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(after)
		sink, err := consumer.NewTraces(made.ConsumeTraces)
		require.NoError(t, err)
		analysis := start(t, traceanalysisprocessor.NewFactory(), sink)
		assembly := start(t, traceassemblyprocessor.NewFactory(), analysis)
		for i := range stretches {
			s := &stretches[i]
			plan := schedule.Build(shop.New(s.Shop),
				&schedule.Options{Seed: s.Shop.Seed, Rate: s.Rate, BatchDelay: time.Second, Jitter: 0.1, Late: s.Late}, 0, s.Visits)
			began := time.Now()
			for _, request := range plan.Waves[0].Requests {
				time.Sleep(request.Delay - time.Since(began))
				require.NoError(t, request.Send(wire.Mask{}, began.UnixNano(), func(body []byte) error {
					td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
					require.NoError(t, err)
					if s.Change != nil {
						s.Change(td)
					}
					return assembly.ConsumeTraces(t.Context(), td)
				}))
			}
			if rest := time.Duration(float64(s.Visits)/s.Rate*float64(time.Second)) - time.Since(began); rest > 0 {
				time.Sleep(rest)
			}
		}
		time.Sleep(atRest)
		synctest.Wait()
		require.NoError(t, assembly.Shutdown(context.Background()))
		require.NoError(t, analysis.Shutdown(context.Background()))
	})
	return made.list
}

func start(t *testing.T, factory processor.Factory, next consumer.Traces) processor.Traces {
	t.Helper()
	made, err := factory.CreateTraces(t.Context(), processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), next)
	require.NoError(t, err)
	require.NoError(t, made.Start(t.Context(), componenttest.NewNopHost()))
	return made
}
