package command

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
)

type checked struct {
	Sound         bool    `json:"sound"`
	Format        uint32  `json:"format"`
	Traces        int64   `json:"traces"`
	Releases      int64   `json:"releases"`
	Spans         int64   `json:"spans"`
	RollupMinutes int64   `json:"rollup_minutes"`
	FaultCount    int64   `json:"fault_count"`
	Faults        []fault `json:"faults"` // the first of them
}

type fault struct {
	Tenant  string `json:"tenant"`
	Day     string `json:"day,omitempty"`
	TraceID string `json:"trace_id,omitempty"`
	What    string `json:"what"`
}

func check(ctx context.Context, path string) (findings, error) {
	result, err := pebblestore.Check(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("check %w", err)
	}
	c := &checked{
		Sound: result.FaultCount == 0, Format: result.Format, Traces: result.Traces, Releases: result.Releases, Spans: result.Spans,
		RollupMinutes: result.RollupMinutes, FaultCount: result.FaultCount, Faults: []fault{},
	}
	for _, f := range result.Faults {
		found := fault{Tenant: f.Tenant, What: f.What}
		if f.Day.Unix() > 0 {
			found.Day = f.Day.Format("2006-01-02")
		}
		if !f.TraceID.IsEmpty() {
			found.TraceID = f.TraceID.String()
		}
		c.Faults = append(c.Faults, found)
	}
	return c, nil
}

func (c *checked) status() int {
	if c.Sound {
		return statusDone
	}
	return statusFaults
}

func (c *checked) write(out io.Writer, path string) error {
	verdict := "sound"
	if !c.Sound {
		verdict = fmt.Sprintf("%d faults", c.FaultCount)
	}
	lines := []string{
		fmt.Sprintf("%s: %s", path, verdict),
		fmt.Sprintf("format %d; read %d spans in %d releases of %d traces, and %d rollups", c.Format, c.Spans, c.Releases, c.Traces, c.RollupMinutes),
	}
	for _, f := range c.Faults {
		var where []string
		if f.Tenant != "" {
			where = append(where, fmt.Sprintf("tenant %q", f.Tenant))
		}
		if f.Day != "" {
			where = append(where, f.Day)
		}
		if f.TraceID != "" {
			where = append(where, "trace "+f.TraceID)
		}
		if len(where) == 0 {
			where = []string{"the folder"}
		}
		lines = append(lines, fmt.Sprintf("  %s: %s", strings.Join(where, ", "), f.What))
	}
	if rest := c.FaultCount - int64(len(c.Faults)); rest > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", rest))
	}
	_, err := io.WriteString(out, strings.Join(lines, "\n")+"\n")
	return err
}
