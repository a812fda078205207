package access

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReadHeaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "headers")
	require.NoError(t, os.WriteFile(path, []byte("# tokens\n\nAuthorization=Bearer a=b\r\n x-org = 7 "), 0o600))
	headers, err := ReadHeaders(path)
	require.NoError(t, err)
	require.Equal(t, []Header{{"Authorization", "Bearer a=b"}, {"x-org", "7"}}, headers)

	require.NoError(t, os.WriteFile(path, []byte("a=b\nBearer secret"), 0o600))
	_, err = ReadHeaders(path)
	require.ErrorContains(t, err, `line 2: a header without "="`)
}

// No fault of a header shows what may be a secret.
func TestFaultsShowNoValue(t *testing.T) {
	for _, text := range []string{"Bearer secret", "x y=secret", "=secret", "x=secret\x01"} {
		_, err := Parse(text)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestReadCAs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, []byte("no certificate"), 0o600))
	_, err := ReadCAs(path)
	require.ErrorContains(t, err, "holds no certificate in PEM")
}

// Headers are for the host that was named.
func TestClientFollowsNoRedirectElsewhere(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was asked") }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/there":
			_, _ = w.Write([]byte(r.Header.Get("X-Token")))
		case r.URL.Path == "/here":
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		default:
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	a := Access{Headers: []Header{{"X-Token", "secret"}}}
	client := a.Client(new(http.Transport))
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{"/here": http.StatusOK, "/elsewhere": http.StatusTemporaryRedirect} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader("body"))
		require.NoError(t, err)
		a.SetOn(request)
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want, response.StatusCode, path)
	}
}

// A token that went over TLS does not go on in clear, also not to the same host.
func TestClientFollowsNoRedirectToNoTLS(t *testing.T) {
	client := new(Access).Client(new(http.Transport))
	for _, test := range []struct {
		from, to string
		want     error
	}{
		{"https://host", "http://host", http.ErrUseLastResponse},
		{"http://host", "https://host", nil},
		{"http://host", "http://host/there", nil},
		{"https://host", "https://host/there", nil},
	} {
		from, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.from, http.NoBody)
		require.NoError(t, err)
		to, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.to, http.NoBody)
		require.NoError(t, err)
		require.Equal(t, test.want, client.CheckRedirect(to, []*http.Request{from}), "%s to %s", test.from, test.to)
	}
}
