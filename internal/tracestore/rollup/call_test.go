package rollup_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// storetest has what is counted, for backends do it with this package. Here is what it does not see.

// TestReset: a call in used memory gives what one in fresh memory gives, to the byte.
func TestReset(t *testing.T) {
	td := shopCall()
	var used rollup.Call
	for n := range 4 {
		for s, rs := range td.ResourceSpans().All() {
			// Other names, other environments, and from the second call on some spans that failed, and several tenants.
			rs.Resource().Attributes().PutStr("deployment.environment.name", fmt.Sprint("environment-", s%(n+1)))
			rs.Resource().Attributes().PutStr(conventions.AttrTenant, fmt.Sprint("tenant-", s%(1+3*n)))
			for i, span := range rs.ScopeSpans().At(0).Spans().All() {
				span.SetName(fmt.Sprint("operation ", (i+n)%(40>>n)))
				span.SetEndTimestamp(span.EndTimestamp() + 1)
				if i%7 == n {
					span.Attributes().PutBool(conventions.AttrErrorOrigin, true)
				}
			}
		}
		var fresh rollup.Call
		releases := tracetree.Releases(td)
		for i := range releases {
			releasedAt := int64(time.Hour) + int64(i%2)*int64(time.Minute)
			used.Add(&releases[i], releasedAt)
			fresh.Add(&releases[i], releasedAt)
		}
		want, got := fresh.Deltas(), used.Deltas()
		require.Len(t, want, 2*(1+3*n))
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i].Tenant, got[i].Tenant)
			require.Equal(t, want[i].Minute, got[i].Minute)
			require.Equal(t, want[i].Sums.Append(nil, rollup.AllTables), got[i].Sums.Append(nil, rollup.AllTables))
		}
		used.Reset()
		require.Empty(t, used.Deltas())
	}
}

// TestLongNames: names are cut, between characters.
func TestLongNames(t *testing.T) {
	for name, test := range map[string]struct{ name, want string }{
		"short":             {strings.Repeat("n", 512), strings.Repeat("n", 512)},
		"long":              {strings.Repeat("n", 1<<20), strings.Repeat("n", 512)},
		"long characters":   {"n" + strings.Repeat("\u20ac", 1000), "n" + strings.Repeat("\u20ac", 170)},
		"no characters":     {strings.Repeat("\x80", 1000), strings.Repeat("\x80", 508)},
		"last character in": {strings.Repeat("n", 509) + strings.Repeat("\u20ac", 2), strings.Repeat("n", 509) + "\u20ac"},
	} {
		t.Run(name, func(t *testing.T) {
			td := shopCall()
			release := tracetree.Releases(td)[0]
			release.Spans = release.Spans[:1]
			release.Spans[0].SetName(test.name)
			var call rollup.Call
			call.Add(&release, 0)
			answer := rollup.NewAnswer(rollup.Operations, &tracestore.AggregateQuery{})
			require.NoError(t, answer.Merge(call.Deltas()[0].Sums.Append(nil, rollup.AllTables)))
			for operation := range answer.Operations() {
				require.Equal(t, test.want, operation.Operation.Operation)
			}
		})
	}
}
