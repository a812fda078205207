package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// claims is what an authenticator knows of a client.
type claims map[string]any

func (c claims) GetAttribute(name string) any { return c[name] }
func (c claims) GetAttributeNames() []string  { return nil }

// tokens is an authenticator that knows clients by their token.
type tokens map[string]claims

func (t tokens) Authenticate(ctx context.Context, sources map[string][]string) (context.Context, error) {
	known, ok := t[http.Header(sources).Get("Authorization")]
	if !ok {
		return ctx, errors.New("no such token")
	}
	return client.NewContext(ctx, client.Info{Auth: known}), nil
}

func TestAuthentication(t *testing.T) {
	s := settings(&fakeStorage{})
	s.ReadAuthenticator = tokens{"Bearer right": {}}
	h := NewHandler(s)
	for _, r := range []*http.Request{get("/traces/" + knownID), get("/traces/xyz"), postSearch("{}"), get("/"), get("/traces/sources")} {
		response := do(h, r)
		require.Equal(t, "Bearer", response.Header().Get("WWW-Authenticate"))
		p := requireProblem(t, http.StatusUnauthorized, response)
		require.Equal(t, "Authorization", p.Field)
		require.NotContains(t, p.Detail, "no such token")

		r.Header.Set("Authorization", "Bearer wrong")
		requireProblem(t, http.StatusUnauthorized, do(h, r))
		r.Header.Set("Authorization", "Bearer right")
		require.NotEqual(t, http.StatusUnauthorized, do(h, r).Code)
	}
}

func TestTenant(t *testing.T) {
	var asked []string
	s := settings(&fakeStorage{
		trace: func(_ context.Context, tenant string, _ pcommon.TraceID) ([]ptrace.Traces, error) {
			asked = append(asked, tenant)
			return nil, tracestore.ErrNotFound
		},
		search: func(_ context.Context, tenant string, _ *tracestore.SearchQuery) (tracestore.SearchPage, error) {
			asked = append(asked, tenant)
			return tracestore.SearchPage{}, nil
		},
	})
	s.ReadAuthenticator = tokens{
		"": {}, "shop": {"tenant": "shop"}, "one": {"tenant": []string{"one"}}, "default": {"tenant": ""},
		"two": {"tenant": []string{"a", "b"}}, "none": {"tenant": []string{}}, "number": {"tenant": 7},
	}
	h := NewHandler(s)
	for name, test := range map[string]struct {
		token  string
		header []string
		want   string
		status int // of the refusal
	}{
		"default":                      {},
		"header":                       {header: []string{"shop"}, want: "shop"},
		"claim":                        {token: "shop", want: "shop"},
		"claim overrules header":       {token: "shop", header: []string{"other"}, want: "shop"},
		"claim of the default tenant":  {token: "default", header: []string{"other"}},
		"one claim in a list":          {token: "one", want: "one"},
		"claim overrules a bad header": {token: "shop", header: []string{"a", "b"}, want: "shop"},
		"repeated header":              {header: []string{"a", "b"}, status: 400},
		"header too long":              {header: []string{strings.Repeat("a", 257)}, status: 400},
		"header is not UTF-8":          {header: []string{"\xff"}, status: 400},
		"two claims":                   {token: "two", status: 403},
		"no claim in a list":           {token: "none", status: 403},
		"a claim that is no text":      {token: "number", status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []*http.Request{get("/traces/" + knownID), postSearch("")} {
				r.Header.Set("Authorization", test.token)
				r.Header[http.CanonicalHeaderKey(tenantHeader)] = test.header
				asked = nil
				response := do(h, r)
				if test.status != 0 {
					requireProblem(t, test.status, response)
					require.Empty(t, asked)
					continue
				}
				require.Equal(t, []string{test.want}, asked)
			}
		})
	}
}
