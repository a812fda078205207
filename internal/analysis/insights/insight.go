package insights

import (
	"cmp"
	"math"
	"slices"
)

// Kind says what an insight is about.
type Kind string

// The kinds of insights.
const (
	KindVersionRegression      Kind = "version_regression"
	KindRetryStorm             Kind = "retry_storm"
	KindSlowerJourney          Kind = "slower_journey"
	KindOutlierAttribute       Kind = "outlier_attribute"
	KindCapacityLimit          Kind = "capacity_limit"
	KindNPlusOne               Kind = "n_plus_one"
	KindSuspect                Kind = "suspect"
	KindSerialCalls            Kind = "serial_calls"
	KindContextLoss            Kind = "context_loss"
	KindMissingInstrumentation Kind = "missing_instrumentation"
	KindSkewedHost             Kind = "skewed_host"
	KindCardinality            Kind = "cardinality"
)

// Kinds are all of them; of insights that weigh the same the more special one comes first.
var Kinds = []Kind{
	KindVersionRegression, KindOutlierAttribute, KindRetryStorm, KindSlowerJourney, KindCapacityLimit, KindNPlusOne, KindSuspect, KindSerialCalls,
	KindContextLoss, KindMissingInstrumentation, KindSkewedHost, KindCardinality,
}

// Urgency is what an insight asks of its reader.
type Urgency string

// The urgencies, the most urgent first.
const (
	// UrgencyIncident: something became worse than it was in the window that is compared with.
	UrgencyIncident Urgency = "incident"
	// UrgencyImprovement: it costs time, and has done so before.
	UrgencyImprovement Urgency = "improvement"
	// UrgencyVisibility: requests do not suffer from it, but what is said of them does.
	UrgencyVisibility Urgency = "visibility"
)

var urgencies = []Urgency{UrgencyIncident, UrgencyImprovement, UrgencyVisibility}

// Insight is one thing worth a look.
type Insight struct {
	Kind    Kind
	Urgency Urgency
	// Service and Operation are where to look; Operation is empty where it is the service as a whole, Service where it is all of them.
	Service, Operation string
	// Version is the service's, of a KindVersionRegression.
	Version string
	// Attribute is what the requests of a KindOutlierAttribute have in common.
	Attribute Attribute
	// Others are the services that have to do with it besides, by name: callers, or what is called.
	Others []string
	// Title says what is the case, Advice what to do, both in plain words.
	Title, Advice string
	// Evidence are the figures behind it, the strongest first.
	Evidence []Figure
	// Requests is how many requests of the window it concerns, as far as samples tell.
	Requests int64
	// SavedTime is by how much each of these would be shorter without it, in the mean, nanoseconds; SavedFailures is how many of them
	// would not have failed. 0 where that is not known.
	SavedTime     int64
	SavedFailures int64
	// Confidence is how sure it is, above 0 and at most 1.
	Confidence float64
	// TraceIDs are of at most maxTraceIDs traces that show it, the clearest first. Empty where no sample does.
	TraceIDs []string
	// Entries are the entries most of whose requests it concerns, those with the most first, at most maxEntries.
	Entries []Entry

	score float64 // the share of all requests' time, and of all requests, that it costs, times Confidence
}

// Figure is a number that speaks for an insight.
type Figure struct {
	// Name says what the number is, in plain words.
	Name string
	Unit Unit
	Now  float64
	// Before is the number in the window that is compared with, or that of those it is compared with; nil where there is none.
	Before *float64
}

// Unit is that of a figure.
type Unit string

// The units.
const (
	UnitNS        Unit = "ns"
	UnitShare     Unit = "share" // 0 to 1
	UnitCount     Unit = "count"
	UnitPerSecond Unit = "per_second"
	UnitFactor    Unit = "factor"
)

const (
	maxTraceIDs = 3
	maxEntries  = 3
	// maxOfKind is how many insights of one kind are told.
	maxOfKind = 20
)

// Operation is an operation of a service.
type Operation struct{ Service, Operation string }

// Entry is an operation by which requests enter.
type Entry struct {
	Operation

	// Share is the least share of its requests that pass through what the insight is about; 0 where only samples know.
	Share float64
}

// Window is what is known of one window.
type Window struct {
	// Traces counts the requests of the window, and MeanTime is how long one takes in the mean, nanoseconds.
	Traces   int64
	MeanTime float64
	// Samples are traces of the window, spread evenly over it.
	Samples []Sample
	// Journeys are visits of whole sessions.
	Journeys []Visit
	// Operations are those of all services by version, Edges the calls between services, Loads what operations did in each part of the window.
	Operations []OperationSum
	Edges      []Edge
	Loads      []Load
	// OtherShare is the share of spans that were counted without a name, because there were too many names.
	OtherShare float64
	// Parts are in how many requests of which entry each operation took part, EntryTraces how many there were of each.
	Parts       []Part
	EntryTraces map[Operation]int64
	// EntryDurations are how long the requests of an entry took, by duration. Attributes are what became of those with values of attributes.
	EntryDurations map[Operation][]Bin
	Attributes     []AttributeSum
}

