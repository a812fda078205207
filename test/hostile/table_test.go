package hostile

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// hostileCase is one input. Every one is a request with spans of one trace.
type hostileCase struct {
	fill func(r *request)
	raw  func(r *request) []byte // instead of fill: what pdata does not write
	// counts are what trace_assembly counts of it, besides spans_received, which is the sum of the others.
	counts map[string]int64
	// check looks at the answer, which is nil where the trace must not be there.
	check func(t *testing.T, a *trace)
}

// Counts of traces without anything odd.
func complete(spans int64) map[string]int64 {
	return map[string]int64{"spans_released": spans, "releases/complete": 1}
}

func quiet(spans int64) map[string]int64 {
	return map[string]int64{"spans_released": spans, "releases/quiet": 1}
}

func with(counts map[string]int64, name string, n int64) map[string]int64 {
	counts = maps.Clone(counts)
	counts[name] = n
	return counts
}

const (
	id1 = "0000000000000001"
	id2 = "0000000000000002"
	id3 = "0000000000000003"
	ms  = int64(1_000_000)
)

// event adds an event to a span.
func event(s ptrace.Span) ptrace.SpanEvent {
	e := s.Events().AppendEmpty()
	e.SetName("event")
	return e
}

// violate checks that these are the violations of the span 1, and that no other span has any.
func violate(names ...string) func(t *testing.T, a *trace) {
	return func(t *testing.T, a *trace) {
		require.Equal(t, append([]string{}, names...), a.span(t, id1).Violations)
		for _, s := range a.Spans {
			if s.SpanID != id1 {
				require.Empty(t, s.Violations)
			}
		}
	}
}

// all checks several things.
func all(checks ...func(t *testing.T, a *trace)) func(t *testing.T, a *trace) {
	return func(t *testing.T, a *trace) {
		for _, check := range checks {
			check(t, a)
		}
	}
}

// table is the whole of it; the fuzz target begins with the same inputs.
func table() map[string]hostileCase {
	table := make(map[string]hostileCase)
	for _, part := range []map[string]hostileCase{identityCases(), timeCases(), nameCases(), attributeCases(), sizeCases()} {
		maps.Copy(table, part)
	}
	return table
}

// body is the request of a case, for the trace of this number.
func (c *hostileCase) body(t testing.TB, trace uint64) []byte {
	r := newRequest(trace)
	if c.raw != nil {
		return c.raw(r)
	}
	c.fill(r)
	return encode(t, r.td)
}

func TestTable(t *testing.T) {
	started := startPipeline(t, nil)
	cases := table()
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			p := started.in(t)
			before := p.counters()
			p.send(c.body(t, uint64(i)))
			p.settle()
			got := p.since(before)
			want := maps.Clone(c.counts)
			received := int64(0)
			for name, n := range want {
				if strings.HasPrefix(name, "spans_") && name != "spans_conflicting" {
					received += n
				}
			}
			if received > 0 {
				want["spans_received"] = received
			}
			require.Equal(t, want, got)
			if c.check == nil {
				status, _, _ := p.ask("GET", "/traces/"+traceID(uint64(i)).String(), "", "")
				require.Equal(t, 404, status)
				return
			}
			c.check(t, p.checkTrace(t, traceID(uint64(i)), ""))
		})
	}
	// Each trace is found once, and nothing that is not one.
	var want []string
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		if cases[name].check != nil {
			want = append(want, traceID(uint64(i)).String())
		}
	}
	var found []string
	for _, row := range started.search("", nil) {
		found = append(found, row.TraceID)
	}
	require.ElementsMatch(t, want, found)
}

