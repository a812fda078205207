package tracesummaryconnector

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Config is what users write under connectors::tracesummary.
type Config struct {
	// Metrics says how metrics are made. Logs have no settings.
	Metrics MetricsConfig `mapstructure:"metrics"`
}

// MetricsConfig says how metrics are made.
type MetricsConfig struct {
	// FlushInterval is the time between two hand-overs. Default 15s; must be positive.
	FlushInterval time.Duration `mapstructure:"flush_interval"`
	// Temporality says whether data points count since the last flush (delta) or since the start (cumulative). Default delta.
	Temporality Temporality `mapstructure:"temporality"`
	// MaxSeries bounds the series of all metrics and tenants together, in an interval with delta and since the start with cumulative. What
	// comes beyond is counted without its attributes. Default 10000; must be positive.
	MaxSeries int `mapstructure:"max_series"`
	// MaxBuckets bounds the buckets of a histogram; the more, the finer. Default 160; from 2 to 1024.
	MaxBuckets int32 `mapstructure:"max_buckets"`
}

// Temporality is what a data point counts from.
type Temporality string

const (
	TemporalityDelta      Temporality = "delta"
	TemporalityCumulative Temporality = "cumulative"
)

func (t Temporality) pdata() pmetric.AggregationTemporality {
	if t == TemporalityCumulative {
		return pmetric.AggregationTemporalityCumulative
	}
	return pmetric.AggregationTemporalityDelta
}

const (
	defaultFlushInterval = 15 * time.Second
	defaultMaxSeries     = 10_000
	defaultMaxBuckets    = 160
	minBuckets           = 2
	maxBuckets           = 1024
)

// Validate reports all faults, one line each.
func (c *Config) Validate() error {
	var errs []error
	m := &c.Metrics
	if m.FlushInterval <= 0 {
		errs = append(errs, fmt.Errorf("metrics::flush_interval is %s: give a positive time, such as 15s", m.FlushInterval))
	}
	if m.Temporality != TemporalityDelta && m.Temporality != TemporalityCumulative {
		errs = append(errs, fmt.Errorf("metrics::temporality is %q: give delta or cumulative", string(m.Temporality)))
	}
	if m.MaxSeries <= 0 {
		errs = append(errs, fmt.Errorf("metrics::max_series is %d: give a positive number, such as 10000", m.MaxSeries))
	}
	if m.MaxBuckets < minBuckets || m.MaxBuckets > maxBuckets {
		errs = append(errs, fmt.Errorf("metrics::max_buckets is %d: give a number from %d to %d", m.MaxBuckets, minBuckets, maxBuckets))
	}
	return errors.Join(errs...)
}