// Part is in how many requests of an entry an operation took part.
type Part struct {
	Entry, Operation Operation
	Traces           int64
}

// sampled is how many requests of the window one sampled trace stands for.
func (w *Window) sampled() float64 {
	if len(w.Samples) == 0 {
		return 0
	}
	return float64(max(w.Traces, int64(len(w.Samples)))) / float64(len(w.Samples))
}

// requests is how many requests of the window so many sampled traces stand for.
func (w *Window) requests(samples int) int64 {
	return int64(math.Round(w.sampled() * float64(samples)))
}

// Find names what is worth a look in a window, compared with the one before: what became worse first, then what costs time, then what hides the
// truth; within these by the share of all requests' time, and of all requests, that it costs, times its confidence.
func Find(now, before *Window) []Insight {
	var all []Insight
	for _, of := range [...]func(now, before *Window) []Insight{
		VersionRegressions, OutlierAttributes, RetryStorms, SlowerJourneys, CapacityLimits, NPlusOne, Suspects, SerialCalls, ContextLosses, MissingInstrumentation,
		SkewedHosts, Cardinality,
	} {
		found := of(now, before)
		for i := range found {
			found[i].weigh(now)
		}
		slices.SortStableFunc(found, compare)
		all = append(all, found[:min(len(found), maxOfKind)]...)
	}
	preferSpecial(all)
	slices.SortStableFunc(all, compare)
	for i := range all {
		all[i].addEntries(now)
	}
	return all
}

func (i *Insight) weigh(now *Window) {
	if now.Traces <= 0 {
		return
	}
	share := float64(i.SavedFailures) / float64(now.Traces)
	if now.MeanTime > 0 {
		share += float64(i.SavedTime) * float64(i.Requests) / (now.MeanTime * float64(now.Traces))
	}
	if i.Urgency == UrgencyVisibility { // what is hidden is not lost
		share = float64(i.Requests) / float64(now.Traces)
	}
	i.score = share * i.Confidence
}

// preferSpecial lets an insight that says more of a suspect than that it is one come before it: which version, or that it is asked again and again.
func preferSpecial(all []Insight) {
	for i := range all {
		suspect := &all[i]
		if suspect.Kind != KindSuspect {
			continue
		}
		for k := range all {
			special := &all[k]
			if special.Kind == KindSuspect || special.Urgency != UrgencyIncident || special.Service != suspect.Service {
				continue
			}
			special.score = max(special.score, suspect.score)
			switch special.Kind {
			case KindVersionRegression:
				suspect.Advice = "Its version " + special.Version + " does worse than others, which may be all there is to it: see there. " + suspect.Advice
			case KindOutlierAttribute:
				suspect.Advice = "It does worse with " + special.Attribute.String() + ", which may be all there is to it: see there. " + suspect.Advice
			}
		}
	}
}

func compare(a, b Insight) int {
	return cmp.Or(
		cmp.Compare(slices.Index(urgencies, a.Urgency), slices.Index(urgencies, b.Urgency)),
		cmp.Compare(b.score, a.score),
		cmp.Compare(slices.Index(Kinds, a.Kind), slices.Index(Kinds, b.Kind)),
		cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Attribute.Key, b.Attribute.Key), cmp.Compare(a.Attribute.Value, b.Attribute.Value),
	)
}

// addEntries names the entries whose requests pass through what the insight is about.
func (i *Insight) addEntries(now *Window) {
	if len(i.Entries) > 0 || i.Service == "" {
		return
	}
	most := make(map[Operation]int64)
	for _, p := range now.Parts {
		if p.Operation.Service == i.Service && (i.Operation == "" || p.Operation.Operation == i.Operation) {
			most[p.Entry] = max(most[p.Entry], p.Traces)
		}
	}
	type passed struct {
		entry  Operation
		traces int64
	}
	var entries []passed
	for entry, traces := range most {
		entries = append(entries, passed{entry, traces})
	}
	slices.SortFunc(entries, func(a, b passed) int {
		return cmp.Or(cmp.Compare(b.traces, a.traces), cmp.Compare(a.entry.Service, b.entry.Service), cmp.Compare(a.entry.Operation, b.entry.Operation))
	})
	for _, e := range entries[:min(len(entries), maxEntries)] {
		share := 0.0
		if all := now.EntryTraces[e.entry]; all > 0 {
			share = min(1, float64(e.traces)/float64(all))
		}
		i.Entries = append(i.Entries, Entry{e.entry, share})
	}
}
