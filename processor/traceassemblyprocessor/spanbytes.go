package traceassemblyprocessor

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/otlpwire"
	"github.com/tracewright/tracewright/internal/rawspans"
)

// What is held are the bytes that came. They are decoded when they are released, and here where a span needs more than otlpwire reads.

var (
	marshaler   ptrace.ProtoMarshaler
	unmarshaler ptrace.ProtoUnmarshaler
)

func encodeTraces(td ptrace.Traces) (string, error) {
	data, err := marshaler.MarshalTraces(td)
	if err != nil {
		return "", fmt.Errorf("encode spans: %w", err)
	}
	return otlpwire.String(data), nil
}

var errDense = errors.New("there are more spans than can have ids in so many bytes, and others of it are not what senders write")

// regular is a request that otlpwire finds irregular, decoded and encoded again.
func regular(request string) (string, error) {
	if rawspans.Dense(request) {
		return "", errDense
	}
	td, err := unmarshaler.UnmarshalTraces(otlpwire.Bytes(request))
	if err != nil {
		return "", err
	}
	return encodeTraces(td)
}

// decodeSpan decodes bytes that otlpwire found regular; what cannot be decoded all the same is an empty span.
func decodeSpan(raw string) ptrace.Span {
	td, err := unmarshaler.UnmarshalTraces(otlpwire.Request("", "", raw))
	if err != nil {
		return ptrace.NewSpan()
	}
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
}

// withoutAnnotations takes out of a span what only Tracewright may say, or if that is trusted what an assembly before this one wrote.
func (p *assemblyProcessor) withoutAnnotations(raw string) (string, error) {
	span := decodeSpan(raw)
	if p.cfg.TrustAnnotations {
		removeAssembly(span)
	} else {
		removeAllAnnotations(span)
	}
	td := ptrace.NewTraces()
	span.MoveTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	request, err := encodeTraces(td)
	if err != nil {
		return "", err
	}
	var one oneMessage
	if err := new(otlpwire.Scanner).Scan(request, &one); err != nil {
		return "", err
	}
	return request[one.at:one.end], nil
}

// oneMessage finds the bytes in a request of a single span, or of none.
type oneMessage struct {
	resource, scope string
	at, end         int
}

func (o *oneMessage) Resource(resource, _ string) (bool, error) {
	o.resource = resource
	return true, nil
}

func (o *oneMessage) Scope(scope, _ string) (bool, error) {
	o.scope = scope
	return true, nil
}

func (o *oneMessage) Span(s *otlpwire.Span) error {
	o.at, o.end = s.At, s.End
	return nil
}

func (o *oneMessage) Skipped(int) {}

// decodeHeads decodes a resource and a scope, each of which may be empty.
func decodeHeads(resource, scope string) (ptrace.ResourceSpans, error) {
	td, err := unmarshaler.UnmarshalTraces(otlpwire.Request(resource, scope, ""))
	if err != nil {
		return ptrace.ResourceSpans{}, err
	}
	if td.ResourceSpans().Len() != 1 || td.ResourceSpans().At(0).ScopeSpans().Len() != 1 {
		return ptrace.ResourceSpans{}, errors.New("it is not one")
	}
	return td.ResourceSpans().At(0), nil
}

// encodeHeads is the reverse.
func encodeHeads(rs ptrace.ResourceSpans) (resource, scope string, err error) {
	td := ptrace.NewTraces()
	rs.CopyTo(td.ResourceSpans().AppendEmpty())
	request, err := encodeTraces(td)
	if err != nil {
		return "", "", err
	}
	var one oneMessage
	err = new(otlpwire.Scanner).Scan(request, &one)
	return one.resource, one.scope, err
}

// routeOf is the template of the path that a span serves or calls.
func routeOf(raw string) string {
	var r conventions.Route
	otlpwire.Attributes(raw, func(key string, v otlpwire.Value) {
		if v.Type == otlpwire.Text {
			r.Text(key, v.Text)
		}
	})
	return r.Template()
}

// protocolOf is the protocol by which a span calls or is called.
func protocolOf(raw string) string {
	var f conventions.ProtocolFacts
	otlpwire.Attributes(raw, func(key string, v otlpwire.Value) {
		if v.Type == otlpwire.Text {
			f.Text(key, v.Text)
		}
	})
	return f.Protocol()
}
