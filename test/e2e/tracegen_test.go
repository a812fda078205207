package e2e

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
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
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			truth := filepath.Join(t.TempDir(), "truth.jsonl")
			endpoint := net.JoinHostPort("127.0.0.1", strconv.Itoa(i.ports["OTLP_GRPC"]))
			output, err := exec.CommandContext(ctx, tracegen, append(flags, "--total", "1000", "--seed", "1", "--endpoint", endpoint, "--expect", truth)...).CombinedOutput()
			require.NoError(t, err, string(output))
			output, err = exec.CommandContext(ctx, tracegen, "verify", truth, "--api", i.url("QUERY", "")).CombinedOutput()
			require.NoError(t, err, string(output))
			if name != "late spans" {
				require.Contains(t, string(output), "0 differ in calls or errors (by 0 of ", "nothing to repair, so nothing is off")
			}
		})
	}
}
