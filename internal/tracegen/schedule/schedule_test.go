package schedule

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
)

// sending is one time that a span is sent.
type sending struct {
	wave    int
	delay   time.Duration
	request *Request
	service string
	end     int64 // of the span, from the plan's origin
}

// sendings lists when each span of a plan is sent, in the order of the requests.
func sendings(t *testing.T, plan *Plan) map[uint64][]sending {
	t.Helper()
	result := map[uint64][]sending{}
	for wave := range plan.Waves {
		for _, request := range plan.Waves[wave].Requests {
			var traces ptrace.Traces
			require.NoError(t, request.Send(wire.Mask{}, 1<<60, func(body []byte) (err error) {
				traces, err = new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
				return err
			}))
			require.LessOrEqual(t, request.Spans(), 512)
			require.Equal(t, request.Spans(), traces.SpanCount())
			require.Equal(t, 1, traces.ResourceSpans().Len(), "a request comes from one instance")
			service, _ := traces.ResourceSpans().At(0).Resource().Attributes().Get("service.name")
			for _, ss := range traces.ResourceSpans().At(0).ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					id := span.SpanID()
					key := binary.BigEndian.Uint64(id[:])
					result[key] = append(result[key], sending{wave, request.Delay, request, service.Str(), int64(span.EndTimestamp()) - 1<<60})
				}
			}
		}
	}
	return result
}

func TestWithRate(t *testing.T) {
	s := shop.New(shop.Options{Seed: 1})
	o := &Options{Seed: 1, Rate: 50, BatchDelay: 5 * time.Second, Jitter: 0.05}
	plan := Build(s, o, 0, 1500) // 30 s
	require.Equal(t, 30*time.Second, plan.Period)
	require.Len(t, plan.Waves, 1)
	sent := sendings(t, plan)
	spans, apart := 0, 0
	for i := range 1500 {
		v := s.Visit(i)
		start := o.Start(v, 0, 1500)
		require.GreaterOrEqual(t, start, int64(i)*int64(20*time.Millisecond))
		require.Less(t, start, int64(i+1)*int64(20*time.Millisecond))
		for k := range v.Spans {
			spans++
			times := sent[v.Spans[k].ID]
			require.Len(t, times, 1)
			require.Equal(t, start+v.Spans[k].End, times[0].end)
			wait := int64(times[0].delay) - times[0].end
			require.GreaterOrEqual(t, wait, int64(0), "a span leaves after its end")
			require.LessOrEqual(t, wait, int64(5250*time.Millisecond), "at the next tick, which is up to 5 %% late")
			if times[0].delay != sent[v.Spans[0].ID][0].delay {
				apart++
			}
		}
	}
	require.Len(t, sent, spans)
	require.Greater(t, apart, spans/2, "the services of a trace do not send at the same time")
	previous := time.Duration(0)
	for _, request := range plan.Waves[0].Requests {
		require.GreaterOrEqual(t, request.Delay, previous)
		previous = request.Delay
	}
}

func TestWithoutRate(t *testing.T) {
	s := shop.New(shop.Options{Seed: 1})
	o := &Options{Seed: 1, Window: time.Minute}
	plan := Build(s, o, 100, 2500)
	require.Len(t, plan.Waves, 3)
	sent := sendings(t, plan)
	for i := range 2500 {
		v := s.Visit(100 + i)
		for k := range v.Spans {
			times := sent[v.Spans[k].ID]
			require.Len(t, times, 1)
			require.Equal(t, i/WaveVisits, times[0].wave)
			require.Zero(t, times[0].delay)
			require.LessOrEqual(t, times[0].end, int64(0), "all is over before it is sent")
			require.GreaterOrEqual(t, times[0].end, -int64(time.Minute+20*time.Second))
		}
	}
}

