package agentguardprocessor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// start makes the processor with its default configuration, changed.
func start(t *testing.T, next consumer.Traces, change func(*Config)) consumer.Traces {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	p, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(typ), cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.Background())) })
	return p
}

// request has resources of size bytes, each with scopes, each with spans.
func request(resources, size, scopes, spans int) ptrace.Traces {
	td := ptrace.NewTraces()
	n := 0
	for r := range resources {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl(fmt.Sprint("resource schema ", r))
		rs.Resource().Attributes().PutStr("large", strings.Repeat("x", size))
		rs.Resource().Attributes().PutInt("number", int64(r))
		for s := range scopes {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.SetSchemaUrl(fmt.Sprint("scope schema ", s))
			ss.Scope().SetName(fmt.Sprint("scope ", s))
			for range spans {
				n++
				ss.Spans().AppendEmpty().SetSpanID(pcommon.SpanID{5: byte(n >> 16), 6: byte(n >> 8), 7: byte(n)})
			}
		}
	}
	return td
}

// described are the spans of requests, each with what it hangs on.
func described(all ...ptrace.Traces) (spans []string) {
	for _, td := range all {
		for _, rs := range td.ResourceSpans().All() {
			number, _ := rs.Resource().Attributes().Get("number")
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					spans = append(spans, fmt.Sprint(number.Int(), rs.SchemaUrl(), ss.Scope().Name(), ss.SchemaUrl(), span.SpanID()))
				}
			}
		}
	}
	return spans
}

// A request of 8 MiB can hold 100,000 scopes, and a resource of 64 KiB that load_balancing writes with each.
func TestLargeResourceWithManyScopesIsRefused(t *testing.T) {
	sink := new(consumertest.TracesSink)
	err := start(t, sink, nil).ConsumeTraces(t.Context(), request(1, 64<<10, 100_000, 1))
	require.True(t, consumererror.IsPermanent(err), "%v", err)
	require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "max_request_bytes")
	require.Empty(t, sink.AllTraces())
}

// An empty span is two bytes of a request, and some hundred times as many in memory; so is a resource.
func TestManyOfLittleAreRefused(t *testing.T) {
	for name, td := range map[string]ptrace.Traces{"spans": request(1, 1, 1, 300_000), "resources": request(20_000, 1, 1, 1)} {
		t.Run(name, func(t *testing.T) {
			sink := new(consumertest.TracesSink)
			err := start(t, sink, nil).ConsumeTraces(t.Context(), td)
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
			require.Empty(t, sink.AllTraces())
		})
	}
}

func TestParts(t *testing.T) {
	for name, test := range map[string]struct {
		td             ptrace.Traces
		parts, largest int // of the latter the most bytes as load_balancing writes it
	}{
		"small":                      {request(3, 1000, 3, 10), 1, 64 << 10},
		"empty":                      {ptrace.NewTraces(), 1, 0},
		"large resource":             {request(1, 3<<20, 1, 9000), 2, 6 << 20},
		"resource with scopes":       {request(1, 100<<10, 100, 3), 5, 3 << 20},
		"many resources of a scope":  {request(2000, 1000, 1, 2), 6, 2 << 20},
		"many spans":                 {request(1, 100, 2, 20_000), 6, 2 << 20},
		"resources of the same size": {request(3, 2<<20, 2, 2), 6, 5 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			sink := new(consumertest.TracesSink)
			want := described(test.td)
			require.NoError(t, start(t, sink, nil).ConsumeTraces(t.Context(), test.td))
			require.Equal(t, want, described(sink.AllTraces()...))
			require.Len(t, sink.AllTraces(), test.parts)
			for _, part := range sink.AllTraces() {
				require.LessOrEqual(t, weigh(part)-copyWeight*copiesIn(part)-spanWeight*part.SpanCount(), test.largest)
			}
		})
	}
}

func copiesIn(td ptrace.Traces) (copies int) {
	for _, rs := range td.ResourceSpans().All() {
		copies += rs.ScopeSpans().Len()
	}
	return copies
}

// What is empty takes memory where it is annotated, and nobody misses it.
func TestPartsLeaveOutWhatIsEmpty(t *testing.T) {
	td := request(2000, 1, 1, 1)
	for range 1000 {
		td.ResourceSpans().AppendEmpty()
		td.ResourceSpans().At(0).ScopeSpans().AppendEmpty()
	}
	sink := new(consumertest.TracesSink)
	require.NoError(t, start(t, sink, nil).ConsumeTraces(t.Context(), td))
	require.Greater(t, len(sink.AllTraces()), 1)
	resources := 0
	for _, part := range sink.AllTraces() {
		resources += part.ResourceSpans().Len()
		require.Equal(t, part.ResourceSpans().Len(), copiesIn(part))
	}
	require.Equal(t, 2000, resources)
}

func TestRefusedPartIsToldToTheSender(t *testing.T) {
	full := errors.New("the queue is full")
	calls := 0
	next, err := consumer.NewTraces(func(context.Context, ptrace.Traces) error {
		if calls++; calls == 2 {
			return full
		}
		return nil
	})
	require.NoError(t, err)
	err = start(t, next, nil).ConsumeTraces(t.Context(), request(1, 100, 2, 20_000))
	require.ErrorIs(t, err, full)
	require.False(t, consumererror.IsPermanent(err))
	require.Equal(t, 2, calls)
}

func TestTenantThatIsNone(t *testing.T) {
	for name, test := range map[string]struct {
		header []string
		ok     bool
	}{
		"none":     {nil, true},
		"one":      {[]string{"blue"}, true},
		"two":      {[]string{"blue", "red"}, false},
		"too long": {[]string{strings.Repeat("x", 257)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			sink := new(consumertest.TracesSink)
			ctx := client.NewContext(t.Context(), client.Info{Metadata: client.NewMetadata(map[string][]string{"x-tracewright-tenant": test.header})})
			err := start(t, sink, nil).ConsumeTraces(ctx, request(1, 1, 1, 1))
			if test.ok {
				require.NoError(t, err)
				require.Equal(t, 1, sink.SpanCount())
				return
			}
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
			require.Empty(t, sink.AllTraces())
		})
	}
}

func TestConfig(t *testing.T) {
	all, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	for id, want := range map[string]*Config{
		"agent_guard":       {MaxPartBytes: 2 << 20, MaxRequestBytes: 64 << 20},
		"agent_guard/small": {MaxPartBytes: 1000, MaxRequestBytes: 2000},
	} {
		var cfg component.Config = createDefaultConfig()
		sub, err := all.Sub(id)
		require.NoError(t, err)
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, cfg.(*Config).Validate())
		require.Equal(t, want, cfg)
	}
	require.ErrorContains(t, (&Config{MaxPartBytes: 0, MaxRequestBytes: 1}).Validate(), "max_part_bytes")
	require.ErrorContains(t, (&Config{MaxPartBytes: 2, MaxRequestBytes: 1}).Validate(), "max_request_bytes")
}
