package neo4jmap

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/servicemaptest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// peerCalls is a call of a service to so many virtual peers.
func peerCalls(trace byte, tenant string, releasedAt time.Time, peers ...string) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	attrs := rs.Resource().Attributes()
	attrs.PutStr("service.name", "shop")
	attrs.PutInt(conventions.AttrReleasedAt, releasedAt.UnixNano())
	if tenant != "" {
		attrs.PutStr(conventions.AttrTenant, tenant)
	}
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i, peer := range peers {
		span := spans.AppendEmpty()
		span.SetTraceID([16]byte{15: trace})
		span.SetSpanID([8]byte{6: byte(i), 7: trace})
		span.SetKind(ptrace.SpanKindClient)
		span.Attributes().PutInt(conventions.AttrSpanCount, int64(len(peers)))
		span.Attributes().PutStr(conventions.AttrCategory, conventions.CategoryExternalCall)
		span.Attributes().PutStr(conventions.AttrPeerService, peer)
		span.Attributes().PutStr(conventions.AttrPeerKind, conventions.KindExternal)
		span.Attributes().PutStr("http.request.method", "GET")
	}
	return td
}

func hosts(first, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("host-%03d", first+i))
	}
	return names
}

func window(from, to time.Time) *servicemap.Window { return &servicemap.Window{Start: from, End: to} }

func testVirtualNodes(t *testing.T, s *server) {
	w, r := s.empty(t, Options{MaxVirtualNodes: 10, Now: func() time.Time { return start }}), s.reader(t)
	calls := func(tenant string) map[string]int64 {
		m, err := r.Map(t.Context(), tenant, window(start, start.Add(time.Minute)))
		require.NoError(t, err)
		by := make(map[string]int64)
		for _, e := range m.Edges {
			require.Equal(t, "shop", e.Parent)
			require.Equal(t, conventions.KindExternal, e.ChildKind)
			by[e.Child] = e.Calls
		}
		return by
	}
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(1, "", start, hosts(0, 8)...)))
	require.Len(t, calls(""), 8)
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(2, "", start, hosts(4, 12)...)))
	got := calls("")
	require.Len(t, got, 11, "ten and other")
	require.EqualValues(t, 2, got["host-004"])
	require.EqualValues(t, 1, got["host-009"])
	require.EqualValues(t, 6, got["other"])
	require.EqualValues(t, 6, w.Stats().OtherPeers)
	// Those that are there go on, others go to other, and each tenant has its own.
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(3, "", start, "host-000", "host-015")))
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(4, "acme", start, hosts(90, 9)...)))
	got = calls("")
	require.Len(t, got, 11)
	require.EqualValues(t, 2, got["host-000"])
	require.EqualValues(t, 7, got["other"])
	require.Len(t, calls("acme"), 9)

	// Writers who find room at the same time do not find it twice.
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			other := s.writer(t, Options{MaxVirtualNodes: 20, Now: w.options.Now})
			require.NoError(t, other.WriteCall(t.Context(), peerCalls(byte(10+i), "crowd", start, hosts(10*i, 5)...)))
		})
	}
	wait.Wait()
	got = calls("crowd")
	require.Len(t, got, 21)
	require.EqualValues(t, 20, got["other"])
}

// testBecomesService: what was called before it sent a span is a service from then on.
func testBecomesService(t *testing.T, s *server) {
	w := s.empty(t, Options{MaxVirtualNodes: 1, Now: func() time.Time { return start }})
	kind := func() int64 {
		return w.numbers(t, "MATCH (s:Service {name: 'stock', kind: 'service'}) RETURN count(s) AS n", nil)
	}
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(1, "", start, "stock")))
	require.EqualValues(t, 0, kind())
	td := peerCalls(2, "", start, "host")
	td.ResourceSpans().At(0).Resource().Attributes().PutStr("service.name", "stock")
	require.NoError(t, w.WriteCall(t.Context(), td))
	require.EqualValues(t, 1, kind())
	// Which makes room.
	require.EqualValues(t, 1, w.numbers(t, "MATCH (s:Service {name: 'other'}) RETURN count(s) AS n", nil))
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(3, "", start, "stock", "host")))
	require.EqualValues(t, 2, w.numbers(t, "MATCH (:Service {name: 'shop'})-[r:CALLS]->(:Service {name: 'stock'}) RETURN sum(r.calls) AS n", nil))
}

