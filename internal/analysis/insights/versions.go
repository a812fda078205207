package insights

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// OperationSum is what one version of a service did in one operation.
type OperationSum struct {
	Operation

	Version string
	// Serves says that its spans answer calls or messages.
	Serves        bool
	Calls, Errors int64
	SelfTime      int64
	// Log are the moments of the logarithms of its durations in nanoseconds, MeanTime is the mean of these.
	Log      statistics.Moments
	MeanTime float64
}

const (
	// minVersionCalls is how many calls of an operation each side must have to be compared.
	minVersionCalls = 30
	// maxVersionChance is how probable a difference may be by chance, over all that is compared.
	maxVersionChance = 1e-4
	// minVersionSlower is by which factor a typical call must be slower, minVersionShare by how much the share of failures must be higher.
	minVersionSlower = 1.2
	minVersionShare  = 0.01
)

// VersionRegressions tells which versions of services do worse than the other versions at the same time; where a version has taken over all calls, than
// those of the window before. What was as bad before costs time, but is no incident.
func VersionRegressions(now, before *Window) []Insight {
	is, was := byVersion(now.Operations), byVersion(before.Operations)
	tests := 0
	type judged struct {
		version serviceVersion
		worse   []versionWorse
	}
	var all []judged
	for _, v := range sortedVersions(is) {
		others := pool(is, v, nil)
		if len(others) == 0 {
			others = pool(was, v, nil)
		}
		worse := compareVersion(is[v], others)
		tests += len(worse)
		all = append(all, judged{v, worse})
	}
	var found []Insight
	for _, j := range all {
		worse := slices.DeleteFunc(j.worse, func(w versionWorse) bool { return w.chance*float64(tests) >= maxVersionChance })
		if len(worse) == 0 {
			continue
		}
		insight := regression(j.version, worse, float64(tests))
		if old := was[j.version]; old != nil && len(pool(was, j.version, nil)) > 0 {
			standing := 0
			for _, w := range compareVersion(old, pool(was, j.version, nil)) {
				same := func(x versionWorse) bool {
					return x.operation == w.operation && x.failing == w.failing && x.size() < 2*w.size()
				}
				standing += one(w.chance < maxPartChance && slices.ContainsFunc(worse, same))
			}
			if standing > 0 {
				insight.Urgency = UrgencyImprovement
			}
		}
		found = append(found, insight)
	}
	return found
}

// maxPartChance is how probable the same difference may have been by chance in the window before to be no news.
const maxPartChance = 0.01

type serviceVersion struct{ service, version string }

// versionSums are those of one version by operation.
type versionSums map[string]*OperationSum

func byVersion(sums []OperationSum) map[serviceVersion]versionSums {
	versions := make(map[serviceVersion]versionSums)
	for i := range sums {
		s := &sums[i]
		if s.Version == "" || !s.Serves {
			continue
		}
		v := serviceVersion{s.Service, s.Version}
		if versions[v] == nil {
			versions[v] = make(versionSums)
		}
		versions[v].add(s)
	}
	return versions
}

func (v versionSums) add(s *OperationSum) {
	sum := v[s.Operation.Operation]
	if sum == nil {
		sum = &OperationSum{Operation: s.Operation}
		v[s.Operation.Operation] = sum
	}
	sum.MeanTime = share(sum.MeanTime*float64(sum.Calls)+s.MeanTime*float64(s.Calls), float64(sum.Calls+s.Calls))
	sum.Calls += s.Calls
	sum.Errors += s.Errors
	sum.SelfTime += s.SelfTime
	sum.Log.Merge(&s.Log)
}

// pool adds up all other versions of the service into sums, in their order.
func pool(versions map[serviceVersion]versionSums, but serviceVersion, into versionSums) versionSums {
	for _, v := range sortedVersions(versions) {
		if v.service != but.service || v.version == but.version {
			continue
		}
		if into == nil {
			into = make(versionSums)
		}
		for _, operation := range sortedOperations(versions[v]) {
			into.add(versions[v][operation])
		}
	}
	return into
}

func sortedVersions(versions map[serviceVersion]versionSums) []serviceVersion {
	list := make([]serviceVersion, 0, len(versions))
	for v := range versions {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b serviceVersion) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.version, b.version))
	})
	return list
}

