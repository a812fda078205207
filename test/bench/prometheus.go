package main

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// metrics are the sums of a Prometheus page by the metric's name, without the prefix that all of the collector's have.
type metrics map[string]float64

// parseMetrics reads the text format. A line is NAME VALUE or NAME{LABELS} VALUE, with a time at most behind it.
func parseMetrics(page []byte) (metrics, error) {
	m := metrics{}
	lines := bufio.NewScanner(bytes.NewReader(page))
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest := line, ""
		if at := strings.IndexAny(line, "{ "); at >= 0 {
			name, rest = line[:at], line[at:]
		}
		// Values of labels may hold any character, numbers behind them no brace.
		fields := strings.Fields(rest[strings.LastIndexByte(rest, '}')+1:])
		if len(fields) == 0 {
			return nil, fmt.Errorf("metric without a value: %q", line)
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return nil, fmt.Errorf("value of metric %q: %w", name, err)
		}
		m[strings.TrimPrefix(name, "otelcol_")] += value
	}
	return m, lines.Err()
}
