package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	jsonType     = "application/json"
	protobufType = "application/x-protobuf"
	thriftType   = "application/x-thrift"
)

// field is a protobuf field that holds bytes.
func field(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
}

// otlpSpan is a request with one span, of whatever ids.
func otlpSpan(traceID, spanID []byte, more ...[]byte) []byte {
	span := append([][]byte{field(1, traceID), field(2, spanID), field(5, []byte("hostile"))}, more...)
	return field(1, field(2, field(2, span...)))
}

// nestedAttribute is an attribute whose value lies in depth arrays, written from the inside.
func nestedAttribute(depth int) []byte {
	var reversed []byte
	wrap := func(number protowire.Number) {
		head := protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.BytesType), uint64(len(reversed)))
		for i := range head {
			reversed = append(reversed, head[len(head)-1-i])
		}
	}
	for range depth {
		wrap(1) // ArrayValue.values
		wrap(5) // AnyValue.array_value
	}
	value := make([]byte, len(reversed))
	for i, b := range reversed {
		value[len(value)-1-i] = b
	}
	return field(9, field(1, []byte("nested")), field(2, value))
}

func zipped(t *testing.T, body []byte) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := gzip.NewWriter(&buffer)
	_, err := w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buffer.Bytes()
}

// noise is the same garbage in every run.
func noise(n int) []byte {
	source := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, n)
	for i := range body {
		body[i] = byte(source.Uint32())
	}
	return body
}

