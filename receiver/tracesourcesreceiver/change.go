package tracesourcesreceiver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	changeDone    = "done"
	changeRefused = "refused"
	changeFailed  = "failed"
)

// errChanged refuses a change of something that is not there any more.
var errChanged = &tracesources.Refusal{Kind: tracesources.Conflict, Detail: "the source was changed or removed meanwhile; read it and try again"}

// Put implements tracesources.Manager.
func (r *sourcesReceiver) Put(ctx context.Context, source tracesources.Source, after int64, onLoopback bool) (tracesources.Stored, error) {
	if err := r.lock(ctx); err != nil {
		return tracesources.Stored{}, err
	}
	defer r.unlock()
	e, err := r.change(ctx, &source, after, onLoopback)
	r.count(err)
	if err != nil {
		return tracesources.Stored{}, err
	}
	r.reportLogged(ctx)
	return r.stored(e), nil
}

// count counts a change by what became of it.
func (r *sourcesReceiver) count(err error) {
	var refusal *tracesources.Refusal
	switch {
	case err == nil:
		r.metrics.changed(changeDone)
	case errors.As(err, &refusal):
		r.metrics.changed(changeRefused)
	default:
		r.metrics.changed(changeFailed)
	}
}

// change starts what a change makes of a source, stores it, and stops what it takes the place of. Where one fails, all is as it was.
func (r *sourcesReceiver) change(ctx context.Context, source *tracesources.Source, after int64, onLoopback bool) (*entry, error) {
	made, err := r.policy.plan(source)
	if err != nil {
		return nil, err
	}
	if at := made.exposed(); at != nil && onLoopback {
		return nil, forbidden("configuration", "a source that listens on %s, which others reach, needs manage_auth of trace_query", at)
	}
	old, err := r.latest(ctx, source.Name, after)
	if err != nil {
		return nil, err
	}
	fresh := &entry{source: *source, changed: r.now(), tally: newTally()}
	fresh.record = tracestore.SourceRecord{Name: source.Name, Version: after + 1}
	if fresh.record.Value, err = tracesources.Encode(source, fresh.changed); err != nil {
		return nil, err
	}
	if old != nil {
		fresh.running, fresh.tally = old.running, old.tally
	}
	if err := r.putInPlace(ctx, fresh, made); err != nil {
		if old != nil {
			r.mu.Lock()
			old.running = fresh.running
			r.mu.Unlock()
		}
		return nil, err
	}
	r.put(fresh)
	return fresh, nil
}

// latest follows what is stored and returns the entry of a source, nil where there is to be none.
func (r *sourcesReceiver) latest(ctx context.Context, name string, version int64) (*entry, error) {
	records, err := r.keeper.Sources(ctx)
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	at := slices.IndexFunc(records, func(record tracestore.SourceRecord) bool { return record.Name == name })
	if at < 0 {
		r.remove(name) // elsewhere it was already
	}
	switch {
	case at < 0 && version > 0:
		return nil, errChanged
	case at < 0 && len(records) >= r.config.MaxSources:
		return nil, forbidden("", "there are %d sources, and max_sources of trace_sources allows %d", len(records), r.config.MaxSources)
	case at < 0:
		return nil, nil
	case version == 0:
		return nil, &tracesources.Refusal{Kind: tracesources.Conflict, Field: "name", Detail: "there is a source of this name; change it, or choose another name"}
	case records[at].Version != version:
		return nil, errChanged
	}
	r.followOne(records[at])
	return r.entries[name], nil
}

// putInPlace carries a change out and stores it. fresh.running is what runs afterwards, also where it fails.
func (r *sourcesReceiver) putInPlace(ctx context.Context, fresh *entry, made *plan) error {
	store := func() error {
		err := r.keeper.PutSource(ctx, fresh.record)
		if errors.Is(err, tracestore.ErrSourceVersion) {
			return errChanged
		}
		if err != nil {
			return fmt.Errorf("store source %q: %w", fresh.source.Name, err)
		}
		return nil
	}
	switch old := fresh.running; {
	case !fresh.source.Enabled:
		if err := store(); err != nil {
			return err
		}
		if fresh.running = nil; old != nil {
			r.stopLogged(old)
		}
		return nil
	case old != nil && old.same(&fresh.source):
		if err := store(); err != nil {
			return err
		}
		r.mu.Lock()
		old.adopt(&fresh.source, fresh.record.Version)
		r.mu.Unlock()
		return nil
	}
	c, err := r.replace(fresh.running, made, fresh.record.Version, fresh.tally)
	if err != nil {
		fresh.running = c.runs
		return doesNotStart(err)
	}
	if err := store(); err != nil {
		c.undo()
		fresh.running = c.runs
		return err
	}
	c.keep()
	fresh.running = c.runs
	return nil
}

// doesNotStart is the refusal of a source whose receiver did not start.
func doesNotStart(err error) *tracesources.Refusal {
	refusal := &tracesources.Refusal{Kind: tracesources.Invalid, Field: "configuration", Detail: "it does not start: " + err.Error()}
	if errors.Is(err, syscall.EADDRINUSE) {
		refusal.Kind = tracesources.Conflict
	}
	return refusal
}

// Delete implements tracesources.Manager.
func (r *sourcesReceiver) Delete(ctx context.Context, name string, version int64) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	err := r.keeper.DeleteSource(ctx, name, version)
	switch {
	case errors.Is(err, tracestore.ErrSourceVersion):
		err = errChanged
	case err != nil:
		err = fmt.Errorf("remove source %q: %w", name, err)
	}
	r.count(err)
	if err != nil {
		return err
	}
	r.remove(name)
	r.reportLogged(ctx)
	return nil
}

func (r *sourcesReceiver) reportLogged(ctx context.Context) {
	if err := r.report(ctx); err != nil {
		r.set.Logger.Debug("how sources do was not stored; it is with the next poll", zap.Error(err))
	}
}
