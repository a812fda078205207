package tracetree

import (
	"cmp"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// correctSkew moves spans whose host's clock is off, going down from the roots:
//
//   - A server span under a client span that fits into it stays. It fits if it starts and ends within the client span; a
//     server span that is longer than the client span fits if it starts within it, for then the client gave up waiting,
//     and that is a timeout and not a clock.
//   - If it does not fit by its own clock but does by the client's shift, it gets that shift: both stand on one host.
//   - If neither fits, its clock is taken to be as far from the client's as the two hosts are apart (compareClocks). Where the
//     span does not fit by that either, it gets the nearest shift by which it does.
//   - Where its client has no start, or itself has none, a server span keeps its own clock. A client span that ends before it
//     starts, as one that was never ended, has no end that is known: a server span fits wherever it starts after it.
//   - A consumer under a producer keeps its own clock: it may run at any time after it.
//   - Every other span has its parent's shift.
//
// The rule is that of Jaeger's clock skew adjuster with these differences: it looks at client and server pairs alone, all
// calls between two hosts say together how far their clocks are apart, a server that outlasts its client is left alone, an
// inherited shift is tried before a new one, and there is no limit to a shift. It uses nothing but the spans at hand, so the
// same spans always give the same shifts. The client's interval is the corrected one. Corrected times stay within int64 and do
// not go below 0.
func (b *Builder) correctSkew() {
	nodes := b.tree.Nodes
	b.apart = b.apart[:0]
	for _, i := range b.order {
		n := &nodes[i]
		if n.Parent < 0 {
			continue
		}
		parent := &nodes[n.Parent]
		timeless := b.withoutTime(n.StartTimestamp())
		switch kind, above := b.keys[i].kind, b.keys[n.Parent].kind; {
		case kind == ptrace.SpanKindConsumer && above == ptrace.SpanKindProducer:
		case kind == ptrace.SpanKindServer && above == ptrace.SpanKindClient:
			if !timeless {
				n.Shift = b.serverShift(i)
			}
		default:
			n.Shift = parent.Shift
		}
		if timeless {
			n.Start, n.End = parent.Start, parent.Start
			continue
		}
		n.Start, n.End = shifted(n.Start, n.Shift), shifted(n.End, n.Shift)
	}
}

// serverShift is the shift of a server span, still with its own times, under its client span.
func (b *Builder) serverShift(i int) int64 {
	server := &b.tree.Nodes[i]
	client := &b.tree.Nodes[server.Parent]
	longer := server.Duration() > client.Duration()
	for _, shift := range [...]int64{0, client.Shift} {
		if fits(shifted(server.Start, shift), shifted(server.End, shift), client.Start, client.End, longer) {
			return shift
		}
	}
	least, most := client.Start-server.Start, client.End-server.End // by which it fits
	switch {
	case b.withoutTime(client.StartTimestamp()):
		return 0
	case withoutEnd(client):
		if least <= 0 {
			return 0
		}
		if client.Shift >= least {
			return client.Shift
		}
		most = math.MaxInt64
	case longer:
		most = client.End - server.Start
	}
	if len(b.apart) == 0 {
		b.compareClocks() // not before it is needed: most traces need it never
	}
	if b.apart[i] == unknownApart {
		return least
	}
	return min(max(sum(client.Shift, b.apart[i]), least), most)
}

// fits says whether a server span lies within its client span, or starts there if it is longer.
func fits(start, end, clientStart, clientEnd int64, longer bool) bool {
	return start >= clientStart && (end <= clientEnd || longer && start <= clientEnd)
}

// withoutEnd says whether the span's end is not known: it stands at its start then.
func withoutEnd(n *Node) bool {
	return conventions.Nanoseconds(n.EndTimestamp()) < conventions.Nanoseconds(n.StartTimestamp())
}

// call is a server span that does not fit into its client span by the clocks of their hosts.
type call struct {
	client, server uint64 // the hosts, as hashes
	apart          int64  // what must be added to the server's clock to centre its span, or unknownApart
	node           int    // of the server span
}

// unknownApart stands where no call says how far the clocks of two hosts are apart; no two times are.
const unknownApart = math.MinInt64

// compareClocks finds for every two hosts how far their clocks are apart: the median over the calls from one to the other
// whose server span does not fit into the client span, as both were sent. One call says what NTP would conclude from it: the
// middle of the client span minus that of the server span, as if the network took as long on the way there as on the way back. A
// call that its client gave up says nothing: its end is not known to the client. Nor does one whose client has no end.
func (b *Builder) compareClocks() {
	b.apart = resize(b.apart, len(b.tree.Nodes))
	b.calls = b.calls[:0]
	hosts := make(map[pcommon.Resource]uint64)
	host := func(resource pcommon.Resource) uint64 {
		hash, ok := hosts[resource]
		if !ok {
			hash = hostHash(resource)
			hosts[resource] = hash
		}
		return hash
	}
	for _, i := range b.order {
		b.apart[i] = unknownApart
		server := &b.tree.Nodes[i]
		if server.Parent < 0 || b.keys[i].kind != ptrace.SpanKindServer || b.keys[server.Parent].kind != ptrace.SpanKindClient {
			continue
		}
		client := &b.tree.Nodes[server.Parent]
		if b.withoutTime(client.StartTimestamp()) || b.withoutTime(server.StartTimestamp()) {
			continue
		}
		start, end := server.ownTimes()
		clientStart, clientEnd := client.ownTimes()
		spare := clientEnd - clientStart - (end - start)
		if fits(start, end, clientStart, clientEnd, spare < 0) {
			continue
		}
		apart := int64(unknownApart)
		if spare >= 0 && !withoutEnd(client) {
			apart = clientStart + spare/2 - start
		}
		b.calls = append(b.calls, call{host(client.Resource), host(server.Resource), apart, i})
	}
	slices.SortFunc(b.calls, func(a, b call) int {
		return cmp.Or(cmp.Compare(a.client, b.client), cmp.Compare(a.server, b.server), cmp.Compare(a.apart, b.apart))
	})
	for at := 0; at < len(b.calls); {
		first, known := at, 0
		for ; at < len(b.calls) && b.calls[at].client == b.calls[first].client && b.calls[at].server == b.calls[first].server; at++ {
			if b.calls[at].apart != unknownApart {
				known++
			}
		}
		if known == 0 {
			continue
		}
		apart := median(b.calls[at-known : at]) // the unknown stand first
		for _, c := range b.calls[first:at] {
			b.apart[c.node] = apart
		}
	}
}

// median is that of sorted calls: of an even number the middle between the two in the middle, rounded down.
func median(calls []call) int64 {
	low, high := calls[(len(calls)-1)/2].apart, calls[len(calls)/2].apart
	return low + int64((uint64(high)-uint64(low))/2) // high-low may be beyond int64
}

// hostHash tells hosts apart: by the name that the resource gives its host, else by all that it says.
func hostHash(resource pcommon.Resource) uint64 {
	if name := conventions.Host(resource); name != "" {
		return xxhash.Sum64String(name)
	}
	return hashAttributes(resource.Attributes(), "")
}

// shifted is t + shift, kept within 0 and the largest int64; t is not negative.
func shifted(t, shift int64) int64 {
	if shift > math.MaxInt64-t {
		return math.MaxInt64
	}
	return max(0, t+shift)
}

// sum is a + b, kept within int64.
func sum(a, b int64) int64 {
	switch s := a + b; {
	case a > 0 && b > 0 && s < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && s >= 0:
		return math.MinInt64
	default:
		return s
	}
}
