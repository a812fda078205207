package analysis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// nameOf is the last byte of the span's id in hex.
func nameOf(tree *tracetree.Tree, i int) string {
	id := tree.Nodes[i].SpanID()
	return fmt.Sprintf("%x", id[7])
}

// pathOf writes the critical path as "span start-end", in time order.
func pathOf(r *analysis.Result) string {
	var segments []string
	for _, s := range r.Path {
		segments = append(segments, fmt.Sprintf("%s %d-%d", nameOf(r.Tree, s.Span), s.Start, s.End))
	}
	return strings.Join(segments, ", ")
}

// perSpan writes one number of each span in the tree that is not zero, in the order of the spans.
func perSpan(r *analysis.Result, value func(s *analysis.SpanResult) int64) string {
	var out []string
	for i := range r.Spans {
		if v := value(&r.Spans[i]); v != 0 {
			out = append(out, fmt.Sprintf("%s %d", nameOf(r.Tree, i), v))
		}
	}
	return strings.Join(out, ", ")
}

func origins(r *analysis.Result) string {
	var out []string
	for i := range r.Spans {
		if r.Spans[i].ErrorOrigin {
			out = append(out, nameOf(r.Tree, i))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func bottleneck(r *analysis.Result) string {
	if r.Bottleneck < 0 {
		return ""
	}
	return fmt.Sprintf("%s %.2f", nameOf(r.Tree, r.Bottleneck), r.BottleneckShare)
}

// Every expected value was worked out by hand from the drawing, in which one column is 5 ns or so.
var golden = []struct {
	name, spans string

	path, self, bottleneck, origins string
	entry                           string // service and operation
	start, duration, root           int64
	errors, missing                 int
	services                        string
}{
	{
		//  1 |--------------------|    0-100
		name:  "one span",
		spans: `a 1 - server 0 100`,
		path:  "1 0-100", self: "1 100", bottleneck: "1 1.00",
		entry: "a op1", duration: 100, root: 100, services: "a",
	},
	{
		//  1 |--------------------|    0-100
		//  2   |------------|         10-70
		//  3      |-----|             25-55
		name: "nested",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 10 70
			a 3 2 internal 25 55`,
		path: "1 0-10, 2 10-25, 3 25-55, 2 55-70, 1 70-100",
		self: "1 40, 2 30, 3 30", bottleneck: "1 0.40",
		entry: "a op1", duration: 100, root: 100, services: "a",
	},
	{
		//  1 |--------------------|    0-100
		//  2   |------|               10-45
		//  3      |---------|         25-75   ends last: 2, which ends after 3 starts, was not waited for
		//  4  |--|                     5-20   ends before 3 starts
		name: "overlapping siblings",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 10 45
			a 3 1 internal 25 75
			a 4 1 internal 5 20`,
		path: "1 0-5, 4 5-20, 1 20-25, 3 25-75, 1 75-100",
		// 1: 100 less the union 5-75
		self: "1 30, 2 35, 3 50, 4 15", bottleneck: "3 0.50",
		entry: "a op1", duration: 100, root: 100, services: "a",
	},
	{
		//  1 |----------|              0-50   server
		//  2  |-|                      5-15   producer, whose consumer runs until long after the request
		//  3   |--------------------| 10-110  consumer of another service
		//  4    |------|              15-50
		name: "asynchronous consumer",
		spans: `
			a 1 - server   0 50
			a 2 1 producer 5 15
			b 3 2 consumer 10 110
			b 4 3 internal 15 50`,
		path: "1 0-5, 2 5-15, 1 15-50",
		// 2 does not wait for 3, so all of it is its own; 3: 100 less 35.
		self: "1 40, 2 10, 3 65, 4 35", bottleneck: "1 0.80",
		entry: "a op1", duration: 110, root: 50, services: "a b",
	},
	{
		//  1 |--------------------|     0-100  client
		//  2            |--------|      as b's clock has it: 1030-1070, longer clocks apart; 40 in 100: 30-70
		//  3              |--|          1040-1050, so 40-50
		name: "skewed server",
		spans: `
			a 1 - client   0 100
			b 2 1 server   1030 1070
			b 3 2 internal 1040 1050`,
		path: "1 0-30, 2 30-40, 3 40-50, 2 50-70, 1 70-100",
		self: "1 60, 2 30, 3 10", bottleneck: "1 0.60",
		entry: "a op1", duration: 100, root: 100, services: "a b",
	},
	{
		//  9 (never came)
		//  1 |----------|               0-50
		//  2   |--|                    10-20
		//  3             |---|         60-80   of the same missing parent
		name: "missing parent",
		spans: `
			a 1 9 server   0 50
			a 2 1 internal 10 20
			a 3 9 internal 60 80`,
		path: "1 0-10, 2 10-20, 1 20-50",
		self: "1 40, 2 10, 3 20", bottleneck: "1 0.80",
		entry: "a op1", duration: 80, root: 50, missing: 1, services: "a",
	},
	{
		//  1     |------|              20-50   the earlier root is the entry
		//  2  |-----------------|       5-90   an orphan, though it starts before
		//  3         |--------|        40-80   the other root
		name: "two roots and an orphan",
		spans: `
			b 3 - server   40 80
			a 1 - server   20 50
			c 2 8 internal 5 90`,
		path: "1 20-50", self: "3 40, 1 30, 2 85", bottleneck: "1 1.00",
		entry: "a op1", start: 5, duration: 85, root: 30, missing: 1, services: "a b c",
	},
	{
		// 1 → 3 → 2 → 1: cut above 2, which starts first. 1 outlives its parent and is cut to 15-40.
		//  2  |------|                  5-40
		//  1    |-------|              15-50
		//  3      |-|                  25-35   child of 1
		name: "cycle",
		spans: `
			a 1 2 internal 15 50
			a 2 3 internal 5 40
			a 3 1 internal 25 35`,
		path: "2 5-15, 1 15-25, 3 25-35, 1 35-40",
		self: "1 25, 2 10, 3 10", bottleneck: "1 0.43", // 15 of 35
		entry: "a op2", start: 5, duration: 45, root: 35, services: "a",
	},
	{
		//  1 |--------------------|     0-100  server
		//  2c |----------------|       10-90   client half
		//  2s   |----------|           20-70   server half, of the same id
		//  3      |---|                30-45   names 2: hangs under the server half
		name: "shared ids",
		spans: `
			a 1 - server   0 100
			a 2 1 client   10 90
			b 2 1 server   20 70
			b 3 2 internal 30 45`,
		path: "1 0-10, 2 10-20, 2 20-30, 3 30-45, 2 45-70, 2 70-90, 1 90-100",
		self: "1 20, 2 30, 2 35, 3 15", bottleneck: "2 0.35",
		entry: "a op1", duration: 100, root: 100, services: "a b",
	},
	{
		//  1 |--------------------|     0-100
		//  2            |              60      no duration
		//  3      |-----|              30-60   ends where 2 lies
		//  4                      |   100      no duration, at the very end
		name: "children of no duration",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 60 60
			a 3 1 internal 30 60
			a 4 1 internal 100 100`,
		path: "1 0-30, 3 30-60, 1 60-100",
		self: "1 70, 3 30", bottleneck: "1 0.70",
		entry: "a op1", duration: 100, root: 100, services: "a",
	},
	{
		//  1 |--------------------|     0-100
		//  2 |-----|                    0-30
		//  3       |-----|             30-60   starts exactly when 2 ends
		//  4             |--------|    60-100
		name: "one after the other without a gap",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 0 30
			a 3 1 internal 30 60
			a 4 1 internal 60 100`,
		path: "2 0-30, 3 30-60, 4 60-100",
		self: "2 30, 3 30, 4 40", bottleneck: "4 0.40",
		entry: "a op1", duration: 100, root: 100, services: "a",
	},
	{
		//  1      |----------|         50-100
		//  2    |----|                 40-60   begins before its parent: cut to 50-60
		//  3             |--------|    80-120  ends after it: cut to 80-100
		//  4               |--------|  90-130  child of 3: cut to 90-100
		//  5 |--|                       0-20   wholly before
		//  6                       |-|120-130  wholly after
		name: "children that overflow their parent",
		spans: `
			a 1 - server   50 100
			a 2 1 internal 40 60
			a 3 1 internal 80 120
			a 4 3 internal 90 130
			a 5 1 internal 0 20
			a 6 1 internal 120 130`,
		path: "2 50-60, 1 60-80, 3 80-90, 4 90-100",
		// 3: 40 less 90-120
		self: "1 20, 2 20, 3 10, 4 40, 5 20, 6 10", bottleneck: "1 0.40",
		entry: "a op1", duration: 130, root: 50, services: "a",
	},
	{
		//  1 |--------------------|     0-100  two children end at the same time
		//  2    |-------|              15-55
		//  3  |---------|               5-55   of equal ends the earlier start
		//  5             |--|          60-75   equal in everything:
		//  4             |--|          60-75   the smaller id
		name: "equal ends",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 15 55
			a 3 1 internal 5 55
			a 5 1 internal 60 75
			a 4 1 internal 60 75`,
		path: "1 0-5, 3 5-55, 1 55-60, 4 60-75, 1 75-100",
		self: "1 35, 2 40, 3 50, 5 15, 4 15", bottleneck: "3 0.50",
		entry: "a op1", duration: 100, root: 100, services: "a",
	},
	{
		//  1  server                    0-100  went well: it could do without 2
		//  2   client, failed          10-50
		//  3    server of b, failed    15-45
		//  4     went well             20-30
		//  5     failed: the origin    30-40
		//  6   client, failed          50-90   nobody answered: an origin itself
		name: "failing chain, absorbed",
		spans: `
			a 1 - server   0 100
			a 2 1 client   10 50 error
			b 3 2 server   15 45 error
			b 4 3 internal 20 30
			b 5 3 internal 30 40 error=boom
			a 6 1 client   50 90 error`,
		path: "1 0-10, 2 10-15, 3 15-20, 4 20-30, 5 30-40, 3 40-45, 2 45-50, 6 50-90, 1 90-100",
		self: "1 20, 2 10, 3 10, 4 10, 5 10, 6 40", bottleneck: "6 0.40",
		origins: "5, 6", errors: 4,
		entry: "a op1", duration: 100, root: 100, services: "a b",
	},
	{
		// The second 2 is the first again, the third holds its id with other times.
		//  1 |--------------------|     0-100
		//  2   |---|                   10-30
		//  2           |-----|         50-80   in conflict: neither path, errors nor self time
		name: "repeated and conflicting spans",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 10 30
			a 2 1 internal 10 30
			b 2 1 internal 50 200 error`,
		path: "1 0-10, 2 10-30, 1 30-100",
		self: "1 80, 2 20", bottleneck: "1 0.80",
		entry: "a op1", duration: 100, root: 100, services: "a",
	},
	{
		//  1 |--------------------|     0-100
		//  4 |-----|                    0-30
		//  3       |-----|             30-60
		//  2             |--|          60-70   child of 1
		//  of 1, 3 and 4, with 30 each, the one that starts first; 4 and 1 start together: the smaller id
		name: "equal shares",
		spans: `
			a 3 1 internal 30 60
			a 4 1 internal 0 30
			a 2 1 internal 60 70
			a 1 - server   0 100`,
		path: "4 0-30, 3 30-60, 2 60-70, 1 70-100",
		self: "3 30, 4 30, 2 10, 1 30", bottleneck: "1 0.30",
		entry: "a op1", duration: 100, root: 100, services: "a",
	},
	{
		// All that a start of 0 and no duration can do.
		name: "no time at all",
		spans: `
			a 1 - server   0 0
			a 2 1 internal 0 0`,
		entry: "a op1", services: "a",
	},
}

func TestGolden(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			release := treetest.Release(t, tt.spans)
			check := func(r *analysis.Result) {
				t.Helper()
				require.Equal(t, tt.path, pathOf(r), "critical path")
				require.Equal(t, tt.bottleneck, bottleneck(r), "bottleneck")
				require.Equal(t, tt.origins, origins(r), "error origins")
				require.Equal(t, tt.entry, r.EntryService+" "+r.EntryOperation, "entry")
				require.Equal(t, []int64{tt.start, tt.duration, tt.root}, []int64{r.Start, r.Duration, r.RootDuration})
				require.Equal(t, tt.errors, r.ErrorCount)
				require.Equal(t, tt.missing, r.MissingParents)
				require.Equal(t, tt.services, strings.Join(r.Services, " "))
			}
			r := analysis.Analyze(release)
			check(r)
			require.Equal(t, tt.self, perSpan(r, func(s *analysis.SpanResult) int64 { return s.SelfTime }), "self time")

			slices.Reverse(release.Spans)
			check(analysis.Analyze(release))
		})
	}
}

