package servicemapexporter

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/callexport/callexporttest"
	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
	"github.com/tracewright/tracewright/internal/servicemap/servicemaptest"
	"github.com/tracewright/tracewright/internal/testservers"
)

// patience is how long the slowest machine may take for anything.
const patience = 1 * time.Minute

// startGateway starts an exporter whose queue is in the folder; none where it is empty.
func startGateway(t *testing.T, uri, folder string, change func(*Config)) *callexporttest.Gateway {
	t.Helper()
	config := createDefaultConfig().(*Config)
	config.Neo4j.URI, config.Neo4j.Username, config.Neo4j.Password = uri, testservers.Neo4jUser, testservers.Neo4jPassword
	config.Neo4j.ConnectTimeout = time.Second
	config.Timeout.Timeout = 5 * time.Second
	config.Retry.InitialInterval, config.Retry.MaxInterval = 50*time.Millisecond, 500*time.Millisecond
	if folder != "" {
		callexporttest.KeepQueue(&config.Queue, 4)
	}
	if change != nil {
		change(config)
	}
	require.NoError(t, config.Validate())
	return callexporttest.Start(t, NewFactory(), config, folder)
}

// released is when the tests' calls are.
var released = time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)

// requireTruth waits until the tenant's map is the truth, and holds that it stays so.
func requireTruth(t *testing.T, server *testservers.Neo4j, truth *servicemaptest.Truth, tenant string) {
	t.Helper()
	config := neo4jmap.NewDefaultClientConfig()
	config.URI, config.Username, config.Password = server.URI(), testservers.Neo4jUser, testservers.Neo4jPassword
	reader, err := neo4jmap.NewReader(t.Context(), &config)
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close(context.WithoutCancel(t.Context()))) }()
	window := &servicemap.Window{Start: released, End: released.Add(time.Hour)}
	calls := func(m *servicemap.Map) (sum int64) {
		for _, e := range m.Edges {
			sum += e.Calls
		}
		return sum
	}
	want := calls(truth.Map(tenant, window))
	require.Eventually(t, func() bool {
		m, err := reader.Map(t.Context(), tenant, window)
		return err == nil && calls(m) >= want
	}, patience, 50*time.Millisecond)
	servicemaptest.RequireMap(t, reader, truth, tenant, window)
}

// proxy stands before the server.
type proxy struct {
	listener net.Listener
	target   string
	// armed has it drop the answer to the next commit of a call, and the connection with it. dropped counts them.
	armed   atomic.Bool
	dropped atomic.Int32
	wait    sync.WaitGroup
}

func startProxy(t *testing.T, target string) *proxy {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: target}
	p.wait.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.wait.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.wait.Wait()
	})
	return p
}

func (p *proxy) uri() string { return "bolt://" + p.listener.Addr().String() }

// commit is Bolt's message COMMIT: a chunk of two bytes, the structure 0x12 without fields, and the end of the message. callID is in the
// transaction of a call, and in none of those that look after what is stored.
var commit, callID = []byte{0, 2, 0xB0, 0x12, 0, 0}, []byte("MERGE (b:Batch ")

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	var swallow atomic.Bool
	p.wait.Go(func() {
		defer client.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if swallow.Load() {
				p.dropped.Add(1)
				return
			}
			if _, werr := client.Write(buffer[:n]); err != nil || werr != nil {
				return
			}
		}
	})
	buffer := make([]byte, 64<<10)
	var tail []byte // of what was read before: a message may come in two pieces
	ofCall := false // what runs is a call's transaction
	for {
		n, err := client.Read(buffer)
		seen := append(tail, buffer[:n]...)
		ofCall = ofCall || bytes.Contains(seen, callID)
		if bytes.Contains(seen, commit) {
			if ofCall && p.armed.CompareAndSwap(true, false) {
				swallow.Store(true) // the driver waits for nothing else when it commits
			}
			ofCall, seen = false, nil
		}
		tail = bytes.Clone(seen[max(0, len(seen)-len(callID)+1):])
		if _, werr := server.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}

// entered is how many requests of the tenant came in.
func entered(t *testing.T, server *testservers.Neo4j, tenant string) (traces int64) {
	config := neo4jmap.NewDefaultClientConfig()
	config.URI, config.Username, config.Password = server.URI(), testservers.Neo4jUser, testservers.Neo4jPassword
	reader, err := neo4jmap.NewReader(t.Context(), &config)
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close(context.WithoutCancel(t.Context()))) }()
	reached, err := reader.Radius(t.Context(), tenant, &servicemap.Window{Start: released, End: released.Add(time.Hour)}, "edge-proxy")
	require.NoError(t, err)
	for _, r := range reached {
		traces += r.Traces
	}
	return traces
}