// ago is the beginning of an hour that is so many whole hours ago. The server's clock cannot be set: tests write what is old, and set how long it
// is kept.
func ago(hours int) time.Time {
	return time.Now().UTC().Truncate(time.Hour).Add(-time.Duration(hours) * time.Hour)
}

// since is for how long what is younger than the time is kept. The minute after it does not begin while a test runs.
func since(t time.Time) time.Duration { return time.Since(t.Add(10 * time.Second)) }

// maintain looks after what is stored, whenever that was done last.
func (w *Writer) maintainNow(t *testing.T) {
	t.Helper()
	w.statement(t, "MATCH (m:Maintenance) DELETE m")
	require.NoError(t, w.Maintain(t.Context()))
}

// testHostileCounts: what a sender claims to have counted cannot fill a number, so that every later call of the same minute would be refused.
func testHostileCounts(t *testing.T, s *server) {
	w, r := s.empty(t, Options{Now: func() time.Time { return start }}), s.reader(t)
	for i := range 3 {
		td := peerCalls(byte(i), "", start, "host")
		attrs := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
		attrs.PutEmptySlice(conventions.AttrChildService).AppendEmpty().SetStr("stock")
		attrs.PutEmptySlice(conventions.AttrChildOperation).AppendEmpty().SetStr("take")
		attrs.PutEmptySlice(conventions.AttrChildCalls).AppendEmpty().SetInt(math.MaxInt64)
		require.NoError(t, w.WriteCall(t.Context(), td))
	}
	m, err := r.Map(t.Context(), "", window(start, start.Add(time.Minute)))
	require.NoError(t, err)
	require.Contains(t, m.Edges, servicemap.Edge{Parent: "shop", Child: "stock", ChildKind: conventions.KindService, Protocol: "unknown", Calls: 3 * maxCount})
}

// testFold: what is old is known by the hour, and nothing is lost or counted twice.
func testFold(t *testing.T, s *server) {
	start := ago(30)
	w, r := s.empty(t, Options{Minutes: since(start.Add(59 * time.Minute))}), s.reader(t)
	f := servicemaptest.NewTraffic(3)
	for _, minute := range []int{10, 11, 59, 60, 61, 130} {
		require.NoError(t, w.WriteCall(t.Context(), f.Call(t, "", "production", start.Add(time.Duration(minute)*time.Minute), 10)))
	}
	minutes := func() int64 { return w.numbers(t, "MATCH ()-[r {width: 1}]->() RETURN count(r) AS n", nil) }
	hours := func() int64 { return w.numbers(t, "MATCH ()-[r {width: 60}]->() RETURN count(r) AS n", nil) }
	all := minutes()
	w.maintainNow(t)
	require.Equal(t, all, minutes(), "no hour is old enough as a whole")

	w.options.Minutes = since(start.Add(2*time.Hour + time.Minute))
	w.maintainNow(t)
	require.Positive(t, hours())
	require.Equal(t, minutes(), w.numbers(t, "MATCH ()-[r {width: 1}]->() WHERE r.bucket >= $after RETURN count(r) AS n",
		map[string]any{"after": start.Add(2*time.Hour).Unix() / 60}))

	// Whole hours are the truth.
	for _, hour := range []int{0, 1, 2} {
		from := start.Add(time.Duration(hour) * time.Hour)
		servicemaptest.RequireMap(t, r, &f.Truth, "", window(from, from.Add(time.Hour)))
	}
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(3*time.Hour)))
	// A part of an hour answers the hour, and says so.
	part := window(start.Add(11*time.Minute), start.Add(12*time.Minute))
	requireHour := func() {
		t.Helper()
		got, err := r.Map(t.Context(), "", part)
		require.NoError(t, err)
		require.Equal(t, start, got.Start)
		require.Equal(t, start.Add(time.Hour), got.End)
		require.Equal(t, f.Truth.Map("", window(start, start.Add(time.Hour))).Edges, got.Edges)
	}
	requireHour()
	n, err := r.Neighbours(t.Context(), "", part, "edge-proxy", 1)
	require.NoError(t, err)
	require.NotEmpty(t, n.Callees)
	entered := func(w *servicemap.Window) (traces int64) {
		reached, err := r.Radius(t.Context(), "", w, "edge-proxy")
		require.NoError(t, err)
		for _, e := range reached {
			traces += e.Traces
			require.InDelta(t, 1, e.AtLeast, 1e-9)
		}
		return traces
	}
	require.EqualValues(t, 60, entered(window(start, start.Add(3*time.Hour))))
	require.EqualValues(t, 30, entered(part))

	// What comes a day late is folded too. Until then it is in the hour that is answered: it may as well be a part that is not folded yet.
	require.NoError(t, w.WriteCall(t.Context(), f.Call(t, "", "production", start.Add(20*time.Minute), 10)))
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Hour)))
	requireHour()
	require.EqualValues(t, 40, entered(part))
	before := minutes()
	w.maintainNow(t)
	require.Less(t, minutes(), before)
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(3*time.Hour)))
	requireHour()
}

