package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// today asks the catalogue about the day on which everything is released.
func today() *tracestore.CatalogueQuery {
	midnight := now.Truncate(24 * time.Hour)
	return &tracestore.CatalogueQuery{Start: midnight, End: midnight.Add(24 * time.Hour), Limit: 1000}
}

func attributeKeys(t *testing.T, store tracestore.Reader, tenant string, query *tracestore.CatalogueQuery) []tracestore.AttributeKey {
	t.Helper()
	keys, err := store.AttributeKeys(t.Context(), tenant, query)
	require.NoError(t, err)
	require.LessOrEqual(t, len(keys), query.Limit)
	require.True(t, slices.IsSortedFunc(keys, func(a, b tracestore.AttributeKey) int { return int(b.Spans - a.Spans) }))
	for _, key := range keys {
		require.Positive(t, key.Spans)
		require.False(t, strings.HasPrefix(key.Key, conventions.Prefix))
	}
	return keys
}

func attributeValues(
	t *testing.T, store tracestore.Reader, scope tracestore.AttributeScope, key string, query *tracestore.CatalogueQuery,
) []string {
	t.Helper()
	values, err := store.AttributeValues(t.Context(), "", scope, key, query)
	require.NoError(t, err)
	require.LessOrEqual(t, len(values), query.Limit)
	require.True(t, slices.IsSortedFunc(values, func(a, b tracestore.AttributeValue) int { return int(b.Spans - a.Spans) }))
	texts := []string{}
	for _, value := range values {
		require.Positive(t, value.Spans)
		texts = append(texts, value.Text)
	}
	return texts
}

// testCatalogue stores 40 spans whose key common is "often" on 30, "seldom" on 3, and 3 numbers; two in each call.
func testCatalogue(t *testing.T, store Store) {
	for n := range byte(20) {
		value := any("often")
		switch {
		case n >= 18:
			value = int64(n)
		case n >= 15:
			value = "seldom"
		}
		a, b := lone(n, 0), lone(n+100, 0)
		a.attributes = map[string]any{"common": value, "shared": "span", "mixed": n%2 == 0}
		b.attributes = map[string]any{"common": value, "mixed": "text"}
		a.resource = map[string]any{"region": "eu", "shared": "resource"}
		b.resource = a.resource
		if n == 7 {
			a.attributes["rare"] = 1.5
		}
		write(t, store, explained(call(a, b)))
	}
	keys := attributeKeys(t, store, "", today())
	types := make(map[string]tracestore.ValueTypes)
	counts := make(map[string]int64)
	for _, key := range keys {
		name := fmt.Sprint(key.Scope, " ", key.Key)
		require.NotContains(t, types, name, "each once")
		types[name], counts[name] = key.Types, key.Spans
	}
	text, integer, double, truth := tracestore.TypeOf(pcommon.ValueTypeStr), tracestore.TypeOf(pcommon.ValueTypeInt),
		tracestore.TypeOf(pcommon.ValueTypeDouble), tracestore.TypeOf(pcommon.ValueTypeBool)
	require.Equal(t, map[string]tracestore.ValueTypes{
		"1 common": text | integer, "1 shared": text, "1 mixed": text | truth, "1 rare": double,
		"2 region": text, "2 shared": text, "2 service.name": text,
	}, types)
	require.Greater(t, counts["1 common"], counts["1 rare"])
	require.Greater(t, counts["2 region"], counts["1 rare"])

	require.Equal(t, []string{"often", "seldom"}, attributeValues(t, store, tracestore.ScopeSpan, "common", today())[:2])
	require.ElementsMatch(t, []string{"often", "seldom", "18", "19"}, attributeValues(t, store, tracestore.ScopeSpan, "common", today()))
	require.Equal(t, []string{"span"}, attributeValues(t, store, tracestore.ScopeSpan, "shared", today()))
	require.Equal(t, []string{"resource"}, attributeValues(t, store, tracestore.ScopeResource, "shared", today()))
	require.ElementsMatch(t, []string{"span", "resource"}, attributeValues(t, store, tracestore.ScopeAny, "shared", today()))
	require.ElementsMatch(t, []string{"text", "true", "false"}, attributeValues(t, store, tracestore.ScopeAny, "mixed", today()))
	require.Equal(t, []string{"1.5"}, attributeValues(t, store, tracestore.ScopeAny, "rare", today()))
	require.Empty(t, attributeValues(t, store, tracestore.ScopeAny, "nothing", today()))
	require.Empty(t, attributeValues(t, store, tracestore.ScopeAny, conventions.AttrReleasedAt, today()))

	some := today()
	some.Prefix, some.Limit = "s", 2
	for _, key := range attributeKeys(t, store, "", some) {
		require.True(t, strings.HasPrefix(key.Key, "s"))
	}
	require.Len(t, attributeKeys(t, store, "", some), 2)
	some.Prefix = "sel"
	require.Equal(t, []string{"seldom"}, attributeValues(t, store, tracestore.ScopeAny, "common", some))
	some.Prefix, some.Limit = "", 1
	require.Equal(t, []string{"often"}, attributeValues(t, store, tracestore.ScopeAny, "common", some))
}

