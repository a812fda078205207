// Package tracestore is the contract between the stages that produce and consume traces and the storages that keep them:
// what a storage can do (Reader, Writer, Deleter, Tailer), in which words it is asked (SearchQuery), and what it answers (Summary). The
// suite in storetest is its specification; every backend passes it.
package tracestore

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var (
	// ErrNotFound says that nothing is stored under the trace id.
	ErrNotFound = errors.New("trace not found")
	// ErrClosed says that the backend is not open, because the process starts or stops.
	ErrClosed = errors.New("trace storage is closed")
	// ErrUnavailable says that the storage's server does not answer, for now.
	ErrUnavailable = errors.New("trace storage is not available")
	// ErrCursor says that a search cursor was not made by this storage for this query.
	ErrCursor = errors.New("cursor does not belong to this search")
)

// Writer stores calls. It is safe for concurrent use.
type Writer interface {
	// WriteCall stores the releases of one call (see tracetree.Releases) and returns when they are durable. A call that
	// was stored before (tracetree.NewCallID) changes nothing and returns nil. A call is visible as a whole or not at all.
	// A permanent error (consumererror.NewPermanent) will not go away by repeating, and nothing of the call is stored. After
	// any other error, an ended context included, the call is stored or not; repeating it is always harmless and leaves it
	// stored once. td stays the caller's and is not changed; it may be read-only. Behind the call nothing of it is kept but texts, which
	// do not change.
	WriteCall(ctx context.Context, td ptrace.Traces) error
}

// Reader answers questions. It is safe for concurrent use, also with a Writer.
type Reader interface {
	// Trace yields the stored releases of a trace in the order version, part, time of writing; each release becomes the
	// caller's. Spans stand in them as they were written, annotations included; a span can stand in two releases
	// (tracetree.Join leaves one). The only pair is (zero, ErrNotFound) where nothing is stored; an error ends the
	// sequence. The sequence may be used once.
	Trace(ctx context.Context, tenant string, id pcommon.TraceID) iter.Seq2[ptrace.Traces, error]

	// Search answers one page of the traces that match, in the order of the query. A trace with several releases is one row,
	// and matches as if it had been stored in one piece.
	Search(ctx context.Context, tenant string, query *SearchQuery) (SearchPage, error)

	AggregateReader
	CatalogueReader
}

// Deleter removes what a tenant wants gone. It is safe for concurrent use, also with readers and writers.
type Deleter interface {
	// Delete removes one trace: every release of it whose WriteCall returned before. When it returns nil, the trace is found
	// by no reader, and durably so. The error is ErrNotFound where nothing is stored under the id.
	//
	// Aggregates go on counting the trace, and the catalogue may go on naming what stood in it. The calls that brought it stay
	// known: repeating one brings nothing back. A release in a call that was never stored, such as a late fragment, is stored as
	// the first of a new trace.
	Delete(ctx context.Context, tenant string, id pcommon.TraceID) error
}

// TracesReader is implemented by a storage that reads several traces for less than each alone: those that were released at about the same time, for little
// more than one.
type TracesReader interface {
	// Traces yields the releases of those of the traces that are stored, each trace once, in no particular order: its releases one after the other, as Trace
	// yields them. Each becomes the caller's. An error ends the sequence, which may be used once.
	Traces(ctx context.Context, tenant string, ids []pcommon.TraceID) iter.Seq2[StoredRelease, error]
}

// MinutesReader is implemented by a storage that reads several minutes, which need not follow one another, for less than each alone.
type MinutesReader interface {
	// OperationMinutes is what Operations says of each of the minutes, over all environments, in no particular order; series beyond the limit of a
	// minute may stand there under their names.
	OperationMinutes(ctx context.Context, tenant string, minutes []time.Time) ([]OperationMinute, error)
}

// StoredRelease is one release of a trace.
type StoredRelease struct {
	ID      pcommon.TraceID
	Release ptrace.Traces
}

// Backuper is implemented by a storage that can be copied while it is used.
type Backuper interface {
	// Backup writes a copy of everything that is durable at one moment into the folder dir, which must not exist; folders
	// above it are made. Its size in bytes is returned. The copy is a folder that the same kind of storage opens. Where it fails,
	// nothing is left of it. The error is fs.ErrExist (errors.Is) where dir exists.
	Backup(ctx context.Context, dir string) (bytes int64, err error)
}

// AggregateReader answers sums over many traces. Each sequence yields every key once, in no particular order, and may be used
// once; an error ends it. What was written is visible at most 5 s later.
type AggregateReader interface {
	Operations(ctx context.Context, tenant string, query *AggregateQuery) iter.Seq2[OperationAggregate, error]
	Edges(ctx context.Context, tenant string, query *AggregateQuery) iter.Seq2[EdgeAggregate, error]
	Entries(ctx context.Context, tenant string, query *AggregateQuery) iter.Seq2[EntryAggregate, error]
	EntryOperations(ctx context.Context, tenant string, query *AggregateQuery) iter.Seq2[EntryOperationAggregate, error]
	Errors(ctx context.Context, tenant string, query *AggregateQuery) iter.Seq2[ErrorAggregate, error]
	Contexts(ctx context.Context, tenant string, query *AggregateQuery) iter.Seq2[ContextAggregate, error]
	Contrasts(ctx context.Context, tenant string, query *AggregateQuery) iter.Seq2[ContrastAggregate, error]
	// Completeness says how far the answers over this window can be trusted.
	Completeness(ctx context.Context, tenant string, query *AggregateQuery) (Completeness, error)
}

// Backend is one opened storage. One that is written through this process is a Writer too.
type Backend interface {
	Reader
	Deleter
	Tailer
}

// Provider is implemented by the extension that owns the backends.
type Provider interface {
	// HasBackend says whether a backend of this name is configured; it answers before Start too.
	HasBackend(name string) bool
	// Backend returns the backend of this name, or ErrClosed while the extension is not started.
	Backend(name string) (Backend, error)
	// BackendNames lists the configured backends, sorted, for error messages.
	BackendNames() []string
}

// InFlight says whether a trace is being assembled right now and not released yet.
type InFlight func(ctx context.Context, tenant string, id pcommon.TraceID) bool

// InFlightRegistry is implemented by the extension that answers queries. trace_assembly registers its InFlight at start
// and calls the returned function at shutdown. It is the one call against the stream.
type InFlightRegistry interface {
	RegisterInFlight(f InFlight) (unregister func())
}
