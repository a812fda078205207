package api

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
)

func TestConcurrency(t *testing.T) {
	l := newLimiter(Limits{Concurrent: 2, ConcurrentPerClient: 1}, time.Now)
	require.True(t, l.begin())
	require.True(t, l.begin())
	require.False(t, l.begin())
	l.end()
	require.True(t, l.begin())

	end, why, _ := l.beginClient("a")
	require.Empty(t, why)
	_, why, wait := l.beginClient("a")
	require.Equal(t, refusedConcurrency, why)
	require.Equal(t, time.Second, wait)
	_, why, _ = l.beginClient("b")
	require.Empty(t, why)
	end()
	_, why, _ = l.beginClient("a")
	require.Empty(t, why)
}

// Two requests a second and three at a time: a client that asks every 100 ms gets three, and then every fifth.
func TestRate(t *testing.T) {
	now := testNow
	l := newLimiter(Limits{RatePerClient: 2, BurstPerClient: 3}, func() time.Time { return now })
	var served []int
	for i := range 30 {
		if end, why, wait := l.beginClient("a"); why == "" {
			served = append(served, i)
			end()
		} else {
			require.Equal(t, refusedRate, why)
			require.Positive(t, wait)
			require.LessOrEqual(t, wait, 500*time.Millisecond)
		}
		now = now.Add(100 * time.Millisecond)
	}
	require.Equal(t, []int{0, 1, 2, 5, 10, 15, 20, 25}, served)
	end, why, _ := l.beginClient("b")
	require.Empty(t, why, "others are not concerned")
	end()
}

// Whoever asks under ever new names is one client in the end, and what is known of clients stays bounded and is forgotten.
func TestManyClients(t *testing.T) {
	now := testNow
	l := newLimiter(Limits{RatePerClient: 0.001, BurstPerClient: 1}, func() time.Time { return now })
	running, why, _ := l.beginClient("runs")
	require.Empty(t, why)
	for i := range 2 * maxClients {
		end, why, _ := l.beginClient(fmt.Sprint("client ", i))
		if i < maxClients {
			require.Empty(t, why)
			end()
		} else {
			require.Equal(t, refusedRate, why)
		}
	}
	require.LessOrEqual(t, len(l.clients), maxClients+1)
	now = now.Add(forgetAfter)
	end, why, _ := l.beginClient("late")
	require.Empty(t, why)
	end()
	require.Len(t, l.clients, 2, "who runs still, and the new one")
	running()
}

// However requests come and go, no more run than may, and in the end none does.
func TestLimiterCounts(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		l := newLimiter(Limits{ConcurrentPerClient: 3}, time.Now)
		var running [4][]func()
		for range 1000 {
			who := random.IntN(4)
			if n := len(running[who]); n > 0 && random.IntN(2) == 0 {
				running[who][n-1]()
				running[who] = running[who][:n-1]
				continue
			}
			end, why, _ := l.beginClient(fmt.Sprint(who))
			require.Equal(t, len(running[who]) < 3, why == "")
			if end != nil {
				running[who] = append(running[who], end)
			}
		}
		for _, ends := range running {
			for _, end := range ends {
				end()
			}
		}
		for _, c := range l.clients {
			require.Zero(t, c.running)
		}
	}
}

// A client is who the authenticator says, else its address, whatever its port and its headers.
func TestClientNames(t *testing.T) {
	r := get("/")
	r.RemoteAddr = "10.0.0.1:1234"
	r.Header.Set("X-Forwarded-For", "10.9.9.9")
	require.Equal(t, "address 10.0.0.1", clientName(r))
	r.RemoteAddr = "[2001:db8::1]:99"
	require.Equal(t, "address 2001:db8::1", clientName(r))
	r.RemoteAddr = "@"
	require.Equal(t, "address @", clientName(r))
	named := r.WithContext(client.NewContext(context.Background(), client.Info{Auth: claims{"subject": "ann"}}))
	require.Equal(t, "subject ann", clientName(named))
	unnamed := r.WithContext(client.NewContext(context.Background(), client.Info{Auth: claims{"raw": "x"}}))
	require.Equal(t, "address @", clientName(unnamed))
}

// Readers of large traces share what memory there is for them.
func TestTraceMemoryIsShared(t *testing.T) {
	s := settings(nil)
	store := storeOf(t, storedShop())
	s.Service.Storage = storageOf(store)
	s.Service.Memory.Total = 1000 // the shop's trace is larger
	h := newHandler(s, func() time.Time { return testNow })
	require.Equal(t, http.StatusOK, do(h, get("/traces/"+knownID)).Code, "who is alone gets what there is")
	ctx, end := s.Service.Memory.Begin(t.Context())
	_, err := s.Service.Trace(ctx, "", parsedID(t))
	require.NoError(t, err)
	response := do(h, get("/traces/"+knownID))
	require.Equal(t, "1", response.Header().Get("Retry-After"))
	require.Contains(t, requireProblem(t, http.StatusServiceUnavailable, response).Detail, "limits::max_total_trace_bytes")
	end()
	require.Equal(t, http.StatusOK, do(h, get("/traces/"+knownID)).Code)
}
