package api

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/servicemap"
)

// TestServiceMapAway: the map's storage is another one than that of the traces, and may be away alone.
func TestServiceMapAway(t *testing.T) {
	for detail, failure := range map[string]error{
		"the service map is not available; Tracewright's log has the details": fmt.Errorf("%w: Neo4j at bolt://10.0.0.1 cannot be reached", servicemap.ErrUnavailable),
		"the trace storage is starting or stopping; try again":                servicemap.ErrClosed,
	} {
		s := settings(&fakeStorage{})
		s.Service.Graph = func() (servicemap.Reader, error) { return nil, failure }
		h := newHandler(s, func() time.Time { return testNow })
		for _, target := range []string{"/traces/services", "/traces/dependencies"} {
			response := do(h, get(target))
			require.Equal(t, detail, requireProblem(t, http.StatusServiceUnavailable, response).Detail, target)
			require.Equal(t, "1", response.Header().Get("Retry-After"))
			require.NotContains(t, response.Body.String(), "10.0.0.1")
		}
		require.Equal(t, http.StatusOK, do(h, get("/traces/operations")).Code)
	}
}
