package traceassemblyprocessor

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// arrived is a span at the time at which it is sent.
type arrived struct {
	at   time.Duration
	span testSpan
}

// modelRelease is a release as the reference and the processor both say it.
type modelRelease struct {
	version int
	outcome string
	spans   []string // identities, sorted
}

func identity(id uint64, kind ptrace.SpanKind, start, end uint64) string {
	return fmt.Sprintf("%d/%d/%d-%d", id, kind, start, end)
}

// The model's times never meet: spans are sent at multiples of 10ms, and no sum of these is one. The quiet period is fixed.
const (
	modelLinger  = 1003 * time.Millisecond
	modelQuiet   = 2007 * time.Millisecond
	modelMaxWait = 8001 * time.Millisecond
)

// reference says what should be released of one trace, straight from the rules: it looks at all spans again for every arrival.
func reference(arrivals []arrived) []modelRelease {
	var (
		releases    []modelRelease
		released    = make(map[string]bool)
		held        []testSpan
		first, last time.Duration
	)
	release := func(outcome string) {
		r := modelRelease{version: len(releases) + 1, outcome: outcome}
		for _, s := range held {
			r.spans = append(r.spans, identity(s.id, s.kind, s.start, s.end))
			released[identity(s.id, s.kind, s.start, s.end)] = true
		}
		slices.Sort(r.spans)
		releases = append(releases, r)
		held = nil
	}
	complete := func() bool {
		root, there := false, make(map[uint64]testSpan)
		for _, s := range held {
			there[s.id] = s
			root = root || s.parent == 0
		}
		return root && !slices.ContainsFunc(held, func(s testSpan) bool {
			_, parent := there[s.parent]
			return s.parent != 0 && !parent || s.kind == ptrace.SpanKindClient && !s.leaf() && !answered(s, held) && !asynchronous(s, there)
		})
	}
	due := func() (time.Duration, string) {
		switch {
		case len(releases) > 0:
			return first + modelLinger, conventions.OutcomeLate
		case complete() && last+modelLinger < first+modelMaxWait:
			return last + modelLinger, conventions.OutcomeComplete
		case !complete() && last+modelQuiet < first+modelMaxWait:
			return last + modelQuiet, conventions.OutcomeQuiet
		default:
			return first + modelMaxWait, conventions.OutcomeTimeout
		}
	}
	for _, a := range arrivals {
		if len(held) > 0 {
			if at, outcome := due(); at < a.at {
				release(outcome)
			}
		}
		s := a.span
		same := func(h testSpan) bool { return h.id == s.id && h.kind == s.kind && h.start == s.start && h.end == s.end }
		if released[identity(s.id, s.kind, s.start, s.end)] || slices.ContainsFunc(held, same) {
			if len(held) > 0 {
				last = a.at // somebody still sends
			}
			continue
		}
		if len(held) == 0 {
			first = a.at
		}
		last = a.at
		held = append(held, s)
	}
	if len(held) > 0 {
		_, outcome := due()
		release(outcome)
	}
	return releases
}

// leaf says whether the processor was taught that CLIENT spans of this name have no child. Names are used once: of the others it knows
// nothing, and waits.
func (s testSpan) leaf() bool { return strings.HasPrefix(s.name, "leaf") }

// answered says whether a CLIENT span has a child in another service, or a server shares its id.
func answered(client testSpan, held []testSpan) bool {
	return slices.ContainsFunc(held, func(s testSpan) bool {
		entry := s.kind == ptrace.SpanKindServer || s.kind == ptrace.SpanKindConsumer
		return s.parent == client.id && (entry || s.service != client.service) ||
			s.id == client.id && s.kind == ptrace.SpanKindServer
	})
}

// asynchronous says whether a span hangs below a CONSUMER span that has a parent.
func asynchronous(s testSpan, there map[uint64]testSpan) bool {
	parent, ok := there[s.parent]
	for ok {
		grandparent, more := there[parent.parent]
		if parent.kind == ptrace.SpanKindConsumer {
			return more
		}
		parent, ok = grandparent, more
	}
	return false
}

// randomTrace makes a tree of which some spans are lost, and says when each span is sent.
func randomTrace(rng *rand.Rand, trace uint64) []arrived {
	n := 1 + rng.IntN(30)
	begin := time.Duration(rng.IntN(1000)) * 10 * time.Millisecond
	spread := []int{1, 30, 80, 400, 1500}[rng.IntN(5)] // tens of milliseconds
	var arrivals []arrived
	send := func(s testSpan) {
		arrivals = append(arrivals, arrived{begin + time.Duration(rng.IntN(spread))*10*time.Millisecond, s})
	}
	for id := range uint64(n) {
		s := testSpan{
			trace: trace, id: 1 + id, name: fmt.Sprint([]string{"leaf", "call"}[rng.IntN(2)], trace, "x", id), service: fmt.Sprint("s", rng.IntN(4)), kind: ptrace.SpanKind(rng.IntN(6)),
			start: rng.Uint64N(100), end: 100 + rng.Uint64N(100),
		}
		if id > 0 {
			s.parent = 1 + rng.Uint64N(id)
		}
		if rng.IntN(60) == 0 {
			continue // lost
		}
		send(s)
		switch rng.IntN(20) {
		case 0, 1:
			send(s) // sent twice
		case 2:
			s.end += 1000 // in conflict with itself
			send(s)
		case 3:
			s.kind ^= 1 // shares its id, as server and client of a call may
			send(s)
		}
	}
	slices.SortStableFunc(arrivals, func(a, b arrived) int { return cmp.Compare(a.at, b.at) })
	return arrivals
}

