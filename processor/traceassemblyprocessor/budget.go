package traceassemblyprocessor

import "sync/atomic"

// budget counts the estimated memory of what is held. It is the one thing that all goroutines of the processor share;
// each adds once for a request, a release or a call, never for a span.
type budget struct {
	// limit is up to where held lets spans in: memory_limit_bytes without the share of the skeletons. What is made of them comes on top:
	// the traces of a request, and the calls that are being handed on, decoded.
	limit int64
	soft  int64 // of open

	held atomic.Int64 // from acceptance until the next consumer has taken it
	// open is the part of held that is not released yet. Under pressure shards release until open is below soft. Judging
	// by held would release every trace early while the next consumer is down, which frees nothing.
	open  atomic.Int64
	spans atomic.Int64 // held, as a number of spans
}

// skeletonShare of memory_limit_bytes is kept for skeletons.
const skeletonShare = 8

func newBudget(memoryLimit int64) *budget {
	limit := memoryLimit - memoryLimit/skeletonShare
	return &budget{limit: limit, soft: limit / 4 * 3}
}

// full says whether a request would be refused whatever its size.
func (b *budget) full() bool { return b.held.Load() >= b.limit }

// reserve takes room for a request. It is refused when it does not fit, unless nothing else is held: a request larger than
// the limit could never get in otherwise.
func (b *budget) reserve(weight, spans int64) bool {
	held := b.held.Add(weight)
	if held > b.limit && held != weight {
		b.held.Add(-weight)
		return false
	}
	b.open.Add(weight)
	b.spans.Add(spans)
	return true
}

// carry counts released spans that are held again, or what is kept beside released ones, whatever there is room for.
func (b *budget) carry(weight, spans int64) {
	b.held.Add(weight)
	b.spans.Add(spans)
}

// drop gives back what is not released: duplicates, and spans that no shard took.
func (b *budget) drop(weight, spans int64) {
	b.grow(-weight)
	b.spans.Add(-spans)
}

// grow counts what the shards keep beside the spans.
func (b *budget) grow(weight int64) {
	b.held.Add(weight)
	b.open.Add(weight)
}

// release says that spans left their shard.
func (b *budget) release(weight int64) { b.open.Add(-weight) }

// done says that released spans are no longer held.
func (b *budget) done(weight, spans int64) {
	b.held.Add(-weight)
	b.spans.Add(-spans)
}

func (b *budget) pressed() bool { return b.open.Load() > b.soft }
