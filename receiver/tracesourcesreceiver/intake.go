package tracesourcesreceiver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/tenant"
	"github.com/tracewright/tracewright/internal/tracesources"
)

// intake stands between a source's receiver and the pipeline.
type intake struct {
	next    consumer.Traces
	metrics *metrics
	tally   *tally
	now     func() time.Time
	source  atomic.Pointer[tracesources.Source] // labels and tenant are read here
	bucket  bucket
}

var _ consumer.Traces = (*intake)(nil)

// set takes over labels, limits and tenant.
func (in *intake) set(source *tracesources.Source) {
	in.source.Store(source)
	in.bucket.set(source.Limits.SpansPerSecond)
}

// Capabilities implements consumer.Traces: labels are added.
func (*intake) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

// ConsumeTraces implements consumer.Traces.
func (in *intake) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	source, spans, now := in.source.Load(), td.SpanCount(), in.now()
	if !in.bucket.take(now, spans) {
		in.reject(ctx, tracesources.OverLimit, spans)
		// Receivers make a retryable answer of this code.
		return status.Error(codes.Unavailable, fmt.Sprintf("source %s is limited to %d spans a second; send again later", source.Name, source.Limits.SpansPerSecond))
	}
	services, sdks := label(td, source.Labels)
	if source.Tenant != "" {
		info := client.FromContext(ctx)
		info.Auth = boundTo{tenant: source.Tenant, inner: info.Auth}
		ctx = client.NewContext(ctx, info)
	}
	if err := in.next.ConsumeTraces(ctx, td); err != nil {
		reason := tracesources.Retryable
		if consumererror.IsPermanent(err) {
			reason = tracesources.Permanent
		}
		in.reject(ctx, reason, spans)
		return err
	}
	in.tally.accepted(now, spans, services, sdks)
	return nil
}

func (in *intake) reject(ctx context.Context, reason tracesources.Reason, spans int) {
	in.metrics.refused(ctx, reason, spans)
	in.tally.rejected(reason, spans)
}

// label adds the labels to resources, and returns which senders these name, in copies: whoever remembers a part of a text keeps all of it. They are
// at most maxSenders of a kind, since each is compared with all before it.
func label(td ptrace.Traces, labels map[string]string) (services []string, sdks []tracesources.SDK) {
	for _, rs := range td.ResourceSpans().All() {
		attrs := rs.Resource().Attributes()
		for key, value := range labels {
			if _, has := attrs.Get(key); !has {
				attrs.PutStr(key, value)
			}
		}
		if service := text(attrs, "service.name"); service != "" && len(services) < maxSenders && !slices.Contains(services, service) {
			services = append(services, strings.Clone(service))
		}
		sdk := tracesources.SDK{
			Name: text(attrs, "telemetry.sdk.name"), Language: text(attrs, "telemetry.sdk.language"), Version: text(attrs, "telemetry.sdk.version"),
		}
		if sdk != (tracesources.SDK{}) && len(sdks) < maxSenders && !slices.Contains(sdks, sdk) {
			sdks = append(sdks, tracesources.SDK{Name: strings.Clone(sdk.Name), Language: strings.Clone(sdk.Language), Version: strings.Clone(sdk.Version)})
		}
	}
	return services, sdks
}

// maxSenderBytes is how much of a name is remembered.
const maxSenderBytes = 256

func text(attrs pcommon.Map, key string) string {
	v, ok := attrs.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return strings.ToValidUTF8(v.Str()[:min(len(v.Str()), maxSenderBytes)], "\uFFFD")
}

// boundTo is what an authenticator says, but for the tenant.
type boundTo struct {
	tenant string
	inner  client.AuthData // may be nil
}

var _ client.AuthData = boundTo{}

func (b boundTo) GetAttribute(name string) any {
	switch {
	case name == tenant.Claim:
		return b.tenant
	case b.inner == nil:
		return nil
	}
	return b.inner.GetAttribute(name)
}

func (b boundTo) GetAttributeNames() []string {
	names := []string{tenant.Claim}
	if b.inner != nil {
		for _, name := range b.inner.GetAttributeNames() {
			if name != tenant.Claim {
				names = append(names, name)
			}
		}
	}
	return names
}