// TestModel sends random traces in random requests and compares every release with the reference.
func TestModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func runModel(t *testing.T, rng *rand.Rand) {
	f := start(t, func(c *Config) {
		c.NumShards = 1 + rng.IntN(4)
		c.Linger, c.MaxWait = modelLinger, modelMaxWait
		c.Quiet = QuietConfig{Min: modelQuiet, Max: modelQuiet}
		c.ReleaseBatch.MaxSpans = 1 + rng.IntN(200)
	})
	f.sink.fail = func(_ int, td ptrace.Traces) error {
		switch rand.IntN(6) { // not rng: workers are several
		case 0:
			return errors.New("not now")
		case 1:
			td.MarkReadOnly() // as a fan-out does
			return errors.New("not now")
		}
		return nil
	}
	for _, s := range f.shards {
		s.learned.all.total = -1e9 // not to learn how long children take
	}
	want := make(map[uint64][]modelRelease)
	var all []arrived
	for trace := uint64(1); trace <= 60; trace++ {
		arrivals := randomTrace(rng, trace)
		want[trace] = reference(arrivals)
		all = append(all, arrivals...)
		for _, a := range arrivals {
			if a.span.leaf() {
				for _, s := range f.shards {
					s.learned.put(operation{a.span.service, a.span.name}).assumeChildless()
				}
			}
		}
	}
	f.play(rng, all)
	got := f.got()
	for trace, releases := range want {
		require.Equal(t, releases, got[trace], "trace %d", trace)
		delete(got, trace)
	}
	require.Empty(t, got)
	f.stop()
}

// play sends spans when they are due, in random requests, and waits until all are released.
func (f *fixture) play(rng *rand.Rand, all []arrived) {
	slices.SortStableFunc(all, func(a, b arrived) int { return cmp.Compare(a.at, b.at) })
	begin := time.Now()
	for len(all) > 0 {
		// All spans of one moment, in one request or several.
		n := 1
		for n < len(all) && all[n].at == all[0].at && rng.IntN(4) > 0 {
			n++
		}
		var spans []testSpan
		for _, a := range all[:n] {
			spans = append(spans, a.span)
		}
		time.Sleep(all[0].at - time.Since(begin))
		f.send(spans...)
		synctest.Wait()
		all = all[n:]
	}
	f.wait(time.Minute)
}

// got is what was released, by trace and version: several workers call the sink, and versions may change places on their way.
func (f *fixture) got() map[uint64][]modelRelease {
	got := make(map[uint64][]modelRelease)
	for _, r := range f.sink.releases {
		trace := binary.BigEndian.Uint64(r.TraceID[8:])
		got[trace] = append(got[trace], readRelease(r))
	}
	for _, releases := range got {
		slices.SortFunc(releases, func(a, b modelRelease) int { return cmp.Compare(a.version, b.version) })
	}
	return got
}

// TestInterimModel sends the same with interim releases: every span is released once, in versions that follow one another, and the
// interim ones come first.
func TestInterimModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 8))
				f := start(t, func(c *Config) { c.NumShards, c.InterimInterval = 1+rng.IntN(4), 3*time.Second })
				want := make(map[uint64][]string)
				var all []arrived
				for trace := uint64(1); trace <= 60; trace++ {
					for _, a := range randomTrace(rng, trace) {
						all = append(all, a)
						want[trace] = append(want[trace], identity(a.span.id, a.span.kind, a.span.start, a.span.end))
					}
				}
				f.play(rng, all)
				require.Positive(t, f.points("releases")[conventions.OutcomeInterim])
				for trace, releases := range f.got() {
					var spans []string
					ended := false
					for i, r := range releases {
						require.Equal(t, i+1, r.version)
						require.NotEmpty(t, r.spans)
						switch r.outcome {
						case conventions.OutcomeInterim:
							require.False(t, ended, "an interim release after the last")
						case conventions.OutcomeLate:
							ended = true
						default:
							require.False(t, ended, "two last releases")
							ended = true
						}
						spans = append(spans, r.spans...)
					}
					slices.Sort(spans)
					slices.Sort(want[trace])
					require.Equal(t, slices.Compact(want[trace]), spans, "trace %d", trace)
				}
				f.stop()
			})
		})
	}
}

func readRelease(r tracetree.Release) modelRelease {
	m := modelRelease{version: r.Version, outcome: r.Outcome}
	for _, span := range r.Spans {
		id := span.SpanID()
		m.spans = append(m.spans, identity(binary.BigEndian.Uint64(id[:]), span.Kind(), uint64(span.StartTimestamp()), uint64(span.EndTimestamp())))
	}
	slices.Sort(m.spans)
	return m
}
