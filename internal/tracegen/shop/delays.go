package shop

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Delays are delays between Min and Max.
type Delays struct {
	Min, Max time.Duration
}

// ParseDelays reads min-max, as in 5s-20s.
func ParseDelays(text string) (d Delays, err error) {
	low, high, _ := strings.Cut(text, "-")
	var lowErr, highErr error
	d.Min, lowErr = time.ParseDuration(low)
	d.Max, highErr = time.ParseDuration(high)
	if err := errors.Join(lowErr, highErr); err != nil || d.Min < 0 || d.Max < d.Min {
		return d, fmt.Errorf("%q is no range of delays; write it as 5s-20s", text)
	}
	return d, nil
}

// sample draws a delay in nanoseconds. Their logarithms are spread evenly, so that most are short and a few long, as the
// waits in a queue are; below a millisecond there is no such difference.
func (d *Delays) sample(rng *rand.Rand) int64 {
	low, high := float64(max(d.Min, time.Millisecond)), float64(max(d.Max, time.Millisecond))
	return int64(min(low*math.Pow(high/low, rng.Float64()), high))
}
