package neo4jmap

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"

	"github.com/tracewright/tracewright/internal/servicemap"
	"github.com/tracewright/tracewright/internal/testcerts"
)

func testWrongPassword(t *testing.T, s *server) {
	wrong := &server{config: s.config}
	wrong.config.Password = "wrong"
	err := wrong.writer(t, Options{}).WriteCall(t.Context(), peerCalls(1, "", start, "host"))
	require.ErrorIs(t, err, servicemap.ErrUnavailable)
	require.ErrorContains(t, err, `Neo4j at `+s.config.URI+` refuses the user "neo4j"; check neo4j::username and neo4j::password`)
	require.NotContains(t, err.Error(), "wrong")
}

func testWrongDatabase(t *testing.T, s *server) {
	wrong := &server{config: s.config}
	wrong.config.Database = "nowhere"
	_, err := wrong.reader(t).Map(t.Context(), "", window(start, start.Add(time.Hour)))
	require.ErrorIs(t, err, servicemap.ErrUnavailable)
	require.ErrorContains(t, err, `has no database "nowhere"; check neo4j::database`)
}

func TestUnreachable(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	s := &server{config: NewDefaultClientConfig()}
	s.config.URI = "bolt://" + listener.Addr().String()
	s.config.ConnectTimeout = 100 * time.Millisecond
	err = s.writer(t, Options{}).WriteCall(t.Context(), peerCalls(1, "", start, "host"))
	require.ErrorIs(t, err, servicemap.ErrUnavailable)
	require.ErrorContains(t, err, "Neo4j at "+s.config.URI+" cannot be reached; check that it runs, and neo4j::uri")
}

// TestFirstConnections is for the race detector: nothing was connected before many ask at once.
func TestFirstConnections(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	for _, scheme := range []string{"bolt", "neo4j"} {
		t.Run(scheme, func(t *testing.T) {
			s := &server{config: NewDefaultClientConfig()}
			s.config.URI = scheme + "://" + listener.Addr().String()
			s.config.ConnectTimeout = 100 * time.Millisecond
			r := s.reader(t)
			var askers sync.WaitGroup
			for range 8 {
				askers.Go(func() {
					_, err := r.Map(t.Context(), "", window(start, start.Add(time.Hour)))
					assert.ErrorIs(t, err, servicemap.ErrUnavailable)
				})
			}
			askers.Wait()
		})
	}
}

// testTLS: the connection is encrypted where tls is given, and the server's certificate is checked.
func testTLS(t *testing.T, s *server) {
	target, err := url.Parse(s.config.URI)
	require.NoError(t, err)
	address, ca := encryptingProxy(t, target.Host)
	read := func(tls configtls.ClientConfig) error {
		secure := &server{config: s.config}
		secure.config.URI = "bolt://" + address
		secure.config.TLS = configoptional.Some(tls)
		_, err := secure.reader(t).Map(t.Context(), "", window(start, start.Add(time.Hour)))
		return err
	}
	trusting := configtls.NewDefaultClientConfig()
	trusting.CAFile = ca
	require.NoError(t, read(trusting))
	named := configtls.NewDefaultClientConfig()
	named.CAFile, named.ServerName = ca, "neo4j.example.com"
	require.NoError(t, read(named))
	named.ServerName = "other.example.com"
	require.ErrorContains(t, read(named), "other.example.com")
	named.CAFile, named.ServerName = "", "neo4j.example.com"
	require.ErrorContains(t, read(named), "certificate")
	unchecked := configtls.NewDefaultClientConfig()
	unchecked.InsecureSkipVerify = true
	require.NoError(t, read(unchecked))
	require.ErrorContains(t, read(configtls.NewDefaultClientConfig()), "certificate")
	plain := configtls.NewDefaultClientConfig()
	plain.Insecure = true
	require.Error(t, read(plain), "the proxy speaks TLS only")
	absent := configtls.NewDefaultClientConfig()
	absent.CAFile = filepath.Join(t.TempDir(), "absent.pem")
	_, err = NewReader(t.Context(), &ClientConfig{URI: s.config.URI, TLS: configoptional.Some(absent)})
	require.ErrorContains(t, err, "neo4j::tls: ")
}

// encryptingProxy listens with TLS and hands on what it hears in the clear. ca is a file with the certificate of its authority.
func encryptingProxy(t *testing.T, target string) (address, ca string) {
	authority := testcerts.NewAuthority(t)
	pair, err := tls.X509KeyPair(authority.Issue(t, "neo4j.example.com"))
	require.NoError(t, err)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, authority.PEM(), 0o600))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	startProxy(t, listener, target)
	return listener.Addr().String(), ca
}

// proxy hands on what it hears to the target, in the clear.
type proxy struct {
	listener net.Listener
	mu       sync.Mutex
	open     []net.Conn // guarded by mu
	wait     sync.WaitGroup
}

func startProxy(t *testing.T, listener net.Listener, target string) *proxy {
	p := &proxy{listener: listener}
	t.Cleanup(func() {
		_ = listener.Close()
		p.wait.Wait()
	})
	p.wait.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.open = append(p.open, from)
			p.mu.Unlock()
			p.wait.Go(func() {
				defer from.Close()
				to, err := new(net.Dialer).DialContext(t.Context(), "tcp", target)
				if err != nil {
					return
				}
				defer to.Close()
				p.wait.Go(func() { _, _ = io.Copy(from, to); _ = from.Close() })
				_, _ = io.Copy(to, from)
			})
		}
	})
	return p
}