func identityCases() map[string]hostileCase {
	return map[string]hostileCase{
		"nothing":            {fill: func(*request) {}, counts: map[string]int64{}},
		"resource, no scope": {fill: func(r *request) { r.td.ResourceSpans().AppendEmpty() }, counts: map[string]int64{}},
		"scope, no span":     {fill: func(r *request) { r.service("shop") }, counts: map[string]int64{}},
		"an empty span": {
			fill:   func(r *request) { r.service("shop").AppendEmpty() },
			counts: map[string]int64{"spans_rejected/zero_trace_id": 1},
		},
		"zero trace id": {
			fill:   func(r *request) { _, child := r.pair(); child.SetTraceID([16]byte{}) },
			counts: with(complete(1), "spans_rejected/zero_trace_id", 1),
			check:  violate(),
		},
		"zero span id": {
			fill:   func(r *request) { _, child := r.pair(); child.SetSpanID([8]byte{}) },
			counts: with(complete(1), "spans_rejected/zero_span_id", 1),
			check:  violate(),
		},
		// Ids of no length are zero ids.
		"empty ids": {
			raw: func(r *request) []byte {
				return message(resourceSpans, message(scopeSpans, rawSpan(nil, spanBytes(1), nil), rawSpan(r.trace[:], nil, nil)))
			},
			counts: map[string]int64{"spans_rejected/zero_trace_id": 1, "spans_rejected/zero_span_id": 1},
		},
		"its own parent": {
			fill: func(r *request) { root, _ := r.pair(); root.SetParentSpanID(spanID(1)) },
			// It has no root, so that it is not complete.
			counts: quiet(2),
			check: all(violate("parent_cycle"), func(t *testing.T, a *trace) {
				require.Equal(t, []string{id1}, a.Roots)
				require.Equal(t, 100*ms, a.RootDurationNS)
				require.Zero(t, a.MissingParents)
			}),
		},
		"a cycle of three": {
			fill: func(r *request) {
				spans := r.service("shop")
				r.span(spans, 1, 3, internal, 0, 100)
				r.span(spans, 2, 1, internal, 10, 90)
				r.span(spans, 3, 2, internal, 20, 80)
			},
			counts: quiet(3),
			// Cut at the earliest: 1 holds 0–10 and 90–100, 2 holds 10–20 and 80–90, 3 the rest.
			check: all(violate("parent_cycle"), func(t *testing.T, a *trace) {
				require.Equal(t, []string{id1}, a.Roots)
				require.Equal(t, 20*ms, a.span(t, id1).CriticalPathNS)
				require.Equal(t, 20*ms, a.span(t, id2).CriticalPathNS)
				require.Equal(t, 60*ms, a.span(t, id3).CriticalPathNS)
			}),
		},
		"a cycle beside a root": {
			fill: func(r *request) {
				spans := r.service("shop")
				r.span(spans, 9, 0, server, 50, 60)
				r.span(spans, 1, 2, internal, 0, 100)
				r.span(spans, 2, 1, internal, 10, 90)
			},
			counts: complete(3),
			check: all(violate("parent_cycle"), func(t *testing.T, a *trace) {
				require.Equal(t, []string{id1, "0000000000000009"}, a.Roots, "in start order")
				require.Equal(t, 10*ms, a.RootDurationNS, "the true root is the entry")
				require.Equal(t, 100*ms, a.DurationNS)
			}),
		},
		"missing parent": {
			fill:   func(r *request) { r.span(r.service("shop"), 1, 99, server, 0, 100) },
			counts: quiet(1),
			check: all(violate(), func(t *testing.T, a *trace) {
				require.Equal(t, 1, a.MissingParents)
				require.Equal(t, "quiet", a.Outcome)
			}),
		},
		"two roots": {
			fill: func(r *request) {
				spans := r.service("shop")
				r.span(spans, 1, 0, server, 10, 30)
				r.span(spans, 2, 0, server, 0, 20)
			},
			counts: complete(2),
			check: all(violate(), func(t *testing.T, a *trace) {
				require.Equal(t, []string{id2, id1}, a.Roots)
				require.Equal(t, 20*ms, a.RootDurationNS)
				require.Equal(t, 30*ms, a.DurationNS)
			}),
		},
		"exact duplicates": {
			fill: func(r *request) {
				_, child := r.pair()
				spans := r.td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
				child.CopyTo(spans.AppendEmpty())
				child.CopyTo(spans.AppendEmpty())
				// Other content is a duplicate too, where identity and times are the same.
				other := r.span(r.service("elsewhere"), 2, 1, internal, 10, 50)
				other.SetName("other")
			},
			counts: with(complete(2), "spans_duplicate", 3),
			check: all(violate(), func(t *testing.T, a *trace) {
				require.Equal(t, 2, a.SpanCount)
				require.Equal(t, []string{"shop"}, a.Services)
				require.Equal(t, "work", a.span(t, id2).Operation)
			}),
		},
		"one id, other times": {
			fill: func(r *request) {
				r.pair()
				r.span(r.td.ResourceSpans().At(0).ScopeSpans().At(0).Spans(), 2, 1, internal, 10, 60).SetName("conflicting")
			},
			counts: with(complete(3), "spans_conflicting", 1),
			check: func(t *testing.T, a *trace) {
				require.Equal(t, 3, a.SpanCount, "it is stored too")
				require.Len(t, a.Spans, 3)
				for _, s := range a.Spans {
					if s.Operation == "conflicting" {
						require.Equal(t, []string{"conflicting_span_id"}, s.Violations)
						require.Zero(t, s.CriticalPathNS)
						continue
					}
					require.Empty(t, s.Violations)
				}
				// Root 0–10 and 50–100, child 10–50; the conflicting one covers nothing.
				require.Equal(t, 60*ms, a.span(t, id1).SelfTimeNS)
			},
		},
		"one id, before the trace": {
			fill: func(r *request) {
				r.pair()
				r.span(r.td.ResourceSpans().At(0).ScopeSpans().At(0).Spans(), 2, 1, internal, -1000, 60).SetName("conflicting")
			},
			counts: with(complete(3), "spans_conflicting", 1),
			check: func(t *testing.T, a *trace) {
				// Of two that conflict the tree keeps the one that assembly did not mark.
				require.Equal(t, 100*ms, a.DurationNS)
				for _, s := range a.Spans {
					if s.Operation == "conflicting" {
						require.Equal(t, -1000*ms, s.StartNS)
					}
				}
			},
		},
		"one id for a thousand spans": {
			fill: func(r *request) {
				spans := r.service("shop")
				for i := range 1000 {
					r.span(spans, 1, 0, server, 0, 1+i)
				}
			},
			counts: with(complete(1000), "spans_conflicting", 999),
			check: func(t *testing.T, a *trace) {
				conflicting := 0
				for _, s := range a.Spans {
					conflicting += len(s.Violations)
				}
				require.Equal(t, 999, conflicting)
				require.Equal(t, 1*ms, a.RootDurationNS, "the first one stays")
				require.Equal(t, 1*ms, a.DurationNS)
			},
		},
		"Zipkin's shared id": {
			fill: func(r *request) {
				callers := r.service("caller")
				r.span(callers, 1, 0, server, 0, 100)
				r.span(callers, 2, 1, clientKind, 10, 90)
				r.span(r.service("callee"), 2, 1, server, 20, 80)
			},
			counts: complete(3),
			check: func(t *testing.T, a *trace) {
				require.Empty(t, a.violations())
				require.Equal(t, []string{id1}, a.Roots)
				for _, s := range a.Spans {
					switch {
					case s.SpanID == id1, s.Kind == "client":
						require.Equal(t, 20*ms, s.CriticalPathNS)
					default:
						require.Equal(t, "server", s.Kind)
						require.Equal(t, 60*ms, s.CriticalPathNS, "the server half is the client half's child")
					}
				}
			},
		},
		"unknown kind and status": {
			fill: func(r *request) {
				root, _ := r.pair()
				root.SetKind(99)
				root.Status().SetCode(99)
			},
			counts: complete(2),
			check: all(violate("unknown_span_kind", "unknown_status_code"), func(t *testing.T, a *trace) {
				require.Equal(t, "unspecified", a.span(t, id1).Kind)
				require.Equal(t, "unset", a.span(t, id1).Status.Code)
				require.Zero(t, a.ErrorCount)
			}),
		},
		"negative kind and status": {
			fill: func(r *request) {
				root, _ := r.pair()
				root.SetKind(math.MinInt32)
				root.Status().SetCode(-1)
			},
			counts: complete(2),
			check:  violate("unknown_span_kind", "unknown_status_code"),
		},
		"a root with a remote parent": {
			fill:   func(r *request) { root, _ := r.pair(); root.SetFlags(0x301) },
			counts: complete(2),
			check: all(violate("remote_without_parent"), func(t *testing.T, a *trace) {
				require.Equal(t, []string{id1}, a.Roots)
				require.Equal(t, uint32(0x301), a.span(t, id1).Flags)
			}),
		},
		"flags that nobody knows": {
			fill: func(r *request) {
				root, _ := r.pair()
				root.SetFlags(math.MaxUint32 &^ 0x200)
				addLinks(root, 1)
				root.Links().At(0).SetFlags(math.MaxUint32)
			},
			counts: complete(2),
			check: all(violate("unknown_flags"), func(t *testing.T, a *trace) {
				require.Equal(t, uint32(math.MaxUint32&^0x200), a.span(t, id1).Flags)
			}),
		},
		"links to nowhere": {
			fill: func(r *request) {
				root, _ := r.pair()
				root.Links().AppendEmpty()
				root.Links().AppendEmpty().SetTraceID(r.trace)
			},
			counts: complete(2),
			check: all(violate("zero_link_id"), func(t *testing.T, a *trace) {
				require.Len(t, a.span(t, id1).Links, 2)
				require.Empty(t, a.span(t, id1).Links[0].TraceID)
			}),
		},
	}
}

