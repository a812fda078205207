package analysis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tracewright/tracewright/internal/conventions"
)

// How sure it is that a call whose other side left no span went to a service that could send one.
const (
	uninstrumentedKnown = 0.9 // the service sends other spans of this trace
	uninstrumentedNamed = 0.6 // the caller names the service
	uninstrumentedHost  = 0.4 // the host's name is one of the inside
)

// missingInstrumentation finds client spans without a server span to a service that is named: what it did with the time cannot
// be seen. Calls of databases, queues, object stores and hosts of the internet are no such calls, nor is one that failed: it may
// not have arrived.
//
//	checkout  client  |--------------|   service.peer.name=stock
//	stock     server    (no span)
func (f *finder) missingInstrumentation() {
	type target struct{ service, peer string }
	groups := make(map[target]int)
	var (
		targets    []target
		spans      [][]int
		confidence []float64
	)
	for _, i := range f.order {
		peer, sure := f.unseen(i)
		if sure == 0 {
			continue
		}
		t := target{f.result.Spans[i].Service, peer}
		g, ok := groups[t]
		if !ok {
			g = len(targets)
			groups[t] = g
			targets, spans, confidence = append(targets, t), append(spans, nil), append(confidence, 0)
		}
		spans[g], confidence[g] = append(spans[g], i), max(confidence[g], sure)
	}
	for g, t := range targets {
		calls := spans[g]
		slices.SortFunc(calls, f.compareStart)
		waited := int64(0)
		for _, i := range calls {
			waited += f.waited[i]
		}
		f.add(FindingMissingInstrumentation, calls[0], calls, waited, confidence[g], func() string {
			why := "sends no spans in this trace: it is not instrumented, or does not sample"
			if f.sends(t.peer) {
				why = "sends spans, but none for these calls: the trace context is lost on the way, or the spans are"
			}
			return fmt.Sprintf("%s called %s %s and nothing shows what happened there, for %s. %s %s.",
				t.service, t.peer, plural(len(calls), "time", "times"), f.share(waited), t.peer, why)
		})
	}
}

// unseen names the service whose span is missing below a client span, and how sure that is; 0 if none is missing.
func (f *finder) unseen(i int) (peer string, confidence float64) {
	n, s := &f.tree.Nodes[i], &f.result.Spans[i]
	if n.Kind() != clientKind || s.PeerKind != conventions.KindExternal || s.Category == conventions.CategoryStorage || f.failed(i) ||
		f.reached(i) {
		return "", 0
	}
	facts := conventions.ReadSpan(n.Span.Span)
	host := facts.Host()
	named := conventions.Str(n.Attributes(), "service.peer.name")
	if named == "" {
		named = conventions.Str(n.Attributes(), "peer.service")
	}
	peer = conventions.ShortName(named)
	if named == "" {
		peer = conventions.ShortName(host)
		if label, _, _ := strings.Cut(host, "."); conventions.InsideHost(host) && f.sends(label) {
			peer = label
		}
	}
	switch {
	case f.sends(peer):
		return peer, uninstrumentedKnown
	case !conventions.InsideHost(host) && (named == "" || host != ""):
		return "", 0
	case named != "":
		return peer, uninstrumentedNamed
	}
	return peer, uninstrumentedHost
}

// sends says whether spans of the service are in the trace.
func (c *calls) sends(service string) bool {
	_, ok := slices.BinarySearch(c.result.Services, service)
	return ok
}
