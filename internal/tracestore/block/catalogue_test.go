package block

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

func everyRelease(int) bool { return true }

func ignoreAttribute(tracestore.AttributeScope, string, pcommon.Value, int) {}

// counted is how many spans have keys with a type of value, and values of one key.
type counted map[string]int

func (c counted) keys(scope tracestore.AttributeScope, key string, value pcommon.Value, spans int) {
	c[fmt.Sprint(scope, " ", key, " ", value.Type())] += spans
}

func (c counted) values(of string) Attribute {
	return func(scope tracestore.AttributeScope, key string, value pcommon.Value, spans int) {
		if text, ok := tracestore.CataloguedText(value); ok && key == of {
			c[fmt.Sprint(scope, " ", value.Type(), " ", text)] += spans
		}
	}
}

// catalogueOf is what the releases that are wanted say themselves.
func catalogueOf(t *testing.T, b *Body, wanted func(int) bool, f Attribute) {
	t.Helper()
	for i := range b.Len() {
		if wanted(i) {
			td, err := b.Traces(i, pcommon.TraceID{})
			require.NoError(t, err)
			tracestore.EachAttribute(td, f)
		}
	}
}

// requireCatalogue requires that a small block lists exactly what its spans have.
func requireCatalogue(t *testing.T, b *Body, wanted func(int) bool, keys []string) {
	t.Helper()
	want, got := counted{}, counted{}
	catalogueOf(t, b, wanted, want.keys)
	require.NoError(t, b.AttributeKeys(wanted, got.keys))
	require.Equal(t, want, got)
	for _, key := range keys {
		want, got := counted{}, counted{}
		catalogueOf(t, b, wanted, want.values(key))
		require.NoError(t, b.AttributeValues(key, wanted, got.values(key)))
		require.Equal(t, want, got, key)
	}
}

var someKeys = []string{"http.route", "session.id", "order.id", "http.response.status_code", "url.path", "url.full", "service.name", "service.instance.id", "db.query.text", "nothing"}

func TestCatalogue(t *testing.T) {
	s := shop.New(shop.Options{Seed: 5})
	encoder := NewEncoder()
	for n := range 2 { // of the second one columns are known
		releases := tracetree.Releases(newCall(t, s, 40*n, 40))
		_, b := blockOf(t, encoder, releases)
		requireCatalogue(t, b, everyRelease, someKeys)
		requireCatalogue(t, b, func(i int) bool { return i%3 == 0 }, someKeys)
	}
}

func TestWildCatalogue(t *testing.T) {
	w := wild{rand.New(rand.NewPCG(13, 14))}
	encoder := NewEncoder()
	for range 20 {
		var releases []tracetree.Release
		for len(releases) == 0 || w.IntN(5) > 0 {
			releases = append(releases, tracetree.Releases(unmarshal(t, w.call()))...)
		}
		if len(releases) > exactReleases {
			releases = releases[:exactReleases]
		}
		_, b := blockOf(t, encoder, releases)
		var keys []string
		catalogueOf(t, b, everyRelease, func(_ tracestore.AttributeScope, key string, _ pcommon.Value, _ int) { keys = append(keys, key) })
		requireCatalogue(t, b, everyRelease, keys[:min(len(keys), 20)])
	}
}

// Of a large block what many releases have is listed, and nothing else than what there is.
func TestLargeCatalogue(t *testing.T) {
	releases := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 6}), 0, 300))
	_, b := blockOf(t, NewEncoder(), releases)
	for _, key := range someKeys {
		all, often, got := counted{}, counted{}, counted{}
		for i := range releases {
			of := counted{}
			catalogueOf(t, b, func(k int) bool { return k == i }, of.values(key))
			for name, spans := range of {
				all[name] += spans
				often[name]++
			}
		}
		require.NoError(t, b.AttributeValues(key, everyRelease, got.values(key)))
		for name, spans := range got {
			require.LessOrEqual(t, spans, all[name], name)
		}
		for name, n := range often {
			if n > 1 {
				require.Positive(t, got[name], name)
			}
		}
	}
}
