package insights

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tracewright/tracewright/internal/analysis"
)

// minUnseen is in how many sampled traces a service must be called, and send nothing, to be told.
const minUnseen = 5

// MissingInstrumentation tells of services that are called and send no spans at all; those that send some are told by ContextLosses.
func MissingInstrumentation(now, before *Window) []Insight {
	sends, sent := senders(now), senders(before)
	type unseen struct {
		callers []string
		traces  int
		calls   int
		time    int64
		sure    float64
		of      int
		last    int
	}
	services := make(map[string]*unseen)
	for i := range now.Samples {
		for k := range now.Samples[i].Patterns {
			p := &now.Samples[i].Patterns[k]
			service := label(p.Callee.Service)
			if p.Kind != analysis.FindingMissingInstrumentation || service == "" || sends[service] {
				continue
			}
			u := services[service]
			if u == nil {
				u = new(unseen)
				services[service] = u
			}
			if u.last != i+1 {
				u.last = i + 1
				u.traces++
			}
			if !slices.Contains(u.callers, p.At.Service) {
				u.callers = append(u.callers, p.At.Service)
			}
			u.calls += p.Spans
			u.time += p.Time
			u.sure += p.Confidence
			u.of++
		}
	}
	var found []Insight
	for service, u := range services {
		if u.traces < minUnseen {
			continue
		}
		slices.Sort(u.callers)
		i := Insight{
			Kind: KindMissingInstrumentation, Urgency: UrgencyVisibility, Service: service, Others: u.callers, Requests: now.requests(u.traces),
			Confidence: u.sure / float64(u.of),
			Evidence: []Figure{
				{"sampled requests that call it", UnitCount, float64(u.traces), nil},
				{"calls of it a request", UnitFactor, float64(u.calls) / float64(u.traces), nil},
				{"time of a request that nothing explains", UnitNS, float64(u.time) / float64(u.traces), nil},
			},
		}
		if sent[service] {
			i.Confidence = lossKnown
			i.Title = fmt.Sprintf("%s has stopped sending spans; %s still call it", service, names(u.callers))
			i.Advice = fmt.Sprintf("Look whether %s lost its instrumentation or its way to the collector with its last release; it may also be down.", service)
		} else {
			i.Title = fmt.Sprintf("%s sends no spans: %s of each request that calls it stay unexplained", service, duration(float64(u.time)/float64(u.traces)))
			i.Advice = fmt.Sprintf("Instrument %s, which %s call.", service, names(u.callers))
		}
		if len(u.callers) == 1 {
			i.Title, i.Advice = strings.ReplaceAll(i.Title, " still call ", " still calls "), strings.ReplaceAll(i.Advice, " call.", " calls.")
		}
		i.TraceIDs, _ = shows(now.Samples, func(s *Sample) float64 { return float64(unseenCalls(s, service)) })
		found = append(found, i)
	}
	return found
}

// unseenCalls counts the calls of a service in a trace for which nothing shows what happened.
func unseenCalls(s *Sample, service string) (calls int) {
	for k := range s.Patterns {
		if p := &s.Patterns[k]; p.Kind == analysis.FindingMissingInstrumentation && label(p.Callee.Service) == service {
			calls += p.Spans
		}
	}
	return calls
}

// label is the service that a host's name stands for: its first label, without a port. An address stands for none.
func label(peer string) string {
	host, _, _ := strings.Cut(peer, ":")
	name, _, _ := strings.Cut(host, ".")
	if strings.Trim(name, "0123456789") == "" || strings.HasPrefix(peer, "[") {
		return ""
	}
	return name
}

// senders are the services that send spans.
func senders(w *Window) map[string]bool {
	services := make(map[string]bool)
	for i := range w.Operations {
		services[w.Operations[i].Service] = true
	}
	return services
}
