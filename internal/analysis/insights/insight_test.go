package insights

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/capacity"
	"github.com/tracewright/tracewright/internal/analysis/rootcause"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

const ms = int64(time.Millisecond)

func of(service, operation string) Operation { return Operation{service, operation} }

// sampled repeats a trace of web, which calls shop, which may call pay.
func sampled(n int, change func(i int, s *Sample)) (samples []Sample) {
	for i := range n {
		s := Sample{TraceID: fmt.Sprintf("%032d", i), Trace: rootcause.Trace{
			Entry: rootcause.Operation{Service: "web", Operation: "buy"}, Duration: 100 * ms,
			Calls: []rootcause.Call{
				{Caller: -1, Callee: rootcause.Operation{Service: "web", Operation: "buy"}, Own: 40 * ms, OwnPath: 40 * ms},
				{Caller: 0, Callee: rootcause.Operation{Service: "shop", Operation: "order"}, Own: 40 * ms, Wait: 2 * ms, OwnPath: 40 * ms, WaitPath: 2 * ms},
				{Caller: 1, Callee: rootcause.Operation{Service: "pay", Operation: "charge"}, Own: 16 * ms, Wait: 2 * ms, OwnPath: 16 * ms, WaitPath: 2 * ms},
			},
		}}
		s.Visit = Visit{TraceID: s.TraceID, Service: "web", Operation: "buy", Duration: s.Trace.Duration}
		if change != nil {
			change(i, &s)
		}
		samples = append(samples, s)
	}
	return samples
}

func window(samples []Sample) *Window {
	return &Window{
		Traces: int64(10 * len(samples)), MeanTime: float64(100 * ms), Samples: samples,
		Parts:       []Part{{of("web", "buy"), of("shop", "order"), int64(9 * len(samples))}, {of("web", "look"), of("shop", "list"), 5}},
		EntryTraces: map[Operation]int64{of("web", "buy"): int64(10 * len(samples)), of("web", "look"): 5},
	}
}

// kinds are those of insights, in their order.
func kinds(all []Insight) (list []Kind) {
	for i := range all {
		list = append(list, all[i].Kind)
	}
	return list
}

// sound holds for whatever is told.
func sound(t *testing.T, all []Insight) {
	t.Helper()
	for _, i := range all {
		require.NotEmpty(t, i.Title)
		require.NotEmpty(t, i.Advice)
		require.NotEmpty(t, i.Evidence, i.Title)
		require.True(t, i.Confidence > 0 && i.Confidence <= 1, "%s: %v", i.Title, i.Confidence)
		require.GreaterOrEqual(t, i.Requests, int64(0), i.Title)
		require.GreaterOrEqual(t, i.SavedTime, int64(0), i.Title)
		require.GreaterOrEqual(t, i.SavedFailures, int64(0), i.Title)
		require.LessOrEqual(t, len(i.TraceIDs), maxTraceIDs)
		require.LessOrEqual(t, len(i.Entries), maxEntries)
		for _, f := range i.Evidence {
			require.NotEmpty(t, f.Name)
			for _, number := range []*float64{&f.Now, f.Before} {
				require.False(t, number != nil && (math.IsNaN(*number) || math.IsInf(*number, 0)), "%s: %s", i.Title, f.Name)
			}
		}
	}
}

func TestFindNothing(t *testing.T) {
	require.Empty(t, Find(&Window{}, &Window{}))
	require.Empty(t, Find(window(sampled(100, nil)), window(sampled(100, nil))))
	require.Empty(t, Find(window(sampled(100, nil)), &Window{}), "nothing to compare with")
	require.Empty(t, Find(&Window{}, window(sampled(100, nil))))
}

