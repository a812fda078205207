package rollup

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// collector makes a delta.
type collector struct {
	Delta
	resources map[pcommon.Resource]int // their places in described
	described []resource
	kinds     [len(kinds)]uint32
	called    uint32 // conventions.KindService
	release   uint32 // counts them
	finished  bool
	patterns  patterns
	durations durationLog

	// Of the release that is being added.
	seen       []int            // places in described
	clients    [callSlots]int32 // client spans that were answered, see learnPeers
	answered   []answered
	learned    int // how many were looked at in this call
	contraster contraster

	// Of the span that is being added.
	span      *tracetree.Span
	read      *annotations // pattern.of
	resource  names
	pattern   *pattern
	operation uint32
	failed    bool
	duration  int64
	bin       uint32 // of the duration, once it is binned
	binned    bool

	last remembered
}

// resource is what the spans of one resource share.
type resource struct {
	names
	values  []uint32 // see contraster
	release uint32   // the last one that it was seen in
}

// names are those of a span's resource; the service may be the span's own.
type names struct{ environment, service, version uint32 }

// remembered is what was looked up last: spans that follow each other mostly want the same.
type remembered struct {
	of           pcommon.Resource
	resource     names
	entry        tracestore.Operation
	entryService uint32
	entryName    uint32
	environment  uint32
	spans        *row // of the environment
}

// start makes the empty collector ready.
func (c *collector) start(at deltaKey, contrast *Contrast) {
	c.Tenant, c.Minute = at.tenant, at.minute
	for kind, name := range kinds {
		c.kinds[kind] = c.id(name)
	}
	c.called = c.id(conventions.KindService)
	if c.contraster.Contrast = contrast; contrast != nil && contrast.Usual != nil {
		c.contraster.usual = contrast.Usual.before(at.tenant, at.minute)
	}
}

// reset empties the collector, which keeps its memory and nothing of the call.
func (c *collector) reset() {
	c.Sums.reset()
	clear(c.resources)
	c.contraster.reset()
	c.patterns.reset()
	*c = collector{
		Delta: Delta{Sums: c.Sums}, resources: c.resources, described: c.described[:0], seen: c.seen[:0], answered: c.answered[:0], contraster: c.contraster,
		patterns: c.patterns, durations: durationLog{entries: c.durations.entries[:0], sorted: c.durations.sorted},
	}
}

func (c *collector) add(release *tracetree.Release, alike Alike) {
	c.release++
	c.last.of, c.seen = pcommon.Resource{}, c.seen[:0]
	whole, operations := release.Whole(), c.patterns.begin(alike)
	var root rootSpan
	failed := false
	for i := range release.Spans {
		c.span = &release.Spans[i]
		if c.pattern = &c.patterns.none; operations != nil {
			c.pattern = c.patterns.at(operations[i])
		}
		c.read = &c.pattern.of
		c.pattern.read(c.span)
		if c.pattern.state == patternNew && c.pattern != &c.patterns.none {
			c.pattern.learn(c.span, alike.Varying(operations[i]))
		}
		c.describe()
		if c.read.violated {
			c.addViolations()
		}
		if c.read.conflicting {
			continue
		}
		failed = failed || c.failed
		c.addOperation()
		c.addEdges()
		c.addEntryOperation()
		c.addError(release.TraceID)
		c.addSpan(whole)
		if c.read.repairs != nil {
			c.addRepairs()
		}
		if c.span.Kind() == ptrace.SpanKindClient && c.read.peer == "" {
			id := c.span.SpanID()
			c.clients[id[len(id)-1]] = int32(i)
		}
		if release.First() {
			root.consider(c)
		}
	}
	if root.found {
		entry := entryKey{root.environment, c.id(root.entry.Service), c.id(root.entry.Operation)}
		c.addEntry(&root, entry, release.Outcome, failed)
		c.addContrasts(&root, entry, failed)
	}
	if len(c.answered) > 0 {
		c.learnPeers(release.Spans)
	}
}

