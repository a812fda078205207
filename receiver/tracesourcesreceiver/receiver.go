package tracesourcesreceiver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// sourcesReceiver is trace_sources. It holds receivers and is none itself.
//
// What is stored is what is to run. Changes come by Put and Delete, which the API calls, and by polling the storage, for those that other
// instances made: both make an entry of what is stored, one at a time.
type sourcesReceiver struct {
	set      receiver.Settings
	config   *Config
	next     consumer.Traces
	metrics  *metrics
	now      func() time.Time
	instance string // service.instance.id
	hostname string

	// Since start.
	host       component.Host
	policy     *policy
	keeper     tracestore.SourceKeeper
	unregister func()
	stopPoll   context.CancelFunc
	polling    sync.WaitGroup
	stopping   sync.WaitGroup // goroutines of stop

	// changing is held, by a value in it, while sources are started and stopped. It is a channel so that waiting for it ends with the
	// caller's context.
	changing chan struct{}
	// pollFailing says that the storage could not be read last time, stopped that Shutdown was called. Guarded by changing.
	pollFailing, stopped bool

	mu      sync.Mutex        // guards the map and the entries, and is held for a moment only
	entries map[string]*entry // by name; written only while changing is held
}

// entry is what is stored of a source, and what became of it here.
type entry struct {
	record tracestore.SourceRecord
	// source is what the record says.
	source  tracesources.Source
	changed time.Time
	// running is nil where nothing runs. It is of an earlier version where the newest does not start.
	running *running
	tally   *tally
	// failure is why the record's version does not run.
	failure error
	// retry is when to try again, after so many failures.
	retry    time.Time
	failures int
}

var (
	_ receiver.Traces      = (*sourcesReceiver)(nil)
	_ tracesources.Manager = (*sourcesReceiver)(nil)
)

func newReceiver(set receiver.Settings, config *Config, next consumer.Traces) (*sourcesReceiver, error) {
	m, err := newMetrics(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	r := &sourcesReceiver{
		set: set, config: config, next: next, metrics: m, now: time.Now,
		changing: make(chan struct{}, 1), entries: make(map[string]*entry),
	}
	if id, ok := set.Resource.Attributes().Get("service.instance.id"); ok {
		r.instance = id.AsString()
	}
	r.hostname, _ = os.Hostname() // without one the instance's id has to do
	return r, nil
}

// key is a configuration key of this receiver as a user finds it.
func (r *sourcesReceiver) key(name string) string {
	return "receivers::" + r.set.ID.String() + "::" + name
}

// Start runs the sources that are stored. One that does not start is tried again, and keeps nothing else from starting.
func (r *sourcesReceiver) Start(ctx context.Context, host component.Host) error {
	factories, ok := host.(factories)
	if !ok {
		return errors.New("this collector gives no access to its receivers' factories, which trace_sources needs")
	}
	provider, err := tracestore.FindProvider(host, r.key("storage"), r.config.Storage)
	if err != nil {
		return err
	}
	backend, err := provider.Backend(r.config.Storage)
	if err != nil {
		return fmt.Errorf("%s: open storage %q: %w", r.key("storage"), r.config.Storage, err)
	}
	keeper, ok := backend.(tracestore.SourceKeeper)
	if !ok {
		return fmt.Errorf("%s: storage %q keeps no sources; name one that does", r.key("storage"), r.config.Storage)
	}
	if r.policy, err = newPolicy(r.config, factories); err != nil {
		return fmt.Errorf("%s%w", r.key(""), err)
	}
	r.host, r.keeper = host, keeper
	if err := r.metrics.observe(r.countHealth); err != nil {
		return err
	}
	ok = r.poll(ctx)
	if err := r.register(); err != nil {
		return errors.Join(err, r.Shutdown(ctx))
	}
	pollCtx, cancel := context.WithCancel(context.Background())
	r.stopPoll = cancel
	r.polling.Go(func() { r.keepPolling(pollCtx, ok) })
	return nil
}

// register offers this receiver to the extension that answers the API, if there is one.
func (r *sourcesReceiver) register() error {
	for _, ext := range r.host.GetExtensions() {
		registry, ok := ext.(tracesources.Registry)
		if !ok {
			continue
		}
		unregister, err := registry.RegisterSources(r)
		if err != nil {
			return fmt.Errorf("receivers::%s: %w", r.set.ID, err)
		}
		r.unregister = unregister
	}
	return nil
}

// Shutdown stops all sources, and waits for requests that run until ctx ends.
func (r *sourcesReceiver) Shutdown(ctx context.Context) error {
	if r.unregister != nil {
		r.unregister()
		r.unregister = nil
	}
	if r.stopPoll != nil {
		r.stopPoll()
		r.polling.Wait()
		r.stopPoll = nil
	}
	select {
	case r.changing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer r.unlock()
	r.stopped = true
	r.mu.Lock()
	entries := r.entries
	r.entries = make(map[string]*entry)
	r.mu.Unlock()
	errs := make(chan error, len(entries))
	for name, e := range entries {
		if e.running == nil {
			errs <- nil
			continue
		}
		r.stopping.Go(func() {
			err := r.stop(e.running)
			if err != nil {
				err = fmt.Errorf("stop source %q: %w", name, err)
			}
			errs <- err
		})
	}
	var err error
	for range entries {
		err = errors.Join(err, <-errs)
	}
	r.metrics.shutdown()
	return err
}

// lock takes changing. The error is tracestore.ErrClosed after Shutdown.
func (r *sourcesReceiver) lock(ctx context.Context) error {
	select {
	case r.changing <- struct{}{}:
		if r.stopped {
			r.unlock()
			return tracestore.ErrClosed
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *sourcesReceiver) unlock() { <-r.changing }

// reportStatus says how the receiver does itself: sources have a health of their own.
func (r *sourcesReceiver) reportStatus(err error) {
	if failing := err != nil; failing != r.pollFailing {
		r.pollFailing = failing
		event := componentstatus.NewEvent(componentstatus.StatusOK)
		if failing {
			event = componentstatus.NewRecoverableErrorEvent(err)
		}
		componentstatus.ReportStatus(r.host, event)
	}
}
