package truth

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

func TestFile(t *testing.T) {
	s := shop.New(shop.Options{Seed: 1, Tenants: 2})
	var text strings.Builder
	w, err := NewWriter(&text, Run{Seed: 1, Started: time.Unix(5, 0).UTC(), TenantHeader: "x"}, NewTally([]string{"a", "b"}))
	require.NoError(t, err)
	v := s.Visit(0)
	same := func(id [16]byte) [16]byte { return id }
	other := func(id [16]byte) [16]byte { id[0] ^= 0xff; return id }
	require.NoError(t, w.Visit(v, 7, []Playing{{Origin: 1000, ID: same}, {Origin: 2000, ID: other}}))
	require.NoError(t, w.Close())

	f, err := Read(strings.NewReader(text.String()))
	require.NoError(t, err)
	require.Equal(t, Run{Type: "run", Seed: 1, Started: time.Unix(5, 0).UTC(), TenantHeader: "x"}, f.Run)
	require.Len(t, f.Traces, 2)
	require.NotEqual(t, f.Traces[0].TraceID, f.Traces[1].TraceID)
	require.Equal(t, int64(1007), f.Traces[0].Start.UnixNano())
	require.Equal(t, int64(2007), f.Traces[1].Start.UnixNano())
	require.Equal(t, []string{"a", "b"}[v.Tenant], f.Traces[0].Tenant)
	var calls int64
	for _, o := range f.Operations {
		calls += o.Calls
	}
	require.Equal(t, int64(2*len(v.Spans)), calls)
	require.Len(t, f.Entries, 1)
	require.Equal(t, int64(2), f.Entries[0].Traces)
	require.NotEmpty(t, f.Edges)

	lines := strings.SplitAfter(text.String(), "\n")
	for name, test := range map[string]struct{ text, want string }{
		"empty":         {"", "cut short"},
		"no end":        {strings.Join(lines[:len(lines)-2], ""), "cut short"},
		"no run":        {strings.Join(lines[1:], ""), "cut short"},
		"trace is gone": {lines[0] + strings.Join(lines[2:], ""), "the end counts 2 traces, there are 1"},
		"unknown line":  {lines[0] + `{"type":"cake"}`, `line 2: no type "cake"`},
		"garbage":       {lines[0] + "{", "line 2: "},
		"wrong type":    {lines[0] + `{"type":"trace","span_count":"x"}`, "line 2: "},
	} {
		_, err := Read(strings.NewReader(test.text))
		require.ErrorContains(t, err, test.want, name)
	}
}