func spanBytes(n uint64) []byte {
	id := spanID(n)
	return id[:]
}

func timeCases() map[string]hostileCase {
	set := func(start, end uint64) func(r *request) {
		return func(r *request) {
			span := r.span(r.service("shop"), 1, 0, server, 0, 100)
			span.SetStartTimestamp(pcommon.Timestamp(start))
			span.SetEndTimestamp(pcommon.Timestamp(end))
			event(span).SetTimestamp(math.MaxUint64) // missing_event_time
			event(span).SetTimestamp(math.MaxInt64)
		}
	}
	lasts := func(start string, duration int64) func(t *testing.T, a *trace) {
		return func(t *testing.T, a *trace) {
			require.Equal(t, start, a.Start)
			require.Equal(t, duration, a.DurationNS)
			require.Equal(t, duration, a.RootDurationNS)
			require.Equal(t, duration, a.span(t, id1).DurationNS)
		}
	}
	const (
		epoch   = "1970-01-01T00:00:00.000000000Z"
		largest = "2262-04-11T23:47:16.854775807Z"
	)
	return map[string]hostileCase{
		"end before start": {
			fill:   func(r *request) { root, _ := r.pair(); root.SetEndTimestamp(at(-5)) },
			counts: complete(2),
			check: all(violate("negative_duration"), func(t *testing.T, a *trace) {
				require.Zero(t, a.RootDurationNS)
				require.Empty(t, a.CriticalPath)
				require.Equal(t, 50*ms, a.DurationNS)
			}),
		},
		"times of 0":       {fill: set(0, 0), counts: complete(1), check: all(violate("missing_event_time", "missing_time"), lasts(epoch, 0))},
		"times of 2^64-1":  {fill: set(math.MaxUint64, math.MaxUint64), counts: complete(1), check: all(violate("missing_event_time", "time_out_of_range"), lasts(epoch, 0))},
		"times of 2^63":    {fill: set(1<<63, 1<<63), counts: complete(1), check: all(violate("missing_event_time", "time_out_of_range"), lasts(epoch, 0))},
		"times of 2^63-1":  {fill: set(math.MaxInt64, math.MaxInt64), counts: complete(1), check: all(violate("future_start", "missing_event_time"), lasts(largest, 0))},
		"from 0 to 2^63-1": {fill: set(0, math.MaxInt64), counts: complete(1), check: all(violate("future_start", "missing_event_time", "missing_time"), lasts(largest, 0))},
		"from 2^64-1 to 0": {fill: set(math.MaxUint64, 0), counts: complete(1), check: all(violate("missing_event_time", "missing_time", "negative_duration", "time_out_of_range"), lasts(epoch, 0))},
		// It stands at its parent's start, so that the trace keeps its own.
		"a child without times": {
			fill: func(r *request) {
				_, child := r.pair()
				child.SetStartTimestamp(0)
				child.SetEndTimestamp(0)
			},
			counts: complete(2),
			check: func(t *testing.T, a *trace) {
				require.Equal(t, []string{"missing_time"}, a.span(t, id2).Violations)
				require.Equal(t, base.UTC().Format("2006-01-02T15:04:05.000000000Z"), a.Start)
				require.Equal(t, 100*ms, a.DurationNS)
				require.Zero(t, a.span(t, id2).StartNS)
			},
		},
		"one nanosecond, 1970": {fill: set(1, 2), counts: complete(1), check: all(violate("missing_event_time"), lasts("1970-01-01T00:00:00.000000001Z", 1))},
		// The clock of the second service is 292 years ahead, so that its span is shifted back into its client's, the events with it.
		"skew of 292 years": {
			fill: func(r *request) {
				r.span(r.service("a"), 1, 0, clientKind, 0, 100)
				callee := r.span(r.service("b"), 2, 1, server, 0, 0)
				callee.SetStartTimestamp(math.MaxInt64 - 10)
				callee.SetEndTimestamp(math.MaxInt64)
				event(callee).SetTimestamp(math.MaxInt64)
				event(callee).SetTimestamp(0)
			},
			counts: complete(2),
			check: func(t *testing.T, a *trace) {
				require.Equal(t, []string{"missing_event_time"}, a.violations())
				require.Equal(t, 100*ms, a.DurationNS)
				callee := a.span(t, id2)
				require.Equal(t, 50*ms-5, callee.StartNS, "centred")
				require.Equal(t, 50*ms+5, callee.Events[0].TimeNS)
				require.Negative(t, callee.Events[1].TimeNS)
			},
		},
		"skew of 1970": {
			fill: func(r *request) {
				r.span(r.service("a"), 1, 0, clientKind, 0, 100)
				callee := r.span(r.service("b"), 2, 1, server, 0, 0)
				callee.SetStartTimestamp(1)
				callee.SetEndTimestamp(11)
				event(callee).SetTimestamp(math.MaxInt64)
			},
			counts: complete(2),
			check: all(violate(), func(t *testing.T, a *trace) {
				require.Equal(t, 100*ms, a.DurationNS)
				require.Positive(t, a.span(t, id2).Events[0].TimeNS, "as far as int64 goes")
			}),
		},
	}
}

