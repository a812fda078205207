package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	// utime is 1234 ticks and stime 66, together 13 s; the name tries to look like fields.
	const stat = "42 (a) b (c) 1) S 1 42 42 0 -1 4194560 900 0 0 0 1234 66 7 8 20 0 9 0 123456 1000 200"
	cpu, err := parseStat([]byte(stat))
	require.NoError(t, err)
	require.Equal(t, 13*time.Second, cpu)

	_, err = parseStat([]byte("42 (a) S 1 2 3"))
	require.ErrorContains(t, err, "4 fields")
	_, err = parseStat([]byte("42 (a) S 1 42 42 0 -1 4194560 900 0 0 0 x 66 7"))
	require.Error(t, err)
}

func TestParseStatus(t *testing.T) {
	const status = "Name:\tVmHWM:\nVmPeak:\t   9 kB\nVmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\n"
	peak, err := parseStatus(status, "VmHWM")
	require.NoError(t, err)
	require.EqualValues(t, 2<<20, peak)
	_, err = parseStatus(status, "VmSwap")
	require.ErrorContains(t, err, "VmSwap")
}

func TestParseMetrics(t *testing.T) {
	m, err := parseMetrics([]byte(`# HELP otelcol_spans Spans.
# TYPE otelcol_spans counter
otelcol_spans{receiver="otlp"} 40
otelcol_spans{receiver="a } 7 {b\" c"} 2 1700000000000

otelcol_bytes 1.5e+09
process_up 1
`))
	require.NoError(t, err)
	require.Equal(t, metrics{"spans": 42, "bytes": 1.5e9, "process_up": 1}, m)

	for _, page := range []string{"spans", `spans{a="b"}`, "spans many"} {
		_, err := parseMetrics([]byte(page))
		require.Error(t, err, page)
	}
}

func TestParseHeap(t *testing.T) {
	const page = "heap profile: 1: 2 [3: 4] @ heap/1048576\n# runtime.MemStats\n# HeapAlloc = 100\n# HeapIdle = 7\n# HeapInuse = 160\n"
	h, err := parseHeap([]byte(page))
	require.NoError(t, err)
	require.Equal(t, heap{inUse: 160, objects: 100}, h)
	_, err = parseHeap([]byte("# HeapAlloc = 100\n"))
	require.ErrorContains(t, err, "1 of 2")
}

func TestParseSummary(t *testing.T) {
	s, err := parseSummary("sent 405044 spans of 20000 traces in 6.02 s: 67272 spans/s, 219.4 MB in 972 requests, 3 retries, answered in 4.2 ms (p50), 20.1 ms (p99), 0.82 CPU s per million spans\n")
	require.NoError(t, err)
	require.Equal(t, sending{spans: 405044, traces: 20000, perS: 67272, retries: 3, p50: 4.2, p99: 20.1}, s)
	_, err = parseSummary("nothing was sent")
	require.ErrorContains(t, err, "nothing was sent")
}