// Only what lies between a client span and the server span that answers it is the network's.
func TestNetworkSegments(t *testing.T) {
	//  1 |--------------------|    0-100  server
	//  2   |---------|             10-60  client
	//  3     |----|                20-45  server of b
	//  4       |-|                 25-40  client of a database: its time is the database's too
	//  5                |--|       70-90  internal, with a server span below, without a client
	//  6                 ||        75-80
	r := analysis.Analyze(treetest.Release(t, `
		a 1 - server   0 100
		a 2 1 client   10 60
		b 3 2 server   20 45
		b 4 3 client   25 40 db.system.name=x
		a 5 1 internal 70 90
		c 6 5 server   75 80`))
	require.Equal(t, "1 0-10, 2 10-20, 3 20-25, 4 25-40, 3 40-45, 2 45-60, 1 60-70, 5 70-75, 6 75-80, 5 80-90, 1 90-100", pathOf(r))
	require.Equal(t, []bool{false, true, false, false, false, true, false, false, false, false, false}, r.NetworkSegments())
}

func TestSpanCount(t *testing.T) {
	r := analysis.Analyze(treetest.Release(t, `
		a 1 - server   0 100
		a 2 1 internal 10 30
		a 2 1 internal 10 30
		b 2 1 internal 50 200 error`))
	require.Equal(t, 3, r.SpanCount, "the duplicate is not counted, the conflict is")
	require.True(t, r.Spans[3].Failed)
	require.False(t, r.Spans[3].ErrorOrigin)
	require.Equal(t, []string{"conflicting_span_id"}, r.Spans[3].Violations)
	require.Equal(t, "b", r.Spans[3].Service)
}

