package schedule

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// Options say how spans leave their services.
type Options struct {
	Seed uint64
	// Rate is in visits a second; 0 for as fast as they are taken.
	Rate float64
	// BatchDelay is the time between two requests of an instance, with a Rate. An instance with more than 512 spans
	// sends several requests at its tick.
	BatchDelay time.Duration
	// Jitter is the share of BatchDelay by which a request is at most late for its tick; every request's own.
	Jitter float64
	// Behind is how much later than their tick the requests of a service leave, by the number of the service.
	Behind map[int]time.Duration
	// Burst makes visits begin in bursts, with a Rate, which stays the mean.
	Burst Burst
	// Window is how far back visits begin, without a Rate: their times are spread over it.
	Window time.Duration
	// Late spans leave some time after all other spans of their visit.
	Late Late
	// Duplicates is the share of spans that are sent again within DuplicateDelay.
	Duplicates float64
	// Shuffle delays each request by a random time up to it.
	Shuffle time.Duration
}

// Late says which share of the spans is late, and by how much.
type Late struct {
	Share    float64
	Min, Max time.Duration
}

// DuplicateDelay is the longest time between a span and its duplicate.
const DuplicateDelay = 5 * time.Second

// DefaultLate is the delay of late spans where none is given.
var DefaultLate = Late{Min: 5 * time.Second, Max: 20 * time.Second}

// ParseLate reads P or P:min-max, as in 1% or 1%:5s-20s.
func ParseLate(text string) (Late, error) {
	late := DefaultLate
	share, bounds, given := strings.Cut(text, ":")
	var err error
	if late.Share, err = shop.ParseShare(share); err != nil {
		return late, err
	}
	if given {
		delays, err := shop.ParseDelays(bounds)
		if err != nil {
			return late, err
		}
		late.Min, late.Max = delays.Min, delays.Max
	}
	return late, nil
}

// Start is when a visit begins, nanoseconds from the origin of its plan, whose first visit is first and which has count.
// With a rate visits begin one after the other from the origin on; without, all of them are over before it.
func (o *Options) Start(v *shop.Visit, first, count int) int64 {
	place := float64(v.Index-first) + o.random(v.Index).Float64()
	if o.Rate > 0 {
		return o.Burst.start(place / o.Rate * float64(time.Second))
	}
	return -int64(float64(o.Window)*(1-place/float64(count))) - v.End
}

// random are the numbers that decide how a visit's spans leave.
func (o *Options) random(index int) *rand.Rand {
	return rand.New(rand.NewPCG(o.Seed^0x5c4ed01e, uint64(index)))
}