// post sends a body and answers the status; the connection may be cut while a body that is too large is sent.
func (i *instance) post(url, contentType, encoding string, body []byte) int {
	i.t.Helper()
	request, err := http.NewRequestWithContext(i.t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(i.t, err)
	request.Header.Set("Content-Type", contentType)
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(i.t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(i.t, err)
	require.NoError(i.t, response.Body.Close())
	return response.StatusCode
}

// Whatever comes over HTTP is answered, by 400 where it is garbage, and the process goes on. 8 MiB are the largest request.
func TestHostileBodiesOverHTTP(t *testing.T) {
	i := startInstance(t)
	trace, span := bytes.Repeat([]byte{0xaa}, 16), bytes.Repeat([]byte{0xbb}, 8)
	spanJSON := func(traceID, spanID string) string {
		return `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"` + traceID + `","spanId":"` + spanID + `"}]}]}]}`
	}
	deepJSON := func(depth int) string {
		return `{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":` + strings.Repeat(`{"arrayValue":{"values":[`, depth) +
			strings.Repeat(`]}}`, depth) + `}]}}]}`
	}
	const otlp, zipkin1, zipkin2, jaeger = "/v1/traces", "/api/v1/spans", "/api/v2/spans", "/api/traces?format=jaeger.thrift"
	for name, test := range map[string]struct {
		port, path, contentType, encoding string
		body                              []byte
		status                            int
	}{
		"OTLP, nothing":                     {"OTLP_HTTP", otlp, protobufType, "", nil, 200},
		"OTLP, noise":                       {"OTLP_HTTP", otlp, protobufType, "", noise(100_000), 400},
		"OTLP, cut off":                     {"OTLP_HTTP", otlp, protobufType, "", otlpSpan(trace, span)[:20], 400},
		"OTLP, short trace id":              {"OTLP_HTTP", otlp, protobufType, "", otlpSpan(trace[:15], span), 400},
		"OTLP, long span id":                {"OTLP_HTTP", otlp, protobufType, "", otlpSpan(trace, trace), 400},
		"OTLP, zero ids":                    {"OTLP_HTTP", otlp, protobufType, "", otlpSpan(make([]byte, 16), make([]byte, 8)), 200},
		"OTLP, no ids":                      {"OTLP_HTTP", otlp, protobufType, "", otlpSpan(nil, nil), 200},
		"OTLP, a million empty spans":       {"OTLP_HTTP", otlp, protobufType, "", field(1, field(2, bytes.Repeat(field(2), 1_000_000))), 200},
		"OTLP, nested 10,000 deep":          {"OTLP_HTTP", otlp, protobufType, "", otlpSpan(trace, span, nestedAttribute(10_000)), 200},
		"OTLP, nested as deep as 8 MiB may": {"OTLP_HTTP", otlp, protobufType, "", otlpSpan(trace, span, nestedAttribute(890_000)), 200},
		"OTLP, nested in 20 MiB":            {"OTLP_HTTP", otlp, protobufType, "", otlpSpan(trace, span, nestedAttribute(2_000_000)), 400},
		"OTLP, nested in 20 MiB, zipped":    {"OTLP_HTTP", otlp, protobufType, "gzip", zipped(t, otlpSpan(trace, span, nestedAttribute(2_000_000))), 400},
		"OTLP, a gigabyte, zipped":          {"OTLP_HTTP", otlp, protobufType, "gzip", zipped(t, make([]byte, 1<<30)), 400},
		"OTLP, noise for gzip":              {"OTLP_HTTP", otlp, protobufType, "gzip", noise(1000), 400},
		"OTLP, unknown encoding":            {"OTLP_HTTP", otlp, protobufType, "br", noise(1000), 400},
		"OTLP, unknown type":                {"OTLP_HTTP", otlp, "text/plain", "", []byte("hello"), 415},
		"OTLP JSON, nothing":                {"OTLP_HTTP", otlp, jsonType, "", nil, 400},
		// The receiver's error quotes the noise, which is not UTF-8, and cannot be marshalled.
		"OTLP JSON, noise":               {"OTLP_HTTP", otlp, jsonType, "", noise(1000), 500},
		"OTLP JSON, half a document":     {"OTLP_HTTP", otlp, jsonType, "", []byte(`{"resourceSpans":[`), 400},
		"OTLP JSON, another document":    {"OTLP_HTTP", otlp, jsonType, "", []byte(`[1,2,3]`), 400},
		"OTLP JSON, short trace id":      {"OTLP_HTTP", otlp, jsonType, "", []byte(spanJSON(strings.Repeat("a", 31), "bbbbbbbbbbbbbbbb")), 400},
		"OTLP JSON, no hex":              {"OTLP_HTTP", otlp, jsonType, "", []byte(spanJSON(strings.Repeat("x", 32), "bbbbbbbbbbbbbbbb")), 400},
		"OTLP JSON, nested 270,000 deep": {"OTLP_HTTP", otlp, jsonType, "", []byte(deepJSON(270_000)), 200},
		"Zipkin, nothing":                {"ZIPKIN", zipkin2, jsonType, "", nil, 400},
		"Zipkin, noise":                  {"ZIPKIN", zipkin2, jsonType, "", noise(1000), 400},
		"Zipkin, brackets":               {"ZIPKIN", zipkin2, jsonType, "", bytes.Repeat([]byte{'['}, 1_000_000), 400},
		"Zipkin, no trace id":            {"ZIPKIN", zipkin2, jsonType, "", []byte(`[{"id":"1"}]`), 202}, // and rejected
		"Zipkin, ids that are none":      {"ZIPKIN", zipkin2, jsonType, "", []byte(`[{"traceId":"xyz","id":"1"}]`), 400},
		"Zipkin protobuf, noise":         {"ZIPKIN", zipkin2, protobufType, "", noise(1000), 400},
		"Zipkin 1, noise":                {"ZIPKIN", zipkin1, jsonType, "", noise(1000), 400},
		"Zipkin 1 thrift, noise":         {"ZIPKIN", zipkin1, thriftType, "", noise(1000), 400},
		"Jaeger, nothing":                {"JAEGER_HTTP", jaeger, thriftType, "", nil, 400},
		"Jaeger, noise":                  {"JAEGER_HTTP", jaeger, thriftType, "", noise(100_000), 400},
		"Jaeger, a list of 2^31 spans":   {"JAEGER_HTTP", jaeger, thriftType, "", []byte{15, 0, 2, 12, 0x7f, 0xff, 0xff, 0xff}, 400},
		"Jaeger, unknown type":           {"JAEGER_HTTP", jaeger, "text/plain", "", noise(1000), 400},
	} {
		t.Run(name, func(t *testing.T) {
			status := i.post(i.url(test.port, test.path), test.contentType, test.encoding, test.body)
			require.Equal(t, test.status, status)
		})
	}
	_, err := i.get(i.url("HEALTH", "/"), http.StatusOK)
	require.NoError(t, err)
	require.NotContains(t, i.logs.String(), "panic")
	i.send(chain("after", 9, 3), nil)
	require.Equal(t, 3, i.trace("00000000000000000000000000000009", nil).SpanCount)
	// Of what was taken, one trace is one; the rest was rejected by name.
	_, err = i.get(i.url("QUERY", "/traces/"+strings.Repeat("aa", 16)), http.StatusOK)
	require.NoError(t, err)
	require.EqualValues(t, 1_000_003, i.assemblyMetric(`spans_rejected{reason="zero_trace_id"}`))
	require.EqualValues(t, 1, i.assemblyMetric(`spans_rejected{reason="too_deep"}`))
}

// assemblyMetric is a metric of trace_assembly by its name, and label where it has one.
func (i *instance) assemblyMetric(name string) float64 {
	i.t.Helper()
	metrics, err := i.get(i.url("METRICS", "/metrics"), http.StatusOK)
	require.NoError(i.t, err)
	for line := range strings.Lines(string(metrics)) {
		if rest, ok := strings.CutPrefix(line, "otelcol_processor_trace_assembly_"+name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			require.NoError(i.t, err)
			return value
		}
	}
	require.Fail(i.t, "no such metric", name)
	return 0
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error)      { return v.([]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = bytes.Clone(data); return nil }
func (rawCodec) Name() string                       { return "proto" }

// dial connects to an address for as long as the test runs.
func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// The same over gRPC.
func TestHostileBodiesOverGRPC(t *testing.T) {
	i := startInstance(t)
	trace, span := bytes.Repeat([]byte{0xaa}, 16), bytes.Repeat([]byte{0xbb}, 8)
	const otlp, jaeger = "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "/jaeger.api_v2.CollectorService/PostSpans"
	for name, test := range map[string]struct {
		port, method string
		body         []byte
		code         codes.Code
	}{
		"OTLP, noise":          {"OTLP_GRPC", otlp, noise(100_000), codes.Internal},
		"OTLP, short trace id": {"OTLP_GRPC", otlp, otlpSpan(trace[:15], span), codes.InvalidArgument},
		"OTLP, zero ids":       {"OTLP_GRPC", otlp, otlpSpan(nil, nil), codes.OK},
		"OTLP, nested as deep as 8 MiB may": {
			"OTLP_GRPC", otlp, otlpSpan(trace, span, nestedAttribute(890_000)), codes.OK,
		},
		"OTLP, nested in 20 MiB": {
			"OTLP_GRPC", otlp, otlpSpan(trace, span, nestedAttribute(2_000_000)), codes.ResourceExhausted,
		},
		"Jaeger, noise":     {"JAEGER_GRPC", jaeger, noise(100_000), codes.Internal},
		"Jaeger, zero ids":  {"JAEGER_GRPC", jaeger, field(1, field(1, field(1, make([]byte, 16)), field(2, make([]byte, 8)))), codes.OK},
		"Jaeger, short ids": {"JAEGER_GRPC", jaeger, field(1, field(1, field(1, []byte{1}), field(2, []byte{2}))), codes.Internal},
		"Jaeger, empty":     {"JAEGER_GRPC", jaeger, nil, codes.OK},
		"Jaeger, spans of no content": {
			"JAEGER_GRPC", jaeger, field(1, bytes.Repeat(field(1), 1000)), codes.OK,
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			var answer []byte
			err := dial(t, i.endpoint(test.port)).Invoke(ctx, test.method, test.body, &answer, grpc.ForceCodec(rawCodec{}))
			require.Equal(t, test.code, status.Code(err), "%v", err)
		})
	}
	require.NotContains(t, i.logs.String(), "panic")
	i.send(chain("after", 9, 3), nil)
	require.Equal(t, 3, i.trace("00000000000000000000000000000009", nil).SpanCount)
}

// A trace of 100,000 spans is one trace: a root and its children of 1 µs, one behind the other, so that every one is on the
// critical path.
func TestTraceOf100000Spans(t *testing.T) {
	i := startInstance(t)
	const (
		n       = 100_000
		start   = 1_790_000_000_000_000_000
		request = 25_000 // spans, which are 2 MB
	)
	id := func(n int) pcommon.SpanID { return pcommon.SpanID{5: byte(n >> 16), 6: byte(n >> 8), 7: byte(n)} }
	for from := 0; from < n; from += request {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "large")
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for k := from; k < from+request; k++ {
			span := spans.AppendEmpty()
			span.SetTraceID(pcommon.TraceID{15: 77})
			span.SetSpanID(id(1 + k))
			span.SetName("step")
			span.SetKind(ptrace.SpanKindInternal)
			span.SetStartTimestamp(pcommon.Timestamp(start + 1000*k))
			span.SetEndTimestamp(pcommon.Timestamp(start + 1000*(k+1)))
			if k == 0 {
				span.SetEndTimestamp(start + 1000*n)
			} else {
				span.SetParentSpanID(id(1))
			}
		}
		body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, i.post(i.url("OTLP_HTTP", "/v1/traces"), protobufType, "", body))
	}
	// On a busy machine a request comes so long after the one before that it is a late fragment.
	trace := i.trace("0000000000000000000000000000004d", func(trace *traceAnswer) error {
		if trace.SpanCount < n {
			return fmt.Errorf("%d spans", trace.SpanCount)
		}
		return nil
	})
	require.Len(t, trace.Spans, n)
	require.Equal(t, "complete", trace.Outcome)
	require.Len(t, trace.CriticalPath, n)
	require.EqualValues(t, 1000*n, trace.RootDurationNS)
	require.Equal(t, trace.RootDurationNS, pathLength(trace))
	rows := i.search(map[string]any{"start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z", "service": "large"}).Traces
	require.Len(t, rows, 1)
	require.Equal(t, n, rows[0].SpanCount)
}

