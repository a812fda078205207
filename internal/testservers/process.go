package testservers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 2 * time.Minute // on a busy machine
	stopTimeout  = 30 * time.Second
)

// Process is a server that can be stopped and started again with its ports and its data.
type Process struct {
	name    string
	command func(context.Context) *exec.Cmd
	ready   func(context.Context) error

	log  Output
	past int // length of the log before the last start
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Start starts the server and returns when it answers.
func (p *Process) Start(ctx context.Context) error {
	p.past = len(p.Log())
	cmd := p.command(context.WithoutCancel(ctx)) // it outlives its start
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.SysProcAttr = endWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // how it ended is seen in its log
	}()
	p.cmd, p.done = cmd, done
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-done:
			return fmt.Errorf("%s has ended:\n%s", p.name, p.Log())
		case <-ctx.Done():
			_ = p.Stop()
			return fmt.Errorf("%s does not answer: %w\n%s", p.name, err, p.Log())
		}
	}
}

// Stop ends the server as an operator would, and waits for its end. A server that does not run is left alone.
func (p *Process) Stop() error {
	err := p.end(syscall.SIGTERM)
	if err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// Kill ends the server without its knowing (SIGKILL), and waits for its end.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

// Pause stops the server from running (SIGSTOP): its connections stay, and nothing is answered. Resume lets it go on.
func (p *Process) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume is the end of Pause.
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// PID is the number of the process that runs, or ran last.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is what the server printed, since it was first started.
func (p *Process) Log() string { return p.log.String() }

func (p *Process) end(signal syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(signal) // it may have ended before
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("%s does not end on %s", p.name, signal)
	}
}

// dial says whether somebody listens.
func dial(ctx context.Context, address string) error {
	connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}

// printed says whether somebody listens, and the server has printed what says that it is ready.
func (p *Process) printed(ctx context.Context, address, text string) error {
	if !strings.Contains(p.Log()[p.past:], text) {
		return fmt.Errorf("it has not printed %q", text)
	}
	return dial(ctx, address)
}

// Output keeps what a process prints; os/exec writes while others read.
type Output struct {
	mu      sync.Mutex
	content bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (b *Output) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Write(p)
}

// String is what was printed so far.
func (b *Output) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}
