package rollup

import (
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Contrast is how a backend counts Contrasts.
type Contrast struct {
	Attributes tracestore.ContrastAttributes
	// Usual says how long an entry usually takes.
	Usual *Usual
}

// contrast is the row of a value, or that of "other" where there are too many values.
func (s *Sums) contrast(k *key) *row {
	t := &s.tables[Contrasts]
	if at, known := t.find(k); known {
		return &t.rows[at]
	}
	if len(t.keys) >= t.limit {
		return t.beyond()
	}
	other := *k
	other[contrastValue] = s.strings.id(otherName)
	if other == *k {
		return t.at(k)
	}
	group := *k
	group[contrastValue] = 0
	if s.values[group] >= s.maxValues {
		return t.at(&other)
	}
	if s.values == nil {
		s.values = make(map[key]int)
	}
	s.values[group]++
	return t.at(k)
}

// contraster counts in which traces which values occur. A row of Contrasts costs more than all else of a trace, so that entries
// and values are numbered, counted by their numbers, and written down once for a call. A value counts once in a trace, however
// many spans and resources have it.
type contraster struct {
	*Contrast // nil for none
	usual     map[tracestore.Operation]int64

	entries numbering[entryKey]
	values  numbering[valueKey]
	last    []uint32 // the last release in which a value was counted, by its number
	tallies map[uint64]int32
	counted []tally
	text    []byte
}

type (
	entryKey struct{ environment, service, operation uint32 }
	valueKey struct{ service, key, value uint32 }
)

// tally is what is counted of a value in the traces of an entry.
type tally struct {
	entry, value                 uint32
	traces, errors, slow, judged uint32
}

// numbering numbers what comes, from 0.
type numbering[K comparable] struct {
	numbers map[K]uint32
	list    []K
}

func (n *numbering[K]) number(k K) uint32 {
	if number, ok := n.numbers[k]; ok {
		return number
	}
	if n.numbers == nil {
		n.numbers = make(map[K]uint32)
	}
	number := uint32(len(n.list))
	n.numbers[k] = number
	n.list = append(n.list, k)
	return number
}

func (n *numbering[K]) reset() {
	clear(n.numbers)
	n.list = n.list[:0]
}

// reset forgets what was counted, and keeps the memory.
func (c *contraster) reset() {
	c.entries.reset()
	c.values.reset()
	clear(c.tallies)
	*c = contraster{entries: c.entries, values: c.values, last: c.last[:0], tallies: c.tallies, counted: c.counted[:0], text: c.text[:0]}
}

// contrastResource finds the values of the span's resource.
func (c *collector) contrastResource(r *resource) {
	if c.contraster.Contrast == nil {
		return
	}
	service := r.service
	if c.read.service != "" {
		service = c.id(c.read.service)
	}
	for _, name := range c.contraster.Attributes.Services {
		if value, ok := c.span.Resource.Attributes().Get(name); ok {
			r.values = c.appendValue(r.values, service, name, value)
		}
	}
}

// appendValue appends the number of a value, where it is one that can be told apart.
func (c *collector) appendValue(list []uint32, service uint32, name string, value pcommon.Value) []uint32 {
	var id uint32
	switch value.Type() {
	case pcommon.ValueTypeStr:
		id = c.id(value.Str())
	case pcommon.ValueTypeInt:
		c.contraster.text = strconv.AppendInt(c.contraster.text[:0], value.Int(), 10)
		id = c.Sums.strings.idOf(c.contraster.text)
	case pcommon.ValueTypeBool:
		id = c.id(strconv.FormatBool(value.Bool()))
	}
	if id == 0 {
		return list
	}
	number := c.contraster.values.number(valueKey{service, c.id(name), id})
	if int(number) == len(c.contraster.last) {
		c.contraster.last = append(c.contraster.last, 0)
	}
	return append(list, number)
}

// addContrasts counts the values of a trace. seen are its resources.
func (c *collector) addContrasts(root *rootSpan, entry entryKey, failed bool) {
	of := &c.contraster
	if of.Contrast == nil {
		return
	}
	add := tally{traces: 1, entry: of.entries.number(entry)}
	if failed {
		add.errors = 1
	}
	if usual, known := of.usual[root.entry]; known {
		add.judged = 1
		if root.duration > usual {
			add.slow = 1
		}
	}
	for _, at := range c.seen {
		for _, value := range c.described[at].values {
			of.add(&add, value, c.release)
		}
	}
	var buf [8]uint32
	values, attrs, resource := buf[:0], root.span.Attributes(), root.span.Resource.Attributes()
	for _, name := range of.Attributes.Entry {
		value, ok := attrs.Get(name)
		if !ok {
			value, ok = resource.Get(name)
		}
		if ok {
			values = c.appendValue(values, entry.service, name, value)
		}
	}
	for _, value := range values {
		of.add(&add, value, c.release)
	}
}

// add counts a value, once in a release.
func (c *contraster) add(add *tally, value, release uint32) {
	if c.last[value] == release {
		return
	}
	c.last[value] = release
	at := uint64(add.entry)<<32 | uint64(value)
	i, known := c.tallies[at]
	if !known {
		if c.tallies == nil {
			c.tallies = make(map[uint64]int32)
		}
		i = int32(len(c.counted))
		c.tallies[at] = i
		c.counted = append(c.counted, tally{entry: add.entry, value: value})
	}
	to := &c.counted[i]
	to.traces, to.errors, to.slow, to.judged = to.traces+add.traces, to.errors+add.errors, to.slow+add.slow, to.judged+add.judged
}

// writeContrasts makes rows of what was counted.
func (c *collector) writeContrasts() {
	for i := range c.contraster.counted {
		from := &c.contraster.counted[i]
		entry, value := c.contraster.entries.list[from.entry], c.contraster.values.list[from.value]
		r := c.Sums.at(Contrasts, &key{
			colEnvironment: entry.environment, contrastEntryService: entry.service, contrastEntryOperation: entry.operation,
			contrastService: value.service, contrastKey: value.key, contrastValue: value.value,
		})
		for number, n := range [...]uint32{numCount: from.traces, numErrors: from.errors, numSlow: from.slow, numJudged: from.judged} {
			r.numbers[number] = sum(r.numbers[number], uint64(n))
		}
	}
}
