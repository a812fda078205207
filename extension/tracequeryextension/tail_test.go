package tracequeryextension

import (
	"bufio"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Who follows is not cut off by the times that other requests have, and does not hold up the shutdown.
func TestFollowing(t *testing.T) {
	storage := &testStorage{opened: true}
	const limit = 100 * time.Millisecond
	ext, url := start(t, newHost(storage), func(c *Config) {
		c.HTTP.ReadTimeout, c.HTTP.WriteTimeout, c.QueryTimeout = limit, limit, limit/2
	})
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request(t, http.MethodGet, url+"/traces/live", ""))
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	lines := bufio.NewScanner(response.Body)
	next := func() string {
		for lines.Scan() {
			if lines.Text() != "" {
				return lines.Text()
			}
		}
		return ""
	}
	require.Equal(t, ": following", next())
	began := time.Now()
	for time.Since(began) < 3*limit {
		storage.tails.Tell([]tracetree.Release{{}}, func(*tracetree.Release) (*tracestore.Summary, []tracetree.Span) {
			return &tracestore.Summary{}, nil
		})
		require.Equal(t, "event: trace", next())
		require.Contains(t, next(), "data: {")
	}
	stopping := time.Now()
	require.NoError(t, ext.Shutdown(t.Context()))
	require.Less(t, time.Since(stopping), shutdownGrace)
	require.Equal(t, "event: end", next())
	require.Equal(t, `data: {"reason":"stopping","missed":0}`, next())
	require.Empty(t, next())
	require.NoError(t, lines.Err())
}
