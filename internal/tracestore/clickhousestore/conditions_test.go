package clickhousestore

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// TestManyAlternatives: a search for the traces of 300 sessions reads the spans once, with fewer values than a server takes over HTTP.
func TestManyAlternatives(t *testing.T) {
	where := tracestore.Conditions{Or: []tracestore.Conditions{
		{Span: tracestore.SpanConditions{Service: "cart"}},           // which rows know
		{Trace: tracestore.TraceConditions{Services: []string{"a"}}}, // which is not of a span
	}}
	for i := range 300 {
		where.Or = append(where.Or, tracestore.Conditions{Span: tracestore.SpanConditions{Attributes: []tracestore.AttributeCondition{
			{Key: "session.id", Op: tracestore.OpEqual, Text: strconv.Itoa(i)},
		}}})
	}
	c := compiler{values: parameters{}, inSet: func(more string) string { return "SPANS " + more }}
	sql := c.conditions(&where)
	require.True(t, sql.exact())
	require.Equal(t, 1, strings.Count(sql.over, "SPANS"))
	require.Len(t, c.values, 2+1+300, "the services, the key, and the sessions")
}
