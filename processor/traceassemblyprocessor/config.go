package traceassemblyprocessor

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/tracewright/tracewright/internal/journal"
	"github.com/tracewright/tracewright/internal/tenant"
)

// Config is what users write under processors::trace_assembly.
type Config struct {
	// Linger is how long a complete trace (its root, every parent and every child that normally comes are there) is held after its
	// last span, in case more come. Late spans of a released trace are collected for so long, but for 1s at least, before they are
	// released together. Default 200ms; 0 releases both at once.
	Linger time.Duration `mapstructure:"linger"`
	// Quiet bounds the quiet period: a trace that lacks its root, a parent or an expected child is released when no span of it has
	// come for so long.
	Quiet QuietConfig `mapstructure:"quiet"`
	// MaxWait is the longest time that a trace is held, from its first span. Default 60s; must be positive.
	MaxWait time.Duration `mapstructure:"max_wait"`
	// InterimInterval is how long a trace is open before what it has is released although it stays open, and again after each
	// further interval: so the spans of long-running traces are seen. Default 0: never; else at least 1s and less than max_wait.
	InterimInterval time.Duration `mapstructure:"interim_interval"`
	// LateWindow is how long the skeleton of a released trace is remembered, from its last release: within it a late span is
	// recognised, gets its entry and its parent, and is not released twice. Default 60s; must be positive.
	LateWindow time.Duration `mapstructure:"late_window"`
	// MaxTraceSpans is the number of spans above which a trace is released in parts. Default 100000; must be positive.
	MaxTraceSpans int `mapstructure:"max_trace_spans"`
	// MaxTraceBytes is the size, as OTLP protobuf with each of its resources and scopes once, above which a trace is released
	// in parts; also a call is closed before its releases exceed this, of which each has its own copies in storage. Default
	// 16777216 (16 MiB).
	MaxTraceBytes int64 `mapstructure:"max_trace_bytes"`
	// MaxPartBytes is the largest size of such a part, or four times its largest resource with scope, whichever is more. A
	// single larger span is a part of its own. Default 1048576 (1 MiB).
	MaxPartBytes int64 `mapstructure:"max_part_bytes"`
	// MaxSpanBytes is the size, with its scope and its resource, above which a span is rejected. Default 4194304 (4 MiB).
	MaxSpanBytes int64 `mapstructure:"max_span_bytes"`
	// MemoryLimitBytes bounds the estimated memory of everything held: open traces, calls that the next consumer has not
	// taken, skeletons. A full processor answers a retryable error. Default 536870912 (512 MiB).
	MemoryLimitBytes int64 `mapstructure:"memory_limit_bytes"`
	// ReleaseBatch says when a call to the next consumer is closed.
	ReleaseBatch ReleaseBatchConfig `mapstructure:"release_batch"`
	// Tenant says where the tenant of a request is read.
	Tenant TenantConfig `mapstructure:"tenant"`
	// TrustAnnotations keeps incoming tracewright.* attributes, the tenant among them, instead of removing them. Only for a
	// tier behind senders that are authenticated and ours. Default false.
	TrustAnnotations bool `mapstructure:"trust_annotations"`
	// Journal keeps what is held on disk until the next consumer has taken it, so that a crash loses nothing that was
	// acknowledged. Default: none; what is held lives in memory.
	Journal configoptional.Optional[JournalConfig] `mapstructure:"journal"`
	// NumShards is the number of goroutines that assemble, and of workers that call the next consumer. Default 0: as many as
	// Go uses processors.
	NumShards int `mapstructure:"num_shards"`
	// StorageID names the storage extension, such as file_storage, that keeps what is learned (every minute and at shutdown), so that
	// a restart does not begin with long waits. Default none.
	StorageID *component.ID `mapstructure:"storage"`
	// ShutdownTimeout is the longest time that a shutdown spends on handing on what is held. Default 20s; must be positive.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
}

// QuietConfig bounds the quiet period, which is learned from the gaps between arrivals.
type QuietConfig struct {
	// Min is the shortest quiet period. Default 1s; must be positive.
	Min time.Duration `mapstructure:"min"`
	// Max is the longest, and what holds while too little is learned. Default 10s; at least min, at most max_wait.
	Max time.Duration `mapstructure:"max"`
}

// ReleaseBatchConfig says when a call is closed.
type ReleaseBatchConfig struct {
	// MaxSpans is the number of spans in a call; a single larger release is a call of its own. Default 8192.
	MaxSpans int `mapstructure:"max_spans"`
	// MaxDelay is the longest time that a release waits for others. Default 50ms; 0 does not wait.
	MaxDelay time.Duration `mapstructure:"max_delay"`
}

