package api

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func nested(depth int) pcommon.Value {
	value := pcommon.NewValueEmpty()
	inner := value
	for range depth {
		inner = inner.SetEmptyMap().PutEmpty("k")
	}
	inner.SetStr("deep")
	return value
}

// Wherever it stands, a value of 64 levels stays and one of 65 has text in its last place; of 10,000 too, and OTLP's own reader
// reads it.
func TestFlatten(t *testing.T) {
	for depth, flat := range map[int]bool{1: false, 64: false, 65: true, 10_000: true} {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		ss := rs.ScopeSpans().AppendEmpty()
		span := ss.Spans().AppendEmpty()
		places := []pcommon.Map{
			rs.Resource().Attributes(), ss.Scope().Attributes(), span.Attributes(),
			span.Events().AppendEmpty().Attributes(), span.Links().AppendEmpty().Attributes(),
		}
		for _, attributes := range places {
			nested(depth).CopyTo(attributes.PutEmpty("k"))
		}
		flattenTraces(td)
		for i, attributes := range places {
			value, _ := attributes.Get("k")
			levels := 0
			for value.Type() == pcommon.ValueTypeMap {
				levels++
				value, _ = value.Map().Get("k")
			}
			require.Equal(t, min(depth, 64), levels, "place %d", i)
			if flat {
				require.True(t, json.Valid([]byte(value.Str())), "place %d", i)
				continue
			}
			require.Equal(t, "deep", value.Str(), "place %d", i)
		}
		text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		_, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text)
		require.NoError(t, err)
	}
}
