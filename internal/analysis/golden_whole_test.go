package analysis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
	"github.com/tracewright/tracewright/internal/tracetree/treetest"
)

// describeWhole writes all that is known of a release, one line for each thing, and none where there is nothing:
//
//	entry       service and operation
//	time        start and end of the trace, duration of the entry root
//	path        the critical path: span and time
//	network     those of its segments that lie between two services
//	self        self times
//	bottleneck  span and share
//	edges       span, calling service and operation
//	peers       span, kind and name of whom it calls
//	skew        span and shift
//	origins     spans at which failures began
//	counts      errors and missing parents
//	orphans     spans whose parent is missing
//	outside     spans that stand outside of the tree
//	rules       spans and the rules that they break, but for times of 0
func describeWhole(r *analysis.Result) string {
	lists := make(map[string][]string)
	add := func(line string, i int, more ...any) {
		lists[line] = append(lists[line], strings.TrimSpace(nameOf(r.Tree, i)+" "+strings.TrimSuffix(fmt.Sprintln(more...), "\n")))
	}
	for i := range r.Spans {
		n, s := &r.Tree.Nodes[i], &r.Spans[i]
		if s.SelfTime != 0 {
			add("self", i, s.SelfTime)
		}
		if s.ParentService != "" {
			add("edges", i, s.ParentService, s.ParentOperation)
		}
		if s.PeerService != "" {
			add("peers", i, s.PeerKind, s.PeerService)
		}
		if n.Shift != 0 {
			add("skew", i, n.Shift)
		}
		if s.ErrorOrigin {
			add("origins", i)
		}
		if s.Orphan {
			add("orphans", i)
		}
		switch {
		case n.Duplicate:
			add("outside", i, "duplicate")
		case n.Conflict:
			add("outside", i, "conflict")
		}
		for _, rule := range s.Violations {
			if rule != conventions.ViolationMissingTime {
				add("rules", i, rule)
			}
		}
	}
	for _, list := range lists {
		slices.Sort(list)
	}
	network := r.NetworkSegments()
	for at, segment := range r.Path {
		add("path", segment.Span, fmt.Sprintf("%d-%d", segment.Start, segment.End))
		if network[at] {
			add("network", segment.Span, fmt.Sprintf("%d-%d", segment.Start, segment.End))
		}
	}
	if b := bottleneck(r); b != "" {
		lists["bottleneck"] = []string{b}
	}
	if r.ErrorCount+r.MissingParents > 0 {
		lists["counts"] = []string{fmt.Sprintf("%d errors, %d missing", r.ErrorCount, r.MissingParents)}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "entry %s %s\n", r.EntryService, r.EntryOperation)
	fmt.Fprintf(&out, "time %d-%d root %d\n", r.Start, r.Start+r.Duration, r.RootDuration)
	for _, line := range []string{
		"path", "network", "self", "bottleneck", "edges", "peers", "skew", "origins", "counts", "orphans", "outside", "rules",
	} {
		if list := lists[line]; list != nil {
			fmt.Fprintf(&out, "%s %s\n", line, strings.Join(list, ", "))
		}
	}
	return out.String()
}

