package tracesourcesreceiver

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	// maxBackoff is the longest time after which a source is tried again that did not start.
	maxBackoff = 5 * time.Minute
	// firstRetry is how soon a storage is asked again that did not answer; the time doubles up to the poll interval.
	firstRetry = 500 * time.Millisecond
)

// keepPolling polls until ctx ends; ok is how the last poll went. A storage that starts with this process may take a moment, for which no source
// waits as long as between polls.
func (r *sourcesReceiver) keepPolling(ctx context.Context, ok bool) {
	retry := firstRetry
	for {
		wait := r.config.PollInterval
		if ok {
			retry = firstRetry
		} else {
			wait, retry = min(retry, wait), min(2*retry, wait)
		}
		select {
		case <-time.After(wait):
			ok = r.poll(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// poll makes what runs what is stored, and says how it does. Where the storage cannot be read, what runs runs on, and ok is false.
func (r *sourcesReceiver) poll(ctx context.Context) (ok bool) {
	if r.lock(ctx) != nil {
		return false
	}
	defer r.unlock()
	records, err := r.keeper.Sources(ctx)
	if ctx.Err() != nil {
		return false
	}
	if err == nil {
		r.follow(records)
		err = r.report(ctx)
	}
	if err != nil {
		r.metrics.pollFailed()
		if !r.pollFailing {
			r.set.Logger.Warn("the storage cannot be asked for sources; those that run run on", zap.Error(err))
		}
		err = fmt.Errorf("ask the storage for sources: %w", err)
	}
	r.reportStatus(err)
	return err == nil
}

// follow makes what runs what the records say. changing is held.
func (r *sourcesReceiver) follow(records []tracestore.SourceRecord) {
	stored := make(map[string]bool, len(records))
	for _, record := range records {
		stored[record.Name] = true
		r.followOne(record)
	}
	for name := range r.entries {
		if stored[name] {
			continue
		}
		r.remove(name)
		r.set.Logger.Info("a source was removed elsewhere", zap.String("source", name))
	}
}

// followOne makes of a source what its record says.
func (r *sourcesReceiver) followOne(record tracestore.SourceRecord) {
	e := r.entries[record.Name]
	known := e != nil && e.record.Version == record.Version && bytes.Equal(e.record.Value, record.Value)
	if known {
		r.endedLogged(e)
		if e.current() || r.now().Before(e.retry) {
			return
		}
	}
	fresh := &entry{record: record, tally: newTally()}
	if e != nil {
		fresh.running, fresh.tally = e.running, e.tally
	}
	if known {
		fresh.failures = e.failures
	}
	var err error
	if fresh.source, fresh.changed, err = tracesources.Decode(record.Value); err == nil {
		fresh.source.Name = record.Name
		err = r.carryOut(fresh)
	}
	if err == nil {
		fresh.failures = 0
	} else {
		fresh.failed(r.now(), r.config.PollInterval, err)
		if !known || e.failure == nil || e.failure.Error() != err.Error() {
			r.set.Logger.Error("a source does not start; it is tried again", zap.String("source", record.Name),
				zap.Int64("version", record.Version), zap.Error(err))
		}
	}
	r.put(fresh)
}

// current says whether what is stored is what runs.
func (e *entry) current() bool {
	if e.failure != nil {
		return false
	}
	if !e.source.Enabled {
		return e.running == nil
	}
	return e.running != nil && e.running.version == e.record.Version
}

// failed notes a failure. Trying again can interrupt an older version that runs, so it is done ever more rarely.
func (e *entry) failed(now time.Time, interval time.Duration, err error) {
	e.failure = err
	e.retry = now.Add(min(interval<<min(e.failures, 16), maxBackoff))
	e.failures++
}

// endedLogged takes note of a receiver that has ended by itself, so that it is started again.
func (r *sourcesReceiver) endedLogged(e *entry) {
	if e.running == nil {
		return
	}
	err, ended := e.running.host.trouble()
	if !ended {
		return
	}
	s := e.running
	r.set.Logger.Error("a source has ended; it is started again", zap.String("source", s.source.Name), zap.Error(s.said(err)))
	r.mu.Lock()
	e.running = nil
	e.failed(r.now(), 0, s.said(err))
	r.mu.Unlock()
	r.stopLogged(s)
}

// carryOut makes of a source what its entry says, where its entry was stored by others. Its running is changed.
func (r *sourcesReceiver) carryOut(e *entry) error {
	if !e.source.Enabled {
		if e.running != nil {
			r.stopLogged(e.running)
			e.running = nil
		}
		return nil
	}
	if e.running != nil && e.running.same(&e.source) {
		r.mu.Lock()
		defer r.mu.Unlock()
		e.running.adopt(&e.source, e.record.Version)
		return nil
	}
	made, err := r.policy.plan(&e.source)
	if err != nil {
		return err
	}
	c, err := r.replace(e.running, made, e.record.Version, e.tally)
	if err == nil {
		c.keep()
	}
	e.running = c.runs
	return err
}

// stopLogged stops a source whose end nobody waits for.
func (r *sourcesReceiver) stopLogged(s *running) {
	if err := r.stop(s); err != nil {
		r.set.Logger.Warn("a source did not stop in order", zap.String("source", s.source.Name), zap.Error(s.said(err)))
	}
}

func (r *sourcesReceiver) put(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries[e.record.Name] = e
}

// remove forgets a source and stops what runs of it.
func (r *sourcesReceiver) remove(name string) {
	e := r.entries[name]
	if e == nil {
		return
	}
	r.mu.Lock()
	delete(r.entries, name)
	r.mu.Unlock()
	if e.running != nil {
		r.stopLogged(e.running)
	}
}
