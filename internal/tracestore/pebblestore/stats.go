package pebblestore

import "sync/atomic"

// counters count since the store was opened.
type counters struct {
	calls, repeated, releases, joined, spans, bytes, corrupt, dropped, truncated, rewritten, thinned atomic.Int64
}

// Stats are what a store counts. Everything but the gauges counts from the opening of the store.
type Stats struct {
	// Calls were stored and are durable; RepeatedCalls were stored before and changed nothing.
	Calls, RepeatedCalls int64
	// Releases and Spans stood in the stored calls. JoinedReleases are those of Releases whose trace had a row already.
	Releases, JoinedReleases, Spans int64
	// SpanBytes is what the spans took when they were handed to Pebble, compressed.
	SpanBytes int64
	// CorruptValues were met in reading.
	CorruptValues int64
	// TruncatedSearches stopped at a limit.
	TruncatedSearches int64
	// DroppedPartitions were given up by retention.
	DroppedPartitions int64

	// ThinnedSpans were dropped by worth, or by size out of a day that is not over.
	ThinnedSpans int64
	// RewrittenBlocks were merged, or written again without what was deleted or is not to be kept.
	RewrittenBlocks int64

	// Gauges: bytes of all files, and bytes that compaction has yet to rewrite.
	DiskBytes, CompactionDebtBytes int64
}

// Stats answers the store's counters, zero after Close.
func (s *Store) Stats() Stats {
	if s.enter() != nil {
		return Stats{}
	}
	defer s.leave()
	metrics := s.db.Metrics()
	return Stats{
		Calls: s.counters.calls.Load(), RepeatedCalls: s.counters.repeated.Load(),
		Releases: s.counters.releases.Load(), JoinedReleases: s.counters.joined.Load(), Spans: s.counters.spans.Load(),
		SpanBytes: s.counters.bytes.Load(), CorruptValues: s.counters.corrupt.Load(),
		TruncatedSearches: s.counters.truncated.Load(), DroppedPartitions: s.counters.dropped.Load(),
		RewrittenBlocks: s.counters.rewritten.Load(), ThinnedSpans: s.counters.thinned.Load(),
		DiskBytes:           int64(metrics.DiskSpaceUsage()),
		CompactionDebtBytes: int64(metrics.Compact.EstimatedDebt),
	}
}
