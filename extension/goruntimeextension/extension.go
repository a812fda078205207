package goruntimeextension

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
)

// goRuntime sets what Config says while it runs. The settings are the process's, so one is enough.
type goRuntime struct {
	config *Config
	logger *zap.Logger
	undo   []func()
}

func (r *goRuntime) Start(context.Context, component.Host) error {
	percent, limit := "GOGC", "GOMEMLIMIT"
	if os.Getenv(percent) == "" { // Go passes over an empty one, which templates write where nothing is given
		tuner := startTuner(headroom{percent: r.config.GCPercent, minPercent: r.config.MinGCPercent, most: uint64(r.config.MaxHeadroomMiB) << 20})
		r.undo = append(r.undo, tuner.stop)
	}
	if os.Getenv(limit) == "" && r.config.MemoryLimitPercentage > 0 {
		r.limit()
	}
	r.logger.Info("garbage collection is set", zap.Int("gc_percent", gcPercent()), zap.Int64("memory_limit_bytes", debug.SetMemoryLimit(-1)))
	return nil
}

func (r *goRuntime) limit() {
	memory, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
	if err != nil {
		// Without a limit memory_limiter still refuses in time; garbage is only collected less cleverly.
		r.logger.Warn("the memory limit is not known, and not set", zap.Error(err))
		return
	}
	share := float64(memory) * float64(r.config.MemoryLimitPercentage) / 100
	before := debug.SetMemoryLimit(int64(min(share, math.MaxInt64/2)))
	r.undo = append(r.undo, func() { debug.SetMemoryLimit(before) })
}

// gcPercent reads what is in force, negative where garbage is never collected for it.
func gcPercent() int {
	sample := [1]metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample[:])
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0 // not of this Go
	}
	return int(int64(sample[0].Value.Uint64()))
}

// Shutdown sets back what was before.
func (r *goRuntime) Shutdown(context.Context) error {
	for _, undo := range r.undo {
		undo()
	}
	r.undo = nil
	return nil
}
