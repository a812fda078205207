package command

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
)

type statistics struct {
	Format    uint32 `json:"format"`
	DiskBytes int64  `json:"disk_bytes"`
	Traces    int64  `json:"traces"`
	Spans     int64  `json:"spans"`
	Days      []day  `json:"days"`
}

type day struct {
	Tenant string `json:"tenant"`
	Day    string `json:"day"`
	Traces int64  `json:"traces"`
	Spans  int64  `json:"spans"`
	Bytes  int64  `json:"bytes"`
}

func stats(ctx context.Context, path string) (findings, error) {
	read, err := pebblestore.ReadStats(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	s := &statistics{Format: read.Format, DiskBytes: read.DiskBytes, Days: []day{}}
	for _, p := range read.Partitions {
		s.Traces += p.Traces
		s.Spans += p.Spans
		s.Days = append(s.Days, day{Tenant: p.Tenant, Day: p.Day.Format("2006-01-02"), Traces: p.Traces, Spans: p.Spans, Bytes: p.Bytes})
	}
	return s, nil
}

func (s *statistics) status() int { return statusDone }

func (s *statistics) write(out io.Writer, path string) error {
	perSpan := ""
	if s.Spans > 0 {
		perSpan = fmt.Sprintf(" (%.1f a span)", float64(s.DiskBytes)/float64(s.Spans))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	if _, err := fmt.Fprintf(out, "%s: format %d, %d bytes%s\n", path, s.Format, s.DiskBytes, perSpan); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(table, "day\ttenant\ttraces\tspans\tbytes\t") // into memory; Flush tells of errors
	for _, d := range s.Days {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t\n", d.Day, strconv.Quote(d.Tenant), d.Traces, d.Spans, d.Bytes)
	}
	_, _ = fmt.Fprintf(table, "all\t\t%d\t%d\t%d\t\n", s.Traces, s.Spans, s.DiskBytes)
	return table.Flush()
}
