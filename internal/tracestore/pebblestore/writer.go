package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// pending is a call, or another change, that was handed to Pebble and is not known to be durable.
type pending struct {
	done chan struct{} // closed when err stands
	err  error
}

// groupers are pooled for their memory.
var groupers = sync.Pool{New: func() any { return new(tracetree.Grouper) }}

// WriteCall implements tracestore.Writer. A call becomes visible to readers a moment before it is durable. When WriteCall
// returns because the context ended or the disk is full, the call may become durable later; a repetition then waits for
// the same outcome.
func (s *Store) WriteCall(ctx context.Context, td ptrace.Traces) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.takesCalls(); err != nil {
		return err
	}
	grouper := groupers.Get().(*tracetree.Grouper)
	defer func() {
		grouper.Reset()
		groupers.Put(grouper)
	}()
	releases := grouper.Group(td)
	if len(releases) == 0 {
		return nil
	}
	call, err := s.encode(releases, s.options.Now().UnixNano())
	if err != nil {
		return consumererror.NewPermanent(err)
	}
	defer call.done()
	commit, known, err := s.commit(ctx, call)
	if commit == nil || err != nil {
		return err
	}
	if err := s.await(ctx, commit); err != nil {
		return err
	}
	if !known {
		s.tails.Tell(releases, tracerow.Told)
	}
	return s.joins.wait(ctx, s.ctx.Done())
}

// writable says why writing cannot work at this moment, nil if it can.
func (s *Store) writable() error {
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	if _, reason := s.disk.state(); reason != nil {
		return fmt.Errorf("the disk of the trace store takes no writes: %w", reason)
	}
	return nil
}

// lockWriter takes the writer's lock, unless the context ends or writing stops to work.
func (s *Store) lockWriter(ctx context.Context) error {
	for {
		stalled, _ := s.disk.state()
		select {
		case s.writer <- struct{}{}:
			if err := s.writable(); err != nil {
				s.unlockWriter()
				return err
			}
			return nil
		case <-stalled:
			if err := s.writable(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return tracestore.ErrClosed
		}
	}
}

func (s *Store) unlockWriter() { <-s.writer }

// Tail implements tracestore.Tailer.
func (s *Store) Tail(_ context.Context, tenant string, where *tracestore.Conditions, size int) (*tracestore.Tail, error) {
	return s.tails.Tail(tenant, where, size), nil
}

// commit hands the call to Pebble and returns what to wait for, nil where the call is durable already. known says that it was handed
// over before.
func (s *Store) commit(ctx context.Context, call *encodedCall) (commit *pending, known bool, err error) {
	absences := s.lookUpGivenUp(ctx, call)
	if err := s.lockWriter(ctx); err != nil {
		return nil, false, err
	}
	defer s.unlockWriter()
	if commit := s.pendingCall(call.id); commit != nil {
		s.counters.repeated.Add(1)
		return commit, true, nil
	}
	if known, err = s.hasCall(call.id); err != nil {
		return nil, false, fmt.Errorf("look up call: %w", err)
	}
	if known {
		s.counters.repeated.Add(1)
		return nil, true, nil
	}
	w := callWriter{store: s, absences: absences, batch: s.db.NewBatchWithSize(call.bytes + 128*call.releases + 256)}
	for _, b := range call.blocks {
		if err := w.add(b); err != nil {
			return nil, false, errors.Join(err, w.batch.Close())
		}
	}
	callDays, err := s.callDays.addCall(w.batch, dayOf(s.options.Now().UnixNano()), call.id)
	if err != nil {
		return nil, false, errors.Join(err, w.batch.Close())
	}
	if err := s.apply(w.batch); err != nil {
		return nil, false, err // the batch is Pebble's now
	}
	s.callDays = callDays
	w.applied()
	commit = s.sync(w.batch, call, len(w.joined))
	if s.openSums.add(call.deltas, call.spans) {
		return commit, false, s.writeSumsLocked()
	}
	return commit, false, nil
}

// apply hands the batch to Pebble, which logs and shows it. The writer's lock is held. After nil, batch.SyncWait waits for
// the disk.
func (s *Store) apply(batch *pebble.Batch) error {
	return s.handOver(func() error { return s.db.ApplyNoSyncWait(batch, pebble.Sync) })
}

// applyLater hands Pebble a batch that need not be durable at once: it is when the next call is. The writer's lock is held. What it
// does can be done again from what was there before.
func (s *Store) applyLater(batch *pebble.Batch) error {
	if err := s.handOver(func() error { return s.db.Apply(batch, pebble.NoSync) }); err != nil {
		return err
	}
	return batch.Close()
}

func (s *Store) handOver(apply func() error) (err error) {
	defer func() {
		// Pebble panics when it comes upon a log that failed before, with its commit lock held.
		if r := recover(); r != nil {
			s.wedged.Store(true)
			err = fmt.Errorf("commit: %v", r)
			s.fail(err)
		}
	}()
	if err := apply(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if failure := s.failure.Load(); failure != nil {
		return *failure // by the logger's Fatalf, behind which Pebble goes on as if nothing had been
	}
	return nil
}

// sync lets the call be waited for. The writer's lock is held.
func (s *Store) sync(batch *pebble.Batch, call *encodedCall, joined int) *pending {
	releases, spans, size := int64(call.releases), int64(call.spans), int64(call.bytes) // the call is its maker's
	id := call.id
	s.pendingMu.Lock()
	defer s.pendingMu.Unlock()
	s.pending[id] = s.whenDurable(batch, func() {
		s.counters.calls.Add(1)
		s.counters.releases.Add(releases)
		s.counters.joined.Add(int64(joined))
		s.counters.spans.Add(spans)
		s.counters.bytes.Add(size)
		s.pendingMu.Lock()
		delete(s.pending, id)
		s.pendingMu.Unlock()
	})
	return s.pending[id]
}

// whenDurable lets a batch that was applied be waited for, and calls done when it is on the disk. Where that fails, what the disk has of it is
// unknown until the log is read again: a call stays pending, so that no repetition is taken for durable.
func (s *Store) whenDurable(batch *pebble.Batch, done func()) *pending {
	commit := &pending{done: make(chan struct{})}
	s.upkeep.Go(func() {
		if commit.err = batch.SyncWait(); commit.err != nil {
			s.fail(commit.err)
		} else {
			done()
			_ = batch.Close() // only gives its memory back
		}
		close(commit.done)
	})
	return commit
}

func (s *Store) await(ctx context.Context, commit *pending) error {
	for {
		stalled, _ := s.disk.state()
		select {
		case <-commit.done:
			if commit.err != nil {
				return fmt.Errorf("make it durable: %w", commit.err)
			}
			return nil
		case <-stalled:
			if err := s.writable(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) pendingCall(id tracetree.CallID) *pending {
	s.pendingMu.Lock()
	defer s.pendingMu.Unlock()
	return s.pending[id]
}

// get looks a key up and calls use with its value, which is valid during the call.
func get(reader pebble.Reader, key []byte, use func(value []byte) error) (found bool, err error) {
	value, closer, err := reader.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(use(value), closer.Close())
}
