package attributes

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func wild(rng *rand.Rand) pcommon.Map {
	m := pcommon.NewMap()
	for range rng.IntN(12) {
		v := m.PutEmpty([]string{"", "a", "b", "service.name", "tracewright.self_time", string([]byte{0xff})}[rng.IntN(6)])
		switch rng.IntN(8) {
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
			v.SetStr([]string{"", "text"}[rng.IntN(2)])
		}
	}
	return m
}

func TestList(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		m := wild(rng)
		list := List(m)
		require.Len(t, list, m.Len())
		at := 0
		for key, v := range m.All() {
			a := &list[at]
			at++
			require.Equal(t, key, a.Key())
			require.Equal(t, v.Type(), a.Type())
			require.Equal(t, v.Type() == pcommon.ValueTypeStr, a.IsStr())
			require.Equal(t, v.Type() == pcommon.ValueTypeInt, a.IsInt())
			switch v.Type() {
			case pcommon.ValueTypeStr:
				require.Equal(t, v.Str(), a.Str())
			case pcommon.ValueTypeInt:
				require.Equal(t, v.Int(), a.Int())
			case pcommon.ValueTypeDouble:
				require.Equal(t, v.Double(), a.Double())
			case pcommon.ValueTypeBool:
				require.Equal(t, v.Bool(), a.Bool())
			}
			require.True(t, v.Equal(a.Value(m)))
		}
	}
}

// TestUnknown asks for copies, as with a pdata that is laid out otherwise.
func TestUnknown(t *testing.T) {
	before := types
	types, known = ownTypes(), false
	defer func() { types, known = before, true }()
	TestList(t)
}

func BenchmarkList(b *testing.B) {
	m := pcommon.NewMap()
	for _, key := range []string{"http.request.method", "url.path", "server.address", "http.route", "user.id", "session.id"} {
		m.PutStr(key, "value")
		m.PutInt(key+".n", 1)
	}
	b.Run("list", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for i := range List(m) {
				if a := &List(m)[i]; a.IsStr() {
					n += len(a.Key()) + len(a.Str())
				}
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for key, v := range m.All() {
				if v.Type() == pcommon.ValueTypeStr {
					n += len(key) + len(v.Str())
				}
			}
		}
	})
}

func TestAppender(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var appender Appender
	for range 500 {
		got := wild(rng)
		want := pcommon.NewMap()
		got.CopyTo(want)
		for i := range rng.IntN(20) {
			key := "added." + string(rune('a'+i))
			switch n := rng.Int64(); rng.IntN(3) {
			case 0:
				appender.AppendInt(got, key, n)
				want.PutInt(key, n)
			case 1:
				appender.AppendStr(got, key, key)
				want.PutStr(key, key)
			default:
				texts := []string{"one", key, ""}[:rng.IntN(4)]
				appender.AppendStrs(got, key, texts)
				list := want.PutEmptySlice(key)
				for _, s := range texts {
					list.AppendEmpty().SetStr(s)
				}
			}
		}
		require.True(t, want.Equal(got))
		for _, m := range []pcommon.Map{got, want} { // it is pdata like any
			for _, v := range m.All() {
				if v.Type() == pcommon.ValueTypeSlice {
					v.Slice().AppendEmpty().SetStr("more")
					v.Slice().At(0).SetInt(1)
				}
			}
			m.PutStr("added.a", "changed")
		}
		require.True(t, want.Equal(got))
	}
	appender.Reset()
}
