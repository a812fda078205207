// Package capacity says how busy services are and where more traffic makes them slow.
package capacity

import (
	"math"
	"time"

	"github.com/tracewright/tracewright/internal/analysis/statistics"
)

// Concurrency is how many calls a service works on at a time, in the mean: its busy time, the sum of its self times in nanoseconds, by the length of
// the window. That is Little's law, L = λ·W, with λ calls a second that take W seconds each. 0 for what makes no sense.
func Concurrency(busyTime int64, window time.Duration) float64 {
	if busyTime <= 0 || window <= 0 {
		return 0
	}
	return float64(busyTime) / float64(window)
}

// Minute is an operation in a short time, in which the load is as good as constant.
type Minute struct {
	// Rate is calls a second.
	Rate float64
	// Latency is the mean time of a call, nanoseconds.
	Latency float64
}

// Limit is where an operation saturates.
type Limit struct {
	// Rate is the calls a second at which it has no end; Low and High bound it with 95 % confidence.
	Rate, Low, High float64
	// Unloaded is the time of a call without other load, nanoseconds.
	Unloaded float64
	// Busiest is the highest rate that was seen; Utilisation is that by Rate, 0 to 1.
	Busiest, Utilisation float64
	// Fit is the share of the variation that the model explains (R²), 0 to 1.
	Fit float64
}

const (
	minMinutes = 15
	// minSpread is how many times the lowest rate the highest must be.
	minSpread = 1.5
	// minErrors is how many of its standard errors the slope must be away from 0.
	minErrors = 4
	// minFit is how much of the variation the model must explain.
	minFit = 0.5
	// maxAhead is how many times the highest rate seen the limit may be: beyond, nobody has seen anything of it.
	maxAhead = 3
	// confident is how many standard errors are 95 %.
	confident = 1.96
)

// FindLimit looks whether latency rises with the rate as in a queue with one server, W = W0 / (1 − λ/μ), and at which rate μ it has no end. (It is
// Gunther's universal scalability law without its term of coherency.) In 1/W this is a line, 1/W0 − λ/(W0·μ), fitted by least squares. ok is false
// where the minutes do not show it: too few, rates too much alike, no rise beyond doubt, no such line, or a limit far beyond what was seen. Minutes
// without calls or with impossible figures are left out.
func FindLimit(minutes []Minute) (limit Limit, ok bool) {
	var x, y statistics.Moments
	lowest, busiest := math.Inf(1), 0.0
	usable := func(m Minute) bool {
		return m.Rate > 0 && m.Latency > 0 && !math.IsInf(m.Rate, 0) && !math.IsInf(m.Latency, 0)
	}
	for _, m := range minutes {
		if usable(m) {
			x.Add(m.Rate)
			y.Add(1 / m.Latency)
			lowest, busiest = min(lowest, m.Rate), max(busiest, m.Rate)
		}
	}
	if x.N < minMinutes || busiest < minSpread*lowest {
		return limit, false
	}
	var sxx, sxy, syy float64
	for _, m := range minutes {
		if usable(m) {
			dx, dy := m.Rate-x.Mean, 1/m.Latency-y.Mean
			sxx, sxy, syy = sxx+dx*dx, sxy+dx*dy, syy+dy*dy
		}
	}
	if !(sxx > 0 && syy > 0) {
		return limit, false
	}
	slope := sxy / sxx
	at0 := y.Mean - slope*x.Mean
	residual := max(0, syy-slope*sxy)
	variance := residual / float64(x.N-2)
	slopeError := math.Sqrt(variance / sxx)
	fit := 1 - residual/syy
	if !(slope < 0 && at0 > 0) || -slope < minErrors*slopeError || fit < minFit {
		return limit, false
	}
	rate := -at0 / slope
	// The limit is where the line meets 0; its variance by that of the line's height there over its slope.
	spread := confident * math.Sqrt(variance*(1/float64(x.N)+(rate-x.Mean)*(rate-x.Mean)/sxx)) / -slope
	limit = Limit{
		Rate: rate, Low: max(0, rate-spread), High: rate + spread, Unloaded: 1 / at0,
		Busiest: busiest, Utilisation: min(1, busiest/rate), Fit: fit,
	}
	for _, f := range []float64{limit.Rate, limit.High, limit.Unloaded} {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return Limit{}, false
		}
	}
	if rate > maxAhead*busiest {
		return Limit{}, false
	}
	return limit, true
}
