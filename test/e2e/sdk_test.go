package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sdkRequests is how many requests each language's front service is sent.
const sdkRequests = 5

// TestSDKs runs the example of each language under its SDK: what automatic instrumentation and a span made by hand send is one trace.
func TestSDKs(t *testing.T) {
	i := startInstance(t)
	for _, language := range []struct {
		name  string
		tools []string
		route string // what the instrumentation makes of GET /checkout
	}{
		{"go", []string{"go"}, "GET /checkout"},
		{"nodejs", []string{"node", "npm"}, "GET"},
		{"java", []string{"java", "javac", "mvn"}, "GET /checkout"},
	} {
		t.Run(language.name, func(t *testing.T) {
			for _, tool := range append(language.tools, "curl") {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("%s is not installed", tool)
				}
			}
			for _, id := range runSDK(t, i, language.name) {
				trace := i.trace(id, func(trace *traceAnswer) error {
					if trace.SpanCount != 4 {
						return fmt.Errorf("%d spans", trace.SpanCount)
					}
					return nil
				})
				require.Equal(t, operationAnswer{language.name + "-front", language.route}, trace.Entry)
				require.Equal(t, []string{language.name + "-back", language.name + "-front"}, trace.Services)
				require.Zero(t, trace.MissingParents)
				checkSDKSpans(t, trace, language.name)
			}
		})
	}
}

// checkSDKSpans: server, business span, client, server, each below the one before.
func checkSDKSpans(t *testing.T, trace *traceAnswer, language string) {
	t.Helper()
	children := map[string]spanAnswer{}
	for _, span := range trace.Spans {
		children[span.ParentSpanID] = span
	}
	parent := ""
	for _, want := range []struct{ service, kind string }{
		{"front", "server"}, {"front", "internal"}, {"front", "client"}, {"back", "server"},
	} {
		span, ok := children[parent]
		require.True(t, ok, "no span below %q", parent)
		require.Equal(t, language+"-"+want.service, span.Service)
		require.Equal(t, want.kind, span.Kind)
		require.Empty(t, span.Violations)
		if want.kind == "internal" {
			require.Equal(t, "place order", span.Operation)
			require.Equal(t, "o-1", span.Attributes["app.order.id"])
			require.InDelta(t, 19.9, span.Attributes["app.order.value"], 1e-9)
		}
		parent = span.SpanID
	}
}

// runSDK runs a language's example and returns the ids of its traces.
func runSDK(t *testing.T, i *instance, language string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // the first run installs from the registries
	defer cancel()
	cache, err := filepath.Abs(filepath.Join(root, ".cache", "sdk"))
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, filepath.Join(root, "examples", "sdk", "run.sh"), language, strconv.Itoa(sdkRequests))
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+i.url("OTLP_HTTP", ""), "SDK_CACHE="+cache)
	for name, port := range freePorts(t, "FRONT", "BACK") {
		cmd.Env = append(cmd.Env, name+"_PORT="+strconv.Itoa(port))
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it stops its services
	cmd.WaitDelay = timeout
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", output, stderr.String())
	var ids []string
	for _, line := range strings.Fields(string(output)) {
		if len(line) == 32 {
			ids = append(ids, line)
		}
	}
	require.Len(t, ids, sdkRequests, "%s\n%s", output, stderr.String())
	return ids
}