func nameCases() map[string]hostileCase {
	long := strings.Repeat("n", 1<<20)
	return map[string]hostileCase{
		"empty service name": {
			fill:   func(r *request) { r.span(r.service(""), 1, 0, server, 0, 100) },
			counts: complete(1),
			check: all(violate("missing_service_name"), func(t *testing.T, a *trace) {
				require.Equal(t, []string{"unknown_service"}, a.Services)
				require.Equal(t, map[string]any{"service.name": ""}, a.Resources[0].Attributes)
			}),
		},
		"missing resource": {
			raw: func(r *request) []byte {
				return message(resourceSpans, message(scopeSpans, rawSpan(r.trace[:], spanBytes(1), nil)))
			},
			counts: complete(1),
			check: all(violate("missing_service_name"), func(t *testing.T, a *trace) {
				require.Equal(t, []string{"unknown_service"}, a.Services)
				require.Equal(t, operation{"unknown_service", "work"}, a.Entry)
			}),
		},
		"service name is a map": {
			fill: func(r *request) {
				r.span(r.service("shop"), 1, 0, server, 0, 100)
				nest(r.td.ResourceSpans().At(0).Resource().Attributes().PutEmpty("service.name"), 1000)
			},
			counts: complete(1),
			check:  violate("deep_nesting", "missing_service_name", "wrong_attribute_type"),
		},
		"empty span name": {
			fill:   func(r *request) { root, _ := r.pair(); root.SetName("") },
			counts: complete(2),
			check: all(violate("missing_span_name"), func(t *testing.T, a *trace) {
				require.Equal(t, operation{"shop", ""}, a.Entry)
			}),
		},
		"invalid UTF-8": {
			fill: func(r *request) {
				root := r.span(r.service("caf\xe9"), 1, 0, server, 0, 100)
				root.SetName("\xff\xfename")
				root.Attributes().PutStr("key\xff", "value\xff")
				root.Attributes().PutEmptyMap("map").PutStr("\xc3(", "\xa0\xa1")
				root.Status().SetMessage("\xf0\x28\x8c\x28")
				root.Status().SetCode(ptrace.StatusCodeError)
				root.TraceState().FromRaw("\xff")
				root.Events().AppendEmpty().SetName("\xff")
				root.Events().At(0).Attributes().PutStr("exception.message", "\xff")
				root.Links().AppendEmpty().TraceState().FromRaw("\xff")
				scope := r.td.ResourceSpans().At(0).ScopeSpans().At(0)
				scope.Scope().SetName("\xff")
				scope.SetSchemaUrl("\xff")
			},
			counts: complete(1),
			check: all(violate("invalid_tracestate", "missing_event_time", "zero_link_id"), func(t *testing.T, a *trace) {
				require.Equal(t, []string{"caf\uFFFD"}, a.Services)
				require.Equal(t, operation{"caf\uFFFD", "\uFFFDname"}, a.Entry)
				s := a.span(t, id1)
				require.Equal(t, "value\uFFFD", s.Attributes["key\uFFFD"])
				require.Equal(t, map[string]any{"\uFFFD(": "\uFFFD"}, s.Attributes["map"])
				require.Equal(t, "\uFFFD(\uFFFD(", s.Status.Message)
				require.Equal(t, "\uFFFD", s.Tracestate)
				require.Equal(t, "\uFFFD", s.Events[0].Name)
			}),
		},
		"control characters": {
			fill: func(r *request) {
				root := r.span(r.service("a\x00b"), 1, 0, server, 0, 100)
				root.SetName("\x00\x1f\x7f\u2028</script>")
			},
			counts: complete(1),
			check: all(violate(), func(t *testing.T, a *trace) {
				require.Equal(t, operation{"a\x00b", "\x00\x1f\x7f\u2028</script>"}, a.Entry)
			}),
		},
		"garbage in tracestate": {
			fill: func(r *request) {
				root, child := r.pair()
				root.TraceState().FromRaw("ot=th:zzzz;rv:;;=,,=\"\n")
				child.TraceState().FromRaw(strings.Repeat("k=v,", 10_000))
			},
			counts: complete(2),
			check: func(t *testing.T, a *trace) {
				require.Equal(t, []string{"invalid_tracestate"}, a.span(t, id1).Violations)
				require.Equal(t, []string{"duplicate_tracestate_key", "too_many_tracestate_members"}, a.span(t, id2).Violations)
				require.Equal(t, "ot=th:zzzz;rv:;;=,,=\"\n", a.span(t, id1).Tracestate)
				require.Len(t, a.span(t, id2).Tracestate, 40_000)
			},
		},
		// A name of a megabyte must not stand on each of a thousand spans.
		"names of a megabyte": {
			fill: func(r *request) {
				r.span(r.service(long), 1, 0, server, 0, 100).SetName(long)
				spans := r.service("shop")
				for i := range 1000 {
					r.span(spans, uint64(2+i), 1, server, 10, 50)
				}
			},
			counts: complete(1001),
			check: all(violate("long_name", "oversize_attribute"), func(t *testing.T, a *trace) {
				require.Equal(t, operation{long[:256], long[:256]}, a.Entry)
				require.Equal(t, []string{long[:256], "shop"}, a.Services)
				require.Equal(t, long, a.span(t, id1).Name, "the sender's own")
			}),
		},
	}
}

