package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/jaegerjson"
)

// Read yields the traces of a file, value by value: memory is bound by the largest JSON value of its top level, or by an OTLP protobuf as a
// whole. What it may be is told from its content, compressed by gzip or not:
//   - OTLP: JSON documents with resourceSpans, one or many behind one another (as the collector's file exporter writes them), or one
//     message TracesData in protobuf;
//   - Jaeger: what its page and API save, {"data": [{traceID, spans, processes}]}, or one of these traces;
//   - Zipkin v2: a list of spans, or a list of traces, which are such lists.
//
// An error ends the sequence.
func Read(file io.Reader) iter.Seq2[ptrace.Traces, error] {
	return func(yield func(ptrace.Traces, error) bool) {
		if err := read(file, yield); err != nil {
			yield(ptrace.Traces{}, err)
		}
	}
}

func read(file io.Reader, yield func(ptrace.Traces, error) bool) error {
	in := bufio.NewReader(file)
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		in = bufio.NewReader(unpacked)
	}
	first, err := in.Peek(1)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the file is empty")
	case err != nil:
		return err
	case first[0] == protobufBegins:
		content, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(content)
		if err == nil {
			yield(td, nil)
			return nil
		}
		in = bufio.NewReader(bytes.NewReader(content)) // JSON behind an empty line
	}
	return readJSON(in, yield)
}

// protobufBegins is the tag of the first field of a message TracesData. It is also a newline.
const protobufBegins = 0x0a

func readJSON(in io.Reader, yield func(ptrace.Traces, error) bool) error {
	values := json.NewDecoder(in)
	for n := 1; ; n++ {
		var value json.RawMessage
		err := values.Decode(&value)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("JSON value %d: %w", n, err)
		}
		td, err := parse(value)
		if err != nil {
			return fmt.Errorf("JSON value %d: %w", n, err)
		}
		if !yield(td, nil) {
			return nil
		}
	}
}

// parse tells the format of one JSON value by its members.
func parse(value json.RawMessage) (ptrace.Traces, error) {
	if value[0] == '[' {
		return parseZipkin(value)
	}
	var members struct {
		ResourceSpans json.RawMessage    `json:"resourceSpans"`
		Data          []jaegerjson.Trace `json:"data"`
		Errors        []struct {
			Code int    `json:"code"`
			Msg  string `json:"msg"`
		} `json:"errors"`
	}
	// Of a file that is none of these the members have other types: what is said then names all formats.
	if err := json.Unmarshal(value, &members); err != nil {
		return ptrace.Traces{}, fmt.Errorf("%w: %w", errUnknown, err)
	}
	switch {
	case members.ResourceSpans != nil:
		return (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(value)
	case len(members.Data) == 0 && len(members.Errors) > 0:
		return ptrace.Traces{}, fmt.Errorf("instead of traces Jaeger answered the error %d %q", members.Errors[0].Code, members.Errors[0].Msg)
	case members.Data != nil:
		return fromJaeger(members.Data)
	}
	var one jaegerjson.Trace
	if err := json.Unmarshal(value, &one); err != nil || one.Spans == nil {
		return ptrace.Traces{}, errors.Join(errUnknown, err)
	}
	return fromJaeger([]jaegerjson.Trace{one})
}

var errUnknown = errors.New("neither OTLP (resourceSpans), nor Jaeger (data, or spans and processes), nor Zipkin (a list of spans)")

// parseZipkin reads a list of spans, or a list of such lists.
func parseZipkin(value json.RawMessage) (ptrace.Traces, error) {
	var spans []json.RawMessage
	if err := json.Unmarshal(value, &spans); err != nil {
		return ptrace.Traces{}, err
	}
	if len(spans) > 0 && spans[0][0] == '[' {
		var traces [][]json.RawMessage
		if err := json.Unmarshal(value, &traces); err != nil {
			return ptrace.Traces{}, err
		}
		spans = nil
		for _, trace := range traces {
			spans = append(spans, trace...)
		}
		flat, err := json.Marshal(spans)
		if err != nil {
			return ptrace.Traces{}, err
		}
		value = flat
	}
	td, err := zipkinv2.NewJSONTracesUnmarshaler(false).UnmarshalTraces(value)
	if err != nil {
		return ptrace.Traces{}, fmt.Errorf("a list, but none of Zipkin's spans: %w", err)
	}
	return td, nil
}
