package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stage is one collector configuration that is measured.
type stage struct {
	name string
	note string // what was set, for a stage that is there to compare with
	once bool   // in the first round only: it has no target, and takes long
	// make builds the pipeline; folder is the run's own, for what it keeps on disk.
	make func(folder string) pipeline
	// empty says whether a pipeline that has taken sent spans has handed on all of them.
	empty func(m metrics, sent int64) bool
	// drops are the metrics that count what the stage has given up, traces or spans: a stage that drops is cheap.
	drops []string
}

// drainTimeout bounds the wait for an empty pipeline: the longest that trace_assembly holds a trace, and some more.
const drainTimeout = 2 * time.Minute

// reading is what one run of a stage cost.
type reading struct {
	spans   int64
	cpu     time.Duration // of the process, from before the first request until its pipeline was empty
	perS    float64       // spans a second, as sent
	peak    int64         // bytes resident
	retries int64         // of requests, because the collector was full
	dropped int64         // see stage.drops
}

// cpuPerMillion is in CPU seconds per million spans.
func (r reading) cpuPerMillion() float64 { return r.cpu.Seconds() / float64(r.spans) * 1e6 }

// bench is what all runs share.
type bench struct {
	binary      string
	folder      string   // below which runs have theirs
	environment []string // of the collector, behind our own
	profiles    string   // folder; empty to keep none
	traffic     traffic
}

// run starts a collector for the stage, sends it the traffic, and stops it when it has nothing left to do.
func (b *bench) run(ctx context.Context, s *stage, round int) (r reading, err error) {
	err = b.with(ctx, s.make, b.profiles != "", b.cpuProfile(s, round), func(c *collector) error {
		pid := c.cmd.Process.Pid
		// tracegen encodes before it sends; meanwhile the collector does nothing that costs.
		before, err := cpuTime(pid)
		if err != nil {
			return err
		}
		sent, err := b.traffic.send(ctx, c.at.grpc)
		if err != nil {
			return err
		}
		var m metrics
		err = c.await(ctx, drainTimeout, "an empty pipeline", func() (ok bool, err error) {
			m, err = c.metrics(ctx)
			return err == nil && s.empty(m, sent.spans), err
		})
		if err != nil {
			return err
		}
		after, err := cpuTime(pid)
		if err != nil {
			return err
		}
		peak, err := peakMemory(pid)
		if err != nil {
			return err
		}
		r = reading{spans: sent.spans, cpu: after - before, perS: sent.perS, peak: peak, retries: sent.retries}
		for _, name := range s.drops {
			r.dropped += int64(m[name])
		}
		return b.keepAllocations(ctx, c, s, round)
	})
	if err != nil {
		return r, fmt.Errorf("stage %q: %w", s.name, err)
	}
	return r, nil
}

// with runs do beside a collector that has a folder of its own, and removes both. The collector has a port for profiles only
// where profiling says so.
func (b *bench) with(
	ctx context.Context, build func(folder string) pipeline, profiling bool, cpuProfile string, do func(*collector) error,
) (err error) {
	folder, err := os.MkdirTemp(b.folder, "run-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	at, err := freePorts(ctx)
	if err != nil {
		return err
	}
	if !profiling {
		at.profile = 0
	}
	config, err := build(folder).configuration(at, cpuProfile)
	if err != nil {
		return err
	}
	c, err := startCollector(ctx, b.binary, folder, b.environment, at, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	return do(c)
}

func (b *bench) cpuProfile(s *stage, round int) string {
	if b.profiles == "" {
		return ""
	}
	return b.profile(s, round, "cpu")
}

// keepAllocations keeps the profile of what was allocated; that of the CPU is written when the collector stops.
func (b *bench) keepAllocations(ctx context.Context, c *collector, s *stage, round int) error {
	if b.profiles == "" {
		return nil
	}
	profile, err := c.get(ctx, c.at.profile, "/debug/pprof/allocs")
	if err != nil {
		return err
	}
	return os.WriteFile(b.profile(s, round, "allocs"), profile, 0o600)
}

func (b *bench) profile(s *stage, round int, kind string) string {
	return filepath.Join(b.profiles, fmt.Sprintf("%s.%d.%s.pprof", plainName(s.name), round+1, kind))
}

// plainName is a stage's name as part of a file's.
func plainName(name string) string {
	return strings.Join(strings.FieldsFunc(name, func(c rune) bool { return c == ' ' || c == '+' || c == '→' || c == ',' }), "-")
}

// interleave runs the stages one after the other, rounds times: what else the machine does meets all of them alike. It
// returns the readings of each stage, by round.
func (b *bench) interleave(ctx context.Context, stages []stage, rounds int, progress func(s *stage, round int, r reading)) ([][]reading, error) {
	readings := make([][]reading, len(stages))
	for round := range rounds {
		for i := range stages {
			if stages[i].once && round > 0 {
				continue
			}
			r, err := b.run(ctx, &stages[i], round)
			if err != nil {
				return nil, err
			}
			progress(&stages[i], round, r)
			readings[i] = append(readings[i], r)
		}
	}
	return readings, nil
}

// refusal is what the binary says against a stage's configuration.
func (b *bench) refusal(ctx context.Context, s *stage) (string, error) {
	folder, err := os.MkdirTemp(b.folder, "check-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder) // nothing of value is in it
	config, err := s.make(folder).configuration(ports{grpc: 1, health: 2, metrics: 3}, "")
	if err != nil {
		return "", err
	}
	return refusal(ctx, b.binary, folder, config)
}
