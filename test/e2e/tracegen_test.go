package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// buildTracegen builds the generator and returns its path.
func buildTracegen(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tracegen")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/tracegen")
	build.Dir = root
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	return path
}

// generate sends what the flags say, writes down what it was, and returns what the generator says of it.
func generate(t *testing.T, tracegen, endpoint, truth string, flags ...string) string {
	t.Helper()
	return runTracegen(t, tracegen, append(flags, "--endpoint", endpoint, "--expect", truth)...)
}

// verify waits until the API answers what was sent: every trace, every operation, every edge. It returns the report.
func verify(t *testing.T, tracegen, truth, api string, flags ...string) string {
	t.Helper()
	return runTracegen(t, tracegen, append([]string{"verify", truth, "--api", api}, flags...)...)
}

func runTracegen(t *testing.T, tracegen string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, tracegen, args...).CombinedOutput()
	require.NoError(t, err, string(output))
	return string(output)
}

// TestTruth compares what the API answers with what tracegen knows to have sent: every trace, every operation, every edge.
func TestTruth(t *testing.T) {
	tracegen := buildTracegen(t)
	for name, flags := range map[string][]string{
		"whole traces":    {"--shuffle", "500ms", "--dup", "1%"},
		"late spans":      {"--shuffle", "500ms", "--dup", "1%", "--late", "1%:3s-5s"},
		"failing service": {"--fault", "inventory:errors=20%"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := startInstance(t)
			truth := filepath.Join(t.TempDir(), "truth.jsonl")
			generate(t, tracegen, i.endpoint("OTLP_GRPC"), truth, append(flags, "--total", "1000", "--seed", "1")...)
			report := verify(t, tracegen, truth, i.url("QUERY", ""))
			if name != "late spans" {
				require.Contains(t, report, "0 differ in calls or errors (by 0 of ", "nothing to repair, so nothing is off")
			}
		})
	}
}