// What became worse comes first, then what costs, then what hides; a suspect's special insight before the suspect. Neither the order of the samples nor
// that of maps matters.
func TestFindRanks(t *testing.T) {
	bad := sampled(100, func(i int, s *Sample) {
		switch {
		case i%2 == 0: // pay refuses, and shop tries again
			s.Trace.Calls[2].Wait, s.Trace.Calls[2].WaitPath, s.Trace.Calls[2].Origin = 30*ms, 30*ms, true
			s.Patterns = append(s.Patterns, Pattern{
				Kind: analysis.FindingRetries, At: of("shop", "order"), Callee: of("pay", "charge"), Spans: 3, Time: 28 * ms, Confidence: 0.8,
			})
		case i%4 == 1:
			s.Patterns = append(s.Patterns, Pattern{Kind: analysis.FindingSkewedHost, At: of("shop", "order"), Host: "node-1", Shift: -3 * ms, Confidence: 0.9})
		}
		s.Patterns = append(s.Patterns, Pattern{
			Kind: analysis.FindingNPlusOne, At: of("web", "buy"), Callee: of("cache", "GET"), Spans: 12, Time: 9 * ms, Confidence: 1,
		})
	})
	before := sampled(100, func(_ int, s *Sample) {
		s.Patterns = []Pattern{{Kind: analysis.FindingNPlusOne, At: of("web", "buy"), Callee: of("cache", "GET"), Spans: 12, Time: 9 * ms, Confidence: 1}}
	})
	now := window(bad)
	now.OtherShare = 0.5
	found := Find(now, window(before))
	sound(t, found)
	require.Equal(t, []Kind{KindRetryStorm, KindSuspect, KindNPlusOne, KindCardinality, KindSkewedHost}, kinds(found))
	require.Equal(t, []Urgency{UrgencyIncident, UrgencyIncident, UrgencyImprovement, UrgencyVisibility, UrgencyVisibility},
		[]Urgency{found[0].Urgency, found[1].Urgency, found[2].Urgency, found[3].Urgency, found[4].Urgency})
	require.Equal(t, "pay", found[0].Service)
	require.Equal(t, "pay", found[1].Service)
	require.Equal(t, []Entry{{of("web", "buy"), 0.9}, {of("web", "look"), 1}}, found[4].Entries)

	for range 5 {
		rand.Shuffle(len(bad), func(i, j int) { bad[i], bad[j] = bad[j], bad[i] })
		again := Find(now, window(before))
		require.Equal(t, kinds(found), kinds(again))
		for i := range again {
			require.Equal(t, found[i].Title, again[i].Title)
			require.InDelta(t, found[i].Confidence, again[i].Confidence, 1e-9)
		}
	}
}

// pay takes 16 ms as ever, and four times as long: 48 ms more for every request. Or a failure begins there in a third of the requests, of which half fail.
func TestSuspects(t *testing.T) {
	slow := Suspects(window(sampled(60, func(i int, s *Sample) {
		s.Trace.Calls[2].Own, s.Trace.Calls[2].OwnPath = 64*ms+int64(i), 64*ms
	})), window(sampled(60, func(i int, s *Sample) { s.Trace.Calls[2].Own += int64(i) })))
	sound(t, slow)
	require.Len(t, slow, 1)
	require.Equal(t, "pay", slow[0].Service)
	require.Equal(t, "charge", slow[0].Operation)
	require.Equal(t, 48*ms, slow[0].SavedTime)
	require.EqualValues(t, 600, slow[0].Requests)
	require.Equal(t, `pay works 4.0 times as long as before by itself ("charge": 64ms, 16ms before)`, slow[0].Title)
	require.Equal(t, fmt.Sprintf("%032d", 59), slow[0].TraceIDs[0], "the one that took longest")

	failing := Suspects(window(sampled(60, func(i int, s *Sample) {
		s.Trace.Calls[2].Origin, s.Trace.Failed = i%3 == 0, i%6 == 0
	})), window(sampled(60, nil)))
	sound(t, failing)
	require.Len(t, failing, 1)
	require.Equal(t, "pay fails in 33 % of the requests that reach it, 0 % before", failing[0].Title)
	require.EqualValues(t, 100, failing[0].SavedFailures)
	require.Zero(t, failing[0].SavedTime)
}

