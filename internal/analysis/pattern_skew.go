package analysis

import (
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

// What makes a host's clock a skewed one.
const (
	skewLeast  = int64(time.Millisecond) // off by, at least
	skewAgreed = 0.95                    // confidence if all of several server spans agree; less by the share of those that do not
	skewSingle = 0.6                     // if there is one
)

// HostOf names the resource's host, its service where nothing does.
func HostOf(resource pcommon.Resource) string {
	if name := conventions.Host(resource); name != "" {
		return conventions.ShortName(name)
	}
	return conventions.Service(resource)
}

// skewedHosts finds hosts whose server spans had to be moved into their client spans, by the median of the shifts. It costs no time;
// it is why the times on the spans do not fit together.
func (f *finder) skewedHosts() {
	groups := make(map[string]int)
	names := make(map[pcommon.Resource]string) // a resource may be large, and that of many spans
	var (
		hosts []string
		spans [][]int // the shifted ones
		all   []int
	)
	for _, i := range f.order {
		n := &f.tree.Nodes[i]
		if n.Kind() != serverKind || n.Parent < 0 || f.tree.Nodes[n.Parent].Kind() != clientKind {
			continue
		}
		host, ok := names[n.Resource]
		if !ok {
			host = HostOf(n.Resource)
			names[n.Resource] = host
		}
		g, ok := groups[host]
		if !ok {
			g = len(hosts)
			groups[host] = g
			hosts, spans, all = append(hosts, host), append(spans, nil), append(all, 0)
		}
		all[g]++
		if n.Shift != 0 {
			spans[g] = append(spans[g], i)
		}
	}
	for g, host := range hosts {
		if len(spans[g]) > 0 {
			f.addSkewed(host, spans[g], all[g])
		}
	}
}

func (f *finder) addSkewed(host string, shifted []int, all int) {
	slices.SortFunc(shifted, f.compareStart)
	shifts := make([]int64, 0, len(shifted))
	for _, i := range shifted {
		shifts = append(shifts, f.tree.Nodes[i].Shift)
	}
	slices.Sort(shifts)
	median := shifts[len(shifts)/2]
	if -skewLeast < median && median < skewLeast {
		return
	}
	agree := 0
	for _, shift := range shifts {
		if shift > 0 == (median > 0) {
			agree++
		}
	}
	confidence := skewSingle
	if len(shifts) > 1 {
		confidence = skewAgreed
	}
	f.add(FindingSkewedHost, shifted[0], shifted, 0, confidence*float64(agree)/float64(all), func() string {
		off, way := -median, "ahead of"
		if median > 0 {
			off, way = median, "behind"
		}
		return fmt.Sprintf("The clock of %s (%s) is about %s %s its callers': %s of %d had to be moved. Durations are right; "+
			"the order of events on different hosts is a guess until the clock is set.",
			host, f.result.Spans[shifted[0]].Service, readable(off), way, plural(len(shifted), "server span", "server spans"), all)
	})
	f.found[len(f.found)-1].ClockShift = median
}