// cut closes the connections that are open.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		_ = c.Close()
	}
	p.open = nil
}

// testIdleConnections: what closes connections in which nothing happens is noticed by nobody; where new ones cannot be had either, the
// map is not available.
func testIdleConnections(t *testing.T, s *server) {
	target, err := url.Parse(s.config.URI)
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := startProxy(t, listener, target.Host)
	through := &server{config: s.config}
	through.config.URI = "bolt://" + listener.Addr().String()
	through.config.ConnectTimeout = time.Second
	w, r := through.empty(t, Options{Now: func() time.Time { return start }}), through.reader(t)
	read := func() error {
		_, err := r.Map(t.Context(), "", window(start, start.Add(time.Minute)))
		return err
	}
	for i := range 3 {
		require.NoError(t, w.WriteCall(t.Context(), peerCalls(byte(i), "", start, "host")))
		require.NoError(t, read())
		p.cut()
	}
	require.NoError(t, listener.Close())
	require.ErrorIs(t, w.WriteCall(t.Context(), peerCalls(9, "", start, "host")), servicemap.ErrUnavailable)
	require.ErrorIs(t, read(), servicemap.ErrUnavailable)
	require.False(t, w.schema.there, "the server may come back empty")
}

// refusingDriver answers every transaction with the error.
type refusingDriver struct {
	neo4j.DriverWithContext
	err error
}

func (d refusingDriver) NewSession(context.Context, neo4j.SessionConfig) neo4j.SessionWithContext {
	return refusingSession{err: d.err}
}

type refusingSession struct {
	neo4j.SessionWithContext
	err error
}

func (refusingSession) Close(context.Context) error { return nil }

func (s refusingSession) ExecuteRead(context.Context, neo4j.ManagedTransactionWork, ...func(*neo4j.TransactionConfig)) (any, error) {
	return nil, s.err
}

// TestUnavailable: what the driver would repeat, and what may pass, is told as a map that is not available; what is wrong is not.
func TestUnavailable(t *testing.T) {
	limit := func(err error) error {
		return &neo4j.TransactionExecutionLimit{Cause: "timeout", Errors: []error{err}}
	}
	for name, test := range map[string]struct {
		err  error
		says string // empty: it is another error
	}{
		"a lost connection":     {limit(io.EOF), "cannot be reached; check that it runs, and neo4j::uri"},
		"a refused connection":  {limit(&net.OpError{Op: "read", Err: io.ErrClosedPipe}), "cannot be reached; check that it runs, and neo4j::uri"},
		"a server that starts":  {limit(&neo4j.Neo4jError{Code: "Neo.TransientError.General.DatabaseUnavailable"}), "does not take it for now"},
		"a server without role": {limit(&neo4j.Neo4jError{Code: "Neo.ClientError.Cluster.NotALeader"}), "does not take it for now"},
		"a wrong statement":     {&neo4j.Neo4jError{Code: "Neo.ClientError.Statement.SyntaxError"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &Reader{&client{refusingDriver{err: test.err}, &ClientConfig{URI: "bolt://host"}}}
				began := time.Now()
				_, err := r.Map(t.Context(), "", window(start, start.Add(time.Hour)))
				if test.says == "" {
					require.NotErrorIs(t, err, servicemap.ErrUnavailable)
					require.Zero(t, time.Since(began))
					return
				}
				require.ErrorIs(t, err, servicemap.ErrUnavailable)
				require.ErrorContains(t, err, "Neo4j at bolt://host "+test.says)
				require.Greater(t, time.Since(began), retryTime)
			})
		})
	}
}

func TestConfig(t *testing.T) {
	load := func(section map[string]any) *ClientConfig {
		c := NewDefaultClientConfig()
		require.NoError(t, confmap.NewFromStringMap(section).Unmarshal(&c))
		return &c
	}
	for uri, want := range map[string]string{
		"bolt://localhost:7687":    "",
		"neo4j+s://db.example.com": "",
		"":                         "uri: is empty; name the server, for example bolt://localhost:7687",
		"localhost:7687":           `uri: "localhost:7687" is not of Neo4j; use bolt://HOST:7687, or neo4j://HOST:7687 for a cluster`,
		"http://localhost:7474":    `uri: "http://localhost:7474" is not of Neo4j; use bolt://HOST:7687, or neo4j://HOST:7687 for a cluster`,
		"bolt://":                  `uri: "bolt://" is not of Neo4j; use bolt://HOST:7687, or neo4j://HOST:7687 for a cluster`,
		"bolt://a\x7fb":            `uri: "bolt://a\x7fb" is no URI; use for example bolt://localhost:7687`,
		"bolt://neo4j:secret@host": "uri: has a user; name it in username and password instead",
	} {
		err := load(map[string]any{"uri": uri}).Validate()
		if want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, want)
		}
	}
	require.EqualError(t, load(map[string]any{
		"uri": "bolt+s://host", "password": "secret", "connect_timeout": "0s", "tls": map[string]any{"insecure": true},
	}).Validate(), "tls::insecure: is true, and uri asks for encryption (bolt+s); change one of them\n"+
		"username: is empty, and password is not; set both or neither\n"+
		"connect_timeout: must be positive, not 0s")
	require.Equal(t, DefaultConnectTimeout, load(map[string]any{}).ConnectTimeout)
	require.False(t, load(map[string]any{}).TLS.HasValue())
	require.True(t, load(map[string]any{"tls": map[string]any{"ca_file": "x"}}).TLS.HasValue())
}
