package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// traffic is what a collector is sent: tracegen's, the same in every run.
type traffic struct {
	tracegen string  // the built program
	traces   int     // to send
	rate     float64 // traces a second; 0 for as fast as they are taken
	reuse    int     // traces that are encoded, see tracegen --help
	seed     uint64
}

// sending is what tracegen says that it did.
type sending struct {
	spans   int64
	perS    float64 // spans a second
	retries int64
}

func (t traffic) send(ctx context.Context, port int) (sending, error) {
	args := []string{
		"--endpoint", fmt.Sprint("127.0.0.1:", port), "--total", strconv.Itoa(t.traces), "--seed", strconv.FormatUint(t.seed, 10),
		"--rate", strconv.FormatFloat(t.rate, 'f', -1, 64), "--reuse", strconv.Itoa(t.reuse),
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
		traces, requests   int64
		seconds, megabytes float64
	)
	// fmt's verbs read a number as far as it goes; a comma behind one ends it.
	_, err = fmt.Sscanf(strings.TrimSpace(line), "sent %d spans of %d traces in %f s: %f spans/s, %f MB in %d requests, %d retries",
		&s.spans, &traces, &seconds, &s.perS, &megabytes, &requests, &s.retries)
	if err != nil {
		return s, fmt.Errorf("read tracegen's summary %q: %w", line, err)
	}
	return s, nil
}
