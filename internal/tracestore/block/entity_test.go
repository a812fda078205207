package block

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	xentity "go.opentelemetry.io/collector/pdata/xpdata/entity"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// TestAppendResource: resources are written as pdata writes them.
func TestAppendResource(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		td := ptrace.NewTraces()
		r := td.ResourceSpans().AppendEmpty().Resource()
		r.SetDroppedAttributesCount(rng.Uint32N(3))
		for range rng.IntN(6) {
			v := r.Attributes().PutEmpty([]string{"", "service.name", "host.name", string(make([]byte, 200))}[rng.IntN(4)])
			switch rng.IntN(9) {
			case 0:
			case 1:
				v.SetInt(rng.Int64() - rng.Int64())
			case 2:
				v.SetDouble(rng.NormFloat64())
			case 3:
				v.SetBool(rng.IntN(2) == 0)
			case 4:
				v.SetEmptySlice().AppendEmpty().SetStr("within")
			case 5:
				v.SetEmptyMap().PutInt("within", 1)
			case 6:
				v.SetEmptyBytes().FromRaw([]byte{1, 2})
			default:
				v.SetStr(string(make([]byte, rng.IntN(300))))
			}
		}
		if rng.IntN(5) == 0 {
			xentity.ResourceEntityRefs(r).AppendEmpty().SetType("service")
		}
		want, err := nested(td, 1, 1)
		require.NoError(t, err)
		got, err := appendResource([]byte("before"), r)
		require.NoError(t, err)
		require.Equal(t, "before"+string(want), string(got))
	}
}

// TestResourcesOfManyCalls: resources that differ by the time of release alone stand once in a block.
func TestResourcesOfManyCalls(t *testing.T) {
	s := shop.New(shop.Options{Seed: 7})
	encoder := NewEncoder()
	var all, once []tracetree.Release
	for n := range 20 {
		call := newCall(t, s, 0, 1)
		for i, rs := range call.ResourceSpans().All() {
			attrs := rs.Resource().Attributes()
			attrs.PutEmptySlice("process.command_args").AppendEmpty().SetStr("serve")
			attrs.PutInt(conventions.AttrReleasedAt, released+int64(n)*50_000_000-int64(i%2))
		}
		all = append(all, tracetree.Releases(call)...)
		if n == 0 {
			once = all
		}
	}
	entities := func(releases []tracetree.Release) int {
		_, b := blockOf(t, encoder, releases)
		defer b.Close()
		tables, err := b.readTables()
		require.NoError(t, err)
		return len(tables.entities)
	}
	require.Equal(t, entities(once), entities(all))
}

// TestSearchByTimeOfRelease: the filter rules no block out that has it, and one whose times are all before or behind.
func TestSearchByTimeOfRelease(t *testing.T) {
	s := shop.New(shop.Options{Seed: 7})
	h, b := blockOf(t, NewEncoder(), tracetree.Releases(newCall(t, s, 0, 5)))
	defer b.Close()
	for _, c := range []struct {
		op   tracestore.AttributeOp
		text string
		than float64
		may  bool
	}{
		{tracestore.OpEqual, "1700000060000000000", 0, true},
		{tracestore.OpEqual, "1700000060000000001", 0, false},
		{tracestore.OpExists, "", 0, true},
		{tracestore.OpGreater, "", 1.6e18, true},
		{tracestore.OpGreater, "", 1.8e18, false},
	} {
		attribute := tracestore.AttributeCondition{Key: conventions.AttrReleasedAt, Op: c.op, Text: c.text, Number: c.than}
		require.Equal(t, c.may, h.MayMatch(&tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{attribute}}), "%+v", c)
	}
}
