package awsxrayreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// received is the trace of a segment, of which more are fields.
func received(t *testing.T, more string) ptrace.ResourceSpans {
	t.Helper()
	s := start(t)
	s.send(t, header+`{"id": "00000000000000a1", "trace_id": "1-5f84c7a1-e7d1852db8c4fd35d88bf49a", "start_time": 1.6e9, "name": "shop", `+more+`}`)
	require.Eventually(t, func() bool { return len(s.sink.AllTraces()) == 1 }, 10*time.Second, time.Millisecond)
	return s.sink.AllTraces()[0].ResourceSpans().At(0)
}

// A span failed where its segment says so, also without a cause, and a server did not where its client was wrong.
func TestStatus(t *testing.T) {
	const bank = `"subsegments": [{"id": "00000000000000b1", "name": "bank", "namespace": "remote", "start_time": 1.6e9, `
	for segment, want := range map[string][]ptrace.StatusCode{
		`"fault": false`:                                       {ptrace.StatusCodeUnset},
		`"fault": true`:                                        {ptrace.StatusCodeError},
		`"throttle": true, "cause": null`:                      {ptrace.StatusCodeError},
		`"fault": true, "cause": "0123456789abcdef"`:           {ptrace.StatusCodeError},
		`"error": true, "http": {"response": {"status": 404}}`: {ptrace.StatusCodeUnset},
		`"http": {"response": {"status": 404}}, "cause": {"exceptions": [{"id": "00000000000000c1"}]}`: {ptrace.StatusCodeError},
		`"fault": true, "http": {"response": {"status": 502}}`:                                         {ptrace.StatusCodeError},
		bank + `"fault": true}]`:                                             {ptrace.StatusCodeUnset, ptrace.StatusCodeError},
		bank + `"http": {"response": {"status": 404}}}]`:                     {ptrace.StatusCodeUnset, ptrace.StatusCodeError},
		`"fault": true, ` + bank + `"http": {"response": {"status": 200}}}]`: {ptrace.StatusCodeError, ptrace.StatusCodeUnset},
	} {
		t.Run(segment, func(t *testing.T) {
			spans := received(t, segment).ScopeSpans().At(0).Spans()
			require.Equal(t, len(want), spans.Len())
			for i, code := range want {
				require.Equal(t, code, spans.At(i).Status().Code(), i)
			}
		})
	}
}

// A subsegment that was sent by itself is no service of the name of what it calls.
func TestSubsegmentOfItsOwn(t *testing.T) {
	const own = `"type": "subsegment", "parent_id": "00000000000000a0"`
	for segment, want := range map[string]struct{ service, peer any }{
		`"type": ""`:                    {"shop", nil},
		own:                             {nil, nil},
		own + `, "namespace": "aws"`:    {nil, "shop"},
		own + `, "namespace": "remote"`: {nil, "shop"},
		own + `, "namespace": "remote", "sql": {"database_type": "mysql", "url": "mysql://db/orders"}`: {nil, nil},
	} {
		t.Run(segment, func(t *testing.T) {
			rs := received(t, segment)
			require.Equal(t, want.service, rs.Resource().Attributes().AsRaw()["service.name"])
			require.Equal(t, want.peer, rs.ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()["peer.service"])
		})
	}
}
