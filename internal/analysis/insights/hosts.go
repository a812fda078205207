package insights

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// minSkewed is in how many sampled traces the times of a host must have been moved to be told.
const minSkewed = 3

// SkewedHosts tells of hosts whose clocks are off. Times are corrected in each trace; what compares clocks of its own, logs for one, is not.
func SkewedHosts(now, _ *Window) []Insight {
	type skewed struct {
		services []string
		shifts   []float64
		sure     float64
	}
	hosts := make(map[string]*skewed)
	for i := range now.Samples {
		for k := range now.Samples[i].Patterns {
			p := &now.Samples[i].Patterns[k]
			if p.Kind != analysis.FindingSkewedHost {
				continue
			}
			h := hosts[p.Host]
			if h == nil {
				h = new(skewed)
				hosts[p.Host] = h
			}
			if !slices.Contains(h.services, p.At.Service) {
				h.services = append(h.services, p.At.Service)
			}
			h.shifts = append(h.shifts, float64(p.Shift))
			h.sure += p.Confidence
		}
	}
	var found []Insight
	for host, h := range hosts {
		agree := 0
		median := statistics.Median(slices.Clone(h.shifts))
		for _, shift := range h.shifts {
			agree += one(shift > 0 == (median > 0))
		}
		if agree < minSkewed {
			continue
		}
		slices.Sort(h.services)
		off, way := -median, "ahead"
		if median > 0 {
			off, way = median, "behind"
		}
		i := Insight{
			Kind: KindSkewedHost, Urgency: UrgencyVisibility, Service: h.services[0], Others: h.services[1:], Requests: now.requests(len(h.shifts)),
			Confidence: h.sure / float64(len(h.shifts)) * float64(agree) / float64(len(h.shifts)),
			Title:      fmt.Sprintf("The clock of %s (%s) is about %s %s", host, names(h.services), duration(off), way),
			Advice:     "Set the host's clock (NTP). Until then durations are right, and the order of what happened on different hosts is an estimate.",
			Evidence: []Figure{
				{"median shift of its times", UnitNS, math.Round(median), nil},
				{"sampled requests in which its times had to be moved", UnitCount, float64(len(h.shifts)), nil},
			},
		}
		i.TraceIDs, _ = shows(now.Samples, func(s *Sample) float64 {
			for k := range s.Patterns {
				if p := &s.Patterns[k]; p.Kind == analysis.FindingSkewedHost && p.Host == host {
					return math.Abs(float64(p.Shift))
				}
			}
			return 0
		})
		found = append(found, i)
	}
	slices.SortFunc(found, func(a, b Insight) int { return cmp.Compare(a.Title, b.Title) })
	return found
}
