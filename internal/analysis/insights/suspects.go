package insights

import (
	"fmt"

	"github.com/tracewright/tracewright/internal/analysis/rootcause"
)

// maxSuspects is how many are told; who comes later explains next to nothing.
const maxSuspects = 5

// Suspects names the services to blame for what is worse now than before (package rootcause), with what they cost the sampled requests.
func Suspects(now, before *Window) []Insight {
	var found []Insight
	suspects := rootcause.Suspects(traces(before.Samples), traces(now.Samples))
	for i := range suspects[:min(len(suspects), maxSuspects)] {
		found = append(found, suspected(&suspects[i], now, before))
	}
	return found
}

// suffering is what the sampled requests of a window have to do with a service.
type suffering struct {
	passing, failing, failed int     // requests through it; in which a failure began there; of these, that failed
	path                     float64 // nanoseconds for which a request waited for it, in the mean of those that pass
}

// suffer adds up what the calls of the service, or those that it makes, did to requests.
func suffer(samples []Sample, suspect *rootcause.Suspect) (s suffering) {
	for i := range samples {
		t := &samples[i].Trace
		passes, failing := false, false
		for k := range t.Calls {
			c := &t.Calls[k]
			if !concerns(t, c, suspect) {
				continue
			}
			passes, failing = true, failing || c.Origin
			s.path += float64(c.OwnPath + c.WaitPath)
		}
		if passes {
			s.passing++
			s.failing += one(failing)
			s.failed += one(failing && t.Failed)
		}
	}
	s.path = share(s.path, float64(s.passing))
	return s
}

func concerns(t *rootcause.Trace, c *rootcause.Call, suspect *rootcause.Suspect) bool {
	if suspect.Caller {
		return c.Caller >= 0 && t.Calls[c.Caller].Callee.Service == suspect.Service && c.Callee.Service != suspect.Service && !c.Virtual
	}
	return c.Callee.Service == suspect.Service
}

func suspected(suspect *rootcause.Suspect, now, before *Window) Insight {
	is, was := suffer(now.Samples, suspect), suffer(before.Samples, suspect)
	strongest := &suspect.Evidence[0]
	i := Insight{
		Kind: KindSuspect, Urgency: UrgencyIncident, Service: suspect.Service, Confidence: suspect.Confidence, Requests: now.requests(is.passing),
		SavedTime: int64(max(0, is.path-was.path)),
	}
	if more := share(float64(is.failing), float64(is.passing)) - share(float64(was.failing), float64(was.passing)); more > 0 && is.failing > 0 {
		i.SavedFailures = int64(float64(i.Requests) * more * float64(is.failed) / float64(is.failing))
	}
	if !suspect.Caller && len(suspect.Evidence) == 1 {
		i.Operation = strongest.Operation
	}
	for _, e := range suspect.Evidence {
		i.Evidence = append(i.Evidence, suspicion(&e))
		if len(i.Evidence) == 5 {
			break
		}
	}
	i.Evidence = append(i.Evidence,
		figure("requests through it in which a failure began there", UnitShare, share(float64(is.failing), float64(is.passing)),
			share(float64(was.failing), float64(was.passing))),
		figure("time for which a request waits for it", UnitNS, is.path, was.path))
	i.Title, i.Advice = accuse(suspect, strongest, &is, &was)
	i.TraceIDs, _ = shows(now.Samples, func(s *Sample) float64 { return guilt(&s.Trace, suspect, strongest) })
	return i
}

// guilt is how well a trace shows what the strongest evidence says.
func guilt(t *rootcause.Trace, suspect *rootcause.Suspect, e *rootcause.Evidence) (much float64) {
	for k := range t.Calls {
		c := &t.Calls[k]
		if !concerns(t, c, suspect) {
			continue
		}
		switch e.Kind {
		case rootcause.EvidenceSelfTime:
			much = max(much, float64(c.Own))
		case rootcause.EvidenceWait:
			much = max(much, float64(c.Wait))
		case rootcause.EvidenceErrors:
			if c.Origin {
				much = max(much, 1+float64(one(t.Failed)))
			}
		}
	}
	return much
}

func suspicion(e *rootcause.Evidence) Figure {
	switch e.Kind {
	case rootcause.EvidenceErrors:
		return figure("requests with a failure that began in "+e.Operation, UnitShare, e.After, e.Before)
	case rootcause.EvidenceWait:
		return figure("typical wait for "+e.Operation+" beyond its own work", UnitNS, e.After, e.Before)
	default:
		return figure("typical own work of "+e.Operation, UnitNS, e.After, e.Before)
	}
}

func accuse(suspect *rootcause.Suspect, e *rootcause.Evidence, is, was *suffering) (title, advice string) {
	name := suspect.Service
	failing := fmt.Sprintf("in %s of the requests that reach it, %s before", percent(share(float64(is.failing), float64(is.passing))),
		percent(share(float64(was.failing), float64(was.passing))))
	switch {
	case suspect.Caller:
		title = fmt.Sprintf("What %s calls fails or waits more than before, while others call the same services as ever", name)
		advice = fmt.Sprintf("Look at %s and its way to others: its network, its connection pools, its last change; not at what it calls.", name)
	case e.Kind == rootcause.EvidenceErrors:
		title = fmt.Sprintf("%s fails %s", name, failing)
		advice = fmt.Sprintf("Look at what changed in %s; GET /traces/errors?service=%s says which failures are new.", name, name)
	case e.Kind == rootcause.EvidenceWait && is.failing > 0 && share(float64(is.failing), float64(is.passing)) > 2*share(float64(was.failing), float64(was.passing)):
		title = fmt.Sprintf("%s refuses or loses calls %s, and its callers wait", name, failing)
		advice = fmt.Sprintf("%s is overloaded, restarts, or is hard to reach: look at its queue, its instances and its network.", name)
	case e.Kind == rootcause.EvidenceWait:
		title = fmt.Sprintf("Callers wait %s as long as before for %s, beyond its own work", times(share(e.After, e.Before)), name)
		advice = fmt.Sprintf("The time passes before %s works: in its queue, in connection pools, or on the network.", name)
	default:
		title = fmt.Sprintf("%s works %s as long as before by itself (%q: %s, %s before)", name, times(share(e.After, e.Before)), e.Operation,
			duration(e.After), duration(e.Before))
		advice = fmt.Sprintf("Look at what changed in %s: a release, its load, its host. What it calls is not slower than before.", name)
	}
	if suspect.Virtual {
		advice = name + " sends no spans itself: look at its own monitoring, and at whoever runs it."
	}
	return title, advice
}

func figure(name string, unit Unit, now, before float64) Figure {
	return Figure{name, unit, now, &before}
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}
