package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// documentedMetrics are the metrics of all components of ours, as their documentation.md has them.
func documentedMetrics(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*", "*", "documentation.md"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	metrics := make(map[string]bool)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`(?m)^### (otelcol_\w+)$`).FindAllSubmatch(content, -1) {
			metrics[string(match[1])] = true
		}
	}
	return metrics
}

// Each figure of the specification is in docs/telemetry.md, with metrics that exist.
func TestTelemetryNamesMetricsThatExist(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "docs", "telemetry.md"))
	require.NoError(t, err)
	metrics, name := documentedMetrics(t), regexp.MustCompile(`otelcol_\w+`)
	figure, found := "", make(map[string]int)
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "¦"), "|")
		if len(cells) != 6 || strings.HasPrefix(cells[1], "---") {
			continue
		}
		if cell := strings.TrimSpace(cells[1]); cell != "" {
			figure = cell
		}
		found[figure] += len(name.FindAllString(cells[3], -1))
		for _, metric := range name.FindAllString(line, -1) {
			require.True(t, metrics[strings.TrimSuffix(metric, "_bucket")], "%s: no component has %s", figure, metric)
		}
	}
	for _, figure := range []string{
		"Trace ingestion rate", "Assembly latency", "Query performance", "Storage efficiency", "Service availability", "Trace completeness",
		"Context accuracy",
	} {
		require.Positive(t, found[figure], "docs/telemetry.md names no metric for %q", figure)
	}
}
