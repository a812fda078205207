// Package tracesources is the contract between the API, by which sources of traces are added and changed while the process runs, and the
// receiver that runs them (trace_sources).
package tracesources

import (
	"context"
	"time"
)

// Source is what a user says of a source: a receiver of the collector's, and what happens to the spans that it takes.
type Source struct {
	// Name is its id.
	Name string `json:"name"`
	// Type is the receiver's, such as otlp.
	Type string `json:"type"`
	// Configuration is the receiver's, as Normalized leaves it. In the place of a secret stands {"secret": name}.
	Configuration map[string]any `json:"configuration"`
	// Labels are added to the resources of its spans that have no attribute of this key.
	Labels map[string]string `json:"labels,omitempty"`
	Limits Limits            `json:"limits"`
	// Tenant is that of its spans, whatever their senders say; empty leaves it to them.
	Tenant string `json:"tenant,omitempty"`
	// Enabled is false while it is paused.
	Enabled bool `json:"enabled"`
}

// Limits bound what a source takes, on each instance. 0 is no bound.
type Limits struct {
	// SpansPerSecond above which requests are refused, to be sent again.
	SpansPerSecond int `json:"spans_per_second,omitempty"`
}

// Stored is a source as it is stored, and how it does.
type Stored struct {
	Source
	// Version counts its changes, from 1.
	Version int64
	Changed time.Time
	// Instances are those that have said something of it lately.
	Instances []Instance
}

// Instance is how a source does on one instance.
type Instance struct {
	// ID is the collector's service.instance.id, Host its host's name.
	ID   string `json:"id"`
	Host string `json:"host,omitempty"`
	// Version is that which runs; an instance goes on with an older one where the newest does not start. 0 where none does.
	Version int64  `json:"version,omitempty"`
	Health  Health `json:"health"`
	// Error says what is wrong, where something is.
	Error string `json:"error,omitempty"`
	// Warning is the last that its receiver logged, since it was started.
	Warning *Warning `json:"warning,omitempty"`
	// Since is when it was started.
	Since    time.Time `json:"since,omitzero"`
	Reported time.Time `json:"reported"`
	Intake
}

// Warning is a line of a receiver's log.
type Warning struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Intake is what a source has taken since it was started on an instance.
type Intake struct {
	Spans int64 `json:"spans,omitempty"`
	// SpansPerSecond is the mean over the last minute.
	SpansPerSecond float64 `json:"spans_per_second,omitempty"`
	// Rejected counts spans of refused requests by the reason.
	Rejected map[Reason]int64 `json:"rejected,omitempty"`
	LastSeen time.Time        `json:"last_seen,omitzero"`
	// Services and SDKs that its spans named, sorted; the latest of many.
	Services []string `json:"services,omitempty"`
	SDKs     []SDK    `json:"sdks,omitempty"`
}

// SDK is what made the spans, as it says itself (telemetry.sdk.*).
type SDK struct {
	Name     string `json:"name"`
	Language string `json:"language,omitempty"`
	Version  string `json:"version,omitempty"`
}

// Health is how a source does on an instance.
type Health string

const (
	// Running: nothing is wrong.
	Running Health = "running"
	// Degraded: it runs, and says that something does not work, or an older version of it runs because the newest does not start.
	Degraded Health = "degraded"
	// Failed: it does not run. That is tried again.
	Failed Health = "failed"
	// Paused: it is not to run.
	Paused Health = "paused"
)

// Reason is why a request was refused.
type Reason string

const (
	// OverLimit: the source's limit. The sender is told to try again.
	OverLimit Reason = "limit"
	// Retryable: the pipeline cannot take it now. The sender is told to try again.
	Retryable Reason = "retryable"
	// Permanent: it will not be taken, and the sender is told so.
	Permanent Reason = "permanent"
)

// Manager runs sources, and changes them. It is safe for concurrent use. Errors: *Refusal, or the storage's.
type Manager interface {
	// Sources lists all that are stored, by name.
	Sources(ctx context.Context) ([]Stored, error)

	// Put starts a source, or what its change makes of it, and stores it: as version after+1, where the version after is stored, 0 for
	// none. Where it does not start, nothing is changed and what ran before runs on. With onLoopback it may listen on loopback addresses
	// only.
	Put(ctx context.Context, source Source, after int64, onLoopback bool) (Stored, error)

	// Delete stops a source and forgets it, where the version is that which is stored.
	Delete(ctx context.Context, name string, version int64) error
}

// Registry is implemented by the extension that answers the API. trace_sources registers itself at start, and calls the returned function at
// shutdown. The error says that there is another one.
type Registry interface {
	RegisterSources(m Manager) (unregister func(), err error)
}

// Refusal is why a change was not made. Nothing is changed.
type Refusal struct {
	Kind Kind
	// Field is the member that is at fault, by its path; empty where none is.
	Field string
	// Detail says what is wrong and what would be right.
	Detail string
}

// Kind is what sort of refusal it is.
type Kind int

const (
	// Invalid: the source cannot work as it is.
	Invalid Kind = iota
	// Forbidden: the operator does not allow it.
	Forbidden
	// Conflict: something else stands in the way: another change, or whoever has the port.
	Conflict
)

func (r *Refusal) Error() string {
	if r.Field == "" {
		return r.Detail
	}
	return r.Field + ": " + r.Detail
}
