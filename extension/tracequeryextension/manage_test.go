package tracequeryextension

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/pebblestore"
)

// realStorage is a trace_store extension with one embedded store, "main".
type realStorage struct {
	component.StartFunc
	component.ShutdownFunc
	*pebblestore.Store
}

func (s *realStorage) HasBackend(name string) bool                { return name == "main" }
func (s *realStorage) BackendNames() []string                     { return []string{"main"} }
func (s *realStorage) Backend(string) (tracestore.Backend, error) { return s.Store, nil }

// oneToken accepts one token.
func oneToken(token string) component.Component {
	return &testAuthenticator{ServerAuthenticateFunc: func(ctx context.Context, sources map[string][]string) (context.Context, error) {
		if http.Header(sources).Get("Authorization") != "Bearer "+token {
			return ctx, os.ErrPermission
		}
		return ctx, nil
	}}
}

var _ extensionauth.Server = (*testAuthenticator)(nil)

var managersID = component.MustNewIDWithName("bearertokenauth", "managers")

// storeHost has a store with one trace of now, and authenticators for readers and managers.
func storeHost(t *testing.T) testHost {
	t.Helper()
	store, err := pebblestore.Open(pebblestore.Options{Path: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	span.SetSpanID(pcommon.SpanID{1})
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	require.NoError(t, store.WriteCall(t.Context(), td))
	return testHost{storageID: &realStorage{Store: store}, authID: oneToken("read"), managersID: oneToken("manage")}
}

// change makes a request that changes something.
func change(t *testing.T, method, url, token string) (status int, body string) {
	t.Helper()
	r := request(t, method, url, map[string]string{"POST": `{"name": "copy"}`}[method])
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	return send(t, r)
}

// TestReaderCannotChange: with both authenticators a reader reads, a manager changes.
func TestReaderCannotChange(t *testing.T) {
	backups := filepath.Join(t.TempDir(), "backups")
	_, url := start(t, storeHost(t), func(c *Config) { c.Auth, c.ManageAuth, c.BackupDir = &authID, &managersID, backups })
	for _, r := range [][2]string{{"DELETE", url + "/traces/" + traceID}, {"POST", url + "/admin/backup"}} {
		status, body := change(t, r[0], r[1], "")
		require.Equal(t, http.StatusUnauthorized, status, body)
		status, body = change(t, r[0], r[1], "read")
		require.Equal(t, http.StatusForbidden, status, body)
	}
	require.NoDirExists(t, backups)

	status, body := change(t, "POST", url+"/admin/backup", "manage")
	require.Equal(t, http.StatusCreated, status, body)
	var made struct {
		Path  string `json:"path"`
		Bytes int64  `json:"bytes"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &made))
	require.Equal(t, filepath.Join(backups, "copy"), made.Path)
	require.Positive(t, made.Bytes)
	status, body = change(t, "POST", url+"/admin/backup", "manage")
	require.Equal(t, http.StatusConflict, status, body)

	status, _ = change(t, "DELETE", url+"/traces/"+traceID, "manage")
	require.Equal(t, http.StatusNoContent, status)
	r := request(t, "GET", url+"/traces/"+traceID, "")
	r.Header.Set("Authorization", "Bearer read")
	status, _ = send(t, r)
	require.Equal(t, http.StatusNotFound, status)

	// The backup has what was deleted later.
	result, err := pebblestore.Check(t.Context(), made.Path)
	require.NoError(t, err)
	require.Zero(t, result.FaultCount)
	require.Equal(t, int64(1), result.Traces)
}

// TestChangesWithoutManageAuth: on loopback they are open, and nowhere else.
func TestChangesWithoutManageAuth(t *testing.T) {
	_, url := start(t, storeHost(t), nil)
	status, body := change(t, "POST", url+"/admin/backup", "")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "backup_dir")
	status, _ = change(t, "DELETE", url+"/traces/"+traceID, "")
	require.Equal(t, http.StatusNoContent, status)

	_, url = start(t, storeHost(t), func(c *Config) { c.HTTP.NetAddr.Endpoint = "0.0.0.0:0" })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	url = "http://127.0.0.1:" + port
	status, body = change(t, "DELETE", url+"/traces/"+traceID, "")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "manage_auth")
	status, _ = send(t, request(t, "GET", url+"/traces/"+traceID, ""))
	require.Equal(t, http.StatusOK, status, "it is there still")
}

// TestPagesThatMayChange: those of http::cors::allowed_origins, and the server's own.
func TestPagesThatMayChange(t *testing.T) {
	_, url := start(t, storeHost(t), func(c *Config) {
		c.HTTP.CORS = configoptional.Some(confighttp.CORSConfig{AllowedOrigins: []string{"https://ops.example"}})
	})
	for origin, want := range map[string]int{
		"https://evil.example": http.StatusForbidden, "null": http.StatusForbidden, url: http.StatusNotFound, "https://ops.example": http.StatusNotFound,
	} {
		r := request(t, "DELETE", url+"/traces/"+strings.Repeat("a", 32), "")
		r.Header.Set("Origin", origin)
		status, body := send(t, r)
		require.Equal(t, want, status, "%s: %s", origin, body)
	}
}
