package awsxrayreceiver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/receiver/awsxrayreceiver/internal/metadata"
)

// maxPacket is more than a packet over UDP can have.
const maxPacket = 64 << 10

// guard stands before the collector's receiver: it listens where senders send to, and hands on what prepare lets pass. The receiver reads packets
// in a goroutine of its own, in which nobody else could recover; it listens on an address of this host that nobody is told.
//
//	sender ──▶ endpoint ─ prepare ─▶ hidden address ─▶ the collector's receiver ─ corrected ─▶ pipeline
type guard struct {
	endpoint string
	proxy    string // where its server over TCP listens
	logger   *zap.Logger
	report   *receiverhelper.ObsReport
	// create makes the collector's receiver, which listens from then on.
	create func(ctx context.Context, endpoint string) (receiver.Traces, error)

	inner   receiver.Traces // nil unless it was made
	running bool
	end     context.CancelFunc
	from    *net.UDPConn
	to      net.Conn
	relayed sync.WaitGroup
	// last is the trace of a packet that nobody else can send. When it has passed the receiver, and drained is closed, so has what was before.
	last    pcommon.TraceID
	drained <-chan struct{}
}

// Start implements component.Component.
func (g *guard) Start(_ context.Context, host component.Host) (err error) {
	// The receiver keeps the context for as long as it runs.
	ctx, end := context.WithCancel(context.Background())
	g.end = end
	defer func() {
		if err != nil {
			_ = g.Shutdown(ctx) // the first error says more
		}
	}()
	address, err := net.ResolveUDPAddr("udp", g.endpoint)
	if err != nil {
		return err
	}
	if g.from, err = net.ListenUDP("udp", address); err != nil {
		return err
	}
	if err = free(ctx, g.proxy); err != nil {
		return err
	}
	hidden, err := hiddenAddress()
	if err != nil {
		return err
	}
	if g.inner, err = g.create(ctx, hidden); err != nil {
		return err
	}
	if g.to, err = new(net.Dialer).DialContext(ctx, "udp", hidden); err != nil {
		return err
	}
	if err = g.inner.Start(ctx, host); err != nil {
		return err
	}
	g.running = true
	g.relayed.Go(func() { g.relay(ctx, host) })
	return nil
}

// relay hands packets on until the guard is shut down.
func (g *guard) relay(ctx context.Context, host component.Host) {
	packet := make([]byte, maxPacket)
	for {
		n, err := g.from.Read(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			componentstatus.ReportStatus(host, componentstatus.NewPermanentErrorEvent(fmt.Errorf("read packets from %s: %w", g.endpoint, err)))
			return
		}
		var prepared []byte
		if prepared, err = prepare(packet[:n]); err == nil {
			_, err = g.to.Write(prepared)
		}
		if err != nil {
			g.logger.Warn("a packet was refused", zap.Error(err))
			g.report.EndTracesOp(g.report.StartTracesOp(ctx), metadata.Type.String(), 1, err)
		}
	}
}

// Shutdown implements component.Component. It may be called again, and without Start.
func (g *guard) Shutdown(ctx context.Context) error {
	if g.from != nil {
		_ = g.from.Close() // a packet has no end that could fail
		g.relayed.Wait()
	}
	if g.running {
		g.running = false
		g.drain(ctx)
	}
	if g.to != nil {
		_ = g.to.Close()
	}
	var err error
	if g.inner != nil {
		err = shutdown(ctx, g.inner)
		g.inner = nil
	}
	if g.end != nil {
		g.end()
	}
	return err
}

// drainTimeout is how long a pipeline may take for what was relayed.
const drainTimeout = 5 * time.Second

// drain waits until what was relayed has passed the receiver, which forgets what it has not read when it is shut down. The packet that tells may
// get lost where there are too many, and overtake one, for two goroutines read.
func (g *guard) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	packet := fmt.Appendf(nil, `{"format": "json", "version": 1}`+"\n"+`{"name": "last", "id": "0000000000000001", "trace_id": "1-%x-%x", "start_time": 1}`,
		g.last[:4], g.last[4:])
	for {
		_, _ = g.to.Write(packet) // what cannot be written is not waited for without end
		select {
		case <-g.drained:
			return
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// shutdown is of a receiver that panics, when it has freed its port, where it did not start.
func shutdown(ctx context.Context, inner receiver.Traces) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("it had not started: %v", panicked)
		}
	}()
	return inner.Shutdown(ctx)
}

// free says why nobody could listen on the address, of which the receiver says nothing.
func free(ctx context.Context, endpoint string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", endpoint)
	if err != nil {
		return fmt.Errorf("proxy_server: %w", err)
	}
	return listener.Close()
}

// hiddenAddress is a free one of this host. Where all of 127.0.0.0/8 is, no port scanner happens upon it.
func hiddenAddress() (string, error) {
	ip := net.IPv4(127, 0, 0, 1).To4()
	if runtime.GOOS == "linux" {
		_, _ = rand.Read(ip[1:3]) // never fails
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: ip})
	if err != nil {
		return "", err
	}
	return conn.LocalAddr().String(), conn.Close()
}
