package propagation

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/test/playtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	seed   = 7
	rate   = 15.0 // visits a second
	visits = 1200
	// within is how far an answer may be from the truth.
	within = 0.01
	// fewCalls are those of an edge of which nothing is asked.
	fewCalls = 60
)

// scenario is traffic with something wrong.
type scenario struct {
	fault string // as tracegen takes it
	// missing is a service of which every eighth trace has no span.
	missing string
	late    schedule.Late
	// service is where the loss shows, reason what is said of it.
	service, reason string
}

func (s *scenario) drops(service string, id pcommon.TraceID) bool {
	return service == s.missing && id[15]%8 == 0
}

func TestContextAccuracy(t *testing.T) {
	late := schedule.Late{Share: 0.02, Min: 5 * time.Second, Max: 20 * time.Second}
	for name, s := range map[string]*scenario{
		"nothing is wrong":                                {},
		"spans are late":                                  {late: late},
		"inventory loses the context":                     {fault: "inventory:context=12%", service: "inventory", reason: "context_lost"},
		"inventory loses the context, and spans are late": {fault: "inventory:context=12%", late: late, service: "inventory", reason: "context_lost"},
		"nobody's context reaches catalog":                {fault: "catalog:context=100%", service: "catalog", reason: "context_lost"},
		"inventory samples":                               {missing: "inventory", service: "inventory", reason: "spans_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			want := truth(t, s)
			got := played(t, s)
			judged, reasons := 0, 0
			for pair, calls := range want {
				if calls.made < fewCalls {
					continue
				}
				judged++
				edge := got[pair]
				require.NotNil(t, edge, pair)
				exact := 1 - float64(calls.lost)/float64(calls.made)
				require.NotNil(t, edge.ContextAccuracy, pair)
				require.InDelta(t, exact, *edge.ContextAccuracy, within, pair)
				if pair.child != s.service {
					require.GreaterOrEqual(t, *edge.ContextAccuracy, 0.995, pair)
					require.Empty(t, edge.UnansweredReason, pair)
					continue
				}
				t.Logf("%s → %s: %.4f of %d calls, %.4f in truth", pair.parent, pair.child, *edge.ContextAccuracy, calls.made, exact)
				if calls.lost >= 15 {
					reasons++
					require.Equal(t, s.reason, edge.UnansweredReason, pair)
				}
			}
			require.Greater(t, judged, 20, "edges with enough calls")
			require.Equal(t, s.service != "", reasons > 0)
		})
	}
}

type pair struct{ parent, child string }

type calls struct{ made, lost int }

// edge is what the API says of one.
type edge struct {
	Parent, Child    string
	ContextAccuracy  *float64 `json:"context_accuracy"`
	UnansweredReason string   `json:"unanswered_reason"`
}

// played are the edges between services that the API tells of when the traffic has come.
func played(t *testing.T, s *scenario) map[pair]*edge {
	store := playtest.Stored(t, playtest.Play(t, 0, playtest.Traffic{Shop: s.options(t), Rate: rate, Visits: visits, Late: s.late, Change: s.filter}))
	query := url.Values{"start": {playtest.Midnight.Format(time.RFC3339)}, "end": {playtest.Midnight.Add(time.Hour).Format(time.RFC3339)}}
	var answer struct{ Edges []*edge }
	playtest.Ask(t, store, nil, "/traces/services", query, &answer)
	edges := make(map[pair]*edge)
	for _, e := range answer.Edges {
		if e.ContextAccuracy != nil {
			edges[pair{e.Parent, e.Child}] = e
		}
	}
	return edges
}

// filter takes the missing spans out.
func (s *scenario) filter(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		service := conventions.ServiceName(rs.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			ss.Spans().RemoveIf(func(span ptrace.Span) bool { return s.drops(service, span.TraceID()) })
		}
	}
}

// truth counts the calls of each edge, and those that no span of the callee answers.
func truth(t *testing.T, s *scenario) map[pair]*calls {
	model := shop.New(s.options(t))
	edges := make(map[pair]*calls)
	for i := range visits {
		v := model.Visit(i)
		answered := make([]bool, len(v.Spans))
		name := func(i int) string { return shop.Services()[v.Spans[i].Service].Name }
		dropped := func(i int) bool { return s.drops(name(i), v.Traces[v.Spans[i].Trace].ID) }
		for k := range v.Spans {
			if parent := v.Spans[k].Parent; parent >= 0 && !dropped(k) {
				answered[parent] = true
			}
		}
		for k := range v.Spans {
			target, kind := v.Spans[k].Target()
			if kind != shop.NodeService || v.Spans[k].Kind != shop.Client || dropped(k) {
				continue
			}
			at := pair{name(k), target}
			if edges[at] == nil {
				edges[at] = new(calls)
			}
			edges[at].made++
			if !answered[k] {
				edges[at].lost++
			}
		}
	}
	return edges
}

func (s *scenario) options(t *testing.T) shop.Options {
	var faults []shop.Fault
	if s.fault != "" {
		fault, err := shop.ParseFault(s.fault)
		require.NoError(t, err)
		faults = append(faults, fault)
	}
	return shop.Options{Seed: seed, Faults: faults}
}
