package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Configuration that cannot work fails at start, with a line that names the key and the mend.
func TestConfigurationThatCannotWork(t *testing.T) {
	aFile := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(aFile, nil, 0o600))
	for name, test := range map[string]struct {
		set  string
		want []string // all in one line
	}{
		"negative linger":     {"processors.trace_assembly.linger=-1s", []string{"linger", "-1s"}},
		"negative max_wait":   {"processors.trace_assembly.max_wait=-1s", []string{"max_wait", "-1s"}},
		"quiet upside down":   {"processors.trace_assembly.quiet.min=20s", []string{"quiet::min", "quiet::max"}},
		"unknown key":         {"processors.trace_assembly.lingr=1s", []string{"lingr"}},
		"no attribute":        {"processors.trace_analysis.business.attributes=['']", []string{"business::attributes[0]", "name an attribute"}},
		"data folder a file":  {"extensions.trace_store.backends.main.pebble.path=" + aFile, []string{"backends::main::pebble::path", aFile, "is a file"}},
		"below a file":        {"extensions.trace_store.backends.main.pebble.path=" + aFile + "/x", []string{"backends::main::pebble::path", aFile}},
		"no path":             {"extensions.trace_store.backends.main.pebble.path=", []string{"backends::main::pebble::path"}},
		"negative retention":  {"extensions.trace_store.backends.main.pebble.retention=-1h", []string{"backends::main::pebble::retention", "-1h"}},
		"unknown store":       {"exporters.trace_store.storage=other", []string{"storage", `"other"`, "main"}},
		"unknown query store": {"extensions.trace_query.storage=other", []string{"storage", `"other"`, "main"}},
		"raw spans to others": {"service.pipelines.traces.processors=[trace_analysis, trace_assembly]", []string{"service::pipelines::traces", "raw_spans", "otlp", "first processor"}},
		"unknown auth":        {"extensions.trace_query.auth=oidc/none", []string{"auth", "oidc/none"}},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstance(t)
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			cmd := i.command(ctx, "--set="+test.set)
			cmd.WaitDelay = time.Second
			output, err := cmd.CombinedOutput()
			require.Error(t, err, "it started:\n%s", output)
			require.NoError(t, ctx.Err(), "it started:\n%s", output)
			require.True(t, oneLineHas(string(output), test.want), "no line of the output has all of %q:\n%s", test.want, output)
			require.NotContains(t, string(output), "goroutine ", "a stack trace is no answer")
		})
	}
}

func oneLineHas(text string, parts []string) bool {
	for line := range strings.Lines(text) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

// Every file that users start is valid; name.more.yaml is for beside name.yaml, and what is in examples beside the file of its name, or tracewright.yaml.
func TestConfigurationsAreValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "config", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	examples, err := filepath.Glob(filepath.Join(root, "examples", "*", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, examples)
	for _, file := range append(files, examples...) {
		if filepath.Base(filepath.Dir(file)) == "alerts" { // for Prometheus
			continue
		}
		name, more, _ := strings.Cut(filepath.Base(file), ".")
		args := []string{"validate", "--config", file}
		switch {
		case slices.Contains(examples, file):
			base := filepath.Join(root, "config", name+".yaml")
			if !slices.Contains(files, base) {
				base = filepath.Join(root, "config", "tracewright.yaml")
			}
			args = []string{"validate", "--config", base, "--config", file}
		case more != "yaml":
			args = []string{"validate", "--config", filepath.Join(root, "config", name+".yaml"), "--config", file}
		}
		cmd := exec.CommandContext(t.Context(), binary(t, "tracewright"), args...)
		cmd.Env = append(os.Environ(), "KUBE_NODE_NAME=node", "TRACEWRIGHT_GATEWAY=gateways")
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", file, output)
	}
}

// A second process on the same data folder must not harm the first.
func TestDataFolderInUse(t *testing.T) {
	first := startInstance(t)
	second := newInstance(t)
	second.data = first.data
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	output, err := second.command(ctx).CombinedOutput()
	require.Error(t, err)
	require.NoError(t, ctx.Err(), "it started:\n%s", output)
	require.True(t, oneLineHas(string(output), []string{"backends::main::pebble::path", "in use"}), string(output))
}
