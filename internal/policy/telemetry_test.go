package policy

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
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

// existingMetrics are those of all components of ours, and those of the collector's that TestMetricsOfTheCollector of test/e2e has seen.
func existingMetrics(t *testing.T) map[string]bool {
	t.Helper()
	metrics := documentedMetrics(t)
	content, err := os.ReadFile(filepath.Join(root, "test", "e2e", "testdata", "collector_metrics.txt"))
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		metrics[strings.TrimSpace(line)] = true
	}
	return metrics
}

// partOfHistogram is how Prometheus names the series of a histogram.
var partOfHistogram = regexp.MustCompile(`_(bucket|count|sum)$`)

// What operators read, and what wakes them, names metrics that exist.
func TestPagesAndAlertsNameMetricsThatExist(t *testing.T) {
	metrics, name := existingMetrics(t), regexp.MustCompile(`otelcol_\w+`)
	for _, file := range []string{"docs/telemetry.md", "docs/operation.md", "docs/kubernetes.md", "examples/alerts/rules.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		found := name.FindAllString(string(content), -1)
		require.NotEmpty(t, found, file)
		for _, metric := range found {
			if strings.HasSuffix(metric, "_") { // all that begin so
				continue
			}
			require.True(t, metrics[metric] || metrics[partOfHistogram.ReplaceAllString(metric, "")], "%s: no component has %s", file, metric)
		}
	}
}

// An alert says how urgent it is, what is wrong and what to do.
func TestAlertsSayWhatToDo(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "examples", "alerts", "rules.yaml"))
	require.NoError(t, err)
	var rules struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&rules))
	var names []string
	others := regexp.MustCompile(`\b(?:kubelet|node)_\w+|\bup\b`) // of Kubernetes, the node exporter and Prometheus
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
			require.Contains(t, []string{"page", "ticket"}, rule.Labels["severity"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["action"], rule.Alert)
			require.True(t, strings.Contains(rule.Expr, "otelcol_") || others.MatchString(rule.Expr), rule.Alert)
			require.Equal(t, strings.Count(rule.Expr, "("), strings.Count(rule.Expr, ")"), rule.Alert)
		}
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), len(names), "each name once")
	require.NotEmpty(t, names)
}

// Each figure of the specification is in docs/telemetry.md, with metrics that exist.
func TestTelemetryNamesMetricsThatExist(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "docs", "telemetry.md"))
	require.NoError(t, err)
	metrics, name := existingMetrics(t), regexp.MustCompile(`otelcol_\w+`)
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
			require.True(t, metrics[partOfHistogram.ReplaceAllString(metric, "")], "%s: no component has %s", figure, metric)
		}
	}
	for _, figure := range []string{
		"Trace ingestion rate", "Assembly latency", "Query performance", "Storage efficiency", "Service availability", "Trace completeness",
		"Context accuracy",
	} {
		require.Positive(t, found[figure], "docs/telemetry.md names no metric for %q", figure)
	}
}
