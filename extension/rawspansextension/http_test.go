package rawspansextension

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/rawspans"
)

func TestHTTP(t *testing.T) {
	data := protobufOf(t, shop(100))
	broken := errors.New("http: request body too large")
	for name, test := range map[string]struct {
		path, kind string
		body       io.Reader
		raw        bool
		want       string
		err        error
	}{
		"protobuf":         {"/v1/traces", protobuf, bytes.NewReader(data), true, "", nil},
		"with a parameter": {"/otlp/v1/traces", protobuf + "; charset=x", bytes.NewReader(data), true, "", nil},
		"JSON":             {"/v1/traces", "application/json", bytes.NewReader([]byte("{}")), false, "{}", nil},
		"metrics":          {"/v1/metrics", protobuf, bytes.NewReader(data), false, string(data), nil},
		"noise":            {"/v1/traces", protobuf, bytes.NewReader([]byte("noise")), false, "noise", nil},
		"nothing":          {"/v1/traces", protobuf, bytes.NewReader(nil), false, "", nil},
		"no content type":  {"/v1/traces", "", bytes.NewReader(data), false, string(data), nil},
		"fails to be read": {"/v1/traces", protobuf, io.MultiReader(bytes.NewReader([]byte("a")), iotest.ErrReader(broken)), false, "a", broken},
	} {
		t.Run(name, func(t *testing.T) {
			wrap, err := (&rawSpans{}).GetHTTPHandler(t.Context())
			require.NoError(t, err)
			var (
				got      []byte
				readErr  error
				closeErr error
			)
			handler, err := wrap(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got, readErr = io.ReadAll(r.Body)
				closeErr = r.Body.Close()
			}))
			require.NoError(t, err)
			sent := httptest.NewRequestWithContext(t.Context(), http.MethodPost, test.path, test.body)
			sent.Header.Set("Content-Type", test.kind)
			handler.ServeHTTP(httptest.NewRecorder(), sent)
			require.ErrorIs(t, readErr, test.err)
			require.NoError(t, closeErr)
			if !test.raw {
				require.Equal(t, test.want, string(got))
				return
			}
			td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(got)
			require.NoError(t, err)
			require.Equal(t, 100, td.SpanCount())
			request, err := rawspans.Unwrap(td)
			require.NoError(t, err)
			require.Equal(t, string(data), request)
		})
	}
}
