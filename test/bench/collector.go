package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tracewright/tracewright/internal/freeport"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
	pollInterval = 100 * time.Millisecond
)

// collector is one running process.
type collector struct {
	at   ports
	logs string // file
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// startCollector starts binary with a configuration file in folder and waits until it is healthy.
func startCollector(ctx context.Context, binary, folder string, environment []string, at ports, config []byte) (*collector, error) {
	file := filepath.Join(folder, "config.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	return startProcess(ctx, binary, folder, environment, at, "--config", file)
}

// startProcess starts binary, which keeps its log in folder, and waits until it is healthy.
func startProcess(ctx context.Context, binary, folder string, environment []string, at ports, arguments ...string) (*collector, error) {
	c := &collector{at: at, logs: filepath.Join(folder, "collector.log"), done: make(chan struct{})}
	logs, err := os.Create(c.logs)
	if err != nil {
		return nil, err
	}
	defer logs.Close() // the process has its own
	c.cmd = exec.CommandContext(ctx, binary, arguments...)
	c.cmd.Env = append(os.Environ(), environment...)
	c.cmd.Stdout, c.cmd.Stderr = logs, logs
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the collector: %w", err)
	}
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait() // how it ended stands in its log
	}()
	err = c.await(ctx, startTimeout, "the collector's health", func() (bool, error) {
		_, err := c.get(ctx, c.at.health, "/")
		return err == nil, nil // not listening yet
	})
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// stop ends the process and waits for it.
func (c *collector) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.done:
		return nil
	case <-time.After(stopTimeout):
		_ = c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("the collector did not end within %s", stopTimeout)
	}
}

// await polls until check says true or fails.
func (c *collector) await(ctx context.Context, timeout time.Duration, what string, check func() (bool, error)) error {
	deadline := time.After(timeout)
	for {
		ok, err := check()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return fmt.Errorf("wait for %s: the collector has ended:\n%s", what, c.lastLogs())
		case <-deadline:
			return fmt.Errorf("wait for %s: nothing within %s:\n%s", what, timeout, c.lastLogs())
		case <-time.After(pollInterval):
		}
	}
}

func (c *collector) get(ctx context.Context, port int, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return body, nil
}

func (c *collector) metrics(ctx context.Context) (metrics, error) {
	page, err := c.get(ctx, c.at.metrics, "/metrics")
	if err != nil {
		return nil, err
	}
	return parseMetrics(page)
}

const shownLogs = 4 << 10 // bytes

func (c *collector) lastLogs() string {
	logs, err := os.ReadFile(c.logs)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(logs[max(0, len(logs)-shownLogs):]))
}

// refusal is what the binary's own check says against a configuration; empty where it takes it.
func refusal(ctx context.Context, binary, folder string, config []byte) (string, error) {
	file := filepath.Join(folder, "check.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return "", err
	}
	output, err := exec.CommandContext(ctx, binary, "validate", "--config", file).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &exit):
		return string(bytes.TrimSpace(output)), nil
	default:
		return "", fmt.Errorf("check a configuration: %w", err)
	}
}

// freePorts are ports that nobody listens on.
func freePorts(ctx context.Context) (ports, error) {
	list, err := freeport.Take(ctx, 4)
	if err != nil {
		return ports{}, err
	}
	return ports{grpc: list[0], health: list[1], metrics: list[2], profile: list[3]}, nil
}