// finish adds what is made of the sums of all releases.
func (c *collector) finish() {
	if c.finished {
		return
	}
	c.finished = true
	c.durations.flush(c.Sums)
	c.deriveContexts()
	c.writeContrasts()
}

// describe finds what the tables need of the span.
func (c *collector) describe() {
	if c.span.Resource != c.last.of {
		c.last.of, c.last.resource = c.span.Resource, c.findResource()
	}
	c.resource = c.last.resource
	if c.read.service != "" {
		c.resource.service = c.pattern.service.id(c, c.read.service)
	}
	c.operation = c.pattern.operation.id(c, cmp.Or(c.read.operation, c.span.Name()))
	c.failed = c.span.Status().Code() == ptrace.StatusCodeError
	c.duration, c.binned = int64(tracestore.SpanDuration(c.span.Span)), false
	if c.read.entry != c.last.entry {
		c.last.entry = c.read.entry
		c.last.entryService, c.last.entryName = c.id(c.read.entry.Service), c.id(c.read.entry.Operation)
	}
}

func (c *collector) findResource() names {
	at, known := c.resources[c.span.Resource]
	if !known {
		at = c.describeResource()
	}
	r := &c.described[at]
	if r.release != c.release {
		r.release = c.release
		c.seen = append(c.seen, at)
	}
	return r.names
}

func (c *collector) describeResource() (at int) {
	at = len(c.described)
	c.resources[c.span.Resource] = at
	c.described = slices.Grow(c.described, 1)[:at+1]
	r := &c.described[at]
	*r = resource{
		names: names{
			environment: c.id(conventions.Environment(c.span.Resource)),
			service:     c.id(c.span.Service()),
			version:     c.id(conventions.ServiceVersion(c.span.Resource)),
		},
		values: r.values[:0],
	}
	c.contrastResource(r)
	return at
}

// maxName is the length in bytes to which names are cut in keys: a minute holds many of them, and a sender may write anything.
const maxName = 512

func (c *collector) id(s string) uint32 {
	if len(s) > maxName {
		s = strings.Clone(cut(s))
	}
	return c.Sums.strings.id(s)
}

