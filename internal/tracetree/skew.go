package tracetree

import (
	"math"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// correctSkew moves spans whose host's clock is off, going down from the roots:
//
//   - A server span under a client span that fits into it stays. It fits if it starts and ends within the client span; a
//     server span that is longer than the client span fits if it starts within it, for then the client gave up waiting,
//     and that is a timeout and not a clock.
//   - If it does not fit by its own clock but does by the client's shift, it gets that shift: both stand on one host.
//   - If neither fits, it is centred in the client span, as if the network took as long on the way there as on the way back;
//     one that is longer than the client span starts where the client span starts.
//   - A consumer under a producer keeps its own clock: it may run at any time after it.
//   - Every other span has its parent's shift.
//
// The rule is that of Jaeger's clock skew adjuster with these differences: it looks at client and server pairs alone and needs
// no host names, a server that outlasts its client is left alone, an inherited shift is tried before a new one, and there is no
// limit to a shift. It uses nothing but the spans at hand, so the same spans always give the same shifts. The client's
// interval is the corrected one. Corrected times stay within int64 and do not go below 0.
func (b *Builder) correctSkew() {
	nodes := b.tree.Nodes
	for _, i := range b.order {
		n := &nodes[i]
		if n.Parent < 0 {
			continue
		}
		parent := &nodes[n.Parent]
		if b.withoutTime(n.StartTimestamp()) {
			n.Start, n.End = parent.Start, parent.Start
			continue
		}
		switch kind, above := b.keys[i].kind, b.keys[n.Parent].kind; {
		case kind == ptrace.SpanKindConsumer && above == ptrace.SpanKindProducer:
			continue
		case kind == ptrace.SpanKindServer && above == ptrace.SpanKindClient:
			n.Shift = serverShift(n, parent)
		default:
			n.Shift = parent.Shift
		}
		n.Start, n.End = shifted(n.Start, n.Shift), shifted(n.End, n.Shift)
	}
}

// serverShift is the shift of a server span, still with its own times, under its client span.
func serverShift(server, client *Node) int64 {
	longer := server.Duration() > client.Duration()
	for _, shift := range [...]int64{0, client.Shift} {
		start, end := shifted(server.Start, shift), shifted(server.End, shift)
		if start >= client.Start && (end <= client.End || longer && start <= client.End) {
			return shift
		}
	}
	start := client.Start
	if !longer {
		start += (client.Duration() - server.Duration()) / 2
	}
	return start - server.Start
}

// shifted is t + shift, kept within 0 and the largest int64; t is not negative.
func shifted(t, shift int64) int64 {
	if shift > math.MaxInt64-t {
		return math.MaxInt64
	}
	return max(0, t+shift)
}
