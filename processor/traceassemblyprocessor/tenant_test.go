package traceassemblyprocessor

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracetree"
)

type auth map[string]any

func (a auth) GetAttribute(name string) any { return a[name] }
func (auth) GetAttributeNames() []string    { return nil }

func TestRequestTenant(t *testing.T) {
	tests := map[string]struct {
		header string
		value  string
		auth   auth
		want   string
		err    string
	}{
		"none":                    {header: "x-tenant"},
		"header":                  {header: "x-tenant", value: "acme", want: "acme"},
		"header of another name":  {header: "other", value: "acme"},
		"no header is read":       {value: "acme"},
		"authenticator overrules": {header: "x-tenant", value: "acme", auth: auth{"tenant": "globex"}, want: "globex"},
		"authenticator's list":    {header: "x-tenant", value: "acme", auth: auth{"tenant": []string{"a", "b"}}, err: "claim tenant"},
		"authenticator is silent": {header: "x-tenant", value: "acme", auth: auth{}, want: "acme"},
		"too long":                {header: "x-tenant", value: strings.Repeat("a", 257), err: "header x-tenant"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			info := client.Info{Metadata: client.NewMetadata(map[string][]string{"X-Tenant": {test.value}})}
			if test.auth != nil {
				info.Auth = test.auth
			}
			got, err := requestTenant(client.NewContext(t.Context(), info), test.header)
			require.Equal(t, test.want, got)
			if test.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.err)
			require.True(t, consumererror.IsPermanent(err))
			require.Equal(t, codes.InvalidArgument, status.Code(err))
		})
	}
}

// TestTenantsShareNothing sends the same ids for two tenants.
func TestTenantsShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		span := testSpan{trace: 1, id: 1}
		f.send(span)
		for range 2 { // the second is a duplicate
			ctx := client.NewContext(t.Context(), client.Info{
				Metadata: client.NewMetadata(map[string][]string{"x-tracewright-tenant": {"acme"}}),
			})
			require.NoError(t, f.ConsumeTraces(ctx, request(span)))
		}
		f.wait(2 * time.Second)
		releases := f.sink.of(1)
		require.Len(t, releases, 2)
		require.ElementsMatch(t, []string{"", "acme"}, []string{releases[0].Tenant, releases[1].Tenant})
		for _, r := range releases {
			_, has := r.Spans[0].Resource.Attributes().Get(conventions.AttrTenant)
			require.Equal(t, r.Tenant != "", has)
		}
		require.EqualValues(t, 1, f.sum("spans_duplicate"))
		f.stop()
	})
}

// TestTrustedTenant: a resource may name no tenant that a request may not name.
func TestTrustedTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, func(c *Config) { c.TrustAnnotations = true })
		for _, name := range []string{strings.Repeat("a", 257), "\xff"} {
			td := request(testSpan{trace: 1, id: 1})
			td.ResourceSpans().At(0).Resource().Attributes().PutStr(conventions.AttrTenant, name)
			err := f.ConsumeTraces(t.Context(), td)
			require.ErrorContains(t, err, "resource attribute tracewright.tenant")
			require.True(t, consumererror.IsPermanent(err))
			require.Equal(t, codes.InvalidArgument, status.Code(err))
		}
		require.EqualValues(t, 2, f.sum("requests_refused"))
		f.stop()
	})
}

// TestTrust sends a span with annotations everywhere.
func TestTrust(t *testing.T) {
	for name, trusted := range map[string]bool{"trusted": true, "not trusted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, func(c *Config) { c.TrustAnnotations = trusted })
				td := request(testSpan{trace: 1, id: 1}, testSpan{trace: 1, id: 2, parent: 1})
				rs := td.ResourceSpans().At(0)
				rs.Resource().Attributes().PutStr(conventions.AttrTenant, "acme")
				rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, 7)
				rs.ScopeSpans().At(0).Scope().Attributes().PutStr(conventions.Prefix+"x", "1")
				span := rs.ScopeSpans().At(0).Spans().At(1)
				span.Attributes().PutStr(conventions.AttrOutcome, "late") // of an assembly before this one
				span.Attributes().PutInt(conventions.AttrVersion, 9)
				span.Attributes().PutInt(conventions.AttrPart, 3)
				span.Attributes().PutStr(conventions.AttrCategory, "network")
				span.Attributes().PutStr("tracewrightish", "stays")
				span.Events().AppendEmpty().Attributes().PutStr(conventions.Prefix+"x", "1")
				span.Links().AppendEmpty().Attributes().PutStr(conventions.Prefix+"x", "1")
				require.NoError(t, f.ConsumeTraces(t.Context(), td))
				f.wait(2 * time.Second)

				r := f.sink.of(1)[0]
				require.Equal(t, tracetree.Assembly{Outcome: "complete", Version: 1}, r.Assembly)
				require.Greater(t, r.ReleasedAt, int64(7))
				child := spanOf(t, r, 2)
				want := map[string]any{"tracewrightish": "stays"}
				kept := 0
				if trusted {
					want[conventions.AttrCategory] = "network"
					kept = 1
					require.Equal(t, "acme", r.Tenant)
				} else {
					require.Empty(t, r.Tenant)
				}
				require.Equal(t, want, child.Attributes().AsRaw())
				require.Equal(t, kept, child.Events().At(0).Attributes().Len())
				require.Equal(t, kept, child.Links().At(0).Attributes().Len())
				require.Equal(t, kept, child.Scope.Attributes().Len())
				f.stop()
			})
		})
	}
}
