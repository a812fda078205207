package block

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// asker makes conditions, mostly such as hold somewhere: they are taken from spans.
type asker struct {
	*rand.Rand
	releases []tracetree.Release
}

func (a asker) span() *tracetree.Span {
	spans := a.releases[a.IntN(len(a.releases))].Spans
	return &spans[a.IntN(len(spans))]
}

func (a asker) conditions(depth int) (c tracestore.SpanConditions) {
	span := a.span()
	set := func() bool { return a.IntN(4) == 0 }
	if set() {
		c.Service = a.either(span.Service(), conventions.Str(span.Attributes(), conventions.AttrService))
	}
	if set() {
		c.Operation = a.either(span.Name(), conventions.Str(span.Attributes(), conventions.AttrOperation))
	}
	if set() {
		c.Category = conventions.Str(span.Attributes(), conventions.AttrCategory)
	}
	if set() {
		kind := span.Kind()
		c.Kind = &kind
	}
	if set() {
		failed := span.Status().Code() == ptrace.StatusCodeError
		c.Errors = &failed
	}
	if d := tracestore.SpanDuration(span.Span); set() {
		c.MinDuration = d - time.Duration(a.IntN(3))*time.Millisecond
	} else if set() {
		c.MaxDuration = d + time.Duration(a.IntN(3))*time.Millisecond
	}
	for range a.IntN(3) {
		c.Attributes = append(c.Attributes, a.attribute(span))
	}
	for range a.IntN(3) * depth {
		c.And = append(c.And, a.conditions(depth-1))
	}
	for range a.IntN(3) * depth {
		c.Or = append(c.Or, a.conditions(depth-1))
	}
	if depth > 0 && set() {
		not := a.conditions(depth - 1)
		c.Not = &not
	}
	return c
}

func (a asker) either(first, second string) string {
	switch {
	case a.IntN(10) == 0:
		return "somebody else's"
	case second == "" || a.IntN(2) == 0:
		return first
	}
	return second
}

func (a asker) attribute(span *tracetree.Span) tracestore.AttributeCondition {
	attrs, scope := span.Attributes(), tracestore.AttributeScope(a.IntN(3))
	if a.IntN(4) == 0 {
		attrs = span.Resource.Attributes()
	}
	c := tracestore.AttributeCondition{Scope: scope, Key: "nowhere", Op: tracestore.Operators[a.IntN(len(tracestore.Operators))]}
	i := a.IntN(attrs.Len() + 1)
	for key, value := range attrs.All() {
		if i--; i >= 0 {
			continue
		}
		c.Key, c.Text = key, value.AsString()
		c.Number, _ = strconv.ParseFloat(c.Text, 64)
		break
	}
	c.Number += float64(a.IntN(3) - 1)
	if a.IntN(8) == 0 {
		c.Text += "x"
	}
	c.Regex, _ = regexp.Compile(regexp.QuoteMeta(c.Text)) // nil holds on nothing
	return c
}

// judged are the verdicts of Judge on the releases of a body.
func judged(t testing.TB, b *Body, c *tracestore.SpanConditions) []tracestore.Verdict {
	verdicts := slices.Repeat([]tracestore.Verdict{tracestore.Yes}, b.Len())
	require.NoError(t, b.Judge(verdicts, c))
	return verdicts
}

// asked counts what was asked of releases, and what became of it.
type asked struct{ releases, matching, open, unsettled int }

func (a *asked) add(b asked) {
	a.releases, a.matching, a.open, a.unsettled = a.releases+b.releases, a.matching+b.matching, a.open+b.open, a.unsettled+b.unsettled
}

// requireVerdicts requires that head and body are right in what they are certain of.
func requireVerdicts(t *testing.T, h *Head, b *Body, releases []tracetree.Release, c *tracestore.SpanConditions) (found asked) {
	filter := tracestore.NewFilter(&tracestore.Conditions{Span: *c})
	may := h.MayMatch(c)
	verdicts := judged(t, b, c)
	settled := slices.Clone(verdicts)
	require.NoError(t, b.Settle(settled, c))
	found.releases = len(releases)
	for i := range releases {
		matches := filter.Match(&tracestore.Summary{}, releases[i].Spans)
		if matches {
			found.matching++
			require.True(t, may, "%+v", c)
		}
		if verdicts[i] == tracestore.Maybe {
			found.open++
		} else {
			require.Equal(t, verdicts[i], settled[i])
		}
		if settled[i] == tracestore.Maybe {
			found.unsettled++
		} else {
			require.Equal(t, tracestore.VerdictOf(matches), settled[i], "judged %d: %+v", verdicts[i], c)
		}
	}
	// What is known not to match is not looked at again.
	for i := range verdicts {
		verdicts[i] = min(verdicts[i], tracestore.Verdict(2*(i%2)))
	}
	again := slices.Clone(verdicts)
	require.NoError(t, b.Judge(again, c))
	require.Equal(t, verdicts, again)
	return found
}

