package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestWhoMayWhat asks every operation of the running API as a stranger and as a reader: strangers get nothing but the state of the
// process, readers change nothing.
func TestWhoMayWhat(t *testing.T) {
	i := startGuarded(t)
	blue := http.Header{"X-Tracewright-Tenant": {"blue"}}
	i.send(checkout(), blue)
	reader := http.Header{"Authorization": {"Bearer reader"}, "X-Tracewright-Tenant": {"blue"}}
	i.await("the trace", func() error {
		_, err := i.do(http.MethodGet, i.url("QUERY", "/traces/"+exampleID), nil, http.StatusOK, reader)
		return err
	})
	content, err := i.do(http.MethodGet, i.url("QUERY", "/openapi.yaml"), nil, http.StatusOK, reader)
	require.NoError(t, err)
	var document struct {
		Paths map[string]map[string]struct {
			Security *[]map[string]any `yaml:"security"`
		} `yaml:"paths"`
	}
	require.NoError(t, yaml.Unmarshal(content, &document))
	changes := 0
	for path, item := range document.Paths {
		for method, operation := range item {
			needs := "read"
			if operation.Security != nil {
				needs = "nothing"
				for _, scheme := range *operation.Security {
					for name := range scheme {
						needs = name
					}
				}
			}
			request := everyOperation[method+" "+path]
			ask := func(status int, header http.Header) []byte {
				var body []byte
				if request.body != "" {
					body = []byte(request.body)
				}
				target := strings.ReplaceAll(request.target, doomedID, exampleID)
				target = strings.ReplaceAll(target, "checkout-team", "config:otlp") // the source that is there
				answer, err := i.do(strings.ToUpper(method), i.url("QUERY", target), body, status, header)
				require.NoError(t, err)
				return answer
			}
			switch needs {
			case "nothing":
				require.NotContains(t, string(ask(http.StatusOK, blue)), "trace_store")
				require.Contains(t, string(ask(http.StatusOK, reader)), "trace_store")
			case "manage":
				changes++
				ask(http.StatusUnauthorized, blue)
				ask(http.StatusForbidden, reader)
			default:
				ask(http.StatusUnauthorized, blue)
				if path == "/traces/live" { // which has no end
					requireBegins(t, i.url("QUERY", request.target), reader)
					continue
				}
				ask(http.StatusOK, reader)
			}
		}
	}
	require.GreaterOrEqual(t, changes, 2)
	i.awaitLogs(`"operation": "deleteTrace"`, `"operation": "createBackup"`, `"outcome": "refused"`)
	red := http.Header{"Authorization": {"Bearer reader"}, "X-Tracewright-Tenant": {"red"}}
	_, err = i.do(http.MethodGet, i.url("QUERY", "/traces/"+exampleID), nil, http.StatusNotFound, red)
	require.NoError(t, err)
}

// requireBegins wants an answer that may go on for ever, and ends it.
func requireBegins(t *testing.T, url string, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	r.Header = header
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}

// TestPagesOfOtherSites: a name that leads here is not the server's, and the answer says what to set.
func TestPagesOfOtherSites(t *testing.T) {
	i := startInstance(t, "--set=extensions.trace_query.allowed_hosts=[traces.example]")
	for host, want := range map[string]int{"evil.example": http.StatusForbidden, "traces.example": http.StatusNotFound, "": http.StatusNotFound} {
		require.Equal(t, want, i.askedAs(host), host)
	}

	// The same of gateways, which are asked by the name of a Service, also while their servers are away.
	g := newInstance(t)
	g.file, g.env = "gateway.yaml", []string{"TRACEWRIGHT_ALLOWED_HOSTS=[traces.example]", "TRACEWRIGHT_CLICKHOUSE=http://127.0.0.1:1", "TRACEWRIGHT_NEO4J=bolt://127.0.0.1:1"}
	g.start()
	for host, refused := range map[string]bool{"evil.example": true, "traces.example": false, "": false} {
		require.Equal(t, refused, g.askedAs(host) == http.StatusForbidden, host)
	}
}

// askedAs is the answer's status where the API is asked by this name, "" is its address.
func (i *instance) askedAs(host string) int {
	i.t.Helper()
	r, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, i.url("QUERY", "/traces/"+exampleID), http.NoBody)
	require.NoError(i.t, err)
	r.Host = host
	response, err := http.DefaultClient.Do(r)
	require.NoError(i.t, err)
	require.NoError(i.t, response.Body.Close())
	return response.StatusCode
}
