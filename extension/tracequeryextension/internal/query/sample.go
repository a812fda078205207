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
	"go.opentelemetry.io/collector/pdata/ptrace"

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
	sampleSlots = 16
	// maxSampledSpans is how many spans a sampled trace may have: a larger one would take the time of hundreds.
	maxSampledSpans = 5000
	// maxSampledBytes, as OTLP protobuf, is how large it may be, where traces are read together.
	maxSampledBytes = 16 << 20
	// sampleGroup is how many traces are read together, of those that stand side by side.
	sampleGroup = 16
	// maxReaders is how many groups are read at a time.
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

// draw chooses traces evenly over the window, as many as can be read in the time, and hands each, analysed, to read, with its place, of the n that room
// was told; read is called by several goroutines, once for each that could be read. The analysis is valid until read returns.
func (s *sampling) draw(ctx context.Context, room func(n int), read func(place int, r *analysis.Result)) error {
	ids, err := s.choose(ctx, int(min(maxSampled, max(1, time.Until(s.until)/sampleCost))))
	if err != nil {
		return err
	}
	room(len(ids))
	return s.readAll(ctx, ids, read)
}

// choose looks for about as many traces as are wanted: all of the window where it has no more, else some at each of several places. Those that stand side by
// side were released at about the same time.
func (s *sampling) choose(ctx context.Context, wanted int) (ids []pcommon.TraceID, err error) {
	if s.info.All <= int64(wanted) {
		return s.search(ctx, s.window.Start, s.window.End, wanted)
	}
	slot := s.window.End.Sub(s.window.Start) / sampleSlots
	const spare = 2 // traffic is uneven
	width := time.Duration(float64(slot) * min(1, spare*float64(wanted)/float64(s.info.All)))
	for i := range sampleSlots {
		// By the golden ratio, so that what happens each minute is not met each time, or never.
		_, offset := math.Modf(float64(i+1) * math.Phi)
		at := s.window.Start.Add(time.Duration(i)*slot + time.Duration(offset*float64(slot-width)))
		found, err := s.search(ctx, at, at.Add(max(width, 1)), (wanted+sampleSlots-1)/sampleSlots)
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	return ids, nil
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

// group is traces that are read together, the first of which has a place.
type group struct {
	place int
	ids   []pcommon.TraceID
}

// groups cuts traces into groups, in an order in which the first few of them are spread as all are.
func groups(ids []pcommon.TraceID) (list []group) {
	for chunk := range slices.Chunk(ids, sampleGroup) {
		list = append(list, group{len(list) * sampleGroup, chunk})
	}
	// In steps of the golden ratio, which is next to no multiple of anything.
	spread := make([]group, 0, len(list))
	for i := range list {
		_, at := math.Modf(float64(i) * math.Phi)
		k := int(at * float64(len(list)))
		for list[k].ids == nil { // taken
			k = (k + 1) % len(list)
		}
		spread = append(spread, list[k])
		list[k].ids = nil
	}
	return spread
}

// readAll reads the traces until the time is over. What is deleted meanwhile is left out.
func (s *sampling) readAll(ctx context.Context, ids []pcommon.TraceID, read func(place int, r *analysis.Result)) error {
	var (
		list    = groups(ids)
		next    atomic.Int64
		done    atomic.Int64
		readers sync.WaitGroup
		mu      sync.Mutex // guards failed
		failed  error
	)
	for range min(maxReaders, runtime.GOMAXPROCS(0), len(list)) {
		readers.Go(func() {
			for !s.over(ctx) {
				at := int(next.Add(1)) - 1
				if at >= len(list) {
					return
				}
				err := s.readGroup(ctx, list[at].ids, func(i int, r *analysis.Result) {
					read(list[at].place+i, r)
					done.Add(1)
				})
				if err != nil {
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
	s.info.Cut = s.info.Cut || s.over(ctx) && s.info.Traces < len(ids)
	return errors.Join(failed, ctx.Err())
}

// readGroup reads some traces, together where the storage can.
func (s *sampling) readGroup(ctx context.Context, ids []pcommon.TraceID, read func(i int, r *analysis.Result)) error {
	together, ok := s.reader.(tracestore.TracesReader)
	if !ok {
		return s.readOneByOne(ctx, ids, read)
	}
	var (
		releases []ptrace.Traces
		of       pcommon.TraceID
		size     int
	)
	explain := func() {
		if len(releases) > 0 && size <= maxSampledBytes {
			_, release := tracetree.Join(releases)
			read(slices.Index(ids, of), analysis.Analyze(&release))
		}
		releases, size = nil, 0
	}
	for stored, err := range together.Traces(ctx, s.tenant, ids) {
		if err != nil {
			return err
		}
		if stored.ID != of {
			explain()
			if of = stored.ID; s.over(ctx) {
				return nil
			}
		}
		if size += (&ptrace.ProtoMarshaler{}).TracesSize(stored.Release); size <= maxSampledBytes {
			releases = append(releases, stored.Release)
		}
	}
	explain()
	return nil
}

func (s *sampling) readOneByOne(ctx context.Context, ids []pcommon.TraceID, read func(i int, r *analysis.Result)) error {
	for i, id := range ids {
		r, err := readAnalysed(ctx, s.reader, s.tenant, id)
		switch {
		case err == nil:
			read(i, r)
		case !errors.Is(err, tracestore.ErrNotFound):
			return err
		}
		if s.over(ctx) {
			return nil
		}
	}
	return nil
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
