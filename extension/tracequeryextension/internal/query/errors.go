package query

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/statistics"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// ErrorsQuery says which failures are wanted.
type ErrorsQuery struct {
	// Window's Service is where failures began; empty for all.
	Window tracestore.AggregateQuery
	// Entry is an operation by which requests enter, Fingerprint one pattern; each limits the answer where not empty.
	Entry, Fingerprint string
	// New limits the answer to patterns that the window before did not have.
	New bool
	// Limit is the most patterns to answer.
	Limit int
}

// Errors are the failures of a window by pattern.
type Errors struct {
	// Patterns are the most frequent first, of equals by fingerprint. More says that there are more.
	Patterns []ErrorPattern
	More     bool
	// Failures is how many there were of all patterns that were asked for, Before how many in the window before, which is Previous, in whole minutes.
	Failures, Before int64
	Previous         tracestore.AggregateQuery
	// PreviousKnown says that the window before has spans at all, so that what it lacks is new.
	PreviousKnown bool
	Completeness  tracestore.Completeness
}

// ErrorPattern is one failure, recognised over traces by its fingerprint.
type ErrorPattern struct {
	Fingerprint string
	// Operation is where it began.
	tracestore.Operation
	// Count is how often it did now, Before in the window before.
	Count, Before int64
	// Rising says that it befalls more of the requests than before, at least twice as many, beyond chance.
	Rising bool
	// First and Last are when, in the window, to the minute.
	First, Last time.Time
	// Points are the course of the window.
	Points []ErrorPoint
	// Entries are those whose requests it befell, the most first.
	Entries []ErrorEntry
	// TraceIDs are of a few traces in which it is.
	TraceIDs []string
	// Example is nil where none of these traces could be read.
	Example *ErrorExample
}

// ErrorPoint is how often a pattern was seen in a part of the window.
type ErrorPoint struct {
	Start time.Time
	Count int64
}

// ErrorEntry is how a pattern befalls the requests of an entry.
type ErrorEntry struct {
	tracestore.Operation
	Count int64
	// Share is its part of the pattern's failures, Befallen how many failures there were for each request of the entry, at most 1.
	Share, Befallen float64
}

// ErrorExample is the failure in one trace.
type ErrorExample struct {
	TraceID string
	analysis.Origin

	// Path are the operations from the origin up to the root above it, each once where several spans of it follow one another.
	Path []tracestore.Operation
	// AbsorbedBy is whoever tried again, or did not fail; nil where nobody absorbed it.
	AbsorbedBy *tracestore.Operation
}

const (
	maxErrorTraces  = 5
	maxErrorEntries = 20
	// maxRisingChance is how probable a rise may be by chance, minRising how many times as frequent it must be.
	maxRisingChance = 1e-3
	minRising       = 2
	// exampleTime is for how long examples are read, exampleTries how many traces of a pattern are tried.
	exampleTime  = 200 * time.Millisecond
	exampleTries = 2
)

// Errors answers which failures there were. Errors: tracestore.ErrClosed, the context's, or the storage's own.
func (s *Service) Errors(ctx context.Context, tenant string, asked *ErrorsQuery) (*Errors, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	found, err := s.readErrors(ctx, tenant, asked)
	if err != nil {
		return nil, fmt.Errorf("read the errors: %w", err)
	}
	return found, nil
}

