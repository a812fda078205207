package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// issuer is an OpenID Connect provider, as far as an authenticator asks it.
type issuer struct {
	t   *testing.T
	key *rsa.PrivateKey
	url string
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	i := &issuer{t: t, key: key}
	mux := http.NewServeMux()
	answer := func(path string, value func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value())
		})
	}
	answer("/.well-known/openid-configuration", func() any {
		return map[string]any{
			"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url + "/auth", "token_endpoint": i.url + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		}
	})
	answer("/keys", func() any {
		return map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		}}}
	})
	server := httptest.NewUnstartedServer(mux)
	i.url = "http://" + server.Listener.Addr().String() // before anybody asks
	server.Start()
	t.Cleanup(server.Close)
	return i
}

// token is a signed token with these claims besides the usual.
func (i *issuer) token(claims map[string]any) string {
	i.t.Helper()
	all := map[string]any{"iss": i.url, "aud": "tracewright", "sub": "ann", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	encode := func(value any) string {
		content, err := json.Marshal(value)
		require.NoError(i.t, err)
		return base64.RawURLEncoding.EncodeToString(content)
	}
	signed := encode(map[string]any{"alg": "RS256", "kid": "one", "typ": "JWT"}) + "." + encode(all)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, digest[:])
	require.NoError(i.t, err)
	return "Bearer " + signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestTokenBindsToItsTenant: with tokens of a provider the claim says whose traces a client reads and deletes, whatever its header says;
// who it was is on record.
func TestTokenBindsToItsTenant(t *testing.T) {
	provider := startIssuer(t)
	i := startInstance(
		t, "--set=processors.trace_assembly.linger=200ms",
		"--set=extensions.oidc.issuer_url="+provider.url, "--set=extensions.oidc.audience=tracewright",
		"--set=extensions.trace_query.auth=oidc", "--set=extensions.trace_query.manage_auth=oidc",
		"--set=service.extensions=[health_check, raw_spans, file_storage, oidc, trace_store, trace_query]",
	)
	i.send(checkout(), http.Header{"X-Tracewright-Tenant": {"blue"}})
	as := func(claims map[string]any, header string) http.Header {
		return http.Header{"Authorization": {provider.token(claims)}, "X-Tracewright-Tenant": {header}}
	}
	target := i.url("QUERY", "/traces/"+exampleID)
	i.await("the trace", func() error {
		_, err := i.do(http.MethodGet, target, nil, http.StatusOK, as(map[string]any{"tenant": "blue"}, ""))
		return err
	})
	for _, test := range []struct {
		claims map[string]any
		header string
		status int
	}{
		{map[string]any{"tenant": "blue"}, "red", http.StatusOK},
		{map[string]any{"tenant": []string{"blue"}}, "", http.StatusOK},
		{map[string]any{"tenant": "red"}, "blue", http.StatusNotFound},
		{map[string]any{"tenant": ""}, "blue", http.StatusNotFound},
		{map[string]any{"tenant": []string{"red", "blue"}}, "blue", http.StatusForbidden},
		{map[string]any{"tenant": 7}, "blue", http.StatusForbidden},
		{nil, "blue", http.StatusOK}, // a token without the claim leaves it to the header
		{map[string]any{"aud": "other", "tenant": "blue"}, "blue", http.StatusUnauthorized},
		{map[string]any{"exp": time.Now().Add(-time.Hour).Unix(), "tenant": "blue"}, "blue", http.StatusUnauthorized},
	} {
		_, err := i.do(http.MethodGet, target, nil, test.status, as(test.claims, test.header))
		require.NoError(t, err)
	}
	_, err := i.do(http.MethodDelete, target, nil, http.StatusNotFound, as(map[string]any{"tenant": "red"}, "blue"))
	require.NoError(t, err)
	_, err = i.do(http.MethodDelete, target, nil, http.StatusNoContent, as(map[string]any{"tenant": "blue"}, "red"))
	require.NoError(t, err)
	i.awaitLogs(`"subject": "ann", "tenant": "blue"`, `"subject": "ann", "tenant": "red"`)
}