func testRetention(t *testing.T, s *server) {
	start := ago(72)
	w, r := s.empty(t, Options{Minutes: since(start.Add(24 * time.Hour)), Retention: since(start)}), s.reader(t)
	f := servicemaptest.NewTraffic(4)
	require.NoError(t, w.WriteCall(t.Context(), f.Call(t, "", "", start, 10)))
	require.NoError(t, w.WriteCall(t.Context(), f.Call(t, "acme", "", start, 10)))
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(1, "", start.Add(40*time.Hour), "host")))
	w.maintainNow(t)
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Hour)))
	// An hour that is kept has its pairs, whenever they called in it.
	w.options.Retention = since(start.Add(30 * time.Minute))
	w.maintainNow(t)
	servicemaptest.RequireMap(t, r, &f.Truth, "acme", window(start, start.Add(time.Hour)))
	n, err := r.Neighbours(t.Context(), "acme", window(start, start.Add(time.Hour)), "edge-proxy", 1)
	require.NoError(t, err)
	require.NotEmpty(t, n.Callees)

	w.options.Retention = since(start.Add(time.Hour + time.Minute))
	w.maintainNow(t)
	m, err := r.Map(t.Context(), "", window(start, start.Add(96*time.Hour)))
	require.NoError(t, err)
	require.Equal(t, []servicemap.Edge{{Parent: "shop", Child: "host", ChildKind: conventions.KindExternal, Protocol: "http", Calls: 1}}, m.Edges)
	require.EqualValues(t, 2, w.numbers(t, "MATCH (s:Service) RETURN count(s) AS n", nil))
	require.EqualValues(t, 0, w.numbers(t, "MATCH (e:Entry) RETURN count(e) AS n", nil))
	require.EqualValues(t, 1, w.numbers(t, "MATCH ()-[d:DEPENDS_ON]->() RETURN count(d) AS n", nil))
}

// batches are the calls that are recognised.
func (w *Writer) batches(t *testing.T) int64 {
	t.Helper()
	return w.numbers(t, "MATCH (b:Batch) RETURN count(b) AS n", nil)
}

func testCallIDsExpire(t *testing.T, s *server) {
	w := s.empty(t, Options{CallIDRetention: time.Hour})
	forgetful := s.writer(t, Options{CallIDRetention: -time.Minute})
	for i := range 3 {
		require.NoError(t, w.WriteCall(t.Context(), peerCalls(byte(i), "", start, "host")))
		require.NoError(t, w.WriteCall(t.Context(), peerCalls(byte(i), "", start, "host")))
	}
	require.NoError(t, forgetful.WriteCall(t.Context(), peerCalls(3, "", start, "host")))
	require.EqualValues(t, 4, w.batches(t))
	require.Equal(t, Stats{Calls: 3, RepeatedCalls: 3, Updates: 6}, w.Stats(), "CALLS and ANSWERED")
	w.maintainNow(t)
	require.EqualValues(t, 3, w.batches(t))
}

func testOneMaintains(t *testing.T, s *server) {
	w := s.empty(t, Options{CallIDRetention: -time.Minute})
	other := s.writer(t, w.options)
	require.NoError(t, w.Maintain(t.Context()))
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(1, "", start, "host")))
	require.NoError(t, other.Maintain(t.Context()))
	require.EqualValues(t, 1, w.batches(t), "the first one did it less than a minute ago")
	w.statement(t, "MATCH (m:Maintenance) SET m.next = m.next - 61")
	require.NoError(t, other.Maintain(t.Context()))
	require.EqualValues(t, 0, w.batches(t))
}

