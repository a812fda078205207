package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/testcerts"
)

// issue puts a certificate for gateways into the folder, and returns it.
func issue(t *testing.T, a *testcerts.Authority, folder string) []byte {
	t.Helper()
	cert, key := a.Issue(t, "gateways")
	put(t, folder, "tls.crt", string(cert))
	put(t, folder, "tls.key", string(key))
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
	secrets, a := t.TempDir(), testcerts.NewAuthority(t)
	issue(t, a, secrets)
	for name, content := range map[string]string{
		"ca.crt":       string(a.PEM()),
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

	roots := a.Pool()
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
	renewed, _ := pem.Decode(issue(t, a, secrets))
	for _, port := range []string{"OTLP_GRPC", "QUERY"} {
		gateway.await("the new certificate", func() error {
			conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "gateways", NextProtos: []string{"h2"}}}).DialContext(t.Context(), "tcp", gateway.endpoint(port))
			if err != nil {
				return err
			}
			defer conn.Close()
			if !bytes.Equal(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw, renewed.Bytes) {
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