// JournalConfig says where and how the journal is kept.
type JournalConfig struct {
	// Directory is made if it is absent; one process uses it at a time. Required.
	Directory string `mapstructure:"directory"`
	// Sync says when a request is answered: always, when it would survive a loss of power; interval and os, when it would survive a
	// crash of the process. The disk is then synced every sync_interval, or when the operating system likes. Default always.
	Sync SyncMode `mapstructure:"sync"`
	// SyncInterval is the time between two syncs with interval. Default 1s; must be positive.
	SyncInterval time.Duration `mapstructure:"sync_interval"`
	// MaxBytes is the size on disk above which requests are refused with a retryable error. What is held for long keeps all that
	// came with it in its segment of 32 MiB, and what says of these and of later spans that they were handed on. What is remembered of
	// released traces for late_window takes three quarters at most. Default 8589934592 (8 GiB); must be positive.
	MaxBytes int64 `mapstructure:"max_bytes"`
}

// SyncMode is when the journal is synced.
type SyncMode string

const (
	SyncAlways   SyncMode = "always"
	SyncInterval SyncMode = "interval"
	SyncOS       SyncMode = "os"
)

// policy must be called with a mode that is valid.
func (c *JournalConfig) policy() journal.Policy {
	switch c.Sync {
	case SyncInterval:
		return journal.Interval(c.SyncInterval)
	case SyncOS:
		return journal.OS
	default:
		return journal.Always
	}
}

// TenantConfig says where the tenant is read.
type TenantConfig struct {
	// Header is the name of the request header (gRPC metadata) that names the tenant; the receiver must have include_metadata: true.
	// An authenticator's attribute "tenant" overrules it. Default x-tracewright-tenant; empty reads no header.
	Header string `mapstructure:"header"`
}

const (
	defaultLinger           = 200 * time.Millisecond
	defaultQuietMin         = time.Second
	defaultQuietMax         = 10 * time.Second
	defaultMaxWait          = time.Minute
	defaultLateWindow       = time.Minute
	defaultMaxTraceSpans    = 100_000
	defaultMaxTraceBytes    = 16 << 20
	defaultMaxPartBytes     = 1 << 20
	defaultMaxSpanBytes     = 4 << 20
	defaultMemoryLimitBytes = 512 << 20
	defaultBatchMaxSpans    = 8192
	defaultBatchMaxDelay    = 50 * time.Millisecond
	defaultShutdownTimeout  = 20 * time.Second
	defaultSyncInterval     = time.Second
	defaultJournalMaxBytes  = 8 << 30
)

func createDefaultConfig() component.Config {
	return &Config{
		Linger:           defaultLinger,
		Quiet:            QuietConfig{Min: defaultQuietMin, Max: defaultQuietMax},
		MaxWait:          defaultMaxWait,
		LateWindow:       defaultLateWindow,
		MaxTraceSpans:    defaultMaxTraceSpans,
		MaxTraceBytes:    defaultMaxTraceBytes,
		MaxPartBytes:     defaultMaxPartBytes,
		MaxSpanBytes:     defaultMaxSpanBytes,
		MemoryLimitBytes: defaultMemoryLimitBytes,
		ReleaseBatch:     ReleaseBatchConfig{MaxSpans: defaultBatchMaxSpans, MaxDelay: defaultBatchMaxDelay},
		Tenant:           TenantConfig{Header: tenant.DefaultHeader},
		ShutdownTimeout:  defaultShutdownTimeout,
		Journal: configoptional.Default(JournalConfig{
			Sync: SyncAlways, SyncInterval: defaultSyncInterval, MaxBytes: defaultJournalMaxBytes,
		}),
	}
}

// openWindow is how long after a release of a trace that stays open a restart must remember it. In the process it is remembered as long
// as it is open; the journal does not say when that ends.
func (c *Config) openWindow() time.Duration {
	longest := c.MaxWait
	if c.InterimInterval > 0 { // the next release follows, unless no span comes
		longest = min(longest, c.InterimInterval+c.Quiet.Max)
	}
	return longest + c.LateWindow
}

// memoryPerTrace is how many times max_trace_bytes must fit into memory_limit_bytes: a span takes about four times its
// OTLP size in memory, and one largest trace must not fill the budget on its own.
const memoryPerTrace = 8

