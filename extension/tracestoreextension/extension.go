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
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
	"github.com/tracewright/tracewright/internal/servicemap/rollupmap"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
)

// storeExtension opens the backends at Start and closes them at Shutdown. Extensions start before the pipelines and stop after
// them, so exporters find open backends.
type storeExtension struct {
	config    *Config
	telemetry component.TelemetrySettings

	mu     sync.Mutex // guards the fields below
	stores map[string]store
	maps   map[string]*neo4jmap.Reader
	// observer reports metrics while the backends are open.
	observer *observer
	closing  sync.WaitGroup // goroutines of Shutdown
}

// store is an opened backend.
type store interface {
	tracestore.Backend
	Close() error
}

var (
	_ extension.Extension = (*storeExtension)(nil)
	_ tracestore.Provider = (*storeExtension)(nil)
	_ servicemap.Provider = (*storeExtension)(nil)
)

func newExtension(config *Config, set extension.Settings) *storeExtension {
	return &storeExtension{config: config, telemetry: set.TelemetrySettings}
}

// Start opens all backends, or none.
func (e *storeExtension) Start(ctx context.Context, host component.Host) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stores != nil {
		return errors.New("the trace_store extension is started already")
	}
	health := &health{host: host, failing: make(map[string]error)}
	stores, readers := make(map[string]store), make(map[string]*neo4jmap.Reader)
	err := func() (err error) {
		for _, name := range e.BackendNames() {
			store, err := e.open(ctx, name, health)
			if err != nil {
				return err
			}
			stores[name] = store
		}
		for name, backend := range e.config.Backends {
			if backend.Neo4j == nil {
				continue
			}
			reader, err := neo4jmap.NewReader(ctx, backend.Neo4j) // it connects when it is asked
			if err != nil {
				return fmt.Errorf("backends::%s::%w", name, err)
			}
			readers[name] = reader
		}
		e.observer, err = e.observe(stores, health)
		return err
	}()
	if err != nil {
		for _, store := range stores {
			err = errors.Join(err, store.Close())
		}
		for _, opened := range readers {
			err = errors.Join(err, opened.Close(ctx))
		}
		return err
	}
	e.stores, e.maps = stores, readers
	return nil
}

func (e *storeExtension) open(ctx context.Context, name string, health *health) (store, error) {
	if e.config.Backends[name].ClickHouse != nil {
		return e.openClickHouse(ctx, name, health)
	}
	return e.openPebble(name, health)
}

func (e *storeExtension) openPebble(name string, health *health) (*pebblestore.Store, error) {
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
	stores, readers, observer := e.stores, e.maps, e.observer
	e.stores, e.maps, e.observer = nil, nil, nil
	done := make(chan error, 1)
	e.closing.Go(func() {
		var errs []error
		if observer != nil {
			errs = append(errs, observer.stop())
		}
		for name, opened := range readers {
			if err := opened.Close(ctx); err != nil {
				errs = append(errs, fmt.Errorf("backends::%s: %w", name, err))
			}
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
	backend := e.config.Backends[name]
	return backend.Pebble != nil || backend.ClickHouse != nil
}

// BackendNames implements tracestore.Provider.
func (e *storeExtension) BackendNames() []string {
	return slices.DeleteFunc(e.ServiceMapNames(), func(name string) bool { return !e.HasBackend(name) })
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

// HasServiceMap implements servicemap.Provider: storages of traces have one too, in their rollups.
func (e *storeExtension) HasServiceMap(name string) bool {
	_, ok := e.config.Backends[name]
	return ok
}

// ServiceMapNames implements servicemap.Provider.
func (e *storeExtension) ServiceMapNames() []string {
	return slices.Sorted(maps.Keys(e.config.Backends))
}

// ServiceMap implements servicemap.Provider.
func (e *storeExtension) ServiceMap(name string) (servicemap.Reader, error) {
	if !e.HasServiceMap(name) {
		return nil, fmt.Errorf("unknown service map %q", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if reader, ok := e.maps[name]; ok {
		return reader, nil
	}
	if store, ok := e.stores[name]; ok {
		return rollupmap.New(store), nil
	}
	return nil, servicemap.ErrClosed
}

// health tells the host how the extension does: it fails recoverably as long as writing fails in one of the embedded backends, or a server
// fails or lacks its schema, and until a restart when one of them says that it writes no more.
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