func blockOf(t testing.TB, encoder *Encoder, releases []tracetree.Release) (*Head, *Body) {
	head, body := roundTrip(t, encoder, releases)
	return openBoth(t, head, body)
}

func openBoth(t testing.TB, head, body []byte) (*Head, *Body) {
	h, err := OpenHead(head)
	require.NoError(t, err)
	b, err := OpenBody(body)
	require.NoError(t, err)
	return h, b
}

// TestVerdicts: what is certain is right, and little is not.
func TestVerdicts(t *testing.T) {
	s := shop.New(shop.Options{Seed: 5})
	encoder := NewEncoder()
	rng := rand.New(rand.NewPCG(1, 2))
	var all asked
	for n := range 3 {
		releases := tracetree.Releases(newCall(t, s, 20*n, 20))
		h, b := blockOf(t, encoder, releases)
		for range 150 {
			c := asker{rng, releases}.conditions(rng.IntN(3))
			all.add(requireVerdicts(t, h, b, releases, &c))
		}
	}
	t.Logf("%+v", all)
	require.Less(t, all.open, all.releases/20)
	require.Less(t, all.unsettled, all.releases/40)
}

// TestWildVerdicts asks for what no decent sender sends.
func TestWildVerdicts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	w := wild{rng}
	encoder := NewEncoder()
	for range 20 {
		var releases []tracetree.Release
		for len(releases) == 0 || rng.IntN(5) > 0 {
			releases = append(releases, tracetree.Releases(unmarshal(t, w.call()))...)
		}
		h, b := blockOf(t, encoder, releases)
		for range 50 {
			c := asker{rng, releases}.conditions(rng.IntN(3))
			requireVerdicts(t, h, b, releases, &c)
		}
	}
}

// TestFilter: a block is passed over for what is in none of its spans, as good as always.
func TestFilter(t *testing.T) {
	s := shop.New(shop.Options{Seed: 5})
	h, _ := blockOf(t, NewEncoder(), tracetree.Releases(newCall(t, s, 0, 100)))
	wrong := 0
	for i := range 1000 {
		text := "nobody-" + strconv.Itoa(i)
		attribute := []tracestore.AttributeCondition{{Key: "user.id", Op: tracestore.OpEqual, Text: text}}
		for _, c := range []tracestore.SpanConditions{{Service: text}, {Operation: text}, {Category: text}, {Attributes: attribute}} {
			if h.MayMatch(&c) {
				wrong++
			}
		}
	}
	require.Less(t, wrong, 4000*3/100)
	for _, c := range []tracestore.AttributeCondition{
		{Key: "nowhere", Op: tracestore.OpExists},
		{Key: "http.response.status_code", Op: tracestore.OpEqual, Text: "1"},
		{Key: "http.response.status_code", Op: tracestore.OpEqual, Text: "two hundred"},
		{Key: "http.response.status_code", Op: tracestore.OpGreater, Number: 1000},
		{Key: "http.response.status_code", Op: tracestore.OpLess, Number: 100},
		{Key: "service.name", Op: tracestore.OpEqual, Text: "nobody"},
	} {
		require.False(t, h.MayMatch(&tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{c}}), "%+v", c)
	}
	for _, token := range []tracestore.Token{
		{Kind: tracestore.TokenService, Value: "cart"},
		{Kind: tracestore.TokenKey, Key: "service.name"},
		{Kind: tracestore.TokenAttribute, Key: "service.name", Value: "cart"},
		{Kind: tracestore.TokenOutcome, Value: "anything"},
	} {
		require.True(t, h.MayHold(token), "%+v", token)
		token.Key += "?"
		token.Value += "?"
		require.Equal(t, token.Kind == tracestore.TokenOutcome, h.MayHold(token), "%+v", token)
	}
}