// Validate reports every fault, one line each, key first.
func (c *Config) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Linger >= 0, "linger: must not be negative, is %v; 0 releases a complete trace at once", c.Linger)
	check(c.Quiet.Min > 0, "quiet::min: must be positive, is %v; the default is %v", c.Quiet.Min, defaultQuietMin)
	check(c.Quiet.Max >= c.Quiet.Min, "quiet::max: must be at least quiet::min (%v), is %v; raise it", c.Quiet.Min, c.Quiet.Max)
	check(c.MaxWait > 0, "max_wait: must be positive, is %v; the default is %v", c.MaxWait, defaultMaxWait)
	check(c.MaxWait <= 0 || c.Linger <= c.MaxWait, "linger: must not exceed max_wait (%v), is %v; lower it", c.MaxWait, c.Linger)
	check(c.MaxWait <= 0 || c.Quiet.Max <= c.MaxWait, "quiet::max: must not exceed max_wait (%v), is %v; lower it", c.MaxWait, c.Quiet.Max)
	check(c.InterimInterval == 0 || c.InterimInterval >= minInterimInterval && c.InterimInterval < c.MaxWait,
		"interim_interval: must be 0 (never), or at least %v and less than max_wait (%v), is %v", minInterimInterval, c.MaxWait, c.InterimInterval)
	check(c.LateWindow > 0, "late_window: must be positive, is %v; the default is %v", c.LateWindow, defaultLateWindow)
	check(c.MaxTraceSpans > 0, "max_trace_spans: must be positive, is %d; the default is %d", c.MaxTraceSpans, defaultMaxTraceSpans)
	check(c.MaxTraceBytes > 0, "max_trace_bytes: must be positive, is %d; the default is %d", c.MaxTraceBytes, defaultMaxTraceBytes)
	check(c.MaxPartBytes > 0, "max_part_bytes: must be positive, is %d; the default is %d", c.MaxPartBytes, defaultMaxPartBytes)
	check(c.MaxPartBytes <= c.MaxTraceBytes || c.MaxTraceBytes <= 0,
		"max_part_bytes: must not exceed max_trace_bytes (%d), is %d; lower it", c.MaxTraceBytes, c.MaxPartBytes)
	check(c.MaxSpanBytes > 0, "max_span_bytes: must be positive, is %d; the default is %d", c.MaxSpanBytes, defaultMaxSpanBytes)
	check(c.MaxSpanBytes <= maxSpanBytesLimit, "max_span_bytes: must be at most %d, is %d; lower it", maxSpanBytesLimit, c.MaxSpanBytes)
	check(c.MaxSpanBytes <= c.MaxTraceBytes || c.MaxTraceBytes <= 0,
		"max_span_bytes: must not exceed max_trace_bytes (%d), is %d; lower it", c.MaxTraceBytes, c.MaxSpanBytes)
	check(c.MemoryLimitBytes/memoryPerTrace >= c.MaxTraceBytes,
		"memory_limit_bytes: must be at least %d times max_trace_bytes (%d), is %d; raise it or lower max_trace_bytes",
		memoryPerTrace, c.MaxTraceBytes, c.MemoryLimitBytes)
	check(c.ReleaseBatch.MaxSpans > 0, "release_batch::max_spans: must be positive, is %d; the default is %d",
		c.ReleaseBatch.MaxSpans, defaultBatchMaxSpans)
	check(c.ReleaseBatch.MaxDelay >= 0, "release_batch::max_delay: must not be negative, is %v; 0 does not wait", c.ReleaseBatch.MaxDelay)
	check(c.NumShards >= 0 && c.NumShards <= maxShards, "num_shards: must be between 0 (as many as processors) and %d, is %d",
		maxShards, c.NumShards)
	check(c.ShutdownTimeout > 0, "shutdown_timeout: must be positive, is %v; the default is %v", c.ShutdownTimeout, defaultShutdownTimeout)
	return errors.Join(faults...)
}

// Validate reports every fault of a journal that is configured.
func (c *JournalConfig) Validate() error {
	var faults []error
	if c.Directory == "" {
		faults = append(faults, errors.New("directory: must not be empty; name a folder on a disk that outlives the process"))
	}
	switch c.Sync {
	case SyncAlways, SyncInterval, SyncOS:
	default:
		faults = append(faults, fmt.Errorf("sync: must be %s, %s or %s, is %q", SyncAlways, SyncInterval, SyncOS, c.Sync))
	}
	if c.SyncInterval <= 0 {
		faults = append(faults, fmt.Errorf("sync_interval: must be positive, is %v; the default is %v", c.SyncInterval, defaultSyncInterval))
	}
	if c.MaxBytes <= 0 {
		faults = append(faults, fmt.Errorf("max_bytes: must be positive, is %d; the default is %d", c.MaxBytes, int64(defaultJournalMaxBytes)))
	}
	return errors.Join(faults...)
}

const (
	// maxShards keeps a slip of the pen from starting a million goroutines.
	maxShards = 1024
	// minInterimInterval keeps interim releases from being most of the work.
	minInterimInterval = time.Second
	// maxSpanBytesLimit is a quarter of what the sizes of spans are counted in.
	maxSpanBytesLimit = 1 << 29
)