// testClocks: a gateway whose clock jumps ahead, or whose server's clock does, folds and deletes nothing, says so, and keeps nobody else from it.
func testClocks(t *testing.T, s *server) {
	start := ago(48)
	options := Options{Minutes: 24 * time.Hour, Retention: 96 * time.Hour}
	w, r := s.empty(t, options), s.reader(t)
	f := servicemaptest.NewTraffic(4)
	require.NoError(t, w.WriteCall(t.Context(), f.Call(t, "", "", start, 10)))
	for _, wrong := range []time.Duration{10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour, 2 * time.Hour} {
		options.Now = func() time.Time { return time.Now().Add(wrong) }
		jumped := s.writer(t, options)
		err := jumped.Maintain(t.Context())
		require.ErrorIs(t, err, ErrClocks)
		require.ErrorContains(t, err, "ahead of that of Neo4j at "+s.config.URI+" by "+wrong.String())
		servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Hour)))
		require.EqualValues(t, 1, w.batches(t))
		require.EqualValues(t, 0, w.numbers(t, "MATCH ()-[r {width: 60}]->() RETURN count(r) AS n", nil))
	}
	// What one did that knew no better, or the server while its clock was wrong, is passed over.
	w.statement(t, "MERGE (m:Maintenance {name: 'service_map'}) SET m.next = 2080000000")
	require.NoError(t, w.Maintain(t.Context()))
	require.Positive(t, w.numbers(t, "MATCH ()-[r {width: 60}]->() RETURN count(r) AS n", nil))
	require.Less(t, w.numbers(t, "MATCH (m:Maintenance) RETURN m.next AS n", nil), time.Now().Add(2*time.Minute).Unix())
}

// testIdleUpkeep: nothing is locked and written where nothing is to be done, and what fails for one tenant is done for the others.
func testIdleUpkeep(t *testing.T, s *server) {
	start := ago(48)
	w := s.empty(t, Options{Minutes: 24 * time.Hour, Retention: 96 * time.Hour})
	for i, tenant := range []string{"a", "b", "c"} {
		require.NoError(t, w.WriteCall(t.Context(), peerCalls(byte(i), tenant, start, "host")))
	}
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(9, "young", time.Now(), "host")))
	// To a sum that is full nothing can be added.
	require.NoError(t, w.fold(t.Context(), "b", time.Now().Unix()/60))
	w.statement(t, "MATCH ()-[r:CALLS {tenant: 'b'}]->() SET r.calls = 9223372036854775807")
	require.NoError(t, w.WriteCall(t.Context(), peerCalls(4, "b", start, "host")))
	w.statement(t, "MATCH (t:Tenant) SET t.locked = 0")
	w.statement(t, "MATCH (m:Maintenance) DELETE m")
	require.ErrorContains(t, w.Maintain(t.Context()), `fold minutes of tenant "b"`)
	folded := func(tenant string) int64 {
		return w.numbers(t, "MATCH ()-[r:CALLS {width: 60, tenant: $tenant}]->() RETURN count(r) AS n", map[string]any{"tenant": tenant})
	}
	require.Equal(t, []int64{1, 1}, []int64{folded("a"), folded("c")})
	locked := func() int64 {
		return w.numbers(t, "MATCH (t:Tenant) WHERE t.locked > 0 RETURN count(t) AS n", nil)
	}
	require.EqualValues(t, 3, locked())
	w.statement(t, "MATCH ()-[r:CALLS {tenant: 'b'}]->() DELETE r")
	w.statement(t, "MATCH (t:Tenant) SET t.locked = 0")
	w.maintainNow(t)
	require.EqualValues(t, 0, locked())
}

// testManyWriters: gateways write the same minute at the same time, some calls twice.
func testManyWriters(t *testing.T, s *server) {
	w, r := s.empty(t, Options{Now: func() time.Time { return start }}), s.reader(t)
	f := servicemaptest.NewTraffic(5)
	var calls []ptrace.Traces
	for range 24 {
		calls = append(calls, f.Call(t, "", "production", start, 8))
	}
	var wait sync.WaitGroup
	for i := range 4 {
		writer := s.writer(t, w.options)
		wait.Go(func() {
			for n, td := range calls {
				if n%4 == i || n%3 == 0 {
					assert.NoError(t, writer.WriteCall(t.Context(), td))
				}
			}
		})
	}
	wait.Wait()
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Minute)))
	require.EqualValues(t, len(calls), w.numbers(t, "MATCH (b:Batch) RETURN count(b) AS n", nil))
}