func TestRetryStorms(t *testing.T) {
	retrying := func(every int, caller, callee string) func(i int, s *Sample) {
		return func(i int, s *Sample) {
			if i%every == 0 {
				s.Patterns = append(s.Patterns, Pattern{
					Kind: analysis.FindingRetries, At: of(caller, "x"), Callee: of(callee, "y"), Spans: 3, Time: 10 * ms, Confidence: 0.8,
				})
			}
		}
	}
	calm := window(sampled(100, nil))
	for name, test := range map[string]struct {
		now, before *Window
		want        int
		urgency     Urgency
	}{
		"nothing":          {calm, calm, 0, ""},
		"rare":             {window(sampled(100, retrying(25, "shop", "pay"))), calm, 0, ""},
		"since now":        {window(sampled(100, retrying(4, "shop", "pay"))), calm, 1, UrgencyIncident},
		"all along":        {window(sampled(100, retrying(4, "shop", "pay"))), window(sampled(100, retrying(4, "shop", "pay"))), 1, UrgencyImprovement},
		"nobody knows":     {window(sampled(100, retrying(4, "shop", "pay"))), &Window{}, 1, UrgencyImprovement},
		"of nobody's call": {window(sampled(100, retrying(4, "shop", "web"))), calm, 0, ""},
	} {
		found := RetryStorms(test.now, test.before)
		sound(t, found)
		require.Len(t, found, test.want, name)
		if test.want > 0 {
			require.Equal(t, test.urgency, found[0].Urgency, name)
			require.Equal(t, "pay", found[0].Service)
			require.Equal(t, []string{"shop"}, found[0].Others)
			require.EqualValues(t, 250, found[0].Requests)
			require.Equal(t, 10*ms, found[0].SavedTime)
		}
	}
	// web's calls of two services that nobody else tries again.
	two := window(sampled(100, func(i int, s *Sample) {
		s.Trace.Calls[2].Caller = 0
		retrying(4, "web", "pay")(i, s)
		retrying(5, "web", "shop")(i, s)
	}))
	found := RetryStorms(two, calm)
	sound(t, found)
	require.Len(t, found, 1)
	require.Equal(t, "web", found[0].Service)
	require.Equal(t, []string{"pay", "shop"}, found[0].Others)
}

func TestWaste(t *testing.T) {
	with := func(kind analysis.FindingKind, every int, time int64) func(i int, s *Sample) {
		return func(i int, s *Sample) {
			if i%every == 0 {
				s.Patterns = []Pattern{{Kind: kind, At: of("shop", "order"), Callee: of("db", "SELECT"), Spans: 20, Time: time, Confidence: 0.9}}
			}
		}
	}
	calm := window(sampled(100, nil))
	for name, test := range map[string]struct {
		find        func(now, before *Window) []Insight
		now, before *Window
		urgency     Urgency // empty for nothing
	}{
		"n+1 since now":       {NPlusOne, window(sampled(100, with(analysis.FindingNPlusOne, 2, 30*ms))), calm, UrgencyIncident},
		"n+1 all along":       {NPlusOne, window(sampled(100, with(analysis.FindingNPlusOne, 2, 30*ms))), window(sampled(100, with(analysis.FindingNPlusOne, 2, 30*ms))), UrgencyImprovement},
		"n+1, the first time": {NPlusOne, window(sampled(100, with(analysis.FindingNPlusOne, 2, 30*ms))), &Window{}, UrgencyImprovement},
		"a repeated query":    {NPlusOne, window(sampled(100, with(analysis.FindingRepeatedQuery, 2, 30*ms))), calm, UrgencyIncident},
		"cheap":               {NPlusOne, window(sampled(100, with(analysis.FindingNPlusOne, 2, 4*ms))), calm, ""},
		"rare":                {NPlusOne, window(sampled(100, with(analysis.FindingNPlusOne, 25, 30*ms))), calm, ""},
		"another pattern":     {NPlusOne, window(sampled(100, with(analysis.FindingSerialCalls, 2, 30*ms))), calm, ""},
		"serial":              {SerialCalls, window(sampled(100, with(analysis.FindingSerialCalls, 2, 30*ms))), window(sampled(100, with(analysis.FindingSerialCalls, 3, 30*ms))), UrgencyImprovement},
		"serial, not n+1":     {SerialCalls, window(sampled(100, with(analysis.FindingNPlusOne, 2, 30*ms))), calm, ""},
	} {
		found := test.find(test.now, test.before)
		sound(t, found)
		if test.urgency == "" {
			require.Empty(t, found, name)
			continue
		}
		require.Len(t, found, 1, name)
		require.Equal(t, test.urgency, found[0].Urgency, name)
		require.Equal(t, 30*ms, found[0].SavedTime, name)
		require.EqualValues(t, 500, found[0].Requests, name)
		require.InDelta(t, 0.9, found[0].Confidence, 1e-9, name)
	}
}