func TestEmptyRelease(t *testing.T) {
	release := &tracetree.Release{}
	r := analysis.Analyze(release)
	require.Equal(t, -1, r.Bottleneck)
	require.Empty(t, r.Spans)
	analysis.Annotate(release, r)
}

// Services, callers and virtual peers over the ways of a call.
func TestPeersAndParents(t *testing.T) {
	r := analysis.Analyze(treetest.Release(t, `
		shop   1 - server   0 100
		shop   2 1 client   1 10 server.address=orders
		orders 3 2 server   2 9
		orders 4 3 client   3 4  db.system.name=postgresql db.namespace=shop
		orders 5 3 producer 4 5  messaging.system=kafka messaging.destination.name=mails
		mailer 6 5 consumer 6 7
		orders 7 3 producer 5 6  messaging.system=kafka messaging.destination.name=audit
		orders 8 3 client   7 8  url.full=https://user:secret@api.bank.example:8443/pay?x=1
		orders 9 3 client   7 8
		-      a 3 internal 8 9`))
	type row struct{ category, peer, kind, parent string }
	var got []row
	for _, s := range r.Spans {
		got = append(got, row{s.Category, s.PeerService, s.PeerKind, strings.TrimSpace(s.ParentService + " " + s.ParentOperation)})
	}
	require.Equal(t, []row{
		{category: "service_call"},
		{category: "service_call"}, // answered by 3, so not a virtual peer
		{category: "service_call", parent: "shop op2"},
		{category: "database_operation", peer: "postgresql:shop", kind: "database"},
		{category: "messaging"}, // consumed by mailer
		{category: "messaging", parent: "orders op5"},
		{category: "messaging", peer: "audit", kind: "queue"},
		{category: "external_call", peer: "api.bank.example:8443", kind: "external"},
		{category: "external_call"}, // names nothing
		{category: "internal", parent: "orders op3"},
	}, got)
	require.Equal(t, "unknown_service", r.Spans[9].Service)
	require.Equal(t, []string{"mailer", "orders", "shop", "unknown_service"}, r.Services)
}
