package rollup

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// Delta is what one call adds to the sums of one tenant and minute.
type Delta struct {
	Tenant string
	Minute uint32 // see MinuteOf
	Sums   *Sums
}

// Call sums the releases of one call, and of the next after Reset. The zero value is ready. It is not safe for concurrent use.
type Call struct {
	// Contrast is set before the first Add; nil counts no contrasts.
	Contrast *Contrast

	collectors []*collector
	index      map[deltaKey]*collector
	spare      []*collector // of earlier calls
}

// maxSpare is how many tenants' memory is kept from one call to the next.
const maxSpare = 4

type deltaKey struct {
	tenant string
	minute uint32
}

// Add adds a release that trace_analysis has annotated (tracerow.Explained). releasedAt is its time of release, Unix
// nanoseconds. The release is not changed; its strings are kept.
func (c *Call) Add(release *tracetree.Release, releasedAt int64) {
	c.AddAlike(release, releasedAt, nil)
}

// AddAlike is Add for who knows which spans are alike; nil is allowed. It adds the same in less time.
func (c *Call) AddAlike(release *tracetree.Release, releasedAt int64, alike Alike) {
	at := deltaKey{release.Tenant, MinuteOf(releasedAt)}
	to, ok := c.index[at]
	if !ok {
		to = c.collector(at)
	}
	if len(c.collectors) > maxSpare { // what is known of spans takes room in each
		alike = nil
	}
	to.add(release, alike)
}

// collector adds one for a tenant and minute.
func (c *Call) collector(at deltaKey) *collector {
	var to *collector
	if n := len(c.spare); n > 0 {
		to, c.spare = c.spare[n-1], c.spare[:n-1]
	} else {
		to = &collector{resources: make(map[pcommon.Resource]int), Delta: Delta{Sums: NewSums(MaxSeries)}}
	}
	to.start(at, c.Contrast)
	if c.index == nil {
		c.index = make(map[deltaKey]*collector)
	}
	c.index[at] = to
	c.collectors = append(c.collectors, to)
	return to
}

// Reset begins another call in the same memory. The deltas of the last one are not to be used any more.
func (c *Call) Reset() {
	for _, used := range c.collectors {
		used.reset()
	}
	c.spare = append(c.spare, c.collectors...)
	clear(c.spare[min(len(c.spare), maxSpare):])
	c.spare = c.spare[:min(len(c.spare), maxSpare)]
	clear(c.collectors)
	c.collectors = c.collectors[:0]
	clear(c.index)
}

// Deltas are what the releases add, in the order in which their tenants and minutes came. Nothing is added after it.
func (c *Call) Deltas() []Delta {
	deltas := make([]Delta, len(c.collectors))
	for i, from := range c.collectors {
		from.finish()
		deltas[i] = from.Delta
	}
	return deltas
}