func TestContextLosses(t *testing.T) {
	now := window(nil)
	now.Traces = 1000
	now.Edges = []Edge{
		{"web", "cart", 60, 40, LossContext},
		{"shop", "cart", 99, 1, LossUnknown},
		{"mail", "cart", 10, 20, LossContext},
		{"web", "pay", 9000, 1000, LossSpans},
		{"web", "tax", 900, 45, LossUnknown},
		{"web", "geo", 900, 100, LossUnknown},
		{"cart", "cart", 0, 50, LossContext},
		{"web", "rare", 1, 9, LossUnknown},
	}
	before := window(nil)
	before.Edges = []Edge{{"web", "cart", 100, 0, LossUnknown}}
	found := ContextLosses(now, before)
	sound(t, found)
	require.Len(t, found, 3)
	require.Equal(t, "cart", found[0].Service)
	require.Equal(t, []string{"mail", "web"}, found[0].Others)
	require.EqualValues(t, 60, found[0].Requests)
	require.Equal(t, "cart loses the trace context of 46 % of the calls of mail and web and begins traces of its own", found[0].Title)
	require.Equal(t, "calls of web that it answers with a span", found[0].Evidence[0].Name)
	require.InDelta(t, 0.6, found[0].Evidence[0].Now, 1e-9)
	require.InDelta(t, 1, *found[0].Evidence[0].Before, 1e-9)
	require.Nil(t, found[0].Evidence[1].Before)
	require.Contains(t, found[1].Title, "geo has no span for 10 %")
	require.InDelta(t, lossGuessed, found[1].Confidence, 1e-9)
	require.Contains(t, found[2].Title, "pay has no span for 10 % of the calls of web: it samples")
	require.EqualValues(t, 1000, found[2].Requests, "not more than there are")
}

func TestMissingInstrumentation(t *testing.T) {
	calls := func(peer string, every int) func(i int, s *Sample) {
		return func(i int, s *Sample) {
			if i%every == 0 {
				s.Patterns = []Pattern{{Kind: analysis.FindingMissingInstrumentation, At: of("web", "x"), Callee: of(peer, "x"), Spans: 2, Time: 7 * ms, Confidence: 0.6}}
			}
		}
	}
	sending := func(w *Window, services ...string) *Window {
		for _, s := range services {
			w.Operations = append(w.Operations, OperationSum{Operation: of(s, "x")})
		}
		return w
	}
	for name, test := range map[string]struct {
		now, before *Window
		title       string
	}{
		"never sent":    {window(sampled(50, calls("stock.shop.svc:8080", 2))), &Window{}, "stock sends no spans: 7ms of each request that calls it stay unexplained"},
		"sends no more": {window(sampled(50, calls("stock:8080", 2))), sending(&Window{}, "stock"), "stock has stopped sending spans; web still calls it"},
		"sends some":    {sending(window(sampled(50, calls("stock", 2))), "stock"), &Window{}, ""},
		"an address":    {window(sampled(50, calls("10.0.0.1:80", 2))), &Window{}, ""},
		"rare":          {window(sampled(50, calls("stock", 20))), &Window{}, ""},
	} {
		found := MissingInstrumentation(test.now, test.before)
		sound(t, found)
		if test.title == "" {
			require.Empty(t, found, name)
			continue
		}
		require.Len(t, found, 1, name)
		require.Equal(t, test.title, found[0].Title)
		require.Equal(t, []string{"web"}, found[0].Others)
		require.EqualValues(t, 250, found[0].Requests)
	}
}

