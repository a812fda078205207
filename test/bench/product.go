package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/tracewright/tracewright/internal/freeport"
)

// product is the built binary with config/tracewright.yaml, which keeps its data in a folder.
type product struct {
	binary, config string
	data           string
	arguments      []string // more of them
}

// withoutStore lets the pipeline end before the store, in which the extension still stands.
const withoutStore = `
exporters: {nop: {}}
service: {pipelines: {traces: {exporters: [nop]}}}
`

// productExtensions are those that config/tracewright.yaml starts.
const productExtensions = "go_runtime, health_check, raw_spans, file_storage, trace_store, trace_query"

// keepAll lets retention be longer than what is loaded.
const keepAll = `
extensions: {trace_store: {backends: {main: {pebble: {retention: 960h}}}}}
`

// profileOverlay lets the product keep a CPU profile in the file.
func profileOverlay(ctx context.Context, file string) (string, error) {
	port, err := freeport.Take(ctx, 1)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("extensions: {pprof: {endpoint: \"127.0.0.1:%d\", save_to_file: %q}}\nservice: {extensions: [%s, pprof]}\n", port[0], file, productExtensions), nil
}

// productPorts are the ports of config/tracewright.yaml, by its environment variables.
var productPorts = []string{
	"TRACEWRIGHT_OTLP_GRPC_PORT", "TRACEWRIGHT_OTLP_HTTP_PORT", "TRACEWRIGHT_JAEGER_GRPC_PORT", "TRACEWRIGHT_JAEGER_HTTP_PORT",
	"TRACEWRIGHT_ZIPKIN_PORT", "TRACEWRIGHT_HEALTH_PORT", "TRACEWRIGHT_QUERY_PORT", "TRACEWRIGHT_METRICS_PORT",
}

// start starts the product; what overlays say replaces what the configuration says. Empty ones say nothing.
func (p *product) start(ctx context.Context, overlays ...string) (*collector, error) {
	list, err := freeport.Take(ctx, len(productPorts))
	if err != nil {
		return nil, err
	}
	environment := []string{"TRACEWRIGHT_HOST=127.0.0.1", "TRACEWRIGHT_DATA=" + p.data}
	at := ports{}
	for i, name := range productPorts {
		environment = append(environment, name+"="+strconv.Itoa(list[i]))
		switch name {
		case "TRACEWRIGHT_OTLP_GRPC_PORT":
			at.grpc = list[i]
		case "TRACEWRIGHT_HEALTH_PORT":
			at.health = list[i]
		case "TRACEWRIGHT_QUERY_PORT":
			at.query = list[i]
		case "TRACEWRIGHT_METRICS_PORT":
			at.metrics = list[i]
		}
	}
	if err := os.MkdirAll(p.data, 0o750); err != nil {
		return nil, err
	}
	arguments := append([]string{"--config", p.config}, p.arguments...)
	for i, overlay := range overlays {
		if overlay == "" {
			continue
		}
		file := filepath.Join(p.data, fmt.Sprintf("overlay%d.yaml", i))
		if err := os.WriteFile(file, []byte(overlay), 0o600); err != nil {
			return nil, err
		}
		arguments = append(arguments, "--config", file)
	}
	return startProcess(ctx, p.binary, p.data, environment, at, arguments...)
}

const (
	// A process is idle when it uses less than this share of a processor for idleFor.
	idleShare   = 0.05
	idleFor     = 3 * time.Second
	idleTimeout = 5 * time.Minute
)

// drained says from the product's metrics whether a pipeline has handed on what it was sent.
type drained func(m metrics) bool

const acceptedSpans = "receiver_accepted_spans"

const assemblyMetrics = "processor_trace_assembly_"

// received is a pipeline that ends before trace_assembly.
func received(sent int64) drained {
	return func(m metrics) bool { return int64(m[acceptedSpans]) >= sent }
}

// released is a pipeline that ends between trace_assembly and the store.
func released(sent int64) drained {
	return func(m metrics) bool {
		return int64(m[assemblyMetrics+"spans_received"]) >= sent && m[assemblyMetrics+"spans_in_flight"] == 0
	}
}

// stored is a pipeline that ends in the store.
func stored(sent int64) drained {
	return func(m metrics) bool {
		return released(sent)(m) && int64(m[spansStored]+m[assemblyMetrics+"spans_duplicate"]) >= sent
	}
}

// settle waits until the pipeline is empty and nothing works any more, and answers the processor time used until then.
func (c *collector) settle(ctx context.Context, empty drained) (time.Duration, error) {
	err := c.await(ctx, drainTimeout, "an empty pipeline", func() (bool, error) {
		m, err := c.metrics(ctx)
		return err == nil && empty(m), err
	})
	if err != nil {
		return 0, err
	}
	pid := c.cmd.Process.Pid
	for deadline := time.Now().Add(idleTimeout); ; {
		before, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		if err := sleep(ctx, idleFor); err != nil {
			return 0, err
		}
		after, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		if (after - before).Seconds() < idleShare*idleFor.Seconds() {
			return before, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("the process is still busy %s after the last span", idleTimeout)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// diskUsage is what the files below a folder take, as du counts it.
func diskUsage(folder string) (int64, error) {
	var blocks int64
	err := filepath.WalkDir(folder, func(_ string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			blocks += stat.Blocks
		}
		return nil
	})
	return blocks * 512, err
}