// Late spans leave 5 to 20 s after the last of the others of their visit, duplicates within 5 s after their span.
func TestLateAndDuplicates(t *testing.T) {
	for name, o := range map[string]*Options{
		"without rate": {Window: time.Minute},
		"with rate":    {Rate: 100, BatchDelay: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			o.Seed, o.Shuffle, o.Duplicates, o.Late = 9, 3*time.Second, 0.05, Late{0.04, 5 * time.Second, 20 * time.Second}
			s := shop.New(shop.Options{Seed: 9})
			plan := Build(s, o, 0, 2000)
			sent := sendings(t, plan)
			spans, late, duplicates, shuffled := 0, 0, 0, 0
			for i := range 2000 {
				v := s.Visit(i)
				rng := o.random(i)
				rng.Float64()
				isLate := make([]bool, len(v.Spans))
				rest := time.Duration(0)
				for k := range v.Spans {
					isLate[k] = rng.Float64() < 0.04
					if !isLate[k] {
						rest = max(rest, sent[v.Spans[k].ID][0].delay)
					}
				}
				for k := range v.Spans {
					times := sent[v.Spans[k].ID]
					spans++
					if isLate[k] {
						late++
						after := times[0].delay - rest
						require.GreaterOrEqual(t, after, 5*time.Second)
						require.LessOrEqual(t, after, 20*time.Second)
					} else if o.Rate == 0 {
						require.Less(t, times[0].delay, 3*time.Second)
						if times[0].delay > time.Second {
							shuffled++
						}
					}
					if len(times) > 1 {
						duplicates++
						require.Len(t, times, 2)
						after := times[1].delay - times[0].delay
						require.GreaterOrEqual(t, after, time.Duration(0))
						require.LessOrEqual(t, after, 5*time.Second)
						require.NotSame(t, times[0].request, times[1].request)
						require.Equal(t, times[0].end, times[1].end)
					}
				}
			}
			require.Len(t, sent, spans)
			require.InDelta(t, 0.04, float64(late)/float64(spans), 0.005)
			require.InDelta(t, 0.05, float64(duplicates)/float64(spans), 0.005)
			require.Equal(t, int64(spans+duplicates), plan.Spans)
			if o.Rate == 0 {
				require.Greater(t, shuffled, spans/3)
			}
		})
	}
}

// No span leaves before it ended, be all spans of a visit late, or the last one of it a message that waited for its consumer.
func TestLateSpansLeaveAfterTheirEnd(t *testing.T) {
	for _, share := range []float64{1, 0.5} {
		s := shop.New(shop.Options{Seed: 9, ConsumerDelay: shop.Delays{Min: 2 * time.Second, Max: 30 * time.Second}})
		plan := Build(s, &Options{Seed: 9, Rate: 100, BatchDelay: time.Second, Late: Late{Share: share, Max: time.Second}}, 0, 2000)
		for _, times := range sendings(t, plan) {
			require.GreaterOrEqual(t, times[0].delay, time.Duration(times[0].end))
		}
	}
}

func TestPlansDependOnTheSeedAlone(t *testing.T) {
	o := &Options{Seed: 4, Rate: 200, BatchDelay: time.Second, Shuffle: time.Second, Duplicates: 0.1, Late: Late{0.1, 0, time.Second}}
	build := func() (bodies []string, delays []time.Duration) {
		plan := Build(shop.New(shop.Options{Seed: 4, Tenants: 3}), o, 0, 1200)
		for _, request := range plan.Waves[0].Requests {
			require.NoError(t, request.Send(wire.Mask{}, 0, func(body []byte) error {
				bodies = append(bodies, string(body))
				return nil
			}))
			delays = append(delays, request.Delay)
		}
		return bodies, delays
	}
	bodies, delays := build()
	again, delaysAgain := build()
	require.Equal(t, delays, delaysAgain)
	require.Equal(t, bodies, again)
}

// A request names one tenant in its header, so it holds spans of that tenant alone.
func TestTenantsHaveTheirOwnRequests(t *testing.T) {
	s := shop.New(shop.Options{Seed: 4, Tenants: 3})
	plan := Build(s, &Options{Seed: 4, Window: time.Minute}, 0, 200)
	sent := sendings(t, plan)
	for i := range 200 {
		v := s.Visit(i)
		for k := range v.Spans {
			require.Equal(t, v.Tenant, sent[v.Spans[k].ID][0].request.Tenant)
		}
	}
}

func TestParseLate(t *testing.T) {
	for text, want := range map[string]Late{
		"1%":           {0.01, 5 * time.Second, 20 * time.Second},
		"0.5":          {0.5, 5 * time.Second, 20 * time.Second},
		"2%:100ms-3s":  {0.02, 100 * time.Millisecond, 3 * time.Second},
		"100%:10s-10s": {1, 10 * time.Second, 10 * time.Second},
	} {
		got, err := ParseLate(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"":           "is no share",
		"150%":       "is no share",
		"1%:":        "is no range",
		"1%:5s":      "is no range",
		"1%:20s-5s":  "is no range",
		"1%:-5s-20s": "is no range",
	} {
		_, err := ParseLate(text)
		require.ErrorContains(t, err, want, text)
	}
}