func sortedOperations(sums versionSums) []string {
	list := make([]string, 0, len(sums))
	for operation := range sums {
		list = append(list, operation)
	}
	slices.Sort(list)
	return list
}

// versionWorse is one operation compared, in one way.
type versionWorse struct {
	operation    string
	failing      bool
	now, than    float64 // share of failures, or typical duration
	chance       float64
	calls        int64
	more         float64 // failures of one call, or nanoseconds
	self, selfOf float64 // mean self time of a call, of this version and of the others
}

func (w *versionWorse) size() float64 {
	if w.failing {
		return w.now - w.than
	}
	return math.Log(w.now / w.than)
}

// compareVersion tests every operation that both sides have, by failures and by durations. What is not worse has the chance 1.
func compareVersion(version, others versionSums) (tested []versionWorse) {
	for _, operation := range sortedOperations(version) {
		is, than := version[operation], others[operation]
		if than == nil || is.Calls < minVersionCalls || than.Calls < minVersionCalls {
			continue
		}
		fails := versionWorse{
			operation: operation, failing: true, now: share(float64(is.Errors), float64(is.Calls)), than: share(float64(than.Errors), float64(than.Calls)),
			chance: 1, calls: is.Calls,
		}
		if fails.more = fails.now - fails.than; fails.more >= minVersionShare {
			fails.chance = statistics.MoreOften(than.Errors, than.Calls, is.Errors, is.Calls)
		}
		slow := versionWorse{
			operation: operation, now: math.Exp(is.Log.Mean), than: math.Exp(than.Log.Mean), chance: 1, calls: is.Calls, more: is.MeanTime - than.MeanTime,
			self: share(float64(is.SelfTime), float64(is.Calls)), selfOf: share(float64(than.SelfTime), float64(than.Calls)),
		}
		if is.Log.Mean-than.Log.Mean >= math.Log(minVersionSlower) && slow.more > 0 {
			slow.chance = statistics.Above(statistics.MeanDistance(&than.Log, &is.Log, 0))
		}
		tested = append(tested, fails, slow)
	}
	return tested
}

func regression(v serviceVersion, worse []versionWorse, tests float64) Insight {
	slices.SortStableFunc(worse, func(a, b versionWorse) int {
		return cmp.Or(cmp.Compare(a.chance, b.chance), cmp.Compare(b.more*float64(b.calls), a.more*float64(a.calls)))
	})
	i := Insight{
		Kind: KindVersionRegression, Urgency: UrgencyIncident, Service: v.service, Version: v.version,
		Confidence: 1 - min(1, worse[0].chance*tests),
	}
	saved, failures := 0.0, 0.0
	calls := make(map[string]int64)
	for k := range worse {
		w := &worse[k]
		calls[w.operation] = w.calls
		switch {
		case w.failing:
			failures += w.more * float64(w.calls)
			i.Evidence = append(i.Evidence, figure("calls of "+w.operation+" that fail, and of other versions", UnitShare, w.now, w.than))
		default:
			saved += w.more * float64(w.calls)
			i.Evidence = append(i.Evidence, figure("typical duration of "+w.operation+", and of other versions", UnitNS, w.now, w.than),
				figure("own work of a call of "+w.operation+", and of other versions", UnitNS, w.self, w.selfOf))
		}
	}
	for _, n := range calls {
		i.Requests += n
	}
	i.SavedTime, i.SavedFailures = int64(math.Round(share(saved, float64(i.Requests)))), int64(math.Round(failures))
	if first := &worse[0]; first.failing {
		i.Title = fmt.Sprintf("%s %s fails more than other versions: %s of %q, others %s", v.service, v.version, percent(first.now), first.operation,
			percent(first.than))
	} else {
		i.Title = fmt.Sprintf("%s %s is slower than other versions: %q takes %s, others %s", v.service, v.version, first.operation,
			duration(first.now), duration(first.than))
	}
	if len(calls) == 1 {
		i.Operation = worse[0].operation
	}
	i.Advice = fmt.Sprintf("Stop or take back the rollout of %s %s, then look at what it changed.", v.service, v.version)
	return i
}
