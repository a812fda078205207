package clickhousestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// endpoints are those of a store's server by protocol.
func endpoints(t *testing.T, store *Store) map[string]string {
	var port uint16
	require.NoError(t, store.db.QueryRow(t.Context(), "SELECT getServerPort('http_port')").Scan(&port))
	native, err := url.Parse(store.options.Endpoint)
	require.NoError(t, err)
	overHTTP := *native
	overHTTP.Scheme, overHTTP.Host = "http", net.JoinHostPort(native.Hostname(), strconv.Itoa(int(port)))
	return map[string]string{"native": native.String(), "http": overHTTP.String()}
}

// TestLongValues: as many ids and as long texts as searches ask for reach the server over either protocol.
func TestLongValues(t *testing.T) {
	options := testOptions(t)
	for protocol, endpoint := range endpoints(t, openStore(t, options)) {
		options.Endpoint = endpoint
		store := openStore(t, options)
		for _, n := range []int{1, maxEscapedIDs, maxEscapedIDs + 1, namedHits} {
			ids := make([]pcommon.TraceID, n)
			for i := range ids {
				binary.BigEndian.PutUint64(ids[i][8:], uint64(i)*0x9e3779b97f4a7c15)
			}
			values := parameters{}
			rows, err := store.query(t.Context(), "SELECT toFixedString(unhex('00000000000000009E3779B97F4A7C15'), 16) IN "+values.ids(ids)+
				", toFixedString('another id', 16) IN "+values.ids(ids), values)
			require.NoError(t, err, "%s, %d", protocol, n)
			var second, other uint8
			require.True(t, rows.Next(), rows.Err())
			require.NoError(t, rows.Scan(&second, &other))
			require.NoError(t, rows.Close())
			require.Equal(t, n > 1, second == 1, "%s, %d", protocol, n)
			require.Zero(t, other)
		}
		for _, n := range []int{maxEscapedText, maxEscapedText + 1, 60_000} {
			values, text := parameters{}, strings.Repeat("\x00'\\é", n)[:n]
			rows, err := store.query(t.Context(), "SELECT "+values.text(text), values)
			require.NoError(t, err, "%s, %d", protocol, n)
			var read string
			require.True(t, rows.Next(), rows.Err())
			require.NoError(t, rows.Scan(&read))
			require.NoError(t, rows.Close())
			require.Equal(t, text, read)
		}
	}
}

// TestAnyBytes: a statement gets values as they are, whatever bytes are in them.
func TestAnyBytes(t *testing.T) {
	store := openStore(t, testOptions(t))
	var all [256]byte
	var ids []pcommon.TraceID
	for i := range all {
		all[i] = byte(i)
		if i%16 == 15 {
			ids = append(ids, pcommon.TraceID(all[i-15:i+1]))
		}
	}
	values := parameters{}
	text := "SELECT " + values.text(string(all[:])) + ", arrayStringConcat(arrayMap(i -> CAST(i, 'String'), " + values.ids(ids) + ")), " +
		values.id(ids[5]) + ", " + values.text("") + ", length(" + values.ids(nil) + ")"
	rows, err := store.query(t.Context(), text, values)
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next(), rows.Err())
	var whole, joined, one, empty string
	var none uint64
	require.NoError(t, rows.Scan(&whole, &joined, &one, &empty, &none))
	require.Equal(t, string(all[:]), whole)
	require.Equal(t, string(all[:]), joined)
	require.Equal(t, string(ids[5][:]), one)
	require.Empty(t, empty)
	require.Zero(t, none)
}

