package kafkareceiver

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/otlpwire"
)

// Decoding takes some stack for each level of values within values, and a stack that is full ends the process. Requests over HTTP and gRPC are
// bounded by their size, messages only by what they have when they are packed.
const (
	// safeProtobuf is a message that is too small to be nested so deep.
	safeProtobuf = 8 << 20
	// maxJSON is one in JSON, which takes more bytes for a level. Larger ones are refused.
	maxJSON = 32 << 20
)

// protobuf is the encoding otlp_proto.
type protobuf struct {
	component.StartFunc
	component.ShutdownFunc
	ptrace.ProtoUnmarshaler
}

// UnmarshalTraces implements ptrace.Unmarshaler.
func (p *protobuf) UnmarshalTraces(message []byte) (ptrace.Traces, error) {
	if len(message) > safeProtobuf {
		if err := checkNesting(otlpwire.String(message)); err != nil {
			return ptrace.Traces{}, fmt.Errorf("refuse a message of %d bytes: %w", len(message), err)
		}
	}
	return p.ProtoUnmarshaler.UnmarshalTraces(message)
}

// json is the encoding otlp_json.
type json struct {
	component.StartFunc
	component.ShutdownFunc
	ptrace.JSONUnmarshaler
}

// UnmarshalTraces implements ptrace.Unmarshaler.
func (j *json) UnmarshalTraces(message []byte) (ptrace.Traces, error) {
	if len(message) > maxJSON {
		return ptrace.Traces{}, fmt.Errorf("refuse a message of %d bytes: more than %d could nest values too deep", len(message), maxJSON)
	}
	return j.JSONUnmarshaler.UnmarshalTraces(message)
}

// nesting looks for values that are nested too deep.
type nesting struct{ heads otlpwire.Scanner }

var (
	_       otlpwire.Visitor = (*nesting)(nil)
	errDeep                  = fmt.Errorf("values are nested more than %d levels deep", otlpwire.MaxNesting)
)

// checkNesting is nil where decoding is safe.
func checkNesting(request string) error {
	err := new(otlpwire.Scanner).Scan(request, &nesting{})
	if errors.Is(err, otlpwire.ErrIrregular) {
		return errors.New("it is not what senders write")
	}
	return err
}

// Resource implements otlpwire.Visitor.
func (n *nesting) Resource(resource, _ string) (visit bool, err error) {
	return judge(n.heads.Resource(resource))
}

// Scope implements otlpwire.Visitor.
func (n *nesting) Scope(scope, _ string) (visit bool, err error) { return judge(n.heads.Scope(scope)) }

func judge(shape otlpwire.Shape, ok bool) (visit bool, err error) {
	switch {
	case !ok:
		return false, otlpwire.ErrIrregular
	case shape.Deep:
		return false, errDeep
	}
	return true, nil
}

// Span implements otlpwire.Visitor.
func (*nesting) Span(span *otlpwire.Span) error {
	if span.Deep {
		return errDeep
	}
	return nil
}

// Skipped implements otlpwire.Visitor.
func (*nesting) Skipped(int) {}