func TestSkewedHosts(t *testing.T) {
	found := SkewedHosts(window(sampled(20, func(i int, s *Sample) {
		switch {
		case i < 8:
			s.Patterns = []Pattern{{Kind: analysis.FindingSkewedHost, At: of("pay", "x"), Host: "one", Shift: -2000 * ms, Confidence: 0.9}}
		case i < 10:
			s.Patterns = []Pattern{{Kind: analysis.FindingSkewedHost, At: of("pay", "x"), Host: "two", Shift: 5 * ms, Confidence: 0.9}}
		case i < 13: // now here, now there: nothing to say
			s.Patterns = []Pattern{{Kind: analysis.FindingSkewedHost, At: of("shop", "x"), Host: "three", Shift: (int64(i%2)*2 - 1) * ms, Confidence: 0.9}}
		}
	})), nil)
	sound(t, found)
	require.Len(t, found, 1)
	require.Equal(t, "The clock of one (pay) is about 2s ahead", found[0].Title)
	require.InDelta(t, 0.9, found[0].Confidence, 1e-9)
	require.InDelta(t, -2e9, found[0].Evidence[0].Now, 1)
}

func TestCardinality(t *testing.T) {
	now := window(nil)
	now.Traces = 1000
	letters := func(i int) string { return string([]byte{'a' + byte(i/26), 'a' + byte(i%26)}) }
	for i := range 60 {
		now.Operations = append(now.Operations,
			OperationSum{Operation: of("web", "GET /users/"+letters(i)+"/cart"), Calls: 2},
			OperationSum{Operation: of("few", "GET /users/"+letters(i%40)), Calls: 2},
			OperationSum{Operation: of("many", letters(i)+" "+letters(59-i)), Calls: 2}, // different in all words
			OperationSum{Operation: of("ids", letters(i)), Calls: 1},
		)
	}
	found := Cardinality(now, nil)
	sound(t, found)
	require.Len(t, found, 2)
	require.Equal(t, `ids has 60 operations that differ in one word: "*", such as "aa"`, found[0].Title)
	require.Equal(t, `web has 60 operations that differ in one word: "GET /users/*/cart", such as "GET /users/aa/cart"`, found[1].Title)
	require.EqualValues(t, 120, found[1].Requests)
	require.Equal(t, []string{"* /{id}/a", "GET /{id}/*"}, templatesOf("GET /{id}/a"))
	require.Equal(t, []string{"*"}, templatesOf("job"))
	require.Empty(t, templatesOf(""))
	require.Empty(t, templatesOf("///{id}"))

	other := Cardinality(&Window{Traces: 1000, OtherShare: 0.2}, nil)
	sound(t, other)
	require.Len(t, other, 1)
	require.EqualValues(t, 200, other[0].Requests)
	require.Empty(t, Cardinality(&Window{OtherShare: 0.0001}, nil))
}

// A queue that ends at 400 a second, seen from 60 to the highest.
func TestCapacityLimits(t *testing.T) {
	upTo := func(highest float64) *Window {
		load := Load{Operation: of("pay", "charge")}
		for i := range 30 {
			rate := 60 + (highest-60)*float64(i)/29
			load.Minutes = append(load.Minutes, capacity.Minute{Rate: rate, Latency: 10e6 / (1 - rate/400)})
		}
		return &Window{Traces: 100, Loads: []Load{load}, Parts: []Part{{of("web", "buy"), of("pay", "charge"), 70}}}
	}
	for highest, urgency := range map[float64]Urgency{150: "", 240: UrgencyImprovement, 380: UrgencyIncident} {
		found := CapacityLimits(upTo(highest), nil)
		sound(t, found)
		if urgency == "" {
			require.Empty(t, found)
			continue
		}
		require.Len(t, found, 1)
		require.Equal(t, urgency, found[0].Urgency)
		require.EqualValues(t, 70, found[0].Requests)
		require.Contains(t, found[0].Title, "saturates at about 400 calls a second")
	}
	require.Equal(t, `pay "charge" saturates at about 400 calls a second; it had up to 240, 60 % of that`, CapacityLimits(upTo(240), nil)[0].Title)
	require.Empty(t, CapacityLimits(&Window{Loads: []Load{{}}}, nil))
}

