package api

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func valueJSON(v pcommon.Value) string {
	w := newJSONWriter(nil)
	w.value(v, 1)
	return string(w.stream.Buffer())
}

func TestValues(t *testing.T) {
	bytes := pcommon.NewValueBytes()
	bytes.Bytes().FromRaw([]byte{0, 255, 1})
	list := pcommon.NewValueSlice()
	list.Slice().AppendEmpty().SetInt(1)
	list.Slice().AppendEmpty().SetStr("a")
	list.Slice().AppendEmpty().SetEmptyMap().PutEmpty("none")
	list.Slice().AppendEmpty().SetEmptySlice()
	list.Slice().AppendEmpty().SetDouble(math.NaN())
	for want, value := range map[string]pcommon.Value{
		`null`:                           pcommon.NewValueEmpty(),
		`"text"`:                         pcommon.NewValueStr("text"),
		`""`:                             pcommon.NewValueStr(""),
		"\"\uFFFDa\uFFFD\"":              pcommon.NewValueStr("\xff\xfea\xc3"),
		`"\"\\\n\u0000\u001f<&>"`:        pcommon.NewValueStr("\"\\\n\x00\x1f<&>"),
		"\"\u00e9\U0001f600\u2028\"":     pcommon.NewValueStr("\u00e9\U0001f600\u2028"),
		`9223372036854775807`:            pcommon.NewValueInt(math.MaxInt64),
		`-9223372036854775808`:           pcommon.NewValueInt(math.MinInt64),
		`0.5`:                            pcommon.NewValueDouble(0.5),
		`1e+300`:                         pcommon.NewValueDouble(1e300),
		`"NaN"`:                          pcommon.NewValueDouble(math.NaN()),
		`"Infinity"`:                     pcommon.NewValueDouble(math.Inf(1)),
		`"-Infinity"`:                    pcommon.NewValueDouble(math.Inf(-1)),
		`true`:                           pcommon.NewValueBool(true),
		`"AP8B"`:                         bytes,
		`[1,"a",{"none":null},[],"NaN"]`: list,
	} {
		require.Equal(t, want, valueJSON(value))
	}
}

func TestAttributes(t *testing.T) {
	m := pcommon.NewMap()
	m.PutStr("b", "1")
	m.PutStr("ours.x", "2")
	m.PutStr("a", "3")
	m.PutStr("b\xff", "4")
	m.PutStr("b\xfe", "5")
	nested := m.PutEmptyMap("nested")
	nested.PutInt("ours.y", 6)
	w := newJSONWriter(nil)
	w.attributes(m, "ours.")
	// The order counts too.
	want := `{"a":"3","b":"1","b` + "\uFFFD" + `":"4","nested":{"ours.y":6}}`
	require.Equal(t, []byte(want), w.stream.Buffer())
}

// OTLP may repeat a key; the first one counts, as in searches.
func TestRepeatedKeys(t *testing.T) {
	unmarshaler := ptrace.JSONUnmarshaler{}
	td, err := unmarshaler.UnmarshalTraces([]byte(`{"resourceSpans": [{"resource": {"attributes": [
		{"key": "a", "value": {"intValue": "1"}}, {"key": "b", "value": {"intValue": "2"}}, {"key": "a", "value": {"intValue": "3"}}
	]}}]}`))
	require.NoError(t, err)
	w := newJSONWriter(nil)
	w.attributes(td.ResourceSpans().At(0).Resource().Attributes(), "")
	require.Equal(t, `{"a":1,"b":2}`, string(w.stream.Buffer()))
}

func TestDeepValuesBecomeText(t *testing.T) {
	const depth = 10_000
	deep := pcommon.NewValueSlice()
	slice := deep.Slice()
	for range depth {
		slice = slice.AppendEmpty().SetEmptySlice()
	}
	text := valueJSON(deep)
	require.True(t, json.Valid([]byte(text)))
	require.Equal(t, maxDepth, strings.Index(text, `"`), "brackets before the text")
	require.Equal(t, depth+1, strings.Count(text, "["), "nothing is lost")
}

// What lies too deep is text, whatever it holds; only numbers that JSON lacks and bytes that are not UTF-8 are others there.
func TestDeepValuesKeepWhatTheyHold(t *testing.T) {
	value := pcommon.NewValueEmpty()
	inner := value
	for range maxDepth {
		inner = inner.SetEmptySlice().AppendEmpty()
	}
	m := inner.SetEmptyMap()
	m.PutDouble("nan", math.NaN())
	m.PutStr("text", "caf\xe9")
	m.PutEmptyBytes("bytes").FromRaw([]byte("abc"))
	var got any
	require.NoError(t, json.Unmarshal([]byte(valueJSON(value)), &got))
	for range maxDepth {
		got = got.([]any)[0]
	}
	require.JSONEq(t, `{"bytes":"YWJj","nan":"NaN","text":"caf�"}`, got.(string))
}

func FuzzValue(f *testing.F) {
	f.Add([]byte{}, "", 0.0)
	f.Add([]byte("abc\xff"), "k\xff\"", math.Inf(-1))
	f.Fuzz(func(t *testing.T, raw []byte, key string, number float64) {
		v := pcommon.NewValueMap()
		v.Map().PutStr(key, string(raw))
		v.Map().PutDouble("number", number)
		v.Map().PutEmptyBytes("bytes").FromRaw(raw)
		nested := v.Map().PutEmptySlice("nested")
		for _, b := range raw {
			nested.AppendEmpty().SetEmptyMap().PutInt(key+string(b), int64(b))
		}
		text := valueJSON(v)
		require.True(t, utf8.ValidString(text))
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		if mended := strings.ToValidUTF8(key, "\uFFFD"); mended != "number" && mended != "bytes" && mended != "nested" {
			require.Equal(t, strings.ToValidUTF8(string(raw), "\uFFFD"), got[mended])
		}
		require.Len(t, got["nested"], len(raw))
	})
}
