package insights

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// AttributeSum is what became of an entry's requests in which a service has a value of an attribute.
type AttributeSum struct {
	Entry      Operation
	Service    string
	Key, Value string
	// Traces are the requests, Errors those with a span that failed. Slow are those above what was usual, of the Judged ones.
	Traces, Errors, Slow, Judged int64
}

// Bin is how many durations there are of about so many nanoseconds.
type Bin struct{ NS, Count float64 }

// Attribute is a key and a value.
type Attribute struct{ Key, Value string }

func (a Attribute) String() string { return a.Key + "=" + a.Value }

const (
	// minAttributeTraces is how many requests there must be with a value, and with others of the same entries, to be compared.
	minAttributeTraces = 30
	// maxAttributeChance is how probable a difference may be by chance, over all that is compared.
	maxAttributeChance = 1e-4
	// minAttributeFailing and minAttributeSlow are by how much the shares must be higher, minAttributeTimes how many times that of slow ones.
	minAttributeFailing = 0.01
	minAttributeSlow    = 0.05
	minAttributeTimes   = 2
	// pooledValue stands for all values beyond those that are told apart.
	pooledValue = "other"
)

// effects are attributes that say how a request ended, not what it met; and service.version, of which VersionRegressions knows more.
var effects = []string{"http.response.status_code", "http.status_code", "rpc.grpc.status_code", "rpc.response.status_code", "error.type", "service.version"}

// OutlierAttributes tells which hosts, zones or other values have requests that fail, or are slow, more often than those of the same entries with other
// values at the same time. What was so before costs time, but is no incident.
func OutlierAttributes(now, before *Window) []Insight {
	is, was := compareAttributes(now.Attributes), compareAttributes(before.Attributes)
	places := make([]attributePlace, 0, len(is))
	tests := 0
	for place, compared := range is {
		places = append(places, place)
		tests += len(compared)
	}
	slices.SortFunc(places, func(a, b attributePlace) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	})
	var found []Insight
	for _, place := range places {
		worse := slices.DeleteFunc(is[place], func(w *attributeWorse) bool { return w.chance*float64(tests) >= maxAttributeChance })
		if len(worse) == 0 {
			continue
		}
		insight := outlier(place, worse, now, float64(tests))
		for _, old := range was[place] {
			if old.chance < maxPartChance && slices.ContainsFunc(worse, func(w *attributeWorse) bool { return w.failing == old.failing && w.more() < 2*old.more() }) {
				insight.Urgency = UrgencyImprovement
			}
		}
		same := func(other Insight) bool {
			return other.Service == insight.Service && other.Requests == insight.Requests && other.SavedTime == insight.SavedTime && other.SavedFailures == insight.SavedFailures
		}
		if at := slices.IndexFunc(found, same); at >= 0 { // such as the only host in a zone
			found[at].Advice += fmt.Sprintf(" The same requests have %s.", insight.Attribute)
			continue
		}
		found = append(found, insight)
	}
	return found
}

type attributePlace struct {
	service string
	Attribute
}

// attributeWorse is all requests with a value compared with those with other values, entry by entry, in one way.
type attributeWorse struct {
	failing bool
	entries []attributeEntry
	chance  float64
	// is and others are shares: of the requests with the value that fail, or are slow; and of as many requests of the same entries with other values.
	is, others float64
}

func (w *attributeWorse) more() float64 { return w.is - w.others }

// attributeEntry is one entry of them.
type attributeEntry struct {
	Operation

	traces     int64 // with the value
	is, others float64
	slow       float64 // share of all the entry's requests
}

// compareAttributes tests all values, by failures and by slow requests. What is not worse has the chance 1.
func compareAttributes(sums []AttributeSum) map[attributePlace][]*attributeWorse {
	type group struct {
		entry        Operation
		service, key string
	}
	all := make(map[group]AttributeSum)
	byPlace := make(map[attributePlace][]*AttributeSum)
	for i := range sums {
		s := &sums[i]
		if slices.Contains(effects, s.Key) {
			continue
		}
		of := all[group{s.Entry, s.Service, s.Key}]
		of.Traces, of.Errors, of.Slow, of.Judged = of.Traces+s.Traces, of.Errors+s.Errors, of.Slow+s.Slow, of.Judged+s.Judged
		all[group{s.Entry, s.Service, s.Key}] = of
		if s.Value != pooledValue {
			place := attributePlace{s.Service, Attribute{s.Key, s.Value}}
			byPlace[place] = append(byPlace[place], s)
		}
	}
	compared := make(map[attributePlace][]*attributeWorse)
	for place, entries := range byPlace {
		failing, slow := newComparison(true), newComparison(false)
		for _, s := range entries {
			of := all[group{s.Entry, s.Service, s.Key}]
			failing.add(s, s.Errors, s.Traces, of.Errors-s.Errors, of.Traces-s.Traces)
			slow.add(s, s.Slow, s.Judged, of.Slow-s.Slow, of.Judged-s.Judged)
		}
		for _, c := range []*comparison{failing, slow} {
			if w := c.result(); w != nil {
				compared[place] = append(compared[place], w)
			}
		}
	}
	return compared
}

// comparison adds up entries.
type comparison struct {
	attributeWorse

	chances                    []float64
	hits, expected, of, others float64
}

func newComparison(failing bool) *comparison {
	return &comparison{attributeWorse: attributeWorse{failing: failing}}
}