func TestSlowerJourneys(t *testing.T) {
	visits := func(pay int64, reach int, failed bool) *Window {
		w := window(sampled(1, func(_ int, s *Sample) { s.Visit.Operation, s.Visit.Failed = "pay", failed }))
		for i := range 50 {
			session := fmt.Sprint("s", i)
			at := int64(i) * int64(time.Second)
			w.Journeys = append(w.Journeys, Visit{TraceID: session + "a", Session: session, Service: "web", Operation: "look", Start: at, Duration: 50 * ms})
			if i < reach {
				w.Journeys = append(w.Journeys, Visit{
					TraceID: session + "b", Session: session, Service: "web", Operation: "pay", Start: at + 200*ms, Duration: pay + int64(i), Failed: failed && i%2 == 0,
				})
			}
		}
		w.EntryTraces[of("web", "pay")] = 500
		return w
	}
	normal := visits(100*ms, 45, false)
	for name, test := range map[string]struct {
		now   *Window
		title string
	}{
		"as ever":    {visits(105*ms, 45, false), ""},
		"slower":     {visits(300*ms, 45, false), "Customers on look → pay wait longer at pay: 300ms instead of 100ms"},
		"fewer come": {visits(100*ms, 25, false), "Fewer customers on look → pay come to pay: 50 % instead of 90 % of those at the step before"},
		"fail":       {visits(100*ms, 45, true), "More customers on look → pay fail at pay: 51 % instead of 0 %"},
	} {
		found := SlowerJourneys(test.now, normal)
		sound(t, found)
		if test.title == "" {
			require.Empty(t, found, name)
			continue
		}
		require.Len(t, found, 1, name)
		require.Equal(t, test.title, found[0].Title)
		require.EqualValues(t, 500, found[0].Requests)
		require.Len(t, found[0].TraceIDs, 1)
	}
	require.Equal(t, 200*ms, SlowerJourneys(visits(300*ms, 45, false), normal)[0].SavedTime/ms*ms)
	require.Empty(t, SlowerJourneys(visits(300*ms, 45, false), &Window{}), "nothing to compare with")
}

func TestWords(t *testing.T) {
	for share, want := range map[float64]string{
		0: "0 %", 0.00001: "less than 0.01 %", 0.0034: "0.3 %", 0.034: "3.4 %", 0.34: "34 %", 0.9996: "100 %", 0.0996: "10 %", 0.9967: "99.7 %", 1: "100 %",
	} {
		require.Equal(t, want, percent(share))
	}
	for ns, want := range map[float64]string{0: "0s", 250: "250ns", 1234: "1.23µs", 12345678: "12.3ms", 123456789: "123ms", 1.5e9: "1.5s", -5: "0s"} {
		require.Equal(t, want, duration(ns))
	}
	require.NotEmpty(t, duration(1e300))
	require.Equal(t, "a", names([]string{"a"}))
	require.Equal(t, "a and b", names([]string{"a", "b"}))
	require.Equal(t, "a, b and c", names([]string{"a", "b", "c"}))
	require.Equal(t, "a, b, c and 2 more", names([]string{"a", "b", "c", "d", "e"}))
	require.Equal(t, "3.2", rate(3.21))
	require.Equal(t, "321", rate(321.4))
}

// What is read of a trace: its patterns, with who is called, and who its customer is.
func TestRead(t *testing.T) {
	tries := ""
	for i := range 12 {
		tries += fmt.Sprintf("web %d 1 client %d %d name=SELECT db.system.name=postgresql db.namespace=shop\n", 10+i, 100*i, 100*i+90)
	}
	s := Read(analysis.Analyze(treetest.Release(t, "web 1 - server 0 1200 name=GET session.id=s1\n"+tries)))
	require.Equal(t, "s1", s.Visit.Session)
	require.Equal(t, s.TraceID, s.Visit.TraceID)
	require.Len(t, s.Trace.Calls, 13)
	require.NotEmpty(t, s.Patterns)
	require.Equal(t, analysis.FindingNPlusOne, s.Patterns[0].Kind)
	require.Equal(t, of("web", "GET"), s.Patterns[0].At)
	require.Equal(t, of("postgresql:shop", "SELECT"), s.Patterns[0].Callee)
	require.Equal(t, 12, s.Patterns[0].Spans)
	require.Empty(t, Read(analysis.Analyze(treetest.Release(t, ""))).TraceID)
}