// TestServerAway: a server that was there and is not any more is away; that is neither a fault nor a query that takes too long.
func TestServerAway(t *testing.T) {
	ready := make(chan struct{})
	close(ready)
	var config net.ListenConfig
	for _, protocol := range []string{"clickhouse", "http"} {
		listener, err := config.Listen(t.Context(), "tcp", "localhost:0")
		require.NoError(t, err)
		var closing sync.WaitGroup
		closing.Go(func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				_ = connection.Close()
			}
		})
		s := &Store{options: Options{Endpoint: protocol + "://" + listener.Addr().String()}.withDefaults(), ctx: t.Context(), ready: ready}
		s.db, err = s.options.connect()
		require.NoError(t, err)
		_, err = s.query(t.Context(), "SELECT 1", nil)
		require.ErrorIs(t, err, tracestore.ErrUnavailable, "%s: it closes connections", protocol)
		require.NoError(t, listener.Close())
		closing.Wait()
		_, err = s.query(t.Context(), "SELECT 1", nil)
		require.ErrorIs(t, err, tracestore.ErrUnavailable, "%s: nobody listens", protocol)
		require.NoError(t, s.db.Close())
	}
}

// TestWhatAnErrorIs tells a server that is away from one that is slow.
func TestWhatAnErrorIs(t *testing.T) {
	ready := make(chan struct{})
	close(ready)
	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	slow := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	s := &Store{ctx: t.Context(), ready: ready}
	require.ErrorIs(t, s.failed(t.Context(), &net.OpError{Op: "dial", Err: context.DeadlineExceeded}), tracestore.ErrUnavailable)
	require.ErrorIs(t, s.failed(t.Context(), &url.Error{Op: "Post", Err: errors.New("http: server closed idle connection")}), tracestore.ErrUnavailable)
	require.ErrorIs(t, s.failed(t.Context(), fmt.Errorf("acquire: %w", clickhouse.ErrAcquireConnTimeout)), tracestore.ErrUnavailable)
	require.ErrorIs(t, s.failed(t.Context(), fmt.Errorf("read block: %w", io.ErrUnexpectedEOF)), tracestore.ErrUnavailable, "it was lost in its answer")
	require.NotErrorIs(t, s.failed(t.Context(), errors.New("syntax error")), tracestore.ErrUnavailable)
	late := &url.Error{Op: "Post", Err: context.DeadlineExceeded} // of the transport's own time for an answer
	require.NotErrorIs(t, s.failed(t.Context(), late), tracestore.ErrUnavailable)
	require.NotErrorIs(t, s.failed(t.Context(), slow), tracestore.ErrUnavailable, "the connection's deadline is that of the context, and may be first")
	for _, err := range []error{slow, &url.Error{Op: "Post", Err: context.DeadlineExceeded}} {
		err := s.failed(over, err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, tracestore.ErrUnavailable)
	}
	closed, stop := context.WithCancel(t.Context())
	stop()
	s.ctx = closed
	require.ErrorIs(t, s.failed(t.Context(), slow), tracestore.ErrClosed)
}

// TestTimes: sets of times reach the server, by either protocol, without a subquery: replicated tables refuse one in a deletion, and none runs here.
func TestTimes(t *testing.T) {
	options := testOptions(t)
	for protocol, endpoint := range endpoints(t, openStore(t, options)) {
		options.Endpoint = endpoint
		store := openStore(t, options)
		list := []time.Time{time.Unix(900, 0), time.Unix(1_700_000_100, 0)}
		moments := []time.Time{time.Unix(-1, 5), time.Unix(1_700_000_100, 123_456_789)}
		values := parameters{}
		text := "SELECT toDateTime(1700000100, 'UTC') IN " + values.seconds(list) + ", toDateTime(1700000101, 'UTC') IN " + values.seconds(list) +
			", fromUnixTimestamp64Nano(1700000100123456789, 'UTC') IN " + values.moments(moments) +
			", fromUnixTimestamp64Nano(-999999995, 'UTC') IN " + values.moments(moments) +
			", fromUnixTimestamp64Nano(1700000100123456788, 'UTC') IN " + values.moments(moments)
		require.Equal(t, 1, strings.Count(text, "SELECT"))
		rows, err := store.query(t.Context(), text, values)
		require.NoError(t, err, protocol)
		got := make([]uint8, 5)
		require.True(t, rows.Next(), rows.Err())
		require.NoError(t, rows.Scan(&got[0], &got[1], &got[2], &got[3], &got[4]))
		require.NoError(t, rows.Close())
		require.Equal(t, []uint8{1, 0, 1, 1, 0}, got, protocol)
	}
}
