package hostile

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Ids of a wrong length do not get past decoding: the receiver answers that the request is bad, and none of it is taken. (The
// end-to-end test sends them to the receiver itself.)
func TestIDsOfAWrongLength(t *testing.T) {
	trace, id := traceID(1), spanBytes(1)
	for name, span := range map[string][]byte{
		"short trace id": rawSpan(trace[:15], id, nil),
		"long trace id":  rawSpan(append(trace[:], 0), id, nil),
		"trace id of 8":  rawSpan(trace[:8], id, nil),
		"short span id":  rawSpan(trace[:], id[:7], nil),
		"long span id":   rawSpan(trace[:], append(id, 0), nil),
		"span id of 16":  rawSpan(trace[:], trace[:], nil),
		"short parent":   rawSpan(trace[:], id, id[:1]),
		"long parent":    rawSpan(trace[:], id, trace[:]),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode(message(resourceSpans, message(scopeSpans, span)))
			require.Error(t, err)
		})
	}
	for name, ids := range map[string][2]string{
		"short trace id": {strings.Repeat("a", 31), hex.EncodeToString(id)},
		"long span id":   {strings.Repeat("a", 32), strings.Repeat("b", 17)},
		"no hex":         {strings.Repeat("x", 32), hex.EncodeToString(id)},
	} {
		t.Run(name+", JSON", func(t *testing.T) {
			body := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"` + ids[0] + `","spanId":"` + ids[1] + `"}]}]}]}`
			require.Error(t, ptraceotlp.NewExportRequest().UnmarshalJSON([]byte(body)))
		})
	}
}

// Tenants never meet: neither by a name that reads like a part of a key, nor by one trace id for all, nor by an attribute.
func TestTenants(t *testing.T) {
	p := startPipeline(t, nil)
	names := []string{
		"", "a", "a\x00", "A", "aa", "../../etc/passwd", "\x7f", strings.Repeat("x", 127), strings.Repeat("x", 128), strings.Repeat("x", 256),
		"tenant with spaces", "ten\u00e4nt",
	}
	for i, name := range names {
		r := newRequest(1)
		for n := range i + 1 {
			r.span(r.service("shop"), uint64(1+n), 0, server, n, 100)
		}
		r.td.ResourceSpans().At(0).Resource().Attributes().PutStr("tracewright.tenant", "a")
		td, err := decode(encode(t, r.td))
		require.NoError(t, err)
		require.NoError(t, p.entry.ConsumeTraces(withTenant(t.Context(), name), td))
	}
	p.settle()
	for i, name := range names {
		if strings.ContainsAny(name, "\x00\x7f") {
			continue // a header cannot name it; that it meets no other is what counts
		}
		require.Equal(t, i+1, p.checkTrace(t, traceID(1), name).SpanCount, "%q", name)
		rows := p.search(name, nil)
		require.Len(t, rows, 1, "%q", name)
		require.Equal(t, i+1, rows[0].SpanCount, "%q", name)
	}
	status, _, _ := p.ask(http.MethodGet, "/traces/"+traceID(1).String(), "nobody", "")
	require.Equal(t, http.StatusNotFound, status)
}

// Names that are none are refused for good, with the status that tells the sender so.
func TestTenantsThatAreNone(t *testing.T) {
	p := startPipeline(t, nil)
	for _, name := range []string{strings.Repeat("x", 257), "\xff", strings.Repeat("ä", 129)} {
		r := newRequest(1)
		r.pair()
		err := p.entry.ConsumeTraces(withTenant(t.Context(), name), r.td)
		require.True(t, consumererror.IsPermanent(err))
		require.Equal(t, codes.InvalidArgument, status.Code(err))
	}
	require.Equal(t, map[string]int64{"requests_refused/tenant": 3}, p.counters())
	code, _, _ := p.ask(http.MethodGet, "/traces/"+traceID(1).String(), strings.Repeat("x", 257), "")
	require.Equal(t, http.StatusBadRequest, code)
}

// A span that says it comes from the future, or from before what is kept, is found where its trace was released.
func TestSearchFindsTracesOfAnyTime(t *testing.T) {
	p := startPipeline(t, nil)
	for i, year := range []int{1970, 1999, 2100, 2262} {
		r := newRequest(uint64(1 + i))
		span := r.span(r.service("shop"), 1, 0, server, 0, 100)
		start := time.Date(year, 2, 1, 0, 0, 0, 0, time.UTC).UnixNano()
		span.SetStartTimestamp(timestamp(start))
		span.SetEndTimestamp(timestamp(start + 1000))
		p.send(encode(t, r.td))
	}
	p.settle()
	rows := p.search("", nil)
	require.Len(t, rows, 4)
	var starts []string
	for _, row := range rows {
		starts = append(starts, row.Start[:4])
	}
	// The two of the future stand an hour after their release, the two of the past at the edge of what is kept; of two that
	// were released together the larger id comes first.
	require.ElementsMatch(t, []string{"2100", "2262"}, starts[:2])
	require.ElementsMatch(t, []string{"1970", "1999"}, starts[2:])
	require.Len(t, p.search("", map[string]any{"start": "-1h"}), 2)
}
