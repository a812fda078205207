package send

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is an Exporter that remembers what it was sent and when.
type recorder struct {
	mu       sync.Mutex
	began    time.Time
	tenants  map[string]int
	traces   map[pcommon.TraceID]int
	latest   time.Duration // at which a span came
	youngest time.Duration // least time between a span's end and its coming
	spans    int
	answer   func(attempt int) (int64, error)
	attempts int
}

func newRecorder() *recorder {
	return &recorder{began: time.Now(), tenants: map[string]int{}, traces: map[pcommon.TraceID]int{}, youngest: time.Hour}
}

func (r *recorder) Export(_ context.Context, tenant string, body []byte) (int64, error) {
	traces, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts++
	if r.answer != nil {
		if rejected, err := r.answer(r.attempts); rejected > 0 || err != nil {
			return rejected, err
		}
	}
	r.tenants[tenant]++
	r.latest = time.Since(r.began)
	for _, rs := range traces.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				r.spans++
				r.traces[span.TraceID()]++
				r.youngest = min(r.youngest, time.Since(span.EndTimestamp().AsTime()))
			}
		}
	}
	return 0, nil
}

func (r *recorder) Close() error { return nil }

func plan(o schedule.Options, visits int) (*schedule.Plan, *shop.Shop) {
	s := shop.New(shop.Options{Seed: 2})
	o.Seed = 2
	return schedule.Build(s, &o, 0, visits), s
}

// With a rate each cycle begins when the last one is over, and no span comes before it ended.
func TestRunKeepsTheRate(t *testing.T) {
	p, s := plan(schedule.Options{Rate: 10, BatchDelay: time.Second}, 100) // 10 s
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		result, err := Run(t.Context(), []Segment{{p, 3}}, []Exporter{r, r}, Options{Seed: 2, GiveUp: time.Minute})
		require.NoError(t, err)
		require.NoError(t, result.Failure)
		require.Equal(t, 3*p.Spans, result.Spans)
		require.Equal(t, 3*p.Bytes, result.Bytes)
		require.Len(t, r.traces, 300)
		require.GreaterOrEqual(t, r.youngest, time.Duration(0))
		require.Less(t, r.youngest, 100*time.Millisecond)
		require.InDelta(t, 32, r.latest.Seconds(), 4)
		require.Equal(t, r.latest, result.Elapsed)
		require.Len(t, result.Cycles, 3)
		for i, cycle := range result.Cycles {
			require.Equal(t, r.began.Add(time.Duration(i)*10*time.Second).UnixNano(), cycle.Origin)
			require.Equal(t, 100, cycle.Visits)
			for k := range 100 {
				trace := s.Visit(k).Traces[0]
				require.Equal(t, trace.Spans, r.traces[cycle.Mask.TraceID(trace.ID)], "cycle %d, visit %d", i, k)
			}
		}
	})
}

func TestRunWithoutRate(t *testing.T) {
	p, _ := plan(schedule.Options{Window: time.Minute, Late: schedule.Late{Share: 0.05, Min: 5 * time.Second, Max: 20 * time.Second}}, 1500)
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		result, err := Run(t.Context(), []Segment{{p, 1}}, []Exporter{r}, Options{Seed: 2, GiveUp: time.Minute})
		require.NoError(t, err)
		require.Equal(t, p.Spans, result.Spans)
		require.Len(t, r.traces, 1500)
		require.InDelta(t, 19, r.latest.Seconds(), 1.5, "late spans come last")
	})
}

// slow takes a second for a request.
type slow struct{ *recorder }

func (s slow) Export(ctx context.Context, tenant string, body []byte) (int64, error) {
	time.Sleep(time.Second) // of the bubble
	return s.recorder.Export(ctx, tenant, body)
}

// Without a number of cycles the run ends with the first wave that would begin after the duration.
func TestRunForADuration(t *testing.T) {
	p, s := plan(schedule.Options{Window: time.Minute}, 2000)
	perWave := time.Duration(len(p.Waves[0].Requests)) * time.Second
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		result, err := Run(t.Context(), []Segment{{p, 0}}, []Exporter{slow{r}}, Options{Seed: 2, Duration: 5 * perWave / 2, GiveUp: time.Minute})
		require.NoError(t, err)
		require.Len(t, result.Cycles, 2)
		require.Equal(t, 2000, result.Cycles[0].Visits)
		require.Equal(t, 1000, result.Cycles[1].Visits)
		require.Len(t, r.traces, 3000)
		trace := s.Visit(999).Traces[0]
		require.Equal(t, trace.Spans, r.traces[result.Cycles[1].Mask.TraceID(trace.ID)])
	})
}

