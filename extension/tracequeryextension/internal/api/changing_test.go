package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// changes are requests of all operations that change something.
func changes() []*http.Request {
	return []*http.Request{deleteTrace(knownID), postBackup("{}")}
}

// TestWhoMayChange asks as everybody in every setting. Where it is allowed a deletion answers 404 and a backup 501.
func TestWhoMayChange(t *testing.T) {
	const allowed = 0
	reader, manager := tokens{"Bearer reader": {}}, tokens{"Bearer manager": {}}
	for name, test := range map[string]struct {
		change func(s *Settings)
		want   map[string]int // by token
	}{
		"nobody is asked, on loopback":   {func(*Settings) {}, map[string]int{"": allowed, "Bearer x": allowed}},
		"nobody is asked, reachable":     {func(s *Settings) { s.Loopback = false }, map[string]int{"": 403}},
		"readers are asked, on loopback": {func(s *Settings) { s.ReadAuthenticator = reader }, map[string]int{"": 401, "Bearer x": 401, "Bearer reader": allowed}},
		"readers are asked, reachable": {
			func(s *Settings) { s.ReadAuthenticator, s.Loopback = reader, false }, map[string]int{"": 401, "Bearer reader": 403},
		},
		"managers are asked": {func(s *Settings) { s.ManageAuthenticator = manager }, map[string]int{"": 401, "Bearer manager": allowed}},
		"both are asked": {
			func(s *Settings) { s.ManageAuthenticator, s.ReadAuthenticator, s.Loopback = manager, reader, false },
			map[string]int{"": 401, "Bearer x": 401, "Bearer reader": 403, "Bearer manager": allowed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings(&fakeStorage{})
			test.change(&s)
			for token, want := range test.want {
				for _, r := range changes() {
					r.Header.Set("Authorization", token)
					response := do(NewHandler(s), r)
					if want == allowed {
						require.Contains(t, []int{404, 501}, response.Code, "%s %s", token, r.URL)
						continue
					}
					require.Equal(t, want, response.Code, "%s %s", token, r.URL)
					p := requireProblem(t, want, response)
					require.NotEmpty(t, p.Detail)
					require.Equal(t, want == 401, response.Header().Get("WWW-Authenticate") != "")
				}
			}
		})
	}
}

// A reader's token does not do for a manager where reading is not asked for, and a manager's does not read.
func TestManagerIsNoReader(t *testing.T) {
	s := settings(&fakeStorage{})
	s.ReadAuthenticator, s.ManageAuthenticator = tokens{"Bearer reader": {}}, tokens{"Bearer manager": {}}
	r := get("/traces/" + knownID)
	r.Header.Set("Authorization", "Bearer manager")
	requireProblem(t, http.StatusUnauthorized, do(NewHandler(s), r))
}

func TestBrowsersOfOtherSites(t *testing.T) {
	for name, test := range map[string]struct {
		host, origin, site string
		allowed            bool
	}{
		"no browser":             {"localhost:16686", "", "", true},
		"by address":             {"127.0.0.1:16686", "", "", true},
		"by IPv6 address":        {"[::1]:16686", "", "", true},
		"without a port":         {"LOCALHOST", "", "", true},
		"its own page":           {"localhost:16686", "http://localhost:16686", "same-origin", true},
		"its own page, old":      {"localhost:16686", "http://localhost:16686", "", true},
		"another site":           {"localhost:16686", "https://evil.example", "cross-site", false},
		"another site, old":      {"localhost:16686", "https://evil.example", "", false},
		"a page in a sandbox":    {"localhost:16686", "null", "", false},
		"another port":           {"localhost:16686", "http://localhost:3000", "same-site", false},
		"a trusted page":         {"localhost:16686", "https://ops.example", "cross-site", true},
		"a pattern is no origin": {"localhost:16686", "https://a.pattern.example", "cross-site", false},
		"a name that leads here": {"evil.example:16686", "", "", false},
		"its page":               {"evil.example:16686", "http://evil.example:16686", "same-origin", false},
		"nearly localhost":       {"localhost.evil.example", "", "", false},
		"an address elsewhere":   {"10.0.0.1:16686", "", "", false},
		"no host":                {"", "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings(&fakeStorage{})
			s.TrustedOrigins = []string{"https://ops.example", "https://*.pattern.example"}
			for _, r := range changes() {
				r.Host = test.host
				for header, value := range map[string]string{"Origin": test.origin, "Sec-Fetch-Site": test.site} {
					if value != "" {
						r.Header.Set(header, value)
					}
				}
				require.Equal(t, test.allowed, do(NewHandler(s), r).Code != http.StatusForbidden)
			}
		})
	}
	// With a token any name does that the server has; the page matters.
	s := settings(&fakeStorage{})
	s.ManageAuthenticator = tokens{"Bearer manager": {}}
	s.AllowedHosts = []string{"traces.example"}
	r := deleteTrace(knownID)
	r.Host = "traces.example"
	r.Header.Set("Authorization", "Bearer manager")
	require.Equal(t, http.StatusNotFound, do(NewHandler(s), r).Code)
	r.Header.Set("Origin", "https://evil.example")
	require.Equal(t, "Origin", requireProblem(t, http.StatusForbidden, do(NewHandler(s), r)).Field)
	// Reading stays open to pages that CORS lets through.
	search := postSearch("{}")
	search.Host = "traces.example"
	search.Header.Set("Origin", "https://evil.example")
	require.Equal(t, http.StatusOK, do(NewHandler(s), search).Code)
}

