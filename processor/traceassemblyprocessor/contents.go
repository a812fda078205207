package traceassemblyprocessor

import (
	"slices"
	"sync"
	"unsafe"
)

// contents are held spans and what they refer to by number. A held span has no pointer: of what is held the garbage collector sees a
// few lists a trace, and does not look into the longest.
type contents struct {
	spans   []heldSpan
	runs    []string      // OTLP protobuf of spans, of several where they came together
	origins []*heldOrigin // each once
	patches []patches     // of few spans; the first is nobody's
	places  map[*heldOrigin]uint32
}

// spanBytes is where the bytes of a span stand.
type spanBytes struct{ run, at, size uint32 }

func (c *contents) raw(h *heldSpan) string {
	return c.runs[h.bytes.run][h.bytes.at : h.bytes.at+h.bytes.size]
}

func (c *contents) origin(h *heldSpan) *heldOrigin { return c.origins[h.origin] }

func (c *contents) service(h *heldSpan) string { return c.origins[h.origin].resource.service }

// patch is what is written on a held span. It is not to be kept.
func (c *contents) patch(h *heldSpan) *patches {
	if h.patch == 0 {
		if len(c.patches) == 0 {
			c.patches = append(c.patches, nil)
		}
		h.patch = uint32(len(c.patches))
		c.patches = append(c.patches, nil)
	}
	return &c.patches[h.patch]
}

// patched is what is written on a held span, nil for nothing.
func (c *contents) patched(h *heldSpan) patches {
	if h.patch == 0 {
		return nil
	}
	return c.patches[h.patch]
}

// runOf is the number of a run: the last one, or a new one.
func (c *contents) runOf(run string) uint32 {
	last := len(c.runs) - 1
	if last < 0 || unsafe.StringData(c.runs[last]) != unsafe.StringData(run) || len(c.runs[last]) != len(run) {
		last++
		c.runs = append(c.runs, run)
	}
	return uint32(last)
}

// originOf is the number of an origin, and whether it is a new one.
func (c *contents) originOf(o *heldOrigin) (at uint32, added bool) {
	last := len(c.origins) - 1
	switch {
	case last >= 0 && c.origins[last] == o:
		return uint32(last), false
	case c.places != nil:
		if at, ok := c.places[o]; ok {
			return at, false
		}
	default:
		if at := slices.Index(c.origins, o); at >= 0 {
			return uint32(at), false
		}
		if last >= maxListed {
			c.places = make(map[*heldOrigin]uint32, 2*maxListed)
			for i, known := range c.origins {
				c.places[known] = uint32(i)
			}
		}
	}
	if c.places != nil {
		c.places[o] = uint32(len(c.origins))
	}
	c.origins = append(c.origins, o)
	return uint32(last + 1), true
}

// first is something of each list but spans, 0 where there is none.
func (c *contents) first() (read int) {
	if n := len(c.runs); n > 0 {
		read += len(c.runs[n-1])
	}
	if n := len(c.origins); n > 0 && c.origins[n-1] != nil {
		read++
	}
	return read
}

// contentsPool recycles lists but those of spans (see spanLists): shards take them, the callBuilder gives them back.
var contentsPool = sync.Pool{New: func() any { return new(contents) }}

func newContents() contents {
	boxed := contentsPool.Get().(*contents)
	c := *boxed
	*boxed = contents{}
	boxes.Put(boxed)
	return c
}

// boxes are what contents are put into the pool in.
var boxes = sync.Pool{New: func() any { return new(contents) }}

func recycleContents(c contents) {
	recycleList(c.spans)
	if len(c.runs) > maxPooled || len(c.origins) > maxListed {
		return
	}
	clear(c.runs)
	clear(c.origins)
	clear(c.patches)
	boxed := boxes.Get().(*contents)
	*boxed = contents{runs: c.runs[:0], origins: c.origins[:0], patches: c.patches[:0]}
	contentsPool.Put(boxed)
}
