//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package traceassemblyprocessor collects spans by trace and hands on whole traces.
//
// The way of a span:
//
//	ConsumeTraces ── intake: tenant, trust, what cannot be assembled, sizes ── splits the request, which is bytes, by shard
//	     │ bounded channel for each shard
//	shard ── one goroutine that owns its open traces, its skeletons of released ones and what it learned of quiet periods;
//	     │   releases a trace when it is due and says what assembly annotates
//	     │ releases
//	callBuilder ── one goroutine that puts releases into calls, and closes a call when it is full or old
//	     │ list, bounded by the byte budget alone
//	handOn ── workers that decode calls, annotate them, call the next consumer and repeat what it refuses
//
// With a journal the ledger stands beside them: a request is written before its spans go to their shards, a call before it is handed on, and what
// is settled as well, so that replay can take up after a crash what is not.
//
// A stage waits for the next one only where that one never waits for anybody: shards wait for the callBuilder, which
// waits for nobody. (For the disk a shard waits only where it removes a segment or a mebibyte waits to be written.) What the
// next consumer does not take stays in the list and in the budget, and a full budget refuses new requests.
package traceassemblyprocessor