// testNoLostUpdates: writers who add to the same relationship at the same time wait for one another.
func testNoLostUpdates(t *testing.T, s *server) {
	w := s.empty(t, Options{Now: func() time.Time { return start }})
	const writers, calls = 8, 25
	var wait sync.WaitGroup
	for i := range writers {
		writer := s.writer(t, w.options)
		wait.Go(func() {
			for n := range calls {
				td := peerCalls(byte(n), "", start, "host")
				td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetSpanID([8]byte{0: byte(i), 7: 1}) // another call
				assert.NoError(t, writer.WriteCall(t.Context(), td))
			}
		})
	}
	wait.Wait()
	require.EqualValues(t, writers*calls, w.numbers(t, "MATCH ()-[r:CALLS]->() RETURN sum(r.calls) AS n", nil))
	require.EqualValues(t, 1, w.numbers(t, "MATCH ()-[r:CALLS]->() RETURN count(r) AS n", nil))
}

// testFoldWhileWriting: late calls come while their minutes are folded.
func testFoldWhileWriting(t *testing.T, s *server) {
	w, r := s.empty(t, Options{Now: func() time.Time { return start.Add(48 * time.Hour) }}), s.reader(t)
	f := servicemaptest.NewTraffic(6)
	var calls []ptrace.Traces
	for i := range 30 {
		calls = append(calls, f.Call(t, "", "production", start.Add(time.Duration(i%3)*time.Minute), 5))
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 2 {
		folder := s.writer(t, w.options)
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				assert.NoError(t, folder.fold(t.Context(), "", start.Add(time.Hour).Unix()/60))
			}
		})
	}
	for _, td := range calls {
		assert.NoError(t, w.WriteCall(t.Context(), td))
	}
	close(done)
	wait.Wait()
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Hour)))
	require.Positive(t, w.numbers(t, "MATCH ()-[r {width: 60}]->() RETURN count(r) AS n", nil))
}

// testFoldWhileReading: whatever is read while minutes are folded is the truth.
func testFoldWhileReading(t *testing.T, s *server) {
	w, r := s.empty(t, Options{Now: func() time.Time { return start.Add(48 * time.Hour) }}), s.reader(t)
	f := servicemaptest.NewTraffic(6)
	folder := s.writer(t, w.options)
	asked := window(start, start.Add(time.Hour))
	radius := func() (traces int64) {
		reached, err := r.Radius(t.Context(), "", asked, "edge-proxy")
		assert.NoError(t, err)
		for _, e := range reached {
			traces += e.Traces
			assert.InDelta(t, 1, e.AtLeast, 1e-9)
		}
		return traces
	}
	readBeside := func(traces int) {
		done := make(chan struct{})
		var wait sync.WaitGroup
		defer wait.Wait()
		wait.Go(func() {
			defer close(done)
			assert.NoError(t, folder.fold(t.Context(), "", start.Add(time.Hour).Unix()/60))
		})
		for folding := true; folding; {
			select {
			case <-done:
				folding = false
			default:
			}
			servicemaptest.RequireMap(t, r, &f.Truth, "", asked)
			require.EqualValues(t, traces, radius())
		}
	}
	for round := range 12 {
		for i := range 3 {
			require.NoError(t, w.WriteCall(t.Context(), f.Call(t, "", "production", start.Add(time.Duration(i)*time.Minute), 5)))
		}
		readBeside(15 * (round + 1))
	}
}

// testLeftFolding: a fold of whose end nobody said anything hides nothing for long, and nothing of what it does not touch.
func testLeftFolding(t *testing.T, s *server) {
	w, r := s.empty(t, Options{Now: func() time.Time { return start.Add(48 * time.Hour) }}), s.reader(t)
	f := servicemaptest.NewTraffic(6)
	for i := range 2 {
		require.NoError(t, w.WriteCall(t.Context(), f.Call(t, "", "production", start.Add(time.Duration(i)*time.Hour), 5)))
	}
	parameters := map[string]any{"tenant": "", "fold": start.Add(time.Hour).Unix() / 60}
	require.NoError(t, w.change(t.Context(), func(tx *transaction) error { return tx.run(beginFold, parameters, nil) }))
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start.Add(time.Hour), start.Add(2*time.Hour)))
	_, err := r.Map(t.Context(), "", window(start, start.Add(time.Hour)))
	require.ErrorIs(t, err, servicemap.ErrUnavailable)
	w.statement(t, "MATCH (t:Tenant) SET t.folding = t.folding - 120000")
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Hour)))
	require.NoError(t, w.fold(t.Context(), "", start.Add(time.Hour).Unix()/60))
	servicemaptest.RequireMap(t, r, &f.Truth, "", window(start, start.Add(time.Hour)))
}