// cut shortens a name to maxName, between characters.
func cut(s string) string {
	end := maxName
	for end > maxName-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// spans is the row of the span's environment.
func (c *collector) spans() *row {
	if environment := c.resource.environment; c.last.spans == nil || environment != c.last.environment {
		c.last.environment = environment
		c.last.spans = c.Sums.at(Spans, &key{colEnvironment: environment})
	}
	return c.last.spans
}

// count adds the span to a row, its errors and duration with it.
func (c *collector) count(r *row) {
	r.numbers[numCount] = sum(r.numbers[numCount], 1)
	if c.failed {
		r.numbers[numErrors] = sum(r.numbers[numErrors], 1)
	}
}

func (c *collector) addOperation() {
	kind := c.span.Kind()
	if kind < 0 || int(kind) >= len(c.kinds) {
		kind = ptrace.SpanKindUnspecified
	}
	r := c.row(Operations, &key{
		colEnvironment: c.resource.environment, operationService: c.resource.service, operationVersion: c.resource.version,
		operationName: c.operation, operationKind: c.kinds[kind],
	})
	c.count(r)
	r.numbers[numSelfTime] = sum(r.numbers[numSelfTime], c.read.selfTime)
	r.numbers[numPathTime] = sum(r.numbers[numPathTime], c.read.pathTime)
	if c.span.ParentSpanID().IsEmpty() {
		r.numbers[numRoots] = sum(r.numbers[numRoots], 1)
	}
	if c.read.excess > 0 {
		r.numbers[numExcess] = sum(r.numbers[numExcess], c.read.excess)
	}
	c.countDuration(r, 0)
}

// row is that of a series of a table other than Contrasts.
func (c *collector) row(t Table, k *key) *row { return c.Sums.tables[t].near(k, &c.pattern.rows[t]) }

// countDuration adds the span's duration to the row that it was counted in last of a table, which has a number in loggedTables.
func (c *collector) countDuration(r *row, table int) {
	if !c.binned {
		c.bin, c.binned = binOf(c.duration), true
	}
	place := int(c.pattern.rows[loggedTables[table]]) - 1
	if place < 0 || c.bin == noBin { // "other" has no place
		r.durations.count(c.bin)
		return
	}
	c.durations.add(table, place, c.bin)
	if len(c.durations.entries) == maxLog {
		c.durations.flush(c.Sums)
	}
}

// protocol is how the span calls or is called.
func (c *collector) protocol() uint32 {
	if c.pattern.state != patternKnown {
		return c.id(c.read.protocol.Protocol())
	}
	if c.pattern.protocol == 0 {
		c.pattern.protocol = c.id(c.read.protocol.Protocol())
	}
	return c.pattern.protocol
}

// addEdges adds the calls that the span shows: the one that it answers, and the one of a virtual peer that it makes.
func (c *collector) addEdges() {
	read := c.read
	if read.parent.Service == "" && read.peer == "" {
		return
	}
	own := key{colEnvironment: c.resource.environment, edgeProtocol: c.protocol()}
	if read.parent.Service != "" {
		k := own
		k[edgeParent] = c.pattern.parent.id(c, read.parent.Service)
		k[edgeParentOperation] = c.pattern.parentOperation.id(c, read.parent.Operation)
		k[edgeChild], k[edgeChildOperation] = c.resource.service, c.operation
		k[edgeKind] = c.called
		if r := c.addCall(&k); r.release == 0 && c.learned < maxLearned { // the first that is answered on this edge
			r.release = c.release
			c.learned++
			c.answered = append(c.answered, answered{c.span.ParentSpanID(), c.resource.environment, c.resource.service})
		}
	}
	own[edgeParent], own[edgeParentOperation] = c.resource.service, c.operation
	if read.peer != "" && conventions.Calling(c.span.Kind()) {
		k := own
		k[edgeChild] = c.pattern.peer.id(c, read.peer)
		k[edgeKind] = c.pattern.peerKind.id(c, cmp.Or(read.peerKind, conventions.KindExternal))
		c.addCall(&k)
	}
}

func (c *collector) addCall(k *key) *row {
	r := c.row(Edges, k)
	c.count(r)
	c.countDuration(r, 1)
	return r
}

// addEntryOperation counts what the span does for its entry, and its trace once for every operation of the release.
func (c *collector) addEntryOperation() {
	if c.read.entry.Service == "" {
		return
	}
	r := c.row(EntryOperations, &key{
		colEnvironment:      c.resource.environment,
		entryOpEntryService: c.last.entryService, entryOpEntryOperation: c.last.entryName,
		entryOpService: c.resource.service, entryOpOperation: c.operation,
	})
	c.count(r)
	r.numbers[numSelfTime] = sum(r.numbers[numSelfTime], c.read.selfTime)
	r.numbers[numPathTime] = sum(r.numbers[numPathTime], c.read.pathTime)
	if r.release != c.release {
		r.release = c.release
		r.numbers[numTraces] = sum(r.numbers[numTraces], 1)
	}
}

func (c *collector) addError(id pcommon.TraceID) {
	if !c.read.errorOrigin {
		return
	}
	r := c.Sums.at(Errors, &key{
		colEnvironment:   c.resource.environment,
		errorFingerprint: c.id(c.read.fingerprint), errorService: c.resource.service, errorOperation: c.operation,
		errorEntryService: c.last.entryService, errorEntryOperation: c.last.entryName,
	})
	r.numbers[numCount] = sum(r.numbers[numCount], 1)
	r.happened().add(c.Minute, id)
}

func (c *collector) addSpan(whole bool) {
	r := c.spans()
	r.numbers[numCount] = sum(r.numbers[numCount], 1)
	if !whole {
		r.numbers[numPartial] = sum(r.numbers[numPartial], 1)
	}
	if c.read.orphan {
		r.numbers[numOrphans] = sum(r.numbers[numOrphans], 1)
	}
}
