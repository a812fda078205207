package goruntimeextension

import (
	"context"
	"math"
	"os"
	"runtime/debug"

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
	if _, given := os.LookupEnv(percent); !given {
		before := debug.SetGCPercent(r.config.GCPercent)
		r.undo = append(r.undo, func() { debug.SetGCPercent(before) })
	}
	if _, given := os.LookupEnv(limit); !given && r.config.MemoryLimitPercentage > 0 {
		r.limit()
	}
	r.logger.Info("garbage collection is set", zap.Int("gc_percent", r.gcPercent()), zap.Int64("memory_limit_bytes", debug.SetMemoryLimit(-1)))
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

// gcPercent reads what is in force; Go has no way to read it but to set it.
func (r *goRuntime) gcPercent() int {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent
}

// Shutdown sets back what was before.
func (r *goRuntime) Shutdown(context.Context) error {
	for _, undo := range r.undo {
		undo()
	}
	r.undo = nil
	return nil
}