// Every expected value was worked out by hand from the drawing, in which one column is 5 ns or so.
var goldenWhole = []struct {
	name, spans, want string
	assembly          tracetree.Assembly
}{
	{
		//  1 |---------|               0-50   server
		//  2             |-------|    60-100  a root of its own, linked to 1: nobody waits for it
		name: "link",
		spans: `
			a 1 - server   0 50
			b 2 - consumer 60 100 link=1`,
		want: `
			entry a op1
			time 0-100 root 50
			path 1 0-50
			self 1 50, 2 40
			bottleneck 1 1.00`,
	},
	{
		//  1 |--------------------|    0-100
		//  2   |---|                  10-30   producer: waits for 4, not for 3
		//  4    |-|                   15-25
		//  3     |----------------->  20-200  consumer
		name: "producer with work of its own",
		spans: `
			a 1 - server   0 100
			a 2 1 producer 10 30 messaging.destination.name=mails
			b 3 2 consumer 20 200
			a 4 2 internal 15 25`,
		want: `
			entry a op1
			time 0-200 root 100
			path 1 0-10, 2 10-15, 4 15-25, 2 25-30, 1 30-100
			self 1 80, 2 10, 3 180, 4 10
			bottleneck 1 0.80
			edges 3 a op2`,
	},
	{
		//  1 |--------------------|    0-100
		//  2     |-------|            20-60   a consumer that no producer sent: its parent waits for it
		name: "consumer below a server",
		spans: `
			a 1 - server   0 100
			a 2 1 consumer 20 60`,
		want: `
			entry a op1
			time 0-100 root 100
			path 1 0-20, 2 20-60, 1 60-100
			self 1 60, 2 40
			bottleneck 1 0.60`,
	},
	{
		//  1 |--------------------|    0-100  a server
		//  2   |----------------|     10-90   a client
		//  3     |------------|       20-80   b server
		//  4       |--------|         30-70   b client
		//  5         |----|           40-60   c server
		// All hold 20 of the path: of equals the one that starts first.
		name: "two hops",
		spans: `
			a 1 - server 0 100
			a 2 1 client 10 90 server.address=b
			b 3 2 server 20 80
			b 4 3 client 30 70 server.address=c
			c 5 4 server 40 60`,
		want: `
			entry a op1
			time 0-100 root 100
			path 1 0-10, 2 10-20, 3 20-30, 4 30-40, 5 40-60, 4 60-70, 3 70-80, 2 80-90, 1 90-100
			network 2 10-20, 4 30-40, 4 60-70, 2 80-90
			self 1 20, 2 20, 3 20, 4 20, 5 20
			bottleneck 1 0.20
			edges 3 a op2, 5 b op4`,
	},
	{
		//  1 |--------------------|  1000-1100
		//  2       |-------|           20-60 by a clock that is behind. 40 within 100: 30 on either side, so 1030-1070
		name: "clock behind",
		spans: `
			a 1 - client 1000 1100
			b 2 1 server 20 60`,
		want: `
			entry a op1
			time 1000-1100 root 100
			path 1 1000-1030, 2 1030-1070, 1 1070-1100
			network 1 1000-1030, 1 1070-1100
			self 1 60, 2 40
			bottleneck 1 0.60
			edges 2 a op1
			skew 2 1010`,
	},
	{
		//  1 |--------------------|    0-100  a client
		//  2       |--------|       1030-1070 b server, its clock 1000 ahead: 30-70
		//  3        |------|        1035-1065 b client: moves along, 35-65
		//  4         |----|           40-60   a server, on the first host: its clock is right
		name: "there and back between two hosts",
		spans: `
			a 1 - client 0 100
			b 2 1 server 1030 1070
			b 3 2 client 1035 1065
			a 4 3 server 40 60`,
		want: `
			entry a op1
			time 0-100 root 100
			path 1 0-30, 2 30-35, 3 35-40, 4 40-60, 3 60-65, 2 65-70, 1 70-100
			network 1 0-30, 3 35-40, 3 60-65, 1 70-100
			self 1 60, 2 10, 3 10, 4 20
			bottleneck 1 0.60
			edges 2 a op1, 4 b op3
			skew 2 -1000, 3 -1000`,
	},
	{
		//  1 |--------------------|    0-100  client half
		//  1       |-------|        1030-1070 server half of the same id, which names no parent either: 30-70
		name: "shared id of a root, and a clock ahead",
		spans: `
			a 1 - client 0 100
			b 1 - server 1030 1070`,
		want: `
			entry a op1
			time 0-100 root 100
			path 1 0-30, 1 30-70, 1 70-100
			network 1 0-30, 1 70-100
			self 1 40, 1 60
			bottleneck 1 0.60
			edges 1 a op1
			skew 1 -1000`,
	},
	{
		//  1 |---------|               0-50   client: gave up
		//  2   |--------------|       10-90   longer than its client, and starts within: no clock is off. Cut to 10-50 on the path
		name: "client that gave up",
		spans: `
			a 1 - client 0 50 error
			b 2 1 server 10 90`,
		want: `
			entry a op1
			time 0-90 root 50
			path 1 0-10, 2 10-50
			network 1 0-10
			self 1 10, 2 80
			bottleneck 2 0.80
			edges 2 a op1
			origins 1
			counts 1 errors, 0 missing`,
	},
	{
		//  1 |-------|                 0-40   its own parent: a root
		//  2   |-|                    10-20
		name: "self-parent",
		spans: `
			a 1 1 server   0 40
			a 2 1 internal 10 20`,
		want: `
			entry a op1
			time 0-40 root 40
			path 1 0-10, 2 10-20, 1 20-40
			self 1 30, 2 10
			bottleneck 1 0.75
			rules 1 parent_cycle`,
	},
	{
		//  1 |-----|                   0-30   1 → 2 → 1: cut above 1, which starts first
		//  2  |--|                     5-20
		//  3           |-|            50-60   a true root is the entry, though it is the last
		name: "cycle beside a root",
		spans: `
			a 1 2 internal 0 30
			a 2 1 internal 5 20
			b 3 - server   50 60`,
		want: `
			entry b op3
			time 0-60 root 10
			path 3 50-60
			self 1 15, 2 15, 3 10
			bottleneck 3 1.00
			rules 1 parent_cycle`,
	},
	{
		//  2   |-------|              10-50   below 9, which never came
		//  3 |-------|                 0-40   below 8, which never came: the earlier of the two is the entry
		name: "two missing parents",
		spans: `
			a 2 9 server 10 50
			b 3 8 server 0 40`,
		want: `
			entry b op3
			time 0-50 root 40
			path 3 0-40
			self 2 40, 3 40
			bottleneck 3 1.00
			counts 0 errors, 2 missing
			orphans 2, 3`,
	},
	{
		// In a trace of the year 1973 a start of 0 is none: 2 stands where its parent starts, without duration.
		name: "start of 0 among real times",
		spans: `
			a 1 - server   100000000000000000 100000000000000100
			a 2 1 internal 0                  100000000000000050`,
		want: `
			entry a op1
			time 100000000000000000-100000000000000100 root 100
			path 1 100000000000000000-100000000000000100
			self 1 100
			bottleneck 1 1.00`,
	},
	{
		//  1 |--------------------|    0-100
		//  2             |            60      ends at 30, before it starts: no duration
		name: "negative duration",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 60 30`,
		want: `
			entry a op1
			time 0-100 root 100
			path 1 0-100
			self 1 100
			bottleneck 1 1.00
			rules 2 negative_duration`,
	},
	{
		//  1 |--------------------|    0-100
		//  2 |--------------------|    0-100  nothing is left for 1
		//  3 |--------------------|    0-100  nor for 2
		name: "children as long as their parent",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 0 100
			a 3 2 internal 0 100`,
		want: `
			entry a op1
			time 0-100 root 100
			path 3 0-100
			self 3 100
			bottleneck 3 1.00`,
	},
	{
		//  1 |--------------------|    0-100  covered by its children all the time, and yet on the path: when 4 started,
		//  2 |-------|                 0-40   it had waited for 2 alone
		//  3       |-------|          30-70
		//  4             |-------|    60-100
		name: "stairs",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 0 40
			a 3 1 internal 30 70
			a 4 1 internal 60 100`,
		want: `
			entry a op1
			time 0-100 root 100
			path 2 0-40, 1 40-60, 4 60-100
			self 2 40, 3 40, 4 40
			bottleneck 2 0.40`,
	},
	{
		//  1 |---|                     0-20
		//  2       |-----|            30-60   starts when its parent has ended
		name: "child after its parent",
		spans: `
			a 1 - server   0 20
			a 2 1 internal 30 60`,
		want: `
			entry a op1
			time 0-60 root 20
			path 1 0-20
			self 1 20, 2 30
			bottleneck 1 1.00`,
	},
	{
		//  1 |--------------------|    0-100  500
		//  2   |-------|              10-50   500
		//  3     |---|                20-40   500: it began here. No status says error, so none counts as one
		name: "failures by their codes",
		spans: `
			a 1 - server 0 100 http.response.status_code:500
			a 2 1 client 10 50 http.response.status_code:500
			b 3 2 server 20 40 http.response.status_code:500`,
		want: `
			entry a op1
			time 0-100 root 100
			path 1 0-10, 2 10-20, 3 20-40, 2 40-50, 1 50-100
			network 2 10-20, 2 40-50
			self 1 60, 2 20, 3 20
			bottleneck 1 0.60
			edges 3 a op2
			origins 3`,
	},
	{
		//  1 |--------------------|    0-100
		//  2   |-----|                10-40   a database
		//  3           |-|            50-60   a queue
		//  4               |-|        70-80   somebody else's host
		name: "virtual peers",
		spans: `
			a 1 - server   0 100
			a 2 1 client   10 40 db.system.name=postgresql db.namespace=shop
			a 3 1 producer 50 60 messaging.destination.name=mails
			a 4 1 client   70 80 server.address=api.bank.example server.port:443`,
		want: `
			entry a op1
			time 0-100 root 100
			path 1 0-10, 2 10-40, 1 40-50, 3 50-60, 1 60-70, 4 70-80, 1 80-100
			self 1 50, 2 30, 3 10, 4 10
			bottleneck 1 0.50
			peers 2 database postgresql:shop, 3 queue mails, 4 external api.bank.example:443`,
	},
	{
		//  1 |--------------------|    0-100
		//  2   |---|                  10-30   sent twice: the second stands outside
		//  3    |                     15-20   child of 2
		name: "child of a repeated span",
		spans: `
			a 1 - server   0 100
			a 2 1 internal 10 30
			a 2 1 internal 10 30
			a 3 2 internal 15 20`,
		want: `
			entry a op1
			time 0-100 root 100
			path 1 0-10, 2 10-15, 3 15-20, 2 20-30, 1 30-100
			self 1 80, 2 15, 3 5
			bottleneck 1 0.80
			outside 2 duplicate`,
	},
	{
		// What came after the release of its trace has no path. Assembly wrote entry and caller, and that 5 was answered before.
		//  3    |-----|               20-50
		//  5      |                   31-32
		name:     "late fragment",
		assembly: tracetree.Assembly{Outcome: conventions.OutcomeLate, Version: 2},
		spans: `
			b 3 2 server 20 50 tracewright.entry.service=shop tracewright.entry.operation=GET tracewright.parent.service=a tracewright.parent.operation=op2
			b 5 3 client 31 32 server.address=stock tracewright.child.service=stock`,
		want: `
			entry shop GET
			time 20-50 root 30
			self 3 29, 5 1
			edges 3 a op2`,
	},
}

func TestGoldenWhole(t *testing.T) {
	for _, tt := range goldenWhole {
		t.Run(tt.name, func(t *testing.T) {
			want := ""
			for line := range strings.Lines(tt.want) {
				if line = strings.TrimSpace(line); line != "" {
					want += line + "\n"
				}
			}
			release := treetest.Release(t, tt.spans)
			release.Assembly = tt.assembly
			require.Equal(t, want, describeWhole(analysis.Analyze(release)))
			slices.Reverse(release.Spans)
			require.Equal(t, want, describeWhole(analysis.Analyze(release)), "the other way round")
		})
	}
}
