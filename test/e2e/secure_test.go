package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// authority signs certificates of the name gateways.
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

func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
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

// issue puts a certificate for gateways into the folder.
func (a *authority) issue(folder string) *x509.Certificate {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{DNSNames: []string{"gateways"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(a.t, err)
	put(a.t, folder, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	put(a.t, folder, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	return cert
}

// put puts a file into the place of another one, as README of examples/secure wants it.
func put(t *testing.T, folder, name, content string) {
	t.Helper()
	fresh := filepath.Join(folder, name+".new")
	require.NoError(t, os.WriteFile(fresh, []byte(content), 0o600))
	require.NoError(t, os.Rename(fresh, filepath.Join(folder, name)))
}

// TestSecure runs a gateway and an agent with what examples/secure adds: spans come with a token over TLS or not at all, the API answers those whom
// it knows, and tokens and certificates are renewed while both run.
func TestSecure(t *testing.T) {
	secrets, a := t.TempDir(), newAuthority(t)
	a.issue(secrets)
	for name, content := range map[string]string{
		"ca.crt":       string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})),
		"agent-tokens": "first # of agents\n", "agent-token": "first\n", "read-tokens": "reader\nmanager\n", "manage-tokens": "manager\n",
	} {
		put(t, secrets, name, content)
	}
	gateway := newInstance(t)
	gateway.file = "gateway.yaml"
	gateway.env = []string{
		"TRACEWRIGHT_SECRETS=" + secrets, "TRACEWRIGHT_TRUST_AGENTS=true", "TRACEWRIGHT_ALLOWED_HOSTS=[gateways]",
		"TRACEWRIGHT_CLICKHOUSE=http://127.0.0.1:1", "TRACEWRIGHT_NEO4J=bolt://127.0.0.1:1",
	}
	gateway.start("--config", filepath.Join(root, "examples", "secure", "gateway.yaml"),
		"--set=receivers.otlp.protocols.grpc.tls.reload_interval=10ms", "--set=extensions.trace_query.http.tls.reload_interval=10ms")
	agent := newInstance(t)
	agent.name, agent.file = "tracewright-agent", "agent.yaml"
	agent.env = []string{
		"TRACEWRIGHT_SECRETS=" + secrets, "TRACEWRIGHT_GATEWAY=127.0.0.1", "TRACEWRIGHT_GATEWAY_NAME=gateways",
		fmt.Sprint("TRACEWRIGHT_GATEWAY_PORT=", gateway.ports["OTLP_GRPC"]),
	}
	agent.start("--config", filepath.Join(root, "examples", "secure", "agent.yaml"))
	accepted := func(want int) {
		t.Helper()
		gateway.await(fmt.Sprint(want, " spans"), func() error {
			metrics, err := gateway.get(gateway.url("METRICS", "/metrics"), http.StatusOK)
			if err != nil || !strings.Contains(string(metrics), fmt.Sprintf("\notelcol_processor_trace_assembly_spans_received %d\n", want)) {
				return fmt.Errorf("they are not there: %w", err)
			}
			return nil
		})
	}
	agent.send(chain("shop", 1, 3), nil)
	accepted(3)

	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	trusting := &tls.Config{RootCAs: roots, ServerName: "gateways"}
	require.Equal(t, codes.Unauthenticated, sendOver(t, gateway, credentials.NewTLS(trusting), ""))
	require.Equal(t, codes.Unauthenticated, sendOver(t, gateway, credentials.NewTLS(trusting), "reader"))
	require.Equal(t, codes.OK, sendOver(t, gateway, credentials.NewTLS(trusting), "first"))
	require.Equal(t, codes.Unavailable, sendOver(t, gateway, credentials.NewTLS(&tls.Config{ServerName: "gateways"}), "first"), "whose authority is not known")

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting, DisableKeepAlives: true}}
	ask := func(method, port, path, token string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, strings.Replace(gateway.url(port, path), "http:", "https:", 1), bytes.NewReader([]byte("{}")))
		require.NoError(t, err)
		request.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {jsonType}}
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodPost, "OTLP_HTTP", "/v1/traces", ""))
	require.Equal(t, http.StatusOK, ask(http.MethodPost, "OTLP_HTTP", "/v1/traces", "first"))
	const source = "/traces/sources/none"
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodDelete, "QUERY", source, "first"))
	require.Equal(t, http.StatusForbidden, ask(http.MethodDelete, "QUERY", source, "reader"))
	require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, ask(http.MethodDelete, "QUERY", source, "manager"))
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodGet, "QUERY", "/openapi.yaml", ""))
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "QUERY", "/openapi.yaml", "reader"))

	put(t, secrets, "agent-tokens", "first\nsecond\n")
	gateway.await("the new token", func() error {
		if code := sendOver(t, gateway, credentials.NewTLS(trusting), "second"); code != codes.OK {
			return fmt.Errorf("%s", code)
		}
		return nil
	})
	read := func() int { return strings.Count(agent.logs.String(), "refresh token") }
	before := read() // it tells of the token that it read at its start too
	put(t, secrets, "agent-token", "second\n")
	agent.await("the token to be read again", func() error {
		if n := read(); n <= before {
			return fmt.Errorf("read %d times", n)
		}
		return nil
	})
	put(t, secrets, "agent-tokens", "second\n")
	gateway.await("the end of the old token", func() error {
		if code := sendOver(t, gateway, credentials.NewTLS(trusting), "first"); code != codes.Unauthenticated {
			return fmt.Errorf("%s", code)
		}
		return nil
	})
	renewed := a.issue(secrets)
	for _, port := range []string{"OTLP_GRPC", "QUERY"} {
		gateway.await("the new certificate", func() error {
			conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "gateways", NextProtos: []string{"h2"}}}).DialContext(t.Context(), "tcp", gateway.endpoint(port))
			if err != nil {
				return err
			}
			defer conn.Close()
			if !conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Equal(renewed) {
				return fmt.Errorf("%s has the old one", port)
			}
			return nil
		})
	}
	received := gateway.assemblyMetric("spans_received")
	agent.send(chain("shop", 2, 4), nil)
	accepted(int(received) + 4)
}

// sendOver sends a request without spans to a gateway.
func sendOver(t *testing.T, gateway *instance, security credentials.TransportCredentials, token string) codes.Code {
	t.Helper()
	conn, err := grpc.NewClient(gateway.endpoint("OTLP_GRPC"), grpc.WithTransportCredentials(security))
	require.NoError(t, err)
	defer conn.Close()
	ctx := t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(ptrace.NewTraces()))
	return status.Code(err)
}
