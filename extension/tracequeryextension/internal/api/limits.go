package api

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bounds how many requests are served. 0 is no bound.
type Limits struct {
	// Concurrent is how many are served at once, ConcurrentPerClient how many of one client.
	Concurrent, ConcurrentPerClient int
	// RatePerClient is how many of one client are served in a second, in the mean; BurstPerClient how many at a time.
	RatePerClient  float64
	BurstPerClient int
}

// maxClients is how many clients are told apart; beyond it the others count as one.
const maxClients = 10_000

// forgetAfter is when a client that asks nothing is forgotten.
const forgetAfter = 10 * time.Minute

// limiter counts requests against Limits. A client is who the authenticator says it is (subject), else whoever comes from one address:
// behind a proxy all do.
type limiter struct {
	Limits
	now func() time.Time

	mu      sync.Mutex // guards the fields below
	running int
	clients map[string]*clientLimit
	swept   time.Time
}

// clientLimit is what is known of one client.
type clientLimit struct {
	running int
	seen    time.Time
	rate    *rate.Limiter // nil without a limit
}

func newLimiter(limits Limits, now func() time.Time) *limiter {
	return &limiter{Limits: limits, now: now, clients: make(map[string]*clientLimit), swept: now()}
}

// begin counts a request; false says that there is no room.
func (l *limiter) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Concurrent > 0 && l.running >= l.Concurrent {
		return false
	}
	l.running++
	return true
}

func (l *limiter) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
}

// beginClient counts a request of a client; why is empty unless it is to be refused, wait then says for how long. Who is let in calls
// end, once.
func (l *limiter) beginClient(name string) (end func(), why refusal, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c := l.client(name, now)
	if l.ConcurrentPerClient > 0 && c.running >= l.ConcurrentPerClient {
		return nil, refusedConcurrency, time.Second
	}
	if c.rate != nil {
		taken := c.rate.ReserveN(now, 1)
		if wait := taken.DelayFrom(now); wait > 0 {
			taken.CancelAt(now)
			return nil, refusedRate, wait
		}
	}
	c.running++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		c.running--
	}, "", 0
}

// client finds or makes what is known of a client, and forgets others. l.mu is held.
func (l *limiter) client(name string, now time.Time) *clientLimit {
	if now.Sub(l.swept) >= forgetAfter {
		l.swept = now
		for name, c := range l.clients {
			if c.running == 0 && now.Sub(c.seen) >= forgetAfter {
				delete(l.clients, name)
			}
		}
	}
	c, known := l.clients[name]
	if !known && len(l.clients) >= maxClients {
		name = "" // nobody's name
		c, known = l.clients[name]
	}
	if !known {
		c = &clientLimit{}
		if l.RatePerClient > 0 {
			c.rate = rate.NewLimiter(rate.Limit(l.RatePerClient), max(l.BurstPerClient, 1))
		}
		l.clients[name] = c
	}
	c.seen = now
	return c
}

// admitted lets a request pass while there is room for it.
func (h *handler) admitted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.limiter.begin() {
			h.tooMany(w, r, refusedConcurrency, time.Second, fmt.Sprintf(
				"the server works on %d requests, as many as limits::max_concurrent allows; try again", h.Limits.Concurrent))
			return
		}
		defer h.limiter.end()
		next.ServeHTTP(w, r)
	})
}

// fair lets a request pass of a client that has not asked for too much.
func (h *handler) fair(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end, why, wait := h.limiter.beginClient(clientName(r))
		switch why {
		case refusedConcurrency:
			h.tooMany(w, r, why, wait, fmt.Sprintf(
				"%d requests of this client are being answered, as many as limits::max_concurrent_per_client allows; try again",
				h.Limits.ConcurrentPerClient))
			return
		case refusedRate:
			h.tooMany(w, r, why, wait, fmt.Sprintf(
				"this client sends more than %g requests a second, which is what limits::rate_per_client allows", h.Limits.RatePerClient))
			return
		}
		defer end()
		next.ServeHTTP(w, r)
	})
}

// tooMany refuses a request that may come again after wait.
func (h *handler) tooMany(w http.ResponseWriter, r *http.Request, why refusal, wait time.Duration, detail string) {
	w.Header().Set("Retry-After", strconv.Itoa(max(int(math.Ceil(wait.Seconds())), 1)))
	h.refuse(w, r, why, newProblem(http.StatusTooManyRequests, fault{Detail: detail}))
}

// clientName tells clients apart; never empty.
func clientName(r *http.Request) string {
	if who := subject(r); who != "" {
		return "subject " + who
	}
	address := r.RemoteAddr
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return "address " + address
}
