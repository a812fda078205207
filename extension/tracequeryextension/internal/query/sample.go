package query

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

const (
	// maxSampled is how many traces of a window are read at most.
	maxSampled = 10_000
	// sampleCost is how long one takes to read, about: as many are looked for as the time allows.
	sampleCost = 400 * time.Microsecond
	// sampleSlots is at how many places of the window traces are looked for, where it has more than are read.
	sampleSlots = 20
	// maxSampledSpans is how many spans a sampled trace may have: a larger one would take the time of hundreds.
	maxSampledSpans = 5000
	// maxReaders is how many traces are read at a time.
	maxReaders = 4
)

// SampleInfo says what an answer has seen of the traces of a window.
type SampleInfo struct {
	// Traces were read, of All in the window. TooLarge were not, because they have too many spans.
	Traces, TooLarge int
	All              int64
	// Cut says that the time was over before all that were chosen were read.
	Cut bool
}

// sampling is a sample of the traces of a window while it is drawn.
type sampling struct {
	reader tracestore.Reader
	tenant string
	window tracestore.AggregateQuery
	where  tracestore.Conditions
	until  time.Time // when to stop
	info   SampleInfo
}

// draw chooses traces evenly over the window, as many as can be read in the time, and hands each, analysed, to read, with its place, of the n that room was told; read is called by
// several goroutines, once for each that could be read. The analysis is valid until read returns.
func (s *sampling) draw(ctx context.Context, room func(n int), read func(place int, r *analysis.Result)) error {
	wanted := int(min(maxSampled, max(1, time.Until(s.until)/sampleCost)))
	ids, err := s.choose(ctx, wanted)
	if err != nil {
		return err
	}
	room(len(ids))
	return s.readAll(ctx, ids, read)
}

// choose looks for about as many traces as are wanted: all of the window where it has no more, else some at each of several places.
func (s *sampling) choose(ctx context.Context, wanted int) (ids []pcommon.TraceID, err error) {
	if s.info.All <= int64(wanted) {
		return s.search(ctx, s.window.Start, s.window.End, wanted)
	}
	slot := s.window.End.Sub(s.window.Start) / sampleSlots
	const spare = 2 // traffic is uneven
	width := time.Duration(float64(slot) * min(1, spare*float64(wanted)/float64(s.info.All)))
	var slots [sampleSlots][]pcommon.TraceID
	for i := range slots {
		// By the golden ratio, so that what happens each minute is not met each time, or never.
		_, offset := math.Modf(float64(i+1) * math.Phi)
		at := s.window.Start.Add(time.Duration(i)*slot + time.Duration(offset*float64(slot-width)))
		if slots[i], err = s.search(ctx, at, at.Add(max(width, 1)), (wanted+sampleSlots-1)/sampleSlots); err != nil {
			return nil, err
		}
	}
	for k := 0; ; k++ { // one of each in turn, so that what is read first is spread as well
		before := len(ids)
		for i := range slots {
			if k < len(slots[i]) {
				ids = append(ids, slots[i][k])
			}
		}
		if len(ids) == before {
			return ids, nil
		}
	}
}

func (s *sampling) search(ctx context.Context, start, end time.Time, limit int) (ids []pcommon.TraceID, err error) {
	if s.over(ctx) {
		s.info.Cut = true
		return nil, ctx.Err()
	}
	page, err := s.reader.Search(ctx, s.tenant, &tracestore.SearchQuery{Start: start, End: end, Where: s.where, Limit: limit, Deadline: s.until})
	if err != nil {
		return nil, err
	}
	s.info.Cut = s.info.Cut || page.Truncated
	for i := range page.Traces {
		if page.Traces[i].SpanCount > maxSampledSpans {
			s.info.TooLarge++
			continue
		}
		ids = append(ids, page.Traces[i].TraceID)
	}
	return ids, nil
}

func (s *sampling) over(ctx context.Context) bool {
	return ctx.Err() != nil || !time.Now().Before(s.until)
}

// readAll reads the traces until the time is over. What is deleted meanwhile is left out.
func (s *sampling) readAll(ctx context.Context, ids []pcommon.TraceID, read func(place int, r *analysis.Result)) error {
	var (
		next, done atomic.Int64
		readers    sync.WaitGroup
		mu         sync.Mutex // guards failed
		failed     error
	)
	for range min(maxReaders, runtime.GOMAXPROCS(0), len(ids)) {
		readers.Go(func() {
			for !s.over(ctx) {
				place := int(next.Add(1)) - 1
				if place >= len(ids) {
					return
				}
				r, err := readAnalysed(ctx, s.reader, s.tenant, ids[place])
				switch {
				case err == nil:
					read(place, r)
					done.Add(1)
				case !errors.Is(err, tracestore.ErrNotFound):
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	readers.Wait()
	s.info.Traces += int(done.Load())
	s.info.Cut = s.info.Cut || int(next.Load()) < len(ids)
	return errors.Join(failed, ctx.Err())
}

// readAnalysed reads a trace and explains it.
func readAnalysed(ctx context.Context, reader tracestore.Reader, tenant string, id pcommon.TraceID) (*analysis.Result, error) {
	releases, _, err := readReleases(ctx, reader, tenant, id)
	if err != nil {
		return nil, err
	}
	_, release := tracetree.Join(releases)
	return analysis.Analyze(&release), nil
}

// inEnvironment are the conditions of traces with a span of the environment, by its name of today or of before; none where it is nil.
func inEnvironment(environment *string) (where tracestore.Conditions) {
	if environment == nil {
		return where
	}
	for _, key := range []string{"deployment.environment.name", "deployment.environment"} {
		condition := tracestore.AttributeCondition{Scope: tracestore.ScopeResource, Key: key, Op: tracestore.OpEqual, Text: *environment}
		if *environment == "" {
			condition.Op, condition.Text = tracestore.OpNotExists, ""
			where.Span.Attributes = append(where.Span.Attributes, condition)
			continue
		}
		where.Span.Or = append(where.Span.Or, tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{condition}})
	}
	return where
}
