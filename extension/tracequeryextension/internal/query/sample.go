package query

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	// maxSampled is how many traces of a window are read at most.
	maxSampled = 10_000
	// sampleCost is how long one takes to read, about: as many are looked for as the time allows to all readers.
	sampleCost = 400 * time.Microsecond
	// minPlaces and maxPlaces are at how many places of the window traces are looked for, where it has more than are read.
	minPlaces, maxPlaces = 16, 256
	// maxSampledSpans is how many spans a sampled trace may have: a larger one would take the time of hundreds.
	maxSampledSpans = 5000
	// maxSampledBytes, as OTLP protobuf, is how large it may be, where traces are read together.
	maxSampledBytes = 16 << 20
	// sampleGroup is how many traces are read together, of those that stand side by side.
	sampleGroup = 16
	// maxReaders is how many groups are looked for and read at a time at most.
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
	// parts are the window, with how many traces each has.
	parts []windowPart
	where tracestore.Conditions
	until time.Time // when to stop

	mu     sync.Mutex // guards info and chosen
	info   SampleInfo
	chosen map[pcommon.TraceID]bool // places may overlap
}

// windowPart is a part of a window.
type windowPart struct {
	start, end time.Time
	traces     int64
}

// countParts counts the traces of those entries that are wanted in the parts of a window.
func countParts(
	ctx context.Context, reader tracestore.AggregateReader, tenant string, window *tracestore.AggregateQuery, wants func(entry tracestore.Operation) bool,
) (parts []windowPart, err error) {
	for _, step := range steps(window) {
		part := windowPart{start: step.Start, end: step.End}
		step.NoDurations = true
		for e, err := range reader.Entries(ctx, tenant, &step) {
			if err != nil {
				return nil, err
			}
			if wants(e.Operation) {
				part.traces += e.Traces
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// draw chooses traces evenly over those of the window, as many as can be read in the time, and hands each, analysed, to read, with its place, of the n that
// room was told; read is called by several goroutines, once for each that could be read. The analysis is valid until read returns.
func (s *sampling) draw(ctx context.Context, room func(n int), read func(place int, r *analysis.Result)) error {
	for _, part := range s.parts {
		s.info.All += part.traces
	}
	wanted := int(min(maxSampled, max(1, time.Until(s.until)*time.Duration(readers())/sampleCost)))
	if s.info.All > int64(wanted) {
		return s.drawPlaces(ctx, wanted, room, read)
	}
	ids, err := s.search(ctx, s.window.Start, s.window.End, wanted)
	if err != nil {
		return err
	}
	room(len(ids))
	return s.readAll(ctx, ids, read)
}

// drawPlaces takes some traces at each of several places. Each is looked for and read before the next, so that there is something of all the window when the
// time is over.
func (s *sampling) drawPlaces(ctx context.Context, wanted int, room func(n int), read func(place int, r *analysis.Result)) error {
	places := min(maxPlaces, max(minPlaces, wanted/sampleGroup))
	each := (wanted + places - 1) / places
	room(places * each)
	order := spread(places)
	return s.work(ctx, places, func(i int) error {
		at := order[i]
		start, end := s.place(at, places, each)
		ids, err := s.search(ctx, start, end, each)
		if err != nil {
			return err
		}
		first := at * each
		for chunk := range slices.Chunk(ids, sampleGroup) {
			if err := s.readGroup(ctx, chunk, func(k int, r *analysis.Result) { read(first+k, r) }); err != nil {
				return err
			}
			first += len(chunk)
		}
		return nil
	})
}

// place is where to look for traces, each of them in the mean twice, because traffic is uneven: such that as many traces of the window lie between one place
// and the next. It is moved within these by the golden ratio, so that what happens each minute is not met each time, or never.
func (s *sampling) place(i, places, each int) (start, end time.Time) {
	_, moved := math.Modf(float64(i+1) * math.Phi)
	behind := (float64(i) + moved) / float64(places) * float64(s.info.All)
	for _, part := range s.parts {
		if part.traces <= 0 || behind >= float64(part.traces) {
			behind -= float64(max(part.traces, 0))
			continue
		}
		const spare = 2
		length := part.end.Sub(part.start)
		width := time.Duration(float64(length) * min(1, spare*float64(each)/float64(part.traces)))
		start = part.start.Add(min(time.Duration(behind/float64(part.traces)*float64(length)), length-width))
		return start, start.Add(max(width, 1))
	}
	return s.window.Start, s.window.End
}

// spread is the numbers from 0 to n − 1 in an order in which the first few are spread as all are: in steps of the golden ratio, which is next to no
// multiple of anything.
func spread(n int) []int {
	order, taken := make([]int, 0, n), make([]bool, n)
	for i := range n {
		_, at := math.Modf(float64(i) * math.Phi)
		k := int(at * float64(n))
		for taken[k] {
			k = (k + 1) % n
		}
		taken[k] = true
		order = append(order, k)
	}
	return order
}

// readers is how many groups are looked for and read at a time: on half of the processors, so that traces are stored meanwhile.
func readers() int { return max(1, min(maxReaders, runtime.GOMAXPROCS(0)/2)) }

// work does n things, several at a time, until the time is over or one fails.
func (s *sampling) work(ctx context.Context, n int, do func(i int) error) error {
	var (
		next    atomic.Int64
		workers sync.WaitGroup
		mu      sync.Mutex // guards failed
		failed  error
	)
	for range min(readers(), n) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if s.over(ctx) {
					s.note(SampleInfo{Cut: true})
					return
				}
				if err := do(i); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(failed, ctx.Err())
}

func (s *sampling) note(seen SampleInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.info.Traces += seen.Traces
	s.info.TooLarge += seen.TooLarge
	s.info.Cut = s.info.Cut || seen.Cut
}

func (s *sampling) search(ctx context.Context, start, end time.Time, limit int) (ids []pcommon.TraceID, err error) {
	if s.over(ctx) {
		s.note(SampleInfo{Cut: true})
		return nil, ctx.Err()
	}
	page, err := s.reader.Search(ctx, s.tenant, &tracestore.SearchQuery{Start: start, End: end, Where: s.where, Limit: limit, Deadline: s.until})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.info.Cut = s.info.Cut || page.Truncated
	if s.chosen == nil {
		s.chosen = make(map[pcommon.TraceID]bool)
	}
	for i := range page.Traces {
		row := &page.Traces[i]
		if s.chosen[row.TraceID] {
			continue
		}
		s.chosen[row.TraceID] = true
		if row.SpanCount > maxSampledSpans {
			s.info.TooLarge++
			continue
		}
		ids = append(ids, row.TraceID)
	}
	return ids, nil
}

func (s *sampling) over(ctx context.Context) bool {
	return ctx.Err() != nil || !time.Now().Before(s.until)
}

// readAll reads the traces until the time is over. What is deleted meanwhile is left out.
func (s *sampling) readAll(ctx context.Context, ids []pcommon.TraceID, read func(place int, r *analysis.Result)) error {
	groups := slices.Collect(slices.Chunk(ids, sampleGroup))
	order := spread(len(groups))
	return s.work(ctx, len(groups), func(i int) error {
		return s.readGroup(ctx, groups[order[i]], func(k int, r *analysis.Result) { read(order[i]*sampleGroup+k, r) })
	})
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
