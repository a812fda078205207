package rawspansextension

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/tracewright/tracewright/internal/rawspans"
)

// protobuf is the content type of requests that are handed on as they came. JSON is decoded.
const protobuf = "application/x-protobuf"

// tracesPath is how the path of trace requests ends, whatever traces_url_path puts before it.
const tracesPath = "/traces"

func wrapHandler(_ context.Context, next http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if raw(r) {
			r.Body = &body{Reader: replaced(r.Body), Closer: r.Body}
			r.ContentLength = -1
		}
		next.ServeHTTP(w, r)
	}), nil
}

func raw(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == protobuf && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, tracesPath)
}

type body struct {
	io.Reader
	io.Closer
}

// replaced is a placeholder in the place of a request, where one can be made of it. What fails to be read fails as it did.
func replaced(from io.Reader) io.Reader {
	data, err := io.ReadAll(from)
	if err != nil {
		return io.MultiReader(bytes.NewReader(data), failing{err})
	}
	return bytes.NewReader(rawspans.Replace(data))
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
