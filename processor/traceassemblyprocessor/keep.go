package traceassemblyprocessor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/store"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// keeper keeps what the shards have learned through a storage extension, so that a restart does not begin with long waits. It works
// beside the shards, which stop only to copy what they know.
type keeper struct {
	client storage.Client
	logger *zap.Logger
	saved  bool               // for the log: the last attempt worked
	stop   context.CancelFunc // of run
}

const (
	keepKey      = "learned"
	keepInterval = time.Minute
	keepVersion  = 1
	// saveTimeout is how long a shutdown waits for the storage: everything can be learned again.
	saveTimeout  = 5 * time.Second
	maxKeptCount = 1e12
)

// keptState is what is stored, as JSON. An unknown version is ignored.
type keptState struct {
	Version    int             `json:"version"`
	All        keptQuiet       `json:"all"`
	Entries    []keptQuiet     `json:"entries"`
	Children   keptExpectation `json:"children,omitzero"`
	Operations []keptOperation `json:"operations"`
}

// keptQuiet is what was learned of the gaps of an entry operation.
type keptQuiet struct {
	Service  string  `json:"service,omitempty"`
	Name     string  `json:"name,omitempty"`
	Widening float64 `json:"widening"`
	Sketch   []byte  `json:"sketch"`
}

type keptOperation struct {
	Service string          `json:"service"`
	Name    string          `json:"name"`
	OK      keptExpectation `json:"ok,omitzero"`
	Failed  keptExpectation `json:"failed,omitzero"`
	Parent  keptExpectation `json:"parent,omitzero"`
}

type keptExpectation struct {
	Came  [expectationBuckets]float32 `json:"came"`
	Never float32                     `json:"never"`
}

// newKeeper finds the storage of the configuration, nil where it names none.
func newKeeper(ctx context.Context, p *assemblyProcessor, host component.Host) (*keeper, error) {
	if p.cfg.StorageID == nil {
		return nil, nil
	}
	ext, found := host.GetExtensions()[*p.cfg.StorageID]
	if !found {
		return nil, fmt.Errorf("storage: extension %q does not run; name it in service::extensions", p.cfg.StorageID)
	}
	from, ok := ext.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: extension %q stores nothing; name one that does, file_storage say", p.cfg.StorageID)
	}
	client, err := from.GetClient(ctx, component.KindProcessor, p.id, keepKey)
	if err != nil {
		return nil, fmt.Errorf("storage: open %q: %w", p.cfg.StorageID, err)
	}
	return &keeper{client: client, logger: p.logger, saved: true}, nil
}

// load gives each shard, before it runs, a copy of what was kept. Nothing, or something that cannot be read, is no error: everything
// can be learned again.
func (k *keeper) load(ctx context.Context, shards []*shard) {
	data, err := k.client.Get(ctx, keepKey)
	if err == nil && data == nil {
		return
	}
	var state keptState
	if err == nil {
		err = json.Unmarshal(data, &state)
	}
	if err == nil && state.Version != keepVersion {
		err = fmt.Errorf("its version is %d, not %d", state.Version, keepVersion)
	}
	if err == nil {
		err = state.check()
	}
	if err != nil {
		k.logger.Warn("what was learned of traces before cannot be read; it is learned again", zap.Error(err))
		return
	}
	for _, s := range shards {
		state.restore(s)
	}
}

// run saves every minute until ctx ends.
func (k *keeper) run(ctx context.Context, p *assemblyProcessor) {
	ticker := time.NewTicker(keepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if known, ok := p.askLearned(); ok {
				timeout, cancel := context.WithTimeout(ctx, keepInterval)
				k.save(timeout, known)
				cancel()
			}
		case <-ctx.Done():
			return
		}
	}
}

func (k *keeper) save(ctx context.Context, known []*knowledge) {
	data, err := json.Marshal(merge(known))
	if err == nil {
		err = k.client.Set(ctx, keepKey, data)
	}
	if err != nil && k.saved {
		k.logger.Warn("what was learned of traces cannot be stored; a restart learns it again", zap.Error(err))
	}
	k.saved = err == nil
}

// close gives the storage back. It does nothing where there is none.
func (k *keeper) close(ctx context.Context) {
	if k == nil {
		return
	}
	if err := k.client.Close(ctx); err != nil {
		k.logger.Warn("the storage of what was learned does not close", zap.Error(err))
	}
}

// askLearned asks every shard what it has learned; false when the processor stops meanwhile.
func (p *assemblyProcessor) askLearned() ([]*knowledge, bool) {
	if !p.gate.enter() {
		return nil, false
	}
	defer p.gate.leave()
	var known []*knowledge
	for _, s := range p.shards {
		answer := make(chan *knowledge, 1)
		select {
		case s.in <- message{learned: answer}:
		case <-p.gate.stopping:
			return nil, false
		}
		select {
		case k := <-answer:
			known = append(known, k)
		case <-p.gate.stopping:
			return nil, false
		}
	}
	return known, true
}

// knowledge is a copy of what a shard has learned.
type knowledge struct {
	all        *gaps
	entries    map[operation]*gaps
	children   expectation
	operations []learnedOperation
}

func (s *shard) knowledge() *knowledge {
	k := &knowledge{
		all: s.quiet.all.copy(), entries: make(map[operation]*gaps, len(s.quiet.entries)), children: s.learned.all,
		operations: make([]learnedOperation, 0, len(s.learned.byName)),
	}
	for entry, g := range s.quiet.entries {
		k.entries[entry] = g.copy()
	}
	for _, o := range s.learned.byName {
		k.operations = append(k.operations, *o)
	}
	return k
}

