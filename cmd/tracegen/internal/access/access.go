// Package access is what a receiver or an API wants to see before it answers: headers, and a certificate that it is known by.
package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Access is what requests carry. The zero Access carries nothing and trusts who the system trusts.
type Access struct {
	// Headers go with every request. Their values may be secrets: no message shows one.
	Headers []Header
	// RootCAs are trusted; nil for the system's.
	RootCAs *x509.CertPool
}

// Header is one header, or one entry of gRPC's metadata.
type Header struct{ Name, Value string }

// Parse reads name=value.
func Parse(text string) (h Header, err error) {
	name, value, given := strings.Cut(text, "=")
	h = Header{strings.TrimSpace(name), strings.TrimSpace(value)}
	switch {
	case !given:
		return Header{}, errors.New("a header without \"=\"; write it as name=value")
	case !httpguts.ValidHeaderFieldName(h.Name):
		return Header{}, errors.New("a header whose name is none; write it as name=value")
	case !httpguts.ValidHeaderFieldValue(h.Value):
		return Header{}, fmt.Errorf("the value of the header %s has characters that no header may have", h.Name)
	}
	return h, nil
}

// ReadHeaders reads a file of headers, one a line. Empty lines and those that begin with # are none.
func ReadHeaders(path string) (headers []Header, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		h, err := Parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, number, err)
		}
		headers = append(headers, h)
	}
	return headers, nil
}

// ReadCAs reads a file of certificates in PEM.
func ReadCAs(path string) (*x509.CertPool, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// TLS is how connections are secured.
func (a *Access) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.RootCAs}
}

// SetOn sets the headers on a request.
func (a *Access) SetOn(request *http.Request) {
	for _, h := range a.Headers {
		request.Header.Set(h.Name, h.Value)
	}
}

// Client is an HTTP client over a transport, which it completes. It follows no redirect to another host, which would
// get the headers, nor from TLS to none, where everybody on the way could read them.
func (a *Access) Client(transport *http.Transport) *http.Client {
	transport.Proxy, transport.TLSClientConfig = http.ProxyFromEnvironment, a.TLS()
	return &http.Client{Transport: transport, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		from := via[0].URL
		unsecured := to.URL.Scheme != from.Scheme && to.URL.Scheme != "https"
		if to.URL.Host != from.Host || unsecured || len(via) >= 10 {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}
