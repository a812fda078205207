package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// open opens a store with two traces of one tenant and one of another.
func open(t *testing.T, path string) *pebblestore.Store {
	t.Helper()
	store, err := pebblestore.Open(pebblestore.Options{Path: path, Now: func() time.Time { return noon }})
	require.NoError(t, err)
	for n, tenant := range []string{"", "", "team \x01"} {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr(conventions.AttrTenant, tenant)
		for id := range byte(3) {
			span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			span.SetTraceID(pcommon.TraceID{15: byte(n + 1)})
			span.SetSpanID(pcommon.SpanID{7: id + 1})
		}
		require.NoError(t, store.WriteCall(t.Context(), td))
	}
	return store
}

func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = Run(t.Context(), args, &out, &err)
	return status, out.String(), err.String()
}

func TestSoundStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	require.NoError(t, open(t, path).Close())

	status, out, errs := run(t, "check", path)
	require.Equal(t, statusDone, status, errs)
	require.Contains(t, out, path+": sound\n")
	require.Contains(t, out, "9 spans in 3 releases of 3 traces")
	require.Empty(t, errs)

	status, out, _ = run(t, "check", path, "--json")
	require.Equal(t, statusDone, status)
	var c checked
	require.NoError(t, json.Unmarshal([]byte(out), &c))
	require.Positive(t, c.Rollups)
	c.Rollups = 0
	require.Equal(t, checked{Sound: true, Format: 2, Blocks: 3, Traces: 3, Releases: 3, Spans: 9, Faults: []fault{}}, c)

	status, out, _ = run(t, "stats", "--json", path)
	require.Equal(t, statusDone, status)
	var s statistics
	require.NoError(t, json.Unmarshal([]byte(out), &s))
	require.Positive(t, s.DiskBytes)
	require.Equal(t, []int64{3, 9}, []int64{s.Traces, s.Spans})
	require.Len(t, s.Days, 2)
	require.Equal(t, day{Tenant: "", Day: "2026-03-01", Traces: 2, Spans: 6, Bytes: s.Days[0].Bytes}, s.Days[0])

	status, out, _ = run(t, "stats", path)
	require.Equal(t, statusDone, status)
	require.Contains(t, out, "2026-03-01")
	require.Contains(t, out, `"team \x01"`, "a tenant's name does not reach the terminal as it is")
	require.Contains(t, out, "all")
}

func TestBrokenStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	require.NoError(t, open(t, path).Close())
	// What is in the log becomes a table when it is opened again.
	store, err := pebblestore.Open(pebblestore.Options{Path: path, Now: func() time.Time { return noon }})
	require.NoError(t, err)
	require.NoError(t, store.Close())
	tables, err := filepath.Glob(filepath.Join(path, "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, table := range tables {
		content, err := os.ReadFile(table)
		require.NoError(t, err)
		content[len(content)/4] ^= 0x10
		require.NoError(t, os.WriteFile(table, content, 0o600))
	}
	status, out, _ := run(t, "check", path)
	require.Equal(t, statusFaults, status, out)
	require.Contains(t, out, " faults\n")
	status, out, _ = run(t, "check", "--json", path)
	require.Equal(t, statusFaults, status)
	var c checked
	require.NoError(t, json.Unmarshal([]byte(out), &c))
	require.False(t, c.Sound)
	require.NotEmpty(t, c.Faults)
}

func TestFoldersThatCannotBeRead(t *testing.T) {
	inUse := filepath.Join(t.TempDir(), "store")
	store := open(t, inUse)
	defer func() { require.NoError(t, store.Close()) }()
	empty := t.TempDir()
	for path, want := range map[string]string{
		inUse: "in use by another process", empty: "does not hold a trace store", filepath.Join(empty, "none"): "no such file",
	} {
		for _, name := range []string{"check", "stats"} {
			status, out, errs := run(t, name, path)
			require.Equal(t, statusFailed, status)
			require.Empty(t, out)
			require.Contains(t, errs, want)
			require.Contains(t, errs, path)
			require.Equal(t, 1, strings.Count(errs, "\n"))
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"look"}, {"check"}, {"check", "a", "b"}, {"stats", "--yaml", "a"}, {"check", "--json"}} {
		status, out, errs := run(t, args...)
		require.Equal(t, statusUsage, status, args)
		require.Empty(t, out)
		require.Contains(t, errs, "tracewrightctl --help")
	}
	for _, args := range [][]string{{"--help"}, {"help"}, {"check", "--help"}, {"stats", "-h"}, {"schema", "--help"}} {
		status, out, errs := run(t, args...)
		require.Equal(t, statusDone, status, args)
		require.Equal(t, usage, out)
		require.Empty(t, errs)
	}
}
