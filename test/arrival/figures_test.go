package arrival

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tracewright/tracewright/internal/conventions"
)

// figures say how some traces were released first.
type figures struct {
	traces, whole int
	delays        []time.Duration // from the last span of the first release to the release, ascending
	merged        int             // of all releases
	releases      int
	outcomes      map[string]int // of all releases
}

// figuresOf adds up the traces whose first span came at since or later.
func figuresOf(traces []*trace, since time.Duration) *figures {
	f := newFigures(traces, since, func(t *trace) *release {
		if len(t.releases) == 0 {
			return nil
		}
		return &t.releases[0]
	})
	f.outcomes = make(map[string]int)
	for _, t := range traces {
		if t.first() < since {
			continue
		}
		if t.merged() {
			f.merged++
		}
		for i := range t.releases {
			f.outcomes[t.releases[i].outcome]++
			f.releases++
		}
	}
	return f
}

// fixedFigures are those of a fixed wait, by groupbytrace's rule.
func fixedFigures(traces []*trace, wait time.Duration) *figures {
	return newFigures(traces, 0, func(t *trace) *release { return t.fixedWait(wait) })
}

func newFigures(traces []*trace, since time.Duration, first func(*trace) *release) *figures {
	f := &figures{}
	for _, t := range traces {
		if t.first() < since {
			continue
		}
		f.traces++
		if r := first(t); r != nil {
			f.delays = append(f.delays, t.delay(r))
			if t.whole(r) {
				f.whole++
			}
		}
	}
	slices.Sort(f.delays)
	return f
}

// quantile is the smallest delay that at least this share of the traces does not exceed.
func (f *figures) quantile(share float64) time.Duration {
	if len(f.delays) == 0 {
		return 0
	}
	rank := int(share*float64(len(f.delays)) + 0.999999)
	return f.delays[min(max(rank, 1), len(f.delays))-1]
}

func percent(part, all int) float64 { return 100 * float64(part) / float64(max(all, 1)) }

// target is what a figure must be.
type target struct {
	measure, figure, target string
	ok                      bool
}

func (g *target) String() string {
	verdict := "FAIL"
	if g.ok {
		verdict = "PASS"
	}
	return fmt.Sprintf("%-50s %10s   %-8s %s", g.measure, g.figure, g.target, verdict)
}

const (
	wholeTarget = 99.0 // percent
	p50Target   = 300 * time.Millisecond
	p99Target   = 5 * time.Second
)

// targets judges the figures of a pattern.
func (f *figures) targets(p *pattern) []target {
	atMost := func(what string, figure, limit time.Duration) target {
		return target{p.name + ": last span → release " + what, seconds(figure), "< " + limit.String(), figure < limit}
	}
	whole := percent(f.whole, f.traces)
	judged := []target{
		atMost("p50", f.quantile(0.5), p50Target),
		atMost("p99", f.quantile(0.99), p99Target),
		{p.name + ": merged", fmt.Sprintf("%.2f %%", percent(f.merged, f.traces)), "100 %", f.merged == f.traces},
	}
	if !p.unjudged {
		judged = append(judged, target{p.name + ": whole", fmt.Sprintf("%.2f %%", whole), ">= 99 %", whole >= wholeTarget})
	}
	return judged
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// table prints a line for each way to release, all over the same arrivals.
type table struct{ out *tabwriter.Writer }

func newTable(out io.Writer) *table {
	t := &table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t.out, "pattern\trule\ttraces\twhole\tmerged\tp50\tp90\tp99\tmax\toutcomes of all releases")
	return t
}

func (t *table) row(pattern, rule string, f *figures) {
	merged, outcomes := "", ""
	if f.outcomes != nil {
		merged, outcomes = fmt.Sprintf("%.2f %%", percent(f.merged, f.traces)), f.shares()
	}
	fmt.Fprintf(t.out, "%s\t%s\t%d\t%.2f %%\t%s\t%s\t%s\t%s\t%s\t%s\n", pattern, rule, f.traces, percent(f.whole, f.traces), merged,
		seconds(f.quantile(0.5)), seconds(f.quantile(0.9)), seconds(f.quantile(0.99)), seconds(f.quantile(1)), outcomes)
}

// shares lists the outcomes in conventions' order.
func (f *figures) shares() string {
	var parts []string
	for _, outcome := range conventions.Outcomes {
		if n := f.outcomes[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %.1f %%", outcome, percent(n, f.releases)))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}
