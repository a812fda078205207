package tracesourcesreceiver

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracesources"
)

func TestBucket(t *testing.T) {
	at := time.Unix(1000, 0)
	after := func(d time.Duration) time.Time { return at.Add(d) }
	var b bucket
	require.True(t, b.take(at, 1_000_000), "no bound")
	b.set(10)
	require.True(t, b.take(at, 4))
	require.True(t, b.take(at, 26), "6 are left, so it passes, and 20 are owed")
	require.False(t, b.take(after(1900*time.Millisecond), 1), "1 is owed")
	require.False(t, b.take(after(2*time.Second), 1), "nothing is owed, and nothing there")
	require.True(t, b.take(after(2100*time.Millisecond), 1))
	require.True(t, b.take(after(time.Hour), 10), "no more than a second's worth is saved")
	require.False(t, b.take(after(time.Hour), 1))
	require.False(t, b.take(at, 1), "the clock was set back")
	b.set(0)
	require.True(t, b.take(at, 100))
}

// In the long run a busy sender gets the rate, whatever the size of its requests.
func TestBucketRate(t *testing.T) {
	for _, size := range []int{1, 7, 512, 5000} {
		var b bucket
		b.set(1000)
		at, passed := time.Unix(1000, 0), 0
		for range 100_000 { // 100 s
			if b.take(at, size) {
				passed += size
			}
			at = at.Add(time.Millisecond)
		}
		require.InDelta(t, 100_000, passed, float64(1000+size), "requests of %d", size)
	}
}

func TestRate(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	var r rate
	require.Zero(t, r.perSecond(at))
	r.add(at, 10)
	require.InDelta(t, 10, r.perSecond(at), 0)
	require.InDelta(t, 5, r.perSecond(at.Add(time.Second)), 0)
	r.add(at.Add(-time.Second), 2) // the clock was set back
	require.InDelta(t, 12.0/59, r.perSecond(at.Add(58*time.Second)), 1e-9)
	require.InDelta(t, 10.0/60, r.perSecond(at.Add(59*time.Second)), 1e-9)
	require.InDelta(t, 0, r.perSecond(at.Add(60*time.Second)), 0)
	for s := range 120 {
		r.add(at.Add(time.Duration(100+s)*time.Second), 7)
	}
	require.InDelta(t, 7, r.perSecond(at.Add(219*time.Second)), 0)
	require.Zero(t, r.perSecond(at.Add(24*time.Hour)))
}

func TestIntakeCountsRefusals(t *testing.T) {
	m, err := newMetrics(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	in := &intake{next: consumertest.NewErr(errors.New("full")), metrics: m, tally: newTally(), now: time.Now}
	in.set(&tracesources.Source{})
	require.Error(t, in.ConsumeTraces(t.Context(), spans("a", 2)))
	in.next = consumertest.NewErr(consumererror.NewPermanent(errors.New("never")))
	require.True(t, consumererror.IsPermanent(in.ConsumeTraces(t.Context(), spans("a", 3))))
	state := in.tally.state(time.Now())
	require.Equal(t, map[tracesources.Reason]int64{tracesources.Retryable: 2, tracesources.Permanent: 3}, state.Rejected)
	require.Zero(t, state.Spans)
	require.Empty(t, state.Services, "what was refused was not seen")
}

func TestSendersAreBounded(t *testing.T) {
	tally := newTally()
	at := time.Unix(1000, 0)
	for n := range 2 * maxSenders {
		tally.accepted(at.Add(time.Duration(n)), 1, []string{fmt.Sprintf("s%03d", n), "always"}, nil)
	}
	services := tally.state(at).Services
	require.Len(t, services, maxSenders)
	require.Equal(t, "always", services[0])
	require.Equal(t, "s199", services[maxSenders-1])
}

// What a request costs does not grow with the senders that it names.
func TestSendersOfARequestAreBounded(t *testing.T) {
	td := ptrace.NewTraces()
	for n := range 2 * maxSenders {
		spans(fmt.Sprint(n), 1).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
		td.ResourceSpans().At(n).Resource().Attributes().PutStr("telemetry.sdk.version", fmt.Sprint(n))
	}
	services, sdks := label(td, map[string]string{"team": "red"})
	require.Len(t, services, maxSenders)
	require.Len(t, sdks, maxSenders)
	team, _ := td.ResourceSpans().At(2*maxSenders - 1).Resource().Attributes().Get("team")
	require.Equal(t, "red", team.Str(), "labels are on all")
}

// A sender that is remembered keeps nothing else of its request in memory.
func TestSendersAreCopied(t *testing.T) {
	td := ptrace.NewTraces()
	attrs := td.ResourceSpans().AppendEmpty().Resource().Attributes()
	for _, key := range []string{"service.name", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"} {
		attrs.PutStr(key, strings.Repeat("a", 2*maxSenderBytes))
	}
	services, sdks := label(td, nil)
	for key, kept := range map[string]string{
		"service.name": services[0], "telemetry.sdk.name": sdks[0].Name, "telemetry.sdk.language": sdks[0].Language, "telemetry.sdk.version": sdks[0].Version,
	} {
		sent, _ := attrs.Get(key)
		require.Len(t, kept, maxSenderBytes)
		require.NotSame(t, unsafe.StringData(sent.Str()), unsafe.StringData(kept), key)
	}
}

type authData map[string]any

func (a authData) GetAttribute(name string) any { return a[name] }
func (a authData) GetAttributeNames() []string  { return []string{"subject", "tenant"} }

func TestBoundTo(t *testing.T) {
	var b client.AuthData = boundTo{tenant: "acme"}
	require.Equal(t, "acme", b.GetAttribute("tenant"))
	require.Nil(t, b.GetAttribute("subject"))
	b = boundTo{tenant: "acme", inner: authData{"subject": "me", "tenant": "other"}}
	require.Equal(t, "acme", b.GetAttribute("tenant"))
	require.Equal(t, "me", b.GetAttribute("subject"))
	require.Equal(t, []string{"tenant", "subject"}, b.GetAttributeNames())
}
