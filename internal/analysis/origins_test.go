package analysis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// originsOf writes the origins, one a line: span, kind, type, message; the path; how far the failure went.
func originsOf(r *analysis.Result) string {
	var lines []string
	for _, o := range analysis.FindOrigins(r) {
		var path []string
		for _, i := range r.AppendErrorPath(nil, o.Span) {
			path = append(path, nameOf(r.Tree, i))
		}
		line := fmt.Sprintf("%s %s", nameOf(r.Tree, o.Span), o.Kind)
		if said := strings.Trim(o.Type+": "+o.Message, ": "); said != "" {
			line += " (" + said + ")"
		}
		line += " up " + strings.Join(path, " ")
		switch {
		case o.Retry >= 0:
			line += fmt.Sprintf(", %s by %s with %s", o.Absorbed, nameOf(r.Tree, o.AbsorbedBy), nameOf(r.Tree, o.Retry))
		case o.Absorbed != "":
			line += fmt.Sprintf(", %s by %s", o.Absorbed, nameOf(r.Tree, o.AbsorbedBy))
		case o.ReachedEntry:
			line += ", reached the entry"
		}
		if o.CancelledBy >= 0 {
			line += ", cancelled by " + nameOf(r.Tree, o.CancelledBy)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// Every expected line was worked out by hand.
var goldenOrigins = []struct{ name, spans, want string }{
	{
		name: "nothing failed", spans: `
			a 1 - server 0 100
			a 2 1 client 10 90 http.response.status_code:200`,
	},
	{
		// 1 a server, failed
		// └ 2 a internal, failed
		//   └ 3 a internal, failed first
		name: "a leaf", spans: `
			a 1 - server   0 100 error
			a 2 1 internal 10 90 error
			a 3 2 internal 20 80 error exception=KeyError:no_shelf_"blue"_for_17`,
		want: "3 failure (KeyError: no shelf # for #) up 3 2 1, reached the entry",
	},
	{
		// 1 a server, failed
		// └ 2 a client, failed
		//   └ 3 b server, failed
		//     └ 4 b client of a database: the query is wrong
		name: "in another service", spans: `
			a 1 - server 0 100 error
			a 2 1 client 10 90 error
			b 3 2 server 20 80 error http.response.status_code:500
			b 4 3 client 30 70 error db.system.name=postgresql server.address=db error.type=42P01`,
		want: "4 failure (42P01) up 4 3 2 1, reached the entry",
	},
	{
		// 1 a server, well
		// ├ 2 a client, failed      10-30
		// │ └ 3 b server, failed
		// ├ 4 a client, failed      40-50
		// │ └ 5 b server, failed
		// └ 6 a client, well        60-80: what 2 and 4 asked for
		//   └ 7 b server, well
		name: "absorbed by a retry", spans: `
			a 1 - server 0 100
			a 2 1 client 10 30 error name=get
			b 3 2 server 12 28 error name=reserve
			a 4 1 client 40 50 error name=get
			b 5 4 server 42 48 error name=reserve
			a 6 1 client 60 80 name=get
			b 7 6 server 62 78 name=reserve`,
		want: "3 failure up 3 2 1, retried by 1 with 6\n5 failure up 5 4 1, retried by 1 with 6",
	},
	{
		// The caller tries again and fails all the same, by itself. Nobody answered the first try.
		// 1 a server, failed
		// ├ 2 a internal, failed
		// │ └ 3 a client, failed: no answer
		// └ 4 a internal, well
		//   └ 5 a client, well
		//     └ 6 b server
		name: "a retry within spans of a library", spans: `
			a 1 - server   0 100 error
			a 2 1 internal 10 30 error name=try
			a 3 2 client   12 28 error name=get server.address=b http.request.method=GET
			a 4 1 internal 40 60 name=try
			a 5 4 client   42 58 name=get server.address=b http.request.method=GET
			b 6 5 server   44 56`,
		want: "3 unreachable up 3 2 1, retried by 1 with 4",
	},
	{
		// The second try succeeds; nobody answered the first. The third call is for something else.
		// 1 a server, well
		// ├ 2 a client, connection refused
		// ├ 3 a client, well, of b
		// │ └ 4 b server
		// ├ 5 a client, failed, of another URL
		// └ 6 a client, well
		name: "a retry after no answer", spans: `
			a 1 - server 0 100
			a 2 1 client 10 20 error=connect:_Connection_refused name=GET server.address=b url.full=http://b/x
			a 3 1 client 30 40 name=GET server.address=b url.full=http://b/x
			b 4 3 server 32 38
			a 5 1 client 50 60 error name=GET server.address=b url.full=http://b/y http.response.status_code:404
			a 6 1 client 70 80 name=GET server.address=b url.full=http://b/x http.response.status_code:200`,
		want: "2 unreachable (connect: Connection refused) up 2 1, retried by 1 with 3\n5 failure (404) up 5 1, caught by 1",
	},
	{
		// 1 a server, well
		// └ 2 a internal, well: caught it
		//   └ 3 a client, failed
		//     └ 4 b server, failed
		name: "caught by a parent", spans: `
			a 1 - server   0 100
			a 2 1 internal 10 90
			a 3 2 client   20 80 error
			b 4 3 server   30 70 error=boom`,
		want: "4 failure (boom) up 4 3 2 1, caught by 2",
	},
	{
		// 1 a server, failed
		// └ 2 a client, gave up at 50
		//   └ 3 b server, failed: cancelled, until 60
		//     └ 4 b client of a database: cancelled, until 55
		name: "a timeout with what it cancelled", spans: `
			a 1 - server 0 100 error
			a 2 1 client 10 50 error=context_deadline_exceeded
			b 3 2 server 15 60 error=context_canceled
			b 4 3 client 20 55 error=context_canceled db.system.name=postgresql`,
		want: "4 cancelled (context canceled) up 4 3 2 1, reached the entry, cancelled by 2",
	},
	{
		// 1 a server, failed
		// └ 2 a client, failed at 50, without a word
		//   └ 3 b server, well, but until 80: nobody waited for it
		name: "the answer came too late", spans: `
			a 1 - server 0 100 error
			a 2 1 client 10 50 error
			b 3 2 server 15 80`,
		want: "2 timeout up 2 1, reached the entry",
	},
	{
		// The caller went away while 3 was still at work: no timeout.
		name: "the caller went away", spans: `
			a 1 - server 0 45 http.response.status_code:499
			a 2 1 client 10 50 error exception=CancelledError
			b 3 2 server 15 80`,
		want: "2 cancelled (CancelledError) up 2 1, caught by 1",
	},
	{
		// Of calls without a server span: 2 got no code from the service, 3 did, 4 is a database's, 5 says it itself, 6's gRPC gave
		// the code itself, 7's was the server's, 8 says nothing of whom it called.
		name: "unreachable or not", spans: `
			a 1 - server 0 100 error
			a 2 1 client 10 11 error http.request.method=GET server.address=b
			a 3 1 client 12 13 error http.request.method=GET server.address=b http.response.status_code:503
			a 4 1 client 14 15 error db.system.name=mysql server.address=db
			a 5 1 client 16 17 error db.system.name=mysql server.address=db error.type=ECONNREFUSED
			a 6 1 client 18 19 error rpc.system=grpc rpc.grpc.status_code:14
			a 7 1 client 20 21 error rpc.system=grpc rpc.grpc.status_code:13
			a 8 1 client 22 23 error
			a 9 1 client 24 25 error peer.service=b server.address=b.svc`,
		want: `2 unreachable up 2 1, reached the entry
3 failure (503) up 3 1, reached the entry
4 failure up 4 1, reached the entry
5 unreachable (ECONNREFUSED) up 5 1, reached the entry
6 unreachable (14) up 6 1, reached the entry
7 failure (13) up 7 1, reached the entry
8 failure up 8 1, reached the entry
9 unreachable up 9 1, reached the entry`,
	},
	{
		// 1 a server, failed
		// ├ 2 a internal, failed
		// └ 3 a internal, well
		//   └ 4 a internal, failed
		name: "two origins", spans: `
			a 1 - server   0 100 error
			a 2 1 internal 10 20 error=x
			a 3 1 internal 30 60
			a 4 3 internal 40 50 error=y`,
		want: "2 failure (x) up 2 1, reached the entry\n4 failure (y) up 4 3 1, caught by 3",
	},
	{
		// Nothing has the status error: 2 has a code of the client's, 3 a code that is no error on servers, 4 threw, 5 threw but says that
		// all is well, 6 threw on the way to an answer that is none of an error.
		name: "failures that the status does not say", spans: `
			a 1 - server   0 100 http.response.status_code:500
			a 2 1 client   10 20 http.response.status_code:404
			b 3 2 server   12 18 http.response.status_code:404
			a 4 1 internal 30 40 exception=E:m
			a 5 1 internal 50 60 exception=E:m ok
			a 6 1 client   70 80 exception=E:m http.response.status_code:200`,
		want: "2 failure (404) up 2 1, reached the entry\n4 failure (E: m) up 4 1, reached the entry",
	},
	{
		// 1 a server, well
		// └ 2 a producer, well: it did not wait, and caught nothing
		//   └ 3 b consumer, failed
		name: "a consumer fails on its own", spans: `
			a 1 - server   0 30
			a 2 1 producer 10 20
			b 3 2 consumer 50 60 error=poison`,
		want: "3 failure (poison) up 3 2 1",
	},
	{
		// 2's parent never came: what it did is not known.
		name: "an orphan", spans: `
			a 1 - server   0 100
			b 2 9 server   10 20 error`,
		want: "2 failure up 2",
	},
}

func TestGoldenOrigins(t *testing.T) {
	kinds := make(map[analysis.ErrorKind]bool)
	for _, tt := range goldenOrigins {
		t.Run(tt.name, func(t *testing.T) {
			release := treetest.Release(t, tt.spans)
			r := analysis.Analyze(release)
			require.Equal(t, tt.want, originsOf(r))
			for _, o := range analysis.FindOrigins(r) {
				kinds[o.Kind] = true
			}
			slices.Reverse(release.Spans)
			require.Equal(t, tt.want, originsOf(analysis.Analyze(release)), "the order of the spans does not matter")
		})
	}
	for _, kind := range analysis.ErrorKinds {
		require.True(t, kinds[kind], kind)
	}
}

// A span that fails by a code alone is no error to those that count.
func TestFailingIsNotFailed(t *testing.T) {
	r := analysis.Analyze(treetest.Release(t, `
		a 1 - server 0 100 http.response.status_code:500
		a 2 1 client 10 20 error`))
	require.Equal(t, 1, r.ErrorCount)
	require.Equal(t, []bool{false, true}, []bool{r.Spans[0].Failed, r.Spans[1].Failed})
	require.Equal(t, []bool{true, true}, []bool{r.Spans[0].Failing, r.Spans[1].Failing})
}

// A status code that OTLP does not have counts as unset.
func TestFailingWithAnUnknownStatus(t *testing.T) {
	for code, want := range map[ptrace.StatusCode]bool{
		ptrace.StatusCodeUnset: true, ptrace.StatusCodeOk: false, ptrace.StatusCodeError: true, 3: true, -1: true,
	} {
		release := treetest.Release(t, "a 1 - server 0 100 http.response.status_code:500")
		release.Spans[0].Status().SetCode(code)
		require.Equal(t, want, analysis.Analyze(release).Spans[0].Failing, code)
	}
}

// An exception that did not leave its span was handled there.
func TestHandledException(t *testing.T) {
	for _, escaped := range []bool{false, true} {
		release := treetest.Release(t, "a 1 - internal 0 100 exception=E")
		release.Spans[0].Events().At(0).Attributes().PutBool("exception.escaped", escaped)
		require.Equal(t, escaped, analysis.Analyze(release).Spans[0].ErrorOrigin)
	}
}

// The same failure has one fingerprint in all traces, whatever the case.
func TestFingerprintsGroup(t *testing.T) {
	fingerprint := func(message string) string {
		release := treetest.Release(t, "a 1 - internal 0 100 error exception=E")
		release.Spans[0].Events().At(0).Attributes().PutStr("exception.message", message)
		return analysis.Analyze(release).Spans[0].Fingerprint
	}
	for _, same := range [][]string{
		{`order 4711 of 'ann': no shelf`, `order 12 of 'o"brian 7': no shelf`},
		{"dial tcp 10.1.2.3:5432: connection refused", "dial tcp 192.168.0.1:80: connection refused"},
		{"no user ord_8fGh2Kq9x", "no user ord_1ZbC99xQ4"},
		{"GET https://a.example/1?x=y failed", "GET http://b.example:8080/ failed"},
	} {
		require.Equal(t, fingerprint(same[0]), fingerprint(same[1]), same)
	}
	require.NotEqual(t, fingerprint("no shelf"), fingerprint("no order"))
}

func TestErrorPathIsBounded(t *testing.T) {
	var spans strings.Builder
	fmt.Fprintln(&spans, "a 1 - internal 0 100 error")
	for i := 2; i <= analysis.MaxErrorPath+8; i++ {
		fmt.Fprintf(&spans, "a %x %x internal 0 100 error\n", i, i-1)
	}
	r := analysis.Analyze(treetest.Release(t, spans.String()))
	origins := analysis.FindOrigins(r)
	require.Len(t, origins, 1)
	require.Equal(t, analysis.MaxErrorPath+8, origins[0].PathLength)
	path := r.AppendErrorPath(nil, origins[0].Span)
	require.Len(t, path, analysis.MaxErrorPath)
	require.Equal(t, origins[0].Span, path[0])
	require.True(t, origins[0].ReachedEntry)
}