// TestPairs: a block is passed over where a service has no span of the operation, or none that failed, by either name; not where it has.
func TestPairs(t *testing.T) {
	failed := true
	ask := func(h *Head, service, operation string, errors *bool) bool {
		return h.MayMatch(&tracestore.SpanConditions{Service: service, Operation: operation, Errors: errors})
	}
	encoder := NewEncoder()
	for n, annotated := range []func(i int) (service, operation string){
		func(int) (string, string) { return "", "" },
		func(int) (string, string) { return "normal", "GET /{page}" },
		func(i int) (string, string) { return "normal", fmt.Sprint("GET /", i) },
		func(i int) (string, string) { return fmt.Sprint("normal-", i), fmt.Sprint("GET /", i) },
	} {
		td := ptrace.NewTraces()
		for i, span := range []struct {
			service, operation string
			status             ptrace.StatusCode
		}{
			{"cart", "get", ptrace.StatusCodeOk},
			{"cart", "get", ptrace.StatusCodeUnset},
			{"cart", "put", ptrace.StatusCodeError},
			{"cart", "put", ptrace.StatusCodeError},
			{"user", "get", ptrace.StatusCodeUnset},
			{"user", "log in", ptrace.StatusCodeUnset},
		} {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", span.service)
			s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			s.SetTraceID(pcommon.TraceID{1})
			s.SetSpanID(pcommon.SpanID{byte(i + 1)})
			s.SetName(span.operation)
			s.Status().SetCode(span.status)
			if service, operation := annotated(i); service != "" {
				s.Attributes().PutStr(conventions.AttrService, service)
				s.Attributes().PutStr(conventions.AttrOperation, operation)
			}
		}
		releases := tracetree.Releases(td)
		h, _ := blockOf(t, encoder, releases)
		for _, span := range releases[0].Spans {
			attrs, status := span.Attributes(), span.Status().Code() == ptrace.StatusCodeError
			for _, service := range []string{span.Service(), conventions.Str(attrs, conventions.AttrService)} {
				for _, operation := range []string{span.Name(), conventions.Str(attrs, conventions.AttrOperation)} {
					require.True(t, ask(h, service, operation, &status), "%d: %s %s", n, service, operation)
					require.True(t, ask(h, service, operation, nil), "%d: %s %s", n, service, operation)
				}
			}
		}
		unknown := n == 3 // services that vary in one operation
		require.Equal(t, unknown, ask(h, "user", "put", nil), n)
		require.Equal(t, unknown, ask(h, "cart", "log in", nil), n)
		require.Equal(t, unknown, ask(h, "user", "", &failed), n)
		require.Equal(t, unknown, ask(h, "cart", "get", &failed), n)
		require.True(t, ask(h, "cart", "", &failed), n)
		if n == 2 {
			require.False(t, ask(h, "user", "GET /2", nil))
			require.False(t, ask(h, "normal", "GET /1", &failed))
		}
	}
}

// TestRareText: a value that is nowhere costs no span.
func TestRareText(t *testing.T) {
	s := shop.New(shop.Options{Seed: 5})
	encoder := NewEncoder()
	var b *Body
	var releases []tracetree.Release
	for n := range 2 {
		releases = tracetree.Releases(newCall(t, s, 50*n, 50))
		_, b = blockOf(t, encoder, releases)
	}
	for _, text := range []string{"nobody", "00000000-0000-0000-0000-000000000000x", "a 12345 b"} {
		for _, key := range []string{"session.id", "user.id", "url.path", "network.peer.address"} {
			c := tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Key: key, Op: tracestore.OpEqual, Text: text}}}
			require.NotContains(t, judged(t, b, &c), tracestore.Maybe, "%s %s", key, text)
			require.NotContains(t, judged(t, b, &c), tracestore.Yes, "%s %s", key, text)
		}
	}
	var id pcommon.Value
	for i := range releases[7].Spans {
		if v, ok := releases[7].Spans[i].Attributes().Get("session.id"); ok {
			id = v
		}
	}
	c := tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{{Key: "session.id", Op: tracestore.OpEqual, Text: id.Str()}}}
	require.NotEqual(t, tracestore.No, judged(t, b, &c)[7])
}

// TestServicesOfRows: the filter knows the services that stand in rows alone.
func TestServicesOfRows(t *testing.T) {
	releases := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 7}), 0, 3))
	encoder := NewEncoder()
	for i := range releases {
		header := headerOf(&releases[i])
		header.Row.Services, header.Row.Aliases = []string{"workload-" + strconv.Itoa(i)}, []string{"alias"}
		require.NoError(t, encoder.Add(&releases[i], header))
	}
	data, _ := encoder.Encode(nil, nil)
	head, err := OpenHead(data)
	require.NoError(t, err)
	for _, service := range []string{"workload-0", "workload-1", "alias"} {
		require.True(t, head.MayHold(tracestore.Token{Kind: tracestore.TokenService, Value: service}))
		require.True(t, head.MayMatch(&tracestore.SpanConditions{Service: service}))
	}
	require.False(t, head.MayHold(tracestore.Token{Kind: tracestore.TokenService, Value: "nobody"}))
}