func TestRunRetries(t *testing.T) {
	p, _ := plan(schedule.Options{Window: time.Minute}, 10)
	requests := int64(len(p.Waves[0].Requests))
	busy := &RetryableError{Err: errors.New("busy")}
	for name, test := range map[string]struct {
		answer                    func(attempt int) (int64, error)
		spans, retries            int64
		failed, rejected, elapsed bool
	}{
		"taken":       {func(int) (int64, error) { return 0, nil }, p.Spans, 0, false, false, false},
		"busy twice":  {func(n int) (int64, error) { return 0, busyUntil(n, 2, busy) }, p.Spans, 2, false, false, true},
		"always busy": {func(int) (int64, error) { return 0, busy }, 0, 0, true, false, true},
		"refused":     {func(int) (int64, error) { return 0, errors.New("bad request") }, 0, 0, true, false, false},
		"rejected":    {func(int) (int64, error) { return 1, nil }, p.Spans, 0, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecorder()
				r.answer = test.answer
				result, err := Run(t.Context(), []Segment{{p, 1}}, []Exporter{r}, Options{GiveUp: 10 * time.Second})
				require.Equal(t, test.spans, result.Spans)
				if name == "always busy" { // the run ends: all other requests would wait as long
					require.ErrorIs(t, err, busy)
					require.ErrorContains(t, err, "gave up after 10s")
					require.Less(t, result.Elapsed, 16*time.Second)
					require.Positive(t, result.Retries)
					require.Positive(t, result.Failed)
					return
				}
				require.NoError(t, err)
				require.Equal(t, requests, result.Requests)
				require.Equal(t, test.retries, result.Retries)
				require.Equal(t, test.failed, result.Failure != nil)
				require.Equal(t, test.failed, result.Failed == p.Spans)
				require.Equal(t, test.rejected, result.Rejected == requests)
				require.Equal(t, test.elapsed, result.Elapsed > 0)
			})
		})
	}
}

func busyUntil(attempt, busy int, err error) error {
	if attempt <= busy {
		return err
	}
	return nil
}

// The receiver's own wish counts where it is longer than ours.
func TestExportWaitsAsAsked(t *testing.T) {
	p, _ := plan(schedule.Options{Window: time.Minute}, 1)
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		r.answer = func(n int) (int64, error) {
			return 0, busyUntil(n, 1, &RetryableError{errors.New("busy"), 7 * time.Second})
		}
		result, err := Run(t.Context(), []Segment{{p, 1}}, []Exporter{r}, Options{GiveUp: time.Minute})
		require.NoError(t, err)
		require.Equal(t, 7*time.Second, result.Elapsed)
	})
}

// It does not say how long we try.
func TestGivesUpBeforeTheReceiverWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		r.answer = func(int) (int64, error) { return 0, &RetryableError{errors.New("busy"), time.Hour} }
		began := time.Now()
		_, err := Send(t.Context(), r, "", nil, 10*time.Second)
		require.ErrorContains(t, err, "busy")
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestRunStops(t *testing.T) {
	p, _ := plan(schedule.Options{Rate: 10, BatchDelay: time.Second}, 100)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		result, err := Run(ctx, []Segment{{p, 1}}, []Exporter{newRecorder()}, Options{GiveUp: time.Minute})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, result.Elapsed)
		require.Less(t, result.Spans, p.Spans)
		require.InDelta(t, 30, result.Cycles[0].Traces, 1, "those that began within 3 s")
	})
}

// What the receiver is too slow for leaves late, and the result says by how much.
func TestRunTellsItsLag(t *testing.T) {
	p, _ := plan(schedule.Options{Rate: 10, BatchDelay: time.Second}, 10)
	synctest.Test(t, func(t *testing.T) {
		result, err := Run(t.Context(), []Segment{{p, 1}}, []Exporter{slow{newRecorder()}}, Options{Seed: 2, GiveUp: time.Minute})
		require.NoError(t, err)
		require.InDelta(t, float64(result.Requests), result.Lag.Seconds(), 3, "a second for each request before it")
	})
}

// Spans that are late by many cycles hold up none of those that follow.
func TestRunKeepsTheRateBesideLongDelays(t *testing.T) {
	late := schedule.Late{Share: 0.05, Min: 20 * time.Second, Max: 30 * time.Second}
	p, _ := plan(schedule.Options{Rate: 100, BatchDelay: 100 * time.Millisecond, Late: late}, 100) // 1 s
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		result, err := Run(t.Context(), []Segment{{p, 60}}, []Exporter{r}, Options{Seed: 2, GiveUp: time.Minute})
		require.NoError(t, err)
		require.InDelta(t, 91, result.Elapsed.Seconds(), 2)
		require.Less(t, result.Lag, 100*time.Millisecond)
	})
}
