package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who finds a violation on a span looks it up in the README of trace_analysis: each is there, in order, and none that is not.
func TestViolationsAreDocumented(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "internal", "conventions", "annotations.go"))
	require.NoError(t, err)
	var want []string
	for _, match := range regexp.MustCompile(`(?m)^\tViolation\w+ += "(\w+)"$`).FindAllSubmatch(source, -1) {
		want = append(want, string(match[1]))
	}
	require.NotEmpty(t, want)

	readme, err := os.ReadFile(filepath.Join(root, "processor", "traceanalysisprocessor", "README.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(readme), "\n## Violations\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var got []string
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		name, _, _ := strings.Cut(line[2:], " | ")
		for _, match := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(name, -1) {
			got = append(got, match[1])
		}
	}
	require.Equal(t, want, got)
	require.True(t, slices.IsSorted(want), "internal/analysis keeps them sorted")
}