func attributeCases() map[string]hostileCase {
	on := func(fill func(root ptrace.Span)) func(r *request) {
		return func(r *request) { root, _ := r.pair(); fill(root) }
	}
	return map[string]hostileCase{
		"annotations of our own": {
			fill: func(r *request) {
				root, _ := r.pair()
				rs := r.td.ResourceSpans().At(0)
				places := []pcommon.Map{
					rs.Resource().Attributes(), rs.ScopeSpans().At(0).Scope().Attributes(), root.Attributes(),
					event(root).Attributes(), root.Links().AppendEmpty().Attributes(),
				}
				for _, attrs := range places {
					attrs.PutStr("kept", "yes")
					attrs.PutStr("tracewright.tenant", "victim")
					attrs.PutInt("tracewright.released_at", 1)
					attrs.PutInt("tracewright.assembly.version", 77)
					attrs.PutInt("tracewright.span_count", 2)
					attrs.PutInt("tracewright.duration", -1)
					attrs.PutStr("tracewright.entry.service", "forged")
					attrs.PutStr("tracewright.whatever", "forged")
					attrs.PutEmptySlice("tracewright.violations").AppendEmpty().SetStr("conflicting_span_id")
				}
			},
			counts: complete(2),
			check: all(violate("missing_event_time", "zero_link_id"), func(t *testing.T, a *trace) {
				require.Equal(t, operation{"shop", "work"}, a.Entry)
				require.Equal(t, 1, a.Version)
				require.Equal(t, 100*ms, a.DurationNS)
				require.Equal(t, map[string]any{"service.name": "shop", "kept": "yes"}, a.Resources[0].Attributes)
				root := a.span(t, id1)
				require.Equal(t, map[string]any{"kept": "yes"}, root.Attributes)
				require.Equal(t, map[string]any{"kept": "yes"}, root.Events[0].Attributes)
				require.Equal(t, map[string]any{"kept": "yes"}, root.Links[0].Attributes)
			}),
		},
		"NaN and infinities": {
			fill: on(func(root ptrace.Span) {
				root.Attributes().PutDouble("nan", math.NaN())
				root.Attributes().PutDouble("inf", math.Inf(1))
				root.Attributes().PutEmptyMap("map").PutDouble("-inf", math.Inf(-1))
				root.Attributes().PutDouble("tiny", math.SmallestNonzeroFloat64)
				root.Attributes().PutDouble("huge", math.MaxFloat64)
			}),
			counts: complete(2),
			check: all(violate(), func(t *testing.T, a *trace) {
				require.Equal(t, map[string]any{
					"nan": "NaN", "inf": "Infinity", "map": map[string]any{"-inf": "-Infinity"},
					"tiny": math.SmallestNonzeroFloat64, "huge": math.MaxFloat64,
				}, a.span(t, id1).Attributes)
			}),
		},
		"one key twice": {
			raw: func(r *request) []byte {
				return message(resourceSpans, message(scopeSpans,
					rawSpan(r.trace[:], spanBytes(1), nil, rawAttribute("k", "first"), rawAttribute("k", "second"))))
			},
			counts: complete(1),
			check: all(violate("duplicate_attribute_key", "missing_service_name"), func(t *testing.T, a *trace) {
				require.Equal(t, map[string]any{"k": "first"}, a.span(t, id1).Attributes)
			}),
		},
		"service.name twice": {
			raw: func(r *request) []byte {
				name := func(value string) []byte {
					return message(resourceAttributes, message(pairKey, []byte("service.name")), message(pairValue, message(valueString, []byte(value))))
				}
				return message(resourceSpans, message(resourceField, name("first"), name("second")),
					message(scopeSpans, rawSpan(r.trace[:], spanBytes(1), nil)))
			},
			counts: complete(1),
			check: all(violate("duplicate_attribute_key"), func(t *testing.T, a *trace) {
				require.Equal(t, []string{"first"}, a.Services)
				require.Equal(t, map[string]any{"service.name": "first"}, a.Resources[0].Attributes)
			}),
		},
		"values of the wrong type": {
			fill: on(func(root ptrace.Span) {
				root.Attributes().PutStr("http.response.status_code", "200")
				root.Attributes().PutDouble("server.port", math.NaN())
				root.Attributes().PutEmptyMap("db.query.text")
			}),
			counts: complete(2),
			check: all(violate("wrong_attribute_type"), func(t *testing.T, a *trace) {
				require.Equal(t, map[string]any{
					"http.response.status_code": "200", "server.port": "NaN", "db.query.text": map[string]any{},
				}, a.span(t, id1).Attributes)
			}),
		},
		"an empty key": {
			fill:   on(func(root ptrace.Span) { root.Attributes().PutStr("", "nameless") }),
			counts: complete(2),
			check: all(violate("empty_attribute_key"), func(t *testing.T, a *trace) {
				require.Equal(t, map[string]any{"": "nameless"}, a.span(t, id1).Attributes)
			}),
		},
		"nested 64 deep": {
			fill:   on(func(root ptrace.Span) { nest(root.Attributes().PutEmpty("k"), 64) }),
			counts: complete(2),
			check: all(violate(), func(t *testing.T, a *trace) {
				levels, inner := unwrap(a.span(t, id1).Attributes["k"])
				require.Equal(t, 64, levels)
				require.Equal(t, "deep", inner)
			}),
		},
		"nested 10,000 deep": {
			fill:   on(func(root ptrace.Span) { nest(root.Attributes().PutEmpty("k"), 10_000) }),
			counts: complete(2),
			check: all(violate("deep_nesting"), func(t *testing.T, a *trace) {
				levels, inner := unwrap(a.span(t, id1).Attributes["k"])
				require.Equal(t, 64, levels)
				require.Equal(t, strings.Repeat("[", 10_000-64)+`"deep"`+strings.Repeat("]", 10_000-64), inner)
			}),
		},
		"nested deeper": {
			fill:   on(func(root ptrace.Span) { nest(root.Attributes().PutEmpty("k"), 10_001) }),
			counts: with(quiet(1), "spans_rejected/too_deep", 1), // of a child without its root
			check: func(t *testing.T, a *trace) {
				require.Equal(t, 1, a.MissingParents)
				require.Len(t, a.Spans, 1)
			},
		},
		"nested 200,000 deep": {
			raw: func(r *request) []byte {
				return message(resourceSpans, message(scopeSpans, rawSpan(r.trace[:], spanBytes(1), nil, rawNested(200_000))))
			},
			counts: map[string]int64{"spans_rejected/too_deep": 1},
		},
		"10,000 values in a list": {
			fill: on(func(root ptrace.Span) {
				list := root.Attributes().PutEmptySlice("k")
				for range 10_000 {
					list.AppendEmpty().SetEmptyMap().PutInt("n", 1)
				}
			}),
			counts: complete(2),
			check: all(violate(), func(t *testing.T, a *trace) {
				require.Len(t, a.span(t, id1).Attributes["k"], 10_000)
			}),
		},
		"1,000 links": {
			fill:   on(func(root ptrace.Span) { addLinks(root, 1000) }),
			counts: complete(2),
			check:  all(violate(), func(t *testing.T, a *trace) { require.Len(t, a.span(t, id1).Links, 1000) }),
		},
		"1,001 links": {
			fill:   on(func(root ptrace.Span) { addLinks(root, 1001) }),
			counts: complete(2),
			check:  all(violate("too_many_links"), func(t *testing.T, a *trace) { require.Len(t, a.span(t, id1).Links, 1001) }),
		},
	}
}

