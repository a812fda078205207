package tracequeryextension

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
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
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes a certificate for 127.0.0.1, for both sides; the first is the authority's own.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(a.t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return cert, key
}

func (a *authority) issue() (cert, key []byte) {
	a.t.Helper()
	signed, signedKey := a.sign(&x509.Certificate{})
	der, err := x509.MarshalECPrivateKey(signedKey)
	require.NoError(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed.Raw}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// TestCertificatesOfClients: with client_ca_file nobody is answered without one of its certificates.
func TestCertificatesOfClients(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	cert, key := ours.issue()
	config := configtls.ServerConfig{
		Config:       configtls.Config{CertFile: write("cert", cert), KeyFile: write("key", key)},
		ClientCAFile: write("ca", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.cert.Raw})),
	}
	_, url := start(t, newHost(&testStorage{opened: true}), func(c *Config) { c.HTTP.TLS = configoptional.Some(config) })
	url = strings.Replace(url, "http:", "https:", 1)

	trusted := x509.NewCertPool()
	trusted.AddCert(ours.cert)
	for name, test := range map[string]struct {
		from     *authority
		answered bool
	}{"ours": {ours, true}, "another's": {others, false}, "none": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			client := &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
			if test.from != nil {
				pair, err := tls.X509KeyPair(test.from.issue())
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
