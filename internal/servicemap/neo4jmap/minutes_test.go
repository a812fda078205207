package neo4jmap

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/servicemap/servicemaptest"
)

// countingDriver counts transactions that the server has refused or given up, as it does where two wait for one another.
type countingDriver struct {
	neo4j.DriverWithContext
	refused *atomic.Int64
}

func (d countingDriver) NewSession(ctx context.Context, c neo4j.SessionConfig) neo4j.SessionWithContext {
	return countingSession{d.DriverWithContext.NewSession(ctx, c), d.refused}
}

type countingSession struct {
	neo4j.SessionWithContext
	refused *atomic.Int64
}

func (s countingSession) ExecuteWrite(
	ctx context.Context, work neo4j.ManagedTransactionWork, configurers ...func(*neo4j.TransactionConfig),
) (any, error) {
	result, err := s.SessionWithContext.ExecuteWrite(ctx, work, configurers...)
	if err != nil {
		s.refused.Add(1)
	}
	return result, err
}

// testMinuteStarts: gateways that begin the same minute together make the same relationships, and add to those that others have just
// made. The server gives none of their transactions up.
func testMinuteStarts(t *testing.T, s *server) {
	const gateways, minutes = 8, 10
	w, r := s.empty(t, Options{Now: func() time.Time { return start.Add(time.Hour) }}), s.reader(t)
	f := servicemaptest.NewTraffic(7)
	var refused atomic.Int64
	var writers [gateways]*Writer
	for i := range writers {
		writers[i] = s.writer(t, w.options)
		writers[i].client.driver = countingDriver{writers[i].client.driver, &refused}
	}
	for minute := range minutes {
		var wait sync.WaitGroup
		for _, writer := range writers {
			var calls []ptrace.Traces
			for range 2 {
				calls = append(calls, f.Call(t, "", "production", start.Add(time.Duration(minute)*time.Minute), 3))
			}
			wait.Go(func() {
				for _, td := range calls {
					assert.NoError(t, writer.WriteCall(t.Context(), td))
				}
			})
		}
		wait.Wait()
	}
	require.Zero(t, refused.Load())
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Hour)))
}