func (s *Service) readErrors(ctx context.Context, tenant string, asked *ErrorsQuery) (*Errors, error) {
	reader, err := s.Storage()
	if err != nil {
		return nil, err
	}
	all := asked.Window // the service of an aggregate's query may be the entry's too
	all.Service = ""
	answer := &Errors{Previous: previous(all)}
	patterns := make(map[string]*ErrorPattern)
	for e, err := range reader.Errors(ctx, tenant, &all) {
		if err != nil {
			return nil, err
		}
		if asked.wants(&e) {
			answer.Failures += e.Count
			patternOf(patterns, &e).add(&e)
		}
	}
	for e, err := range reader.Errors(ctx, tenant, &answer.Previous) {
		if err != nil {
			return nil, err
		}
		if !asked.wants(&e) {
			continue
		}
		answer.Before += e.Count
		if p := patterns[e.Fingerprint]; p != nil {
			p.Before += e.Count
		}
	}
	before, err := reader.Completeness(ctx, tenant, &answer.Previous)
	if err != nil {
		return nil, err
	}
	answer.PreviousKnown = before.Spans > 0
	for _, p := range patterns {
		if !asked.New || p.Before == 0 {
			answer.Patterns = append(answer.Patterns, *p)
		}
	}
	slices.SortFunc(answer.Patterns, func(a, b ErrorPattern) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	if answer.More = len(answer.Patterns) > asked.Limit; answer.More {
		answer.Patterns = answer.Patterns[:asked.Limit]
	}
	if err := answer.readDetails(ctx, reader, tenant, &all); err != nil {
		return nil, err
	}
	return answer, ctx.Err()
}

func (q *ErrorsQuery) wants(e *tracestore.ErrorAggregate) bool {
	return (q.Window.Service == "" || q.Window.Service == e.Service) && (q.Entry == "" || q.Entry == e.Entry.Operation) &&
		(q.Fingerprint == "" || q.Fingerprint == e.Fingerprint)
}

func patternOf(patterns map[string]*ErrorPattern, e *tracestore.ErrorAggregate) *ErrorPattern {
	p := patterns[e.Fingerprint]
	if p == nil {
		p = &ErrorPattern{Fingerprint: e.Fingerprint, Operation: e.Operation, First: e.First, Last: e.Last}
		patterns[e.Fingerprint] = p
	}
	return p
}

func (p *ErrorPattern) add(e *tracestore.ErrorAggregate) {
	p.Count += e.Count
	if e.First.Before(p.First) {
		p.First = e.First
	}
	if e.Last.After(p.Last) {
		p.Last = e.Last
	}
	p.Entries = append(p.Entries, ErrorEntry{Operation: e.Entry, Count: e.Count})
	for _, id := range e.TraceIDs {
		if len(p.TraceIDs) < maxErrorTraces && !slices.Contains(p.TraceIDs, id) {
			p.TraceIDs = append(p.TraceIDs, id)
		}
	}
}

// readDetails adds to the patterns that are answered: their course, the shares of entries, an example.
func (a *Errors) readDetails(ctx context.Context, reader tracestore.Reader, tenant string, window *tracestore.AggregateQuery) (err error) {
	requests := make(map[tracestore.Operation]int64)
	for e, err := range reader.Entries(ctx, tenant, window) {
		if err != nil {
			return err
		}
		requests[e.Operation] += e.Traces
	}
	at := make(map[string]*ErrorPattern, len(a.Patterns))
	earlier := int64(0)
	for e, err := range reader.Entries(ctx, tenant, &a.Previous) {
		if err != nil {
			return err
		}
		earlier += e.Traces
	}
	for i := range a.Patterns {
		a.Patterns[i].shareOut(requests)
		a.Patterns[i].compare(requests, earlier)
		at[a.Patterns[i].Fingerprint] = &a.Patterns[i]
	}
	for _, part := range steps(window) {
		for i := range a.Patterns {
			a.Patterns[i].Points = append(a.Patterns[i].Points, ErrorPoint{Start: part.Start})
		}
		if len(at) == 0 {
			break
		}
		for e, err := range reader.Errors(ctx, tenant, &part) {
			if err != nil {
				return err
			}
			if p := at[e.Fingerprint]; p != nil && p.hasEntry(e.Entry) {
				p.Points[len(p.Points)-1].Count += e.Count
			}
		}
	}
	until := time.Now().Add(exampleTime)
	for i := range a.Patterns {
		if time.Now().Before(until) {
			if err := a.Patterns[i].readExample(ctx, reader, tenant); err != nil {
				return err
			}
		}
		p := &a.Patterns[i]
		p.Entries = p.Entries[:min(len(p.Entries), maxErrorEntries)]
	}
	a.Completeness, err = reader.Completeness(ctx, tenant, window)
	return err
}

// compare says whether the pattern is rising, by the requests of both windows. Failures count once a request at most.
func (p *ErrorPattern) compare(requests map[tracestore.Operation]int64, earlier int64) {
	now := int64(0)
	for _, traces := range requests {
		now += traces
	}
	count, before := min(p.Count, now), min(p.Before, earlier)
	p.Rising = earlier > 0 && float64(count)*float64(earlier) >= minRising*float64(before)*float64(now) &&
		statistics.MoreOften(before, earlier, count, now) < maxRisingChance
}

// hasEntry says whether the pattern's failures of the entry were asked for.
func (p *ErrorPattern) hasEntry(entry tracestore.Operation) bool {
	return slices.ContainsFunc(p.Entries, func(e ErrorEntry) bool { return e.Operation == entry })
}

func (p *ErrorPattern) shareOut(requests map[tracestore.Operation]int64) {
	slices.SortFunc(p.Entries, func(a, b ErrorEntry) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation.Operation, b.Operation.Operation))
	})
	for i := range p.Entries {
		e := &p.Entries[i]
		if p.Count > 0 {
			e.Share = float64(e.Count) / float64(p.Count)
		}
		if all := requests[e.Operation]; all > 0 {
			e.Befallen = min(1, float64(e.Count)/float64(all))
		}
	}
}

// readExample reads the failure in one of the pattern's traces. Traces may be deleted by now.
func (p *ErrorPattern) readExample(ctx context.Context, reader tracestore.Reader, tenant string) error {
	for _, text := range p.TraceIDs[:min(len(p.TraceIDs), exampleTries)] {
		var id pcommon.TraceID
		if n, err := hex.Decode(id[:], []byte(text)); err != nil || n != len(id) {
			continue
		}
		err := explainTrace(ctx, reader, tenant, id, func(r *analysis.Result) {
			for _, origin := range analysis.FindOrigins(r) {
				if p.Example == nil && r.Spans[origin.Span].Fingerprint == p.Fingerprint {
					p.Example = newErrorExample(text, r, origin)
				}
			}
		})
		if err != nil && !errors.Is(err, tracestore.ErrNotFound) && !errors.Is(err, ErrMemory) {
			return err
		}
		if p.Example != nil {
			break
		}
	}
	return nil
}

func newErrorExample(id string, r *analysis.Result, origin analysis.Origin) *ErrorExample {
	example := &ErrorExample{TraceID: id, Origin: origin}
	name := func(span int) tracestore.Operation {
		return tracestore.Operation{Service: r.Spans[span].Service, Operation: r.Spans[span].Operation}
	}
	for _, span := range r.AppendErrorPath(nil, origin.Span) {
		if o := name(span); len(example.Path) == 0 || example.Path[len(example.Path)-1] != o {
			example.Path = append(example.Path, o)
		}
	}
	if origin.AbsorbedBy >= 0 {
		by := name(origin.AbsorbedBy)
		example.AbsorbedBy = &by
	}
	return example
}
