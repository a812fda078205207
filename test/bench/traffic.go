package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// traffic is what a collector is sent: tracegen's, the same in every run.
type traffic struct {
	tracegen string  // the built program
	traces   int     // to send
	rate     float64 // traces a second; 0 for as fast as they are taken
	reuse    int     // traces that are encoded, see tracegen --help
	seed     uint64

	batchDelay time.Duration // see tracegen --help; 0 for its default
	expect     string        // file for the truth; may be empty
}

// sending is what tracegen says that it did.
type sending struct {
	spans   int64
	perS    float64 // spans a second
	retries int64
	// p50 and p99 are within how many milliseconds requests were answered.
	p50, p99 float64
	traces   int64
}

func (t traffic) send(ctx context.Context, port int) (sending, error) {
	args := []string{
		"--endpoint", fmt.Sprint("127.0.0.1:", port), "--total", strconv.Itoa(t.traces), "--seed", strconv.FormatUint(t.seed, 10),
		"--rate", strconv.FormatFloat(t.rate, 'f', -1, 64), "--reuse", strconv.Itoa(t.reuse),
	}
	if t.batchDelay > 0 {
		args = append(args, "--batch-delay", t.batchDelay.String())
	}
	if t.expect != "" {
		args = append(args, "--expect", t.expect)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, t.tracegen, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return sending{}, fmt.Errorf("tracegen: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return parseSummary(stdout.String())
}

// parseSummary reads tracegen's last line.
func parseSummary(line string) (s sending, err error) {
	var (
		requests           int64
		seconds, megabytes float64
	)
	// fmt's verbs read a number as far as it goes; a comma behind one ends it.
	_, err = fmt.Sscanf(strings.TrimSpace(line), "sent %d spans of %d traces in %f s: %f spans/s, %f MB in %d requests, %d retries, answered in %f ms (p50), %f ms (p99)",
		&s.spans, &s.traces, &seconds, &s.perS, &megabytes, &requests, &s.retries, &s.p50, &s.p99)
	if err != nil {
		return s, fmt.Errorf("read tracegen's summary %q: %w", line, err)
	}
	return s, nil
}
