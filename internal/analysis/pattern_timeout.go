package analysis

import (
	"fmt"
	"slices"
	"time"
)

// How sure it is that a failed call of a round duration ran into a time limit.
const (
	timeoutSaid    = 0.95 // the error says so, or the callee was still at work
	timeoutGuessed = 0.6  // only the duration does
	timeoutGuess   = time.Second
)

// timeLimits are what people configure, ascending. Those below timeoutGuess need more than the duration: much takes that long.
var timeLimits = []time.Duration{
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 250 * time.Millisecond, 300 * time.Millisecond,
	500 * time.Millisecond, 750 * time.Millisecond, time.Second, 1500 * time.Millisecond, 2 * time.Second, 2500 * time.Millisecond,
	3 * time.Second, 4 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second, 30 * time.Second,
	45 * time.Second, time.Minute, 90 * time.Second, 2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute,
}

// timeLimit is the limit at which a call of this duration may have been given up, 0 if there is none: from 0.5 % before to 2 % and
// a millisecond after it.
func timeLimit(duration int64) time.Duration {
	for _, limit := range timeLimits {
		d := time.Duration(duration)
		if d >= limit-limit/200 && d <= limit+limit/50+time.Millisecond {
			return limit
		}
	}
	return 0
}

// timeouts finds failed calls that took as long as a time limit would let them:
//
//	checkout  client  |-- 2.003 s --| failed
//	payment   server    |-----------------|
func (f *finder) timeouts() {
	type target struct {
		service string
		callee  int32
		limit   time.Duration
	}
	groups := make(map[target]int)
	var (
		limits []time.Duration
		spans  [][]int
		said   []bool
	)
	for _, i := range f.order {
		n := &f.tree.Nodes[i]
		if n.Kind() != clientKind || f.callee[i] == noCall || !f.failed(i) {
			continue
		}
		limit := timeLimit(n.Duration())
		if limit == 0 {
			continue
		}
		sure := f.outlasted(i) || saysTimeout(n)
		if limit < timeoutGuess && !sure {
			continue
		}
		t := target{f.result.Spans[i].Service, f.callee[i], limit}
		g, ok := groups[t]
		if !ok {
			g = len(limits)
			groups[t] = g
			limits, spans, said = append(limits, limit), append(spans, nil), append(said, false)
		}
		spans[g], said[g] = append(spans[g], i), said[g] || sure
	}
	for g, limit := range limits {
		calls := spans[g]
		slices.SortFunc(calls, f.compareStart)
		waited := int64(0)
		for _, i := range calls {
			waited += f.waited[i]
		}
		confidence := timeoutGuessed
		if said[g] {
			confidence = timeoutSaid
		}
		f.add(FindingTimeout, calls[0], calls, waited, confidence, func() string {
			still := ""
			if slices.ContainsFunc(calls, f.outlasted) {
				still = " What it called was still at work then."
			}
			return fmt.Sprintf("%s gave up on %s after %s, %s: that looks like a time limit of %s. The request waited %s for it.%s",
				f.result.Spans[calls[0]].Service, f.calleeName(calls[0]), readable(f.tree.Nodes[calls[0]].Duration()),
				plural(len(calls), "time", "times"), readable(int64(limit)), f.share(waited), still)
		})
	}
}

// outlasted says whether what answers the call ended after it.
func (c *calls) outlasted(i int) bool {
	answer := c.answer[i]
	return answer >= 0 && c.tree.Nodes[answer].End > c.tree.Nodes[i].End
}