// A pipeline that is full because nobody takes what it releases refuses requests such that senders send them again, over
// HTTP and gRPC, and takes them again once there is room.
func TestFullPipelineAnswersRetryable(t *testing.T) {
	const small = "131072"
	i := newInstance(t)
	i.start(
		// An exporter that finds nobody, and keeps nothing itself.
		"--set=exporters.otlp.endpoint=127.0.0.1:1", "--set=exporters.otlp.tls.insecure=true",
		"--set=exporters.otlp.sending_queue.enabled=false", "--set=exporters.otlp.retry_on_failure.enabled=false",
		"--set=exporters.otlp.timeout=1s",
		"--set=service.pipelines.traces.exporters=[otlp]",
		"--set=processors.trace_assembly.linger=10ms",
		"--set=processors.trace_assembly.shutdown_timeout=1s",
		"--set=processors.trace_assembly.max_span_bytes="+small, "--set=processors.trace_assembly.max_part_bytes="+small,
		"--set=processors.trace_assembly.max_trace_bytes="+small, "--set=processors.trace_assembly.memory_limit_bytes=1048576",
	)
	request := func(n byte) ptraceotlp.ExportRequest {
		td := chain("full", n, 100)
		td.ResourceSpans().At(0).Resource().Attributes().PutStr("padding", strings.Repeat("x", 20_000))
		return ptraceotlp.NewExportRequestFromTraces(td)
	}
	accepted := 0
	i.await("the pipeline to be full", func() error {
		body, err := request(byte(1 + accepted)).MarshalProto()
		require.NoError(t, err)
		switch code := i.post(i.url("OTLP_HTTP", "/v1/traces"), protobufType, "", body); code {
		case http.StatusServiceUnavailable:
			return nil
		case http.StatusOK:
			accepted++
			require.Less(t, accepted, 50, "1 MiB takes no more than 50 times 20,000 bytes")
			return fmt.Errorf("%d requests were accepted", accepted)
		default:
			require.Equal(t, http.StatusServiceUnavailable, code)
			return nil
		}
	})
	require.Positive(t, accepted)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := ptraceotlp.NewGRPCClient(dial(t, i.endpoint("OTLP_GRPC"))).Export(ctx, request(200))
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "memory_limit_bytes")

	require.EqualValues(t, 2, i.assemblyMetric(`requests_refused{reason="memory"}`))
	require.EqualValues(t, 100*accepted, i.assemblyMetric(`spans_received`))
	require.EqualValues(t, 100*accepted, i.assemblyMetric(`spans_in_flight`), "nothing that was accepted is lost")
	_, err = i.get(i.url("HEALTH", "/"), http.StatusOK)
	require.NoError(t, err)
}