// testCatalogueWindow: days are kept apart, and tenants.
func testCatalogueWindow(t *testing.T, store Store) {
	for day := range byte(2) {
		s := lone(day, 0)
		s.attributes = map[string]any{fmt.Sprint("day", day): "x"}
		write(t, store, explained(callAt(now.Add(-time.Duration(day)*24*time.Hour), s)))
		s.tenant = "other"
		s.attributes = map[string]any{"others": "x"}
		write(t, store, explained(callAt(now, s)))
	}
	names := func(tenant string, query *tracestore.CatalogueQuery) (names []string) {
		for _, key := range attributeKeys(t, store, tenant, query) {
			if key.Scope == tracestore.ScopeSpan {
				names = append(names, key.Key)
			}
		}
		return names
	}
	yesterday := today()
	yesterday.Start, yesterday.End = yesterday.Start.Add(-24*time.Hour), yesterday.Start
	both := &tracestore.CatalogueQuery{Start: yesterday.Start, End: now.Add(time.Second), Limit: 10}
	require.Equal(t, []string{"day0"}, names("", today()))
	require.Equal(t, []string{"day1"}, names("", yesterday))
	require.ElementsMatch(t, []string{"day0", "day1"}, names("", both))
	require.Equal(t, []string{"others"}, names("other", both))
	require.Empty(t, names("nobody", both))
	empty := &tracestore.CatalogueQuery{Start: now, End: now, Limit: 10}
	require.Empty(t, names("", empty))
	ever := &tracestore.CatalogueQuery{Start: time.Time{}, End: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), Limit: 10}
	require.ElementsMatch(t, []string{"day0", "day1"}, names("", ever))
}

// testCatalogueHostile has keys and values that no list should show, and more of them than a list should hold.
func testCatalogueHostile(t *testing.T, store Store) {
	long := strings.Repeat("x", tracestore.MaxCatalogueValue)
	s := lone(1, 0)
	s.attributes = map[string]any{
		"": "x", "\xff": "x", long: "x", long + "y": "x", "tracewright.mine": "x",
		"long": long, "longer": long + "y", "bad": "\xff", "list": []any{"x"}, "map": map[string]any{"a": "x"}, "bytes": []byte("x"), "none": nil, "empty": "",
	}
	write(t, store, explained(call(s)))
	var keys []string
	for _, key := range attributeKeys(t, store, "", today()) {
		if key.Scope == tracestore.ScopeSpan {
			keys = append(keys, key.Key)
		}
	}
	require.ElementsMatch(t, []string{long, "long", "longer", "bad", "list", "map", "bytes", "none", "empty"}, keys)
	for key, want := range map[string][]string{
		"long": {long}, "longer": {}, "bad": {}, "list": {}, "map": {}, "bytes": {}, "none": {}, "empty": {""},
	} {
		require.Equal(t, want, attributeValues(t, store, tracestore.ScopeAny, key, today()), key)
	}

	for n := range byte(5) { // 5,000 keys, each with a value of its own, and one that is everywhere
		many := lone(10+n, 0)
		many.attributes = map[string]any{}
		for i := range 1000 {
			many.attributes[fmt.Sprintf("key.%d.%d", n, i)] = fmt.Sprint(n, i)
		}
		spans := []span{many}
		for i := range byte(20) {
			common := lone(10+n, time.Duration(i))
			common.id, common.attributes = 2+i, map[string]any{"everywhere": "here"}
			spans = append(spans, common)
		}
		write(t, store, explained(call(spans...)))
	}
	query := today()
	query.Limit = 50
	listed := attributeKeys(t, store, "", query)
	require.Len(t, listed, 50)
	require.True(t, slices.ContainsFunc(listed, func(key tracestore.AttributeKey) bool { return key.Key == "everywhere" }))
	require.Equal(t, []string{"here"}, attributeValues(t, store, tracestore.ScopeSpan, "everywhere", query))
}

func testCatalogueContexts(t *testing.T, store Store) {
	write(t, store, call(lone(1, 0)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.AttributeKeys(ctx, "", today())
	require.ErrorIs(t, err, context.Canceled)
	_, err = store.AttributeValues(ctx, "", tracestore.ScopeAny, "service.name", today())
	require.ErrorIs(t, err, context.Canceled)
}
