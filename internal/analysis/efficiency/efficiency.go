// Package efficiency says how much work of services the requests of an entry take, and what comes of it.
package efficiency

import "math"

// Window is the requests of an entry in a window.
type Window struct {
	// Traces are all requests, Errors those of them with a span that failed.
	Traces, Errors int64
	// BusyTime is the sum of self times of all services for them, nanoseconds. PathTime is the sum of their critical paths, which is how long the
	// requests took.
	BusyTime, PathTime int64
	// Calls and FailedCalls count their spans, and those that failed.
	Calls, FailedCalls int64
}

// Efficiency is what the work came to. Each is 0 where there is nothing to divide by.
type Efficiency struct {
	// BusyTime is the work of all services for one request, nanoseconds.
	BusyTime float64
	// Parallelism is how many services work at a time while a request lasts, in the mean: 1 where one waits for the other, more where calls run side by
	// side or work goes on behind the request.
	Parallelism float64
	// Yield is requests without any failure for each second of work.
	Yield float64
	// FailedCalls is the share of calls that failed.
	FailedCalls float64
}

// New sums up a window. What is negative counts as 0.
func New(w Window) Efficiency {
	return Efficiency{
		BusyTime:    ratio(float64(w.BusyTime), float64(w.Traces)),
		Parallelism: ratio(float64(w.BusyTime), float64(w.PathTime)),
		Yield:       ratio(float64(w.Traces-w.Errors), float64(w.BusyTime)/1e9),
		FailedCalls: min(1, ratio(float64(w.FailedCalls), float64(w.Calls))),
	}
}

func ratio(part, all float64) float64 {
	if part <= 0 || all <= 0 {
		return 0
	}
	return min(part/all, math.MaxFloat64)
}