// add takes an entry: hit of so many requests with the value, otherHit of those with others.
func (c *comparison) add(s *AttributeSum, hit, of, otherHit, others int64) {
	if of <= 0 || others <= 0 || hit < 0 || otherHit < 0 || hit > of || otherHit > others { // counts that cannot be are left out
		return
	}
	e := attributeEntry{
		Operation: s.Entry, traces: s.Traces, is: float64(hit) / float64(of), others: float64(otherHit) / float64(others),
		slow: float64(hit+otherHit) / float64(of+others),
	}
	c.entries = append(c.entries, e)
	c.chances = append(c.chances, statistics.MoreOften(otherHit, others, hit, of))
	c.hits, c.of, c.expected, c.others = c.hits+float64(hit), c.of+float64(of), c.expected+e.others*float64(of), c.others+float64(others)
}

// result is nil where there are too few requests.
func (c *comparison) result() *attributeWorse {
	if c.of < minAttributeTraces || c.others < minAttributeTraces {
		return nil
	}
	w := &c.attributeWorse
	w.is, w.others, w.chance = c.hits/c.of, c.expected/c.of, 1
	if w.failing && w.more() < minAttributeFailing || !w.failing && (w.more() < minAttributeSlow || w.is < minAttributeTimes*w.others) {
		return w
	}
	// One entry may be clear, or all of them a little: both are tried.
	w.chance = min(1, 2*min(slices.Min(c.chances)*float64(len(c.chances)), statistics.Together(c.chances)))
	slices.SortStableFunc(w.entries, func(a, b attributeEntry) int {
		return cmp.Or(
			cmp.Compare((b.is-b.others)*float64(b.traces), (a.is-a.others)*float64(a.traces)),
			cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation.Operation, b.Operation.Operation),
		)
	})
	return w
}

func outlier(place attributePlace, worse []*attributeWorse, now *Window, tests float64) Insight {
	i := Insight{
		Kind: KindOutlierAttribute, Urgency: UrgencyIncident, Service: place.service, Attribute: place.Attribute,
		Advice: fmt.Sprintf("Look at what is different where %s has %s. If it is a host or a zone, take it out of the traffic meanwhile.", place.service, place.Attribute),
	}
	slices.SortStableFunc(worse, func(a, b *attributeWorse) int { return cmp.Compare(a.chance, b.chance) })
	i.Confidence = 1 - min(1, worse[0].chance*tests)
	for _, e := range worse[0].entries {
		i.Requests += e.traces
		if len(i.Entries) < maxEntries {
			i.Entries = append(i.Entries, Entry{e.Operation, min(1, share(float64(e.traces), float64(now.EntryTraces[e.Operation])))})
		}
	}
	first, what := worse[0].entries[0], "are slow"
	for _, w := range worse {
		if w.failing {
			failures := 0.0
			for _, e := range w.entries {
				failures += (e.is - e.others) * float64(e.traces) * failedShare(now.Samples, e.Operation)
			}
			i.SavedFailures = int64(math.Round(max(0, failures)))
			i.Evidence = append(i.Evidence, figure("requests with a failure, and of the same with other values", UnitShare, w.is, w.others))
			continue
		}
		saved := 0.0
		for _, e := range w.entries {
			_, slowest, rest := slowestOf(now.EntryDurations[e.Operation], e.slow)
			saved += (e.is - e.others) * float64(e.traces) * (slowest - rest)
		}
		i.SavedTime = int64(math.Round(max(0, share(saved, float64(i.Requests)))))
		from, slowest, rest := slowestOf(now.EntryDurations[w.entries[0].Operation], w.entries[0].slow)
		i.Evidence = append(i.Evidence, figure("requests that are slow, and of the same with other values", UnitShare, w.is, w.others),
			Figure{fmt.Sprintf("%q is slow, this time, from about", w.entries[0].Operation.Operation), UnitNS, from, nil},
			figure("mean time of these, and of the others", UnitNS, slowest, rest))
	}
	if worse[0].failing {
		what = "fail"
	}
	i.Evidence = append(i.Evidence, figure(fmt.Sprintf("of %q alone", first.Operation.Operation), UnitShare, first.is, first.others))
	i.Title = fmt.Sprintf("Requests %s more often where %s has %s: %s, with other values %s", what, place.service, place.Attribute, percent(worse[0].is),
		percent(worse[0].others))
	return i
}

// failedShare is which share of an entry's sampled requests in which a failure began failed as a whole; 1 where that is not known.
func failedShare(samples []Sample, entry Operation) float64 {
	failing, failed := 0, 0
	for i := range samples {
		t := &samples[i].Trace
		if Operation(t.Entry) != entry {
			continue
		}
		for k := range t.Calls {
			if t.Calls[k].Origin {
				failing++
				failed += one(t.Failed)
				break
			}
		}
	}
	if failing == 0 {
		return 1
	}
	return float64(failed) / float64(failing)
}

// slowestOf are the means of the slowest share of some durations, and of the rest, and where the slowest begin. bins are sorted.
func slowestOf(bins []Bin, slow float64) (from, slowest, rest float64) {
	all, sum := 0.0, 0.0
	for _, b := range bins {
		all, sum = all+b.Count, sum+b.Count*b.NS
	}
	left := slow * all
	if left <= 0 || left >= all {
		return 0, 0, 0
	}
	above := 0.0
	for k := len(bins) - 1; k >= 0 && left > 0; k-- {
		n := min(left, bins[k].Count)
		above, left, from = above+n*bins[k].NS, left-n, bins[k].NS
	}
	return from, above / (slow * all), (sum - above) / (all - slow*all)
}