// hugeWindow is a frame of zstd that declares a window of 512 MiB: magic number, no further header, the window, and the first byte of what it
// would hold.
var hugeWindow = []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 19 << 3, 0x08, 0, 0, 0x0a}

// windows are sent one after the other, and may take windowsMost together.
const windows, windowsMost = 5, 200 << 20

// What a request says of its size costs nothing until it is there.
func TestHostileCompression(t *testing.T) {
	i := startInstance(t)
	i.ports["MORE"] = freePorts(t, "MORE")["MORE"]
	i.source("POST", "", fmt.Sprintf(`{"name": "more", "type": "otlp", "configuration": {"protocols": {"http": {"endpoint": "localhost:%d"}}}}`, i.ports["MORE"]), 201)
	for name, test := range map[string]struct{ port, path, contentType string }{
		"OTLP":           {"OTLP_HTTP", "/v1/traces", protobufType},
		"Jaeger":         {"JAEGER_HTTP", "/api/traces?format=jaeger.thrift", thriftType},
		"Zipkin":         {"ZIPKIN", "/api/v2/spans", jsonType},
		"API":            {"QUERY", "/traces/search", jsonType},
		"OTLP, a source": {"MORE", "/v1/traces", protobufType},
	} {
		t.Run(name, func(t *testing.T) {
			before := i.allocated()
			for range windows {
				require.Equal(t, http.StatusBadRequest, i.post(i.url(test.port, test.path), test.contentType, "zstd", hugeWindow))
			}
			require.Less(t, i.allocated()-before, float64(windowsMost))
		})
	}
	i.requireBoundedWindow("OTLP_GRPC", "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
	i.requireBoundedWindow("JAEGER_GRPC", "/jaeger.api_v2.CollectorService/PostSpans")
}

// requireBoundedWindow sends hugeWindow over gRPC.
func (i *instance) requireBoundedWindow(port, method string) {
	i.t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	before := i.allocated()
	for range windows {
		message := append([]byte{1, 0, 0, 0, byte(len(hugeWindow))}, hugeWindow...) // packed, and how long
		request, err := http.NewRequestWithContext(i.t.Context(), http.MethodPost, i.url(port, method), bytes.NewReader(message))
		require.NoError(i.t, err)
		request.Header = http.Header{"Content-Type": {"application/grpc"}, "Grpc-Encoding": {"zstd"}, "Te": {"trailers"}}
		response, err := client.Do(request)
		require.NoError(i.t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(i.t, err)
		require.NoError(i.t, response.Body.Close())
		status := response.Trailer.Get("Grpc-Status") + response.Header.Get("Grpc-Status")
		require.Equal(i.t, strconv.Itoa(int(codes.Internal)), status, response.Trailer)
	}
	require.Less(i.t, i.allocated()-before, float64(windowsMost), port)
}

// allocated is how much memory the process has had in all, in bytes. What it tells is some moments old: of two readings that differ the latter is
// of now.
func (i *instance) allocated() (bytes float64) {
	i.t.Helper()
	first := i.toldAllocated()
	i.await("what is allocated", func() error {
		if bytes = i.toldAllocated(); bytes == first {
			return errors.New("it is as old as before")
		}
		return nil
	})
	return bytes
}

func (i *instance) toldAllocated() float64 {
	i.t.Helper()
	metrics, err := i.get(i.url("METRICS", "/metrics"), http.StatusOK)
	require.NoError(i.t, err)
	for line := range strings.Lines(string(metrics)) {
		if rest, ok := strings.CutPrefix(line, "otelcol_process_runtime_total_alloc_bytes "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			require.NoError(i.t, err)
			return value
		}
	}
	require.Fail(i.t, "the process does not say what it has allocated")
	return 0
}
