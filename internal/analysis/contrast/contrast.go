// Package contrast says which attribute values the selected traces have more often than others: which version, host or customer is behind what is
// slow or failing.
package contrast

import (
	"cmp"
	"math"
	"slices"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// Attribute is one value of an attribute, on spans of a service or on its resource.
type Attribute struct{ Service, Key, Value string }

// MaxAttributes is how many different attributes a Counter counts; what comes beyond is only counted as such.
const MaxAttributes = 100_000

// Counter counts in how many traces attributes occur. The zero value is ready. It is not safe for concurrent use.
type Counter struct {
	// Selected and Baseline are the numbers of traces.
	Selected, Baseline int64
	// Dropped counts the occurrences of attributes beyond MaxAttributes.
	Dropped int64

	counts map[Attribute]*counts
	seen   map[Attribute]struct{}
}

type counts struct{ selected, baseline int64 }

// Add counts a trace of the selection, or of the baseline. An attribute counts once a trace.
func (c *Counter) Add(selected bool, attributes []Attribute) {
	if c.counts == nil {
		c.counts, c.seen = make(map[Attribute]*counts), make(map[Attribute]struct{})
	}
	if selected {
		c.Selected++
	} else {
		c.Baseline++
	}
	clear(c.seen)
	for _, a := range attributes {
		if _, again := c.seen[a]; again {
			continue
		}
		n := c.counts[a]
		if n == nil {
			if len(c.counts) >= MaxAttributes {
				c.Dropped++
				continue
			}
			n = new(counts)
			c.counts[a] = n
		}
		c.seen[a] = struct{}{}
		if selected {
			n.selected++
		} else {
			n.baseline++
		}
	}
}

// Difference is an attribute that the selected traces have more often than the baseline.
type Difference struct {
	Attribute

	// Selected and Baseline are the shares of traces with it; Excess is Selected − Baseline.
	Selected, Baseline, Excess float64
	// LogOdds is the logarithm of the odds ratio, with a half added to each count (Haldane and Anscombe).
	LogOdds float64
	// Q is the share of false ones to expect among this difference and all that are at least as improbable by chance (Benjamini and Hochberg).
	Q float64
}

const (
	// maxQ is up to which Q a difference is told.
	maxQ = 0.01
	// minExcess is how much larger a share must be.
	minExcess = 0.05
)

// Differences are those of what was counted, see Compare.
func (c *Counter) Differences(limit int) []Difference {
	all := make([]Count, 0, len(c.counts))
	for a, n := range c.counts {
		all = append(all, Count{a, n.selected, n.baseline})
	}
	return Compare(all, c.Selected, c.Baseline, limit)
}

// Count is in how many traces of the selection and of the baseline an attribute occurs.
type Count struct {
	Attribute

	Selected, Baseline int64
}

// Compare tells at most limit differences, the largest first, of equals by name. selected and baseline are all traces of both. Only what is more frequent among the
// selected is told: what is rarer there is so because something else is more frequent. Counts that cannot be, negative or more than all, are left out.
func Compare(counts []Count, selected, baseline int64, limit int) []Difference {
	if selected <= 0 || baseline <= 0 {
		return nil
	}
	type tested struct {
		Difference
		p float64
	}
	all := make([]tested, 0, len(counts))
	for _, n := range counts {
		if n.Selected < 0 || n.Selected > selected || n.Baseline < 0 || n.Baseline > baseline {
			continue
		}
		d := tested{Difference{
			Attribute: n.Attribute, Selected: float64(n.Selected) / float64(selected), Baseline: float64(n.Baseline) / float64(baseline),
			LogOdds: logOdds(n.Selected, selected, n.Baseline, baseline),
		}, statistics.MoreOften(n.Baseline, baseline, n.Selected, selected)}
		d.Excess = d.Selected - d.Baseline
		all = append(all, d)
	}
	slices.SortFunc(all, func(x, y tested) int { return cmp.Or(cmp.Compare(x.p, y.p), compare(x.Attribute, y.Attribute)) })
	var told []Difference
	q := 1.0
	for at := len(all) - 1; at >= 0; at-- { // the least q of this and all that are less probable
		q = min(q, all[at].p*float64(len(all))/float64(at+1))
		if all[at].Q = q; q <= maxQ && all[at].Excess >= minExcess {
			told = append(told, all[at].Difference)
		}
	}
	slices.SortFunc(told, func(x, y Difference) int {
		return cmp.Or(cmp.Compare(y.Excess, x.Excess), cmp.Compare(x.Q, y.Q), compare(x.Attribute, y.Attribute))
	})
	return told[:min(len(told), max(0, limit))]
}

func compare(a, b Attribute) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
}

func logOdds(a, na, b, nb int64) float64 {
	const half = 0.5
	return math.Log((float64(a) + half) * (float64(nb-b) + half) / ((float64(na-a) + half) * (float64(b) + half)))
}
