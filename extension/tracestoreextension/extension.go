package tracestoreextension

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/componenthealth"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
)

// storeExtension opens the backends at Start and closes them at Shutdown. Extensions start before the pipelines and stop after
// them, so exporters find open backends.
type storeExtension struct {
	config    *Config
	telemetry component.TelemetrySettings

	mu     sync.Mutex // guards the fields below
	stores map[string]*pebblestore.Store
	// observer reports metrics while the backends are open.
	observer *observer
	closing  sync.WaitGroup // goroutines of Shutdown
}

var (
	_ extension.Extension = (*storeExtension)(nil)
	_ tracestore.Provider = (*storeExtension)(nil)
)

func newExtension(config *Config, set extension.Settings) *storeExtension {
	return &storeExtension{config: config, telemetry: set.TelemetrySettings}
}

// Start opens all backends, or none.
func (e *storeExtension) Start(_ context.Context, host component.Host) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stores != nil {
		return errors.New("the trace_store extension is started already")
	}
	health := &health{host: host, failing: make(map[string]error)}
	stores := make(map[string]*pebblestore.Store)
	err := func() (err error) {
		for _, name := range e.BackendNames() {
			store, err := e.open(name, health)
			if err != nil {
				return err
			}
			stores[name] = store
		}
		e.observer, err = e.observe(stores, health)
		return err
	}()
	if err != nil {
		for _, store := range stores {
			err = errors.Join(err, store.Close())
		}
		return err
	}
	e.stores = stores
	return nil
}

func (e *storeExtension) open(name string, health *health) (*pebblestore.Store, error) {
	config := e.config.Backends[name].Pebble
	contrast := config.Contrast.attributes()
	store, err := pebblestore.Open(pebblestore.Options{
		Path: config.Path, Contrast: &contrast,
		Retention: config.Retention.Age, MaxBytes: config.Retention.MaxBytes, KeepAll: config.Retention.KeepAll,
		Keep:     pebblestore.Keep{Slowest: config.Retention.Keep.Slowest, Share: config.Retention.Keep.Share},
		Logger:   e.telemetry.Logger.With(zap.String("backend", name)),
		OnHealth: func(err error) { health.report(name, err) },
	})
	if err != nil {
		return nil, fmt.Errorf("backends::%s::pebble::path: %w", name, err)
	}
	return store, nil
}

// Shutdown closes the backends, which waits for calls and queries that run. It returns when ctx ends, too; what was
// acknowledged is durable then as well.
func (e *storeExtension) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	stores, observer := e.stores, e.observer
	e.stores, e.observer = nil, nil
	done := make(chan error, 1)
	e.closing.Go(func() {
		var errs []error
		if observer != nil {
			errs = append(errs, observer.stop())
		}
		for _, name := range slices.Sorted(maps.Keys(stores)) {
			if err := stores[name].Close(); err != nil {
				errs = append(errs, fmt.Errorf("backends::%s: %w", name, err))
			}
		}
		done <- errors.Join(errs...)
	})
	select {
	case err := <-done:
		e.closing.Wait()
		return err
	case <-ctx.Done():
		return fmt.Errorf("trace storages are still closing: %w", ctx.Err())
	}
}

// HasBackend implements tracestore.Provider.
func (e *storeExtension) HasBackend(name string) bool {
	_, ok := e.config.Backends[name]
	return ok
}

// BackendNames implements tracestore.Provider.
func (e *storeExtension) BackendNames() []string {
	return slices.Sorted(maps.Keys(e.config.Backends))
}

// Backend implements tracestore.Provider.
func (e *storeExtension) Backend(name string) (tracestore.Backend, error) {
	if !e.HasBackend(name) {
		return nil, fmt.Errorf("unknown storage %q", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	store, ok := e.stores[name]
	if !ok {
		return nil, tracestore.ErrClosed
	}
	return store, nil
}

// health tells the host how the extension does: it fails recoverably as long as writing fails in one of the backends, and until a restart
// when one of them says that it writes no more.
type health struct {
	host component.Host

	mu      sync.Mutex // guards the fields below; held while reporting, so that reports come in order
	failing map[string]error
	failed  bool // for good; nothing can be reported after that
}

func (h *health) report(backend string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.failing, backend)
	} else {
		h.failing[backend] = fmt.Errorf("backends::%s: %w", backend, err)
	}
	if h.failed {
		return
	}
	h.failed = errors.Is(err, pebblestore.ErrFailed)
	event, reasons := componentstatus.NewEvent(componentstatus.StatusOK), errors.Join(slices.Collect(maps.Values(h.failing))...)
	switch {
	case h.failed:
		event = componenthealth.NeedsRestart(reasons)
	case reasons != nil:
		event = componentstatus.NewRecoverableErrorEvent(reasons)
	}
	componentstatus.ReportStatus(h.host, event)
}

// failures is 1 while writing fails in the backend.
func (h *health) failures(backend string) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing[backend] != nil {
		return 1
	}
	return 0
}