// merge makes one state of what the shards know: they see traffic of the same kind, so of everything it takes the mean.
func merge(known []*knowledge) *keptState {
	state := &keptState{Version: keepVersion}
	all := newGaps(0)
	entries := make(map[operation]*gaps)
	operations := make(map[operation]*learnedOperation)
	var children expectation
	for _, k := range known {
		all.merge(k.all)
		children.merge(&k.children)
		for entry, g := range k.entries {
			if entries[entry] == nil {
				entries[entry] = newGaps(0)
			}
			entries[entry].merge(g)
		}
		for i := range k.operations {
			from := &k.operations[i]
			to := operations[from.operation]
			if to == nil {
				to = &learnedOperation{operation: from.operation}
				operations[from.operation] = to
			}
			to.ok.merge(&from.ok)
			to.failed.merge(&from.failed)
			to.parent.merge(&from.parent)
		}
	}
	share := 1 / float64(max(len(known), 1))
	state.All = all.keep(operation{}, share)
	for _, entry := range mostUsed(entries, quietEntries, func(g *gaps) float64 { return g.sketch.GetCount() }) {
		state.Entries = append(state.Entries, entries[entry].keep(entry, share))
	}
	state.Children = children.keep()
	for _, op := range mostUsed(operations, maxLearnedOperations, func(o *learnedOperation) float64 { return float64(o.weight()) }) {
		o := operations[op]
		state.Operations = append(state.Operations, keptOperation{op.service, op.name, o.ok.keep(), o.failed.keep(), o.parent.keep()})
	}
	return state
}

// mostUsed is at most n keys, in a fixed order.
func mostUsed[T any](of map[operation]T, n int, use func(T) float64) []operation {
	keys := make([]operation, 0, len(of))
	for key := range of {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b operation) int {
		return cmp.Or(cmp.Compare(use(of[b]), use(of[a])), cmp.Compare(a.service, b.service), cmp.Compare(a.name, b.name))
	})
	return keys[:min(n, len(keys))]
}

// check finds what no save has written.
func (state *keptState) check() error {
	for i := range state.Entries {
		if _, err := state.Entries[i].gaps(); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	if _, err := state.All.gaps(); err != nil {
		return fmt.Errorf("all entries: %w", err)
	}
	for i := range state.Operations {
		o := &state.Operations[i]
		if !o.OK.valid() || !o.Failed.valid() || !o.Parent.valid() {
			return fmt.Errorf("operation %d: a count is not between 0 and %d", i, expectationMemory)
		}
	}
	if !state.Children.valid() {
		return fmt.Errorf("children: a count is not between 0 and %d", expectationMemory)
	}
	return nil
}

// restore fills the tables of a shard. The state was checked.
func (state *keptState) restore(s *shard) {
	s.quiet.all, _ = state.All.gaps()
	for i := range state.Entries[:min(len(state.Entries), s.quiet.limit)] {
		e := &state.Entries[i]
		s.quiet.entries[operation{e.Service, e.Name}], _ = e.gaps()
	}
	s.learned.all = state.Children.restored()
	s.learned.allSince = longAgo
	for i := range state.Operations[:min(len(state.Operations), s.learned.limit)] {
		k := &state.Operations[i]
		o := s.learned.put(operation{k.Service, k.Name})
		o.ok, o.failed, o.parent = k.OK.restored(), k.Failed.restored(), k.Parent.restored()
	}
}

// longAgo is on the processor's clock, which begins at its start.
const longAgo = -24 * time.Hour

func (k *keptQuiet) gaps() (*gaps, error) {
	sketch, err := ddsketch.DecodeDDSketch(k.Sketch, quietStore, nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("decode its sketch: %w", err)
	case !(sketch.GetCount() >= 0 && sketch.GetCount() <= maxKeptCount):
		return nil, fmt.Errorf("its sketch counts %v gaps", sketch.GetCount())
	case k.Widening < 1 || k.Widening > maxWidening:
		return nil, fmt.Errorf("its widening %v is not between 1 and %d", k.Widening, maxWidening)
	}
	g := newGaps(longAgo)
	if err := g.sketch.MergeWith(sketch); err != nil {
		return nil, fmt.Errorf("read its sketch: %w", err)
	}
	g.widening = k.Widening
	return g, nil
}

func quietStore() store.Store { return store.NewCollapsingLowestDenseStore(quietBins) }

func (g *gaps) copy() *gaps {
	c := *g
	c.sketch = g.sketch.Copy()
	return &c
}

func (g *gaps) merge(other *gaps) {
	// All sketches are made by newGaps: they can be merged.
	_ = g.sketch.MergeWith(other.sketch)
	g.widening = max(g.widening, other.widening)
}

func (g *gaps) keep(entry operation, share float64) keptQuiet {
	if !g.empty() {
		_ = g.sketch.Reweight(share)
	}
	k := keptQuiet{Service: entry.service, Name: entry.name, Widening: g.widening}
	g.sketch.Encode(&k.Sketch, false)
	return k
}

func (e *expectation) merge(other *expectation) {
	for i := range e.came {
		e.came[i] += other.came[i]
	}
	e.never += other.never
	e.total += other.total
}

// keep cuts the weight to what one expectation holds.
func (e *expectation) keep() (k keptExpectation) {
	share := float32(1)
	if e.total >= expectationMemory {
		share = (expectationMemory - 1) / e.total
	}
	for i := range e.came {
		k.Came[i] = e.came[i] * share
	}
	k.Never = e.never * share
	return k
}

func (k *keptExpectation) valid() bool {
	for _, n := range k.Came {
		if n < 0 || n > expectationMemory {
			return false
		}
	}
	return k.Never >= 0 && k.Never <= expectationMemory
}

func (k *keptExpectation) restored() expectation {
	e := expectation{came: k.Came, never: k.Never, total: k.Never}
	for _, n := range k.Came {
		e.total += n
	}
	e.settle()
	return e
}
