package tracequeryextension

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/tracewright/tracewright/internal/testcerts"
)

// TestCertificatesOfClients: with client_ca_file nobody is answered without one of its certificates.
func TestCertificatesOfClients(t *testing.T) {
	ours, others := testcerts.NewAuthority(t), testcerts.NewAuthority(t)
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	cert, key := ours.Issue(t)
	config := configtls.ServerConfig{
		Config:       configtls.Config{CertFile: write("cert", cert), KeyFile: write("key", key)},
		ClientCAFile: write("ca", ours.PEM()),
	}
	_, url := start(t, newHost(&testStorage{opened: true}), func(c *Config) { c.HTTP.TLS = configoptional.Some(config) })
	url = strings.Replace(url, "http:", "https:", 1)

	trusted := ours.Pool()
	for name, test := range map[string]struct {
		from     *testcerts.Authority
		answered bool
	}{"ours": {ours, true}, "another's": {others, false}, "none": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			client := &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
			if test.from != nil {
				pair, err := tls.X509KeyPair(test.from.Issue(t))
				require.NoError(t, err)
				client.Certificates = []tls.Certificate{pair}
			}
			transport := &http.Transport{TLSClientConfig: client, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			response, err := transport.RoundTrip(request(t, "GET", url+"/traces/"+traceID, ""))
			if !test.answered {
				if err == nil {
					err = response.Body.Close()
				}
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusNotFound, response.StatusCode)
			require.Equal(t, 2, response.ProtoMajor)
		})
	}
}

// TestSlowClient: who does not send what it has announced is cut off, and its place is free again.
func TestSlowClient(t *testing.T) {
	_, url := start(t, newHost(&testStorage{opened: true}), func(c *Config) {
		c.HTTP.ReadTimeout = 100 * time.Millisecond
		c.Limits.MaxConcurrent = 1
	})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = conn.Write([]byte("POST /traces/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	answer := make([]byte, 12)
	_, err = conn.Read(answer)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 400", string(answer))
	status, _ := send(t, request(t, "POST", url+"/traces/search", "{}"))
	require.Equal(t, http.StatusOK, status)
}
