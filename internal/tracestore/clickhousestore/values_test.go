package clickhousestore

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

// Values become what the conventions have under their key, if their text is one of it, and stay text otherwise.
func TestPutValue(t *testing.T) {
	for _, test := range []struct {
		key, text string
		want      any
	}{
		{"http.response.status_code", "500", int64(500)},
		{"http.response.status_code", "0500", "0500"},
		{"http.response.status_code", "5xx", "5xx"},
		{"http.response.status_code", "", ""},
		{"http.response.status_code", "9223372036854775808", "9223372036854775808"},
		{"server.port", "-1", int64(-1)},
		{"gen_ai.request.temperature", "0.5", 0.5},
		{"gen_ai.request.temperature", "5", 5.0},
		{"gen_ai.request.temperature", "0.50", "0.50"},
		{"faas.coldstart", "true", true},
		{"faas.coldstart", "false", false},
		{"faas.coldstart", "yes", "yes"},
		{"process.command_args", `["run","--now"]`, []any{"run", "--now"}},
		{"process.command_args", `["run", "--now"]`, `["run", "--now"]`},
		{"process.command_args", `[{"a":1}]`, `[{"a":1}]`},
		{"process.command_args", "[", "["},
		{"http.request.header.accept", `["text/html"]`, []any{"text/html"}},
		{"http.request.header.accept", "text/html", "text/html"},
		{"user.id", "17", "17"},
		{conventions.AttrReleasedAt, "1772366400000000000", int64(1772366400000000000)},
		{conventions.AttrBottleneckShare, "0.4175439925247731", 0.4175439925247731},
		{conventions.AttrErrorOrigin, "true", true},
		{conventions.AttrServices, `["shop","stock"]`, []any{"shop", "stock"}},
		{conventions.AttrChildDuration, "[1,20]", []any{int64(1), int64(20)}},
		{conventions.AttrChildError, "[true,false]", []any{true, false}},
	} {
		attrs := pcommon.NewMap()
		putValue(attrs, test.key, test.text)
		require.Equal(t, map[string]any{test.key: test.want}, attrs.AsRaw(), test.text)
		value, _ := attrs.Get(test.key)
		require.Equal(t, test.text, value.AsString())
	}
	attrs := pcommon.NewMap()
	putValue(attrs, "a", "first")
	putValue(attrs, "a", "second")
	require.Equal(t, map[string]any{"a": "first"}, attrs.AsRaw())
}

// FuzzPutValue: whatever stands in a column, its text comes back.
func FuzzPutValue(f *testing.F) {
	f.Add("http.response.status_code", "500")
	f.Add(conventions.AttrServices, `["a",1,2.5,true]`)
	f.Add("process.command_args", "[[[")
	f.Fuzz(func(t *testing.T, key, text string) {
		attrs := pcommon.NewMap()
		putValue(attrs, key, text)
		value, ok := attrs.Get(key)
		require.True(t, ok)
		require.Equal(t, text, value.AsString())
	})
}
