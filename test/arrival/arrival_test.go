package arrival

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// durationVariable sets how long the traffic of each pattern lasts, in virtual time. With it the figures are printed and judged.
const durationVariable = "TRACEWRIGHT_ARRIVAL_DURATION"

const (
	shortDuration, shortRate = 3 * time.Minute, 15.0
	fullRate                 = 60.0 // traces a second
	// coldStart is how long nothing is learned yet; the figures count it in, and stand beside those without.
	coldStart = time.Minute
)

var fixedWaits = []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

// No pattern loses a span or releases one twice, and the figures reach their targets: at full size (make bench-arrival) with the cold
// start, in the short run, which is a third cold start, without.
func TestPatterns(t *testing.T) {
	duration, rate, full := shortDuration, shortRate, false
	if text := os.Getenv(durationVariable); text != "" {
		var err error
		duration, err = time.ParseDuration(text)
		require.NoError(t, err, durationVariable)
		rate, full = fullRate, true
	}
	var text strings.Builder
	table := newTable(&text)
	var judged []target
	for i := range patterns {
		p := &patterns[i]
		t.Run(p.name, func(t *testing.T) {
			traces := run(t, p, rate, duration)
			f := figuresOf(traces, 0)
			require.Equal(t, f.traces, f.merged, "traces whose releases have every span once, as versions of one trace")
			table.row(p.name, "trace_assembly", f)
			table.row("", "  after the first "+coldStart.String(), figuresOf(traces, coldStart))
			for _, wait := range fixedWaits {
				table.row("", "fixed "+wait.String(), fixedFigures(traces, wait))
			}
			if !full {
				f = figuresOf(traces, coldStart)
			}
			judged = append(judged, f.targets(p)...)
		})
	}
	require.NoError(t, table.out.Flush())
	if full {
		printFigures(t, text.String(), judged)
	}
	judge(t, judged)
}

// printFigures writes to the standard output: t.Log would put each line in.
func printFigures(t *testing.T, table string, judged []target) {
	var lines strings.Builder
	for i := range judged {
		lines.WriteString(judged[i].String() + "\n")
	}
	lines.WriteString("\nThe same traffic to a Tracewright that runs:\n")
	for i := range patterns {
		fmt.Fprintf(&lines, "%-25s go run ./cmd/tracegen --rate %g --duration 5m %s\n", patterns[i].name, fullRate, patterns[i].flags)
	}
	_, err := os.Stdout.WriteString("\n" + table + "\n" + lines.String() + "\n")
	require.NoError(t, err)
}

func judge(t *testing.T, judged []target) {
	for i := range judged {
		if !judged[i].ok {
			t.Errorf("missed: %s %s, not %s", judged[i].measure, judged[i].figure, judged[i].target)
		}
	}
}
