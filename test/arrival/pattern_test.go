package arrival

import (
	"time"

	"github.com/tracewright/tracewright/internal/tracegen/schedule"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
)

// pattern is a way in which spans arrive. Where it says nothing else, every instance sends its spans each second.
type pattern struct {
	name string
	// flags are what gives tracegen the same pattern.
	flags string
	// batchDelay is the time between two requests of an instance; a second where it is zero.
	batchDelay    time.Duration
	behind        map[string]time.Duration
	burst         schedule.Burst
	consumerDelay shop.Delays
	late          schedule.Late
	// unjudged says that no release could hold the trace whole: the share is printed only.
	unjudged bool
}

var patterns = []pattern{
	{name: "batches of 5 s", flags: "--batch-delay 5s --jitter 10%", batchDelay: 5 * time.Second},
	{name: "batches of 1 s", flags: "--jitter 10%"},
	{
		name: "one service 3 s behind", flags: "--jitter 10% --behind inventory:3s",
		behind: map[string]time.Duration{"inventory": 3 * time.Second},
	},
	{
		name: "bursts", flags: "--jitter 10% --burst 20x/2s/20s",
		burst: schedule.Burst{Factor: 20, For: 2 * time.Second, Every: 20 * time.Second},
	},
	{
		name: "asynchronous consumers", flags: "--jitter 10% --consumer-delay 2s-30s",
		consumerDelay: shop.Delays{Min: 2 * time.Second, Max: 30 * time.Second},
	},
	{
		name: "1 % of spans 20 s behind", flags: "--jitter 10% --late 1%:20s-20s", unjudged: true,
		late: schedule.Late{Share: 0.01, Min: 20 * time.Second, Max: 20 * time.Second},
	},
}

// jitter is how late a request is at most for its tick, as a share of the time between two.
const jitter = 0.1

func (p *pattern) shop() *shop.Shop {
	return shop.New(shop.Options{Seed: seed, ConsumerDelay: p.consumerDelay})
}

func (p *pattern) schedule(rate float64) *schedule.Options {
	o := &schedule.Options{
		Seed: seed, Rate: rate, BatchDelay: time.Second, Jitter: jitter, Burst: p.burst, Late: p.late,
		Behind: map[int]time.Duration{},
	}
	if p.batchDelay > 0 {
		o.BatchDelay = p.batchDelay
	}
	for service, delay := range p.behind {
		o.Behind[shop.ServiceIndex(service)] = delay
	}
	return o
}