func TestDeleteTrace(t *testing.T) {
	h := storedHandler(t, storedShop())
	response := do(h, deleteTrace(strings.ToUpper(knownID)))
	require.Equal(t, http.StatusNoContent, response.Code)
	require.Empty(t, response.Body.Bytes())
	requireSafe(t, response)
	require.Equal(t, http.StatusNotFound, do(h, get("/traces/"+knownID)).Code)
	require.Empty(t, searchFor(t, h, "{}").Traces)
	p := requireProblem(t, http.StatusNotFound, do(h, deleteTrace(knownID)))
	require.Equal(t, "id", p.Field)
	require.Nil(t, p.InFlight)
	require.Equal(t, "id", requireProblem(t, http.StatusBadRequest, do(h, deleteTrace("xyz"))).Field)

	// Another tenant's trace is not there.
	h = storedHandler(t, storedShop())
	other := deleteTrace(knownID)
	other.Header.Set(tenantHeader, "other")
	requireProblem(t, http.StatusNotFound, do(h, other))
	require.Equal(t, http.StatusOK, do(h, get("/traces/"+knownID)).Code)
}

// storageError is a storage whose deletions fail.
type storageError struct {
	*fakeStorage
	err error
}

func (s storageError) Delete(context.Context, string, pcommon.TraceID) error { return s.err }

func TestDeleteFailures(t *testing.T) {
	for err, want := range map[error]int{tracestore.ErrClosed: 503, errors.New("broken"): 500, tracestore.ErrNotFound: 404} {
		s := settings(nil)
		s.Service.Storage = func() (tracestore.Backend, error) { return storageError{err: err}, nil }
		requireProblem(t, want, do(NewHandler(s), deleteTrace(knownID)))
	}
}

func TestBackup(t *testing.T) {
	var dirs []string
	s := settings(nil)
	s.BackupDir = filepath.FromSlash("/srv/backups")
	s.Service.Storage = func() (tracestore.Backend, error) { return backuper{dirs: &dirs}, nil }
	h := newHandler(s, func() time.Time { return testNow })
	for body, want := range map[string]string{
		`{}`:                       "/srv/backups/backup-20260102T120000Z",
		`{"name": "a_b-1.2"}`:      "/srv/backups/a_b-1.2",
		` {"name": "Before..it"} `: "/srv/backups/Before..it",
	} {
		dirs = nil
		response := do(h, postBackup(body))
		require.Equal(t, http.StatusCreated, response.Code)
		requireSafe(t, response)
		var answer openapi.Backup
		require.NoError(t, json.Unmarshal(response.Body.Bytes(), &answer))
		require.Equal(t, openapi.Backup{Path: filepath.FromSlash(want), Bytes: 42}, answer)
		require.Equal(t, []string{answer.Path}, dirs)
	}
	dirs = nil
	for body, field := range map[string]string{
		``: "", `[]`: "", `{"name": ""}`: "name", `{"name": ".."}`: "name", `{"name": "../a"}`: "name", `{"name": "a/b"}`: "name",
		`{"name": "/etc"}`: "name", `{"name": ".hidden"}`: "name", `{"name": "a\\b"}`: "name", `{"name": "a\u0000"}`: "name", `{"name": "a\n"}`: "name",
		`{"name": "` + strings.Repeat("a", 101) + `"}`: "name", `{"path": "a"}`: "path", `{"name": 1}`: "name",
	} {
		require.Equal(t, field, requireProblem(t, http.StatusBadRequest, do(h, postBackup(body))).Field, body)
	}
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"} {
		r := postBackup("{}")
		r.Header.Set("Content-Type", media)
		require.Equal(t, "Content-Type", requireProblem(t, http.StatusUnsupportedMediaType, do(h, r)).Field)
	}
	require.Empty(t, dirs)
}