func addLinks(span ptrace.Span, n int) {
	for i := range n {
		link := span.Links().AppendEmpty()
		link.SetTraceID(traceID(uint64(i)))
		link.SetSpanID(spanID(1))
	}
}

// unwrap counts the arrays of one element around a value.
func unwrap(value any) (levels int, inner any) {
	for {
		list, ok := value.([]any)
		if !ok {
			return levels, value
		}
		levels++
		value = list[0]
	}
}

func sizeCases() map[string]hostileCase {
	text := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	return map[string]hostileCase{
		"attribute of 64 KiB": {
			fill:   func(r *request) { root, _ := r.pair(); root.Attributes().PutStr("k", text[:64<<10]) },
			counts: complete(2),
			check:  violate(),
		},
		"attribute of 1 MB": {
			fill:   func(r *request) { root, _ := r.pair(); root.Attributes().PutStr("k", text) },
			counts: complete(2),
			check: all(violate("oversize_attribute"), func(t *testing.T, a *trace) {
				kept := text == a.span(t, id1).Attributes["k"]
				require.True(t, kept, "a failure must not print a megabyte")
			}),
		},
		"attribute of 1 MB on the resource": {
			fill: func(r *request) {
				r.span(r.service("shop"), 1, 0, server, 0, 100)
				r.td.ResourceSpans().At(0).Resource().Attributes().PutStr("k", text)
			},
			counts: complete(1),
			check:  violate("oversize_attribute"),
		},
		"attribute of 1 MB in an event": {
			fill:   func(r *request) { root, _ := r.pair(); event(root).Attributes().PutStr("k", text) },
			counts: complete(2),
			check:  violate("missing_event_time", "oversize_attribute"),
		},
		"span of 5 MiB": {
			fill: func(r *request) {
				_, child := r.pair()
				child.Attributes().PutStr("k", strings.Repeat(text, 5))
			},
			counts: with(complete(1), "spans_rejected/too_large", 1),
			check:  violate(),
		},
		"resource of 5 MiB": {
			fill: func(r *request) {
				r.pair()
				r.td.ResourceSpans().At(0).Resource().Attributes().PutStr("k", strings.Repeat(text, 5))
			},
			counts: map[string]int64{"spans_rejected/too_large": 2},
		},
		"resource of 100,000 keys": {
			fill: func(r *request) {
				r.span(r.service("shop"), 1, 0, server, 0, 100)
				keys := make(map[string]any, 100_000)
				for i := range 100_000 {
					keys[string([]byte{'k', byte('a' + i&15), byte('a' + i>>4&15), byte('a' + i>>8&15), byte('a' + i>>12&15), byte('a' + i>>16&15)})] = true
				}
				keys["service.name"] = "shop"
				_ = r.td.ResourceSpans().At(0).Resource().Attributes().FromRaw(keys) // plain values only
			},
			counts: complete(1),
			check: all(violate(), func(t *testing.T, a *trace) {
				require.Len(t, a.Resources[0].Attributes, 100_001)
			}),
		},
		"10,000 attributes": {
			fill: func(r *request) {
				root, _ := r.pair()
				for i := range 10_000 {
					root.Attributes().PutInt(strings.Repeat("k", 1+i%100)+string(rune('a'+i/100)), int64(i))
				}
			},
			counts: complete(2),
			check:  all(violate(), func(t *testing.T, a *trace) { require.Len(t, a.span(t, id1).Attributes, 10_000) }),
		},
	}
}
