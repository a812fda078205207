package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/agent"
	jaegerthrift "github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// senderCases is every receiver of the binary with every protocol that docs/sources.md names. Spans of Datadog, SkyWalking and X-Ray are made by
// their own libraries (senders/), those of others by what their formats' owners publish.
func senderCases() []senderCase {
	const kafka = `{"brokers": ["BROKER"], "traces": {"topics": ["senders"]}, "group_id": "senders", "initial_offset": "earliest"}`
	const xray = `{"endpoint": "localhost:A", "proxy_server": {"endpoint": "localhost:B", "region": "eu-central-1", "local_mode": true}}`
	return []senderCase{
		{"otlp", "gRPC", `{"protocols": {"grpc": {"endpoint": "localhost:A"}}}`, false, sendOTLPGRPC, storySpans, true},
		{"otlp", "HTTP protobuf", `{"protocols": {"http": {"endpoint": "localhost:A"}}}`, false, sendOTLPProtobuf, storySpans, true},
		{"otlp", "HTTP JSON", `{"protocols": {"http": {"endpoint": "localhost:A"}}}`, false, sendOTLPJSON, storySpans, true},
		{"jaeger", "gRPC", `{"protocols": {"grpc": {"endpoint": "localhost:A"}}}`, false, sendJaegerGRPC, jaegerSpans, true},
		{"jaeger", "Thrift HTTP", `{"protocols": {"thrift_http": {"endpoint": "localhost:A"}}}`, false, sendJaegerHTTP, jaegerSpans, true},
		{"jaeger", "Thrift compact UDP", `{"protocols": {"thrift_compact": {"endpoint": "localhost:A"}}}`, false, sendJaegerCompact, jaegerSpans, true},
		{"jaeger", "Thrift binary UDP", `{"protocols": {"thrift_binary": {"endpoint": "localhost:A"}}}`, false, sendJaegerBinary, jaegerSpans, true},
		{"zipkin", "v2 JSON", `{"endpoint": "localhost:A"}`, false, sendZipkinJSON, zipkinSpans, true},
		{"zipkin", "v2 protobuf", `{"endpoint": "localhost:A"}`, false, sendZipkinProtobuf, zipkinProtobufSpans, true},
		{"zipkin", "v1 JSON", `{"endpoint": "localhost:A"}`, false, sendZipkinV1, zipkinV1Spans, true},
		{"kafka", "OTLP protobuf", kafka, false, sendKafka, storySpans, true},
		{"otlpjsonfile", "OTLP JSON", `{"include": ["spans.json"], "start_at": "beginning"}`, false, sendFile, fileSpans, true},
		{"datadog", "v0.4", `{"endpoint": "localhost:A"}`, false, sendDatadog("v0.4"), datadogSpans, false},
		{"datadog", "v0.5", `{"endpoint": "localhost:A"}`, false, sendDatadog("v0.5"), datadogSpans, false},
		{"skywalking", "gRPC", `{"protocols": {"grpc": {"endpoint": "localhost:A"}}}`, true, sendSkyWalking, skywalkingSpans, false},
		{"skywalking", "HTTP", `{"protocols": {"http": {"endpoint": "localhost:A"}}}`, false, sendSkyWalkingHTTP, browserSpans, false},
		{"awsxray", "UDP", xray, false, sendXRay, xraySpans, false},
	}
}

// What becomes of the story, or of what a library tells in its place.
var (
	fileSpans = []wantSpan{
		storySpans[0], storySpans[1], {"shop", "POST", "client", "error", map[string]any{"server.address": "bank.example", "log.file.name": "spans.json"}},
	}
	// Jaeger's translator gives the status its old name.
	jaegerSpans = []wantSpan{
		{"shop", "POST /checkout", "server", "error", map[string]any{"http.request.method": "POST", "http.status_code": 502, "service.version": "1.4.2"}},
		storySpans[1], storySpans[2],
	}
	// Attributes of Zipkin are text. Names lose their capitals in JSON, and not in protobuf.
	zipkinSpans = []wantSpan{
		{"shop", "post /checkout", "server", "error", map[string]any{"http.request.method": "POST", "http.response.status_code": "502"}},
		{"shop", "place order", "internal", "unset", map[string]any{"app.order.id": "o-1", "app.order.value": "19.5", "app.order.gift": "true"}},
		{"shop", "post", "client", "error", map[string]any{"server.address": "bank.example"}},
	}
	zipkinProtobufSpans = []wantSpan{
		{"shop", "POST /checkout", "server", "error", zipkinSpans[0].attributes},
		zipkinSpans[1],
		{"shop", "POST", "client", "error", zipkinSpans[2].attributes},
	}
	// A status of HTTP is all that says that something failed.
	zipkinV1Spans = []wantSpan{
		{"shop", "post /checkout", "server", "error", map[string]any{"http.response.status_code": "502"}},
		{"shop", "place order", "unspecified", "unset", map[string]any{"app.order.id": "o-1"}},
		{"shop", "post", "client", "unset", map[string]any{"server.address": "bank.example"}},
	}
	datadogSpans = []wantSpan{
		{"dd-shop", "POST /checkout", "server", "error", map[string]any{
			"http.request.method": "POST", "http.response.status_code": "502", "service.version": "1.4.2", "deployment.environment.name": "test",
			"dd.span.Resource": "POST /checkout", "telemetry.sdk.name": "Datadog", "telemetry.sdk.language": "python",
		}},
		{"dd-shop", "place order", "unspecified", "ok", map[string]any{"app.order.id": "o-1"}},
		{"dd-shop", "SELECT stock", "client", "error", map[string]any{"db.operation.name": "SELECT", "db.namespace": "stock", "error.type": "Timeout", "db.row_count": 7}},
	}
	skywalkingSpans = []wantSpan{
		{"sw-shop", "POST:/checkout", "server", "ok", map[string]any{"http.method": "POST", "http.url": "http://shop.example/checkout", "http.status_code": 502, "service.instance.id": "sw-1"}},
		{"sw-shop", "place order", "internal", "ok", nil},
		{"sw-shop", "/charge", "client", "error", map[string]any{"server.address": "bank.example", "server.port": 80}},
	}
	browserSpans = []wantSpan{
		{"sw-page", "/checkout", "client", "error", map[string]any{"http.method": "POST", "server.address": "shop.example", "service.instance.id": "v1.4.2"}},
	}
	xraySpans = []wantSpan{
		{"xray-shop", "xray-shop", "server", "error", map[string]any{
			"http.method": "POST", "http.status_code": 502, "http.client_ip": "10.0.0.1", "cloud.provider": "aws", "telemetry.sdk.name": "X-Ray for Python",
		}},
		{"xray-shop", "place order", "internal", "unset", map[string]any{"order_id": "o-1"}},
		{"xray-shop", "bank.example", "client", "error", map[string]any{"http.url": "http://bank.example/charge", "http.status_code": 503}},
	}
)

func (s *delivery) id() string {
	return s.story.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceID().String()
}

func (s *delivery) post(path, contentType string, body []byte, status int) {
	s.t.Helper()
	_, err := s.i.do(http.MethodPost, "http://"+s.address()+path, body, status, http.Header{"Content-Type": {contentType}})
	require.NoError(s.t, err)
}

func sendOTLPGRPC(s *delivery) string {
	_, err := ptraceotlp.NewGRPCClient(dial(s.t, s.address())).Export(s.t.Context(), ptraceotlp.NewExportRequestFromTraces(s.story))
	require.NoError(s.t, err)
	return s.id()
}

func sendOTLPProtobuf(s *delivery) string {
	body, err := ptraceotlp.NewExportRequestFromTraces(s.story).MarshalProto()
	require.NoError(s.t, err)
	s.post("/v1/traces", protobufType, body, http.StatusOK)
	return s.id()
}

func sendOTLPJSON(s *delivery) string {
	body, err := ptraceotlp.NewExportRequestFromTraces(s.story).MarshalJSON()
	require.NoError(s.t, err)
	s.post("/v1/traces", jsonType, body, http.StatusOK)
	return s.id()
}

func sendJaegerGRPC(s *delivery) string {
	client := api_v2.NewCollectorServiceClient(dial(s.t, s.address()))
	for _, batch := range jaeger.ProtoFromTraces(s.story) {
		_, err := client.PostSpans(s.t.Context(), &api_v2.PostSpansRequest{Batch: *batch})
		require.NoError(s.t, err)
	}
	return s.id()
}

// thriftBatch is the story in Jaeger's Thrift model, which clients make themselves.
func (s *delivery) thriftBatch() *jaegerthrift.Batch {
	tag := func(key string, value any) *jaegerthrift.Tag {
		switch v := value.(type) {
		case bool:
			return &jaegerthrift.Tag{Key: key, VType: jaegerthrift.TagType_BOOL, VBool: &v}
		case int64:
			return &jaegerthrift.Tag{Key: key, VType: jaegerthrift.TagType_LONG, VLong: &v}
		case float64:
			return &jaegerthrift.Tag{Key: key, VType: jaegerthrift.TagType_DOUBLE, VDouble: &v}
		default:
			text := fmt.Sprint(v)
			return &jaegerthrift.Tag{Key: key, VType: jaegerthrift.TagType_STRING, VStr: &text}
		}
	}
	batch := &jaegerthrift.Batch{Process: &jaegerthrift.Process{ServiceName: "shop", Tags: []*jaegerthrift.Tag{tag("service.version", "1.4.2")}}}
	word := func(b []byte) (n int64) {
		for _, one := range b {
			n = n<<8 | int64(one)
		}
		return n
	}
	for _, span := range s.story.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		traceID, id, parent := span.TraceID(), span.SpanID(), span.ParentSpanID()
		out := &jaegerthrift.Span{
			TraceIdHigh: word(traceID[:8]), TraceIdLow: word(traceID[8:]), SpanId: word(id[:]), ParentSpanId: word(parent[:]), Flags: 1,
			OperationName: span.Name(), StartTime: span.StartTimestamp().AsTime().UnixMicro(),
			Duration: span.EndTimestamp().AsTime().Sub(span.StartTimestamp().AsTime()).Microseconds(),
			Tags:     []*jaegerthrift.Tag{tag("span.kind", strings.ToLower(span.Kind().String()))},
		}
		if span.Status().Code() == ptrace.StatusCodeError {
			out.Tags = append(out.Tags, tag("error", true))
		}
		for key, value := range span.Attributes().AsRaw() {
			out.Tags = append(out.Tags, tag(key, value))
		}
		batch.Spans = append(batch.Spans, out)
	}
	return batch
}

func sendJaegerHTTP(s *delivery) string {
	body, err := thrift.NewTSerializer().Write(s.t.Context(), s.thriftBatch())
	require.NoError(s.t, err)
	s.post("/api/traces?format=jaeger.thrift", thriftType, body, http.StatusAccepted)
	return s.id()
}

// emit sends a packet as Jaeger's clients do to an agent.
func (s *delivery) emit(protocol thrift.TProtocolFactory) string {
	s.t.Helper()
	packet := thrift.NewTMemoryBuffer()
	require.NoError(s.t, agent.NewAgentClientFactory(packet, protocol).EmitBatch(s.t.Context(), s.thriftBatch()))
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "udp", s.address())
	require.NoError(s.t, err)
	_, err = conn.Write(packet.Bytes())
	require.NoError(s.t, err)
	require.NoError(s.t, conn.Close())
	return s.id()
}

func sendJaegerCompact(s *delivery) string { return s.emit(thrift.NewTCompactProtocolFactoryConf(nil)) }

func sendJaegerBinary(s *delivery) string { return s.emit(thrift.NewTBinaryProtocolFactoryConf(nil)) }

func sendZipkinJSON(s *delivery) string {
	body, err := zipkinv2.NewJSONTracesMarshaler().MarshalTraces(s.story)
	require.NoError(s.t, err)
	s.post("/api/v2/spans", jsonType, body, http.StatusAccepted)
	return s.id()
}

func sendZipkinProtobuf(s *delivery) string {
	body, err := zipkinv2.NewProtobufTracesMarshaler().MarshalTraces(s.story)
	require.NoError(s.t, err)
	s.post("/api/v2/spans", protobufType, body, http.StatusAccepted)
	return s.id()
}

// sendZipkinV1 writes the first format as libraries of its time did: kinds are annotations.
func sendZipkinV1(s *delivery) string {
	host := map[string]any{"serviceName": "shop", "ipv4": "10.0.0.1"}
	var spans []map[string]any
	for n, span := range s.story.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		start := span.StartTimestamp().AsTime().UnixMicro()
		duration := span.EndTimestamp().AsTime().UnixMicro() - start
		at := func(micros int64, value string) map[string]any {
			return map[string]any{"timestamp": micros, "value": value, "endpoint": host}
		}
		binary := func(key, value string) []any {
			return []any{map[string]any{"key": key, "value": value, "endpoint": host}}
		}
		out := map[string]any{
			"traceId": span.TraceID().String(), "id": span.SpanID().String(), "name": strings.ToLower(span.Name()), "timestamp": start, "duration": duration,
		}
		if n > 0 {
			out["parentId"] = span.ParentSpanID().String()
		}
		switch span.Kind() {
		case ptrace.SpanKindServer:
			out["annotations"] = []any{at(start, "sr"), at(start+duration, "ss")}
			out["binaryAnnotations"] = binary("http.response.status_code", "502")
		case ptrace.SpanKindClient:
			out["annotations"] = []any{at(start, "cs"), at(start+duration, "cr")}
			out["binaryAnnotations"] = binary("server.address", "bank.example")
		default:
			out["binaryAnnotations"] = binary("app.order.id", "o-1")
		}
		spans = append(spans, out)
	}
	body, err := json.Marshal(spans)
	require.NoError(s.t, err)
	s.post("/api/v1/spans", jsonType, body, http.StatusAccepted)
	return s.id()
}

// sendKafka writes into a topic by the kafka exporter of a collector.
func sendKafka(s *delivery) string {
	s.a = startKafkaRelay(s.t, s.kafka.Broker, "senders", s.b)
	return sendOTLPGRPC(s)
}

func sendFile(s *delivery) string {
	line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(s.story)
	require.NoError(s.t, err)
	file, err := os.OpenFile(filepath.Join(s.dir, "spans.json"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(s.t, err)
	_, err = file.Write(append(line, '\n'))
	require.NoError(s.t, err)
	require.NoError(s.t, file.Close())
	return s.id()
}

func senderCache(t *testing.T) string {
	t.Helper()
	cache, err := filepath.Abs(filepath.Join(root, ".cache", "senders"))
	require.NoError(t, err)
	return cache
}

// installSenders installs the libraries of senders from PyPI, once.
func installSenders(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cache := senderCache(t)
	want, err := os.ReadFile(filepath.Join("senders", "requirements.txt"))
	require.NoError(t, err)
	mark := filepath.Join(cache, "installed.txt")
	if has, err := os.ReadFile(mark); err == nil && bytes.Equal(has, want) {
		return
	}
	for _, command := range [][]string{
		{"python3", "-m", "venv", cache},
		{filepath.Join(cache, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", filepath.Join("senders", "requirements.txt")},
	} {
		output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
		require.NoError(t, err, string(output))
	}
	require.NoError(t, os.WriteFile(mark, want, 0o600))
}

// run runs a script of senders/, which prints the id of its trace in the last line.
func (s *delivery) run(script string, env ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(senderCache(s.t), "bin", "python"), filepath.Join("senders", script))
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	require.NoError(s.t, err, "%s\n%s", output, stderr.String())
	lines := strings.Fields(string(output))
	require.NotEmpty(s.t, lines, stderr.String())
	return lines[len(lines)-1]
}

func sendDatadog(version string) func(*delivery) string {
	return func(s *delivery) string {
		return s.run("send_datadog.py", "DD_TRACE_AGENT_URL=http://"+s.address(), "DD_TRACE_API_VERSION="+version, "DD_SERVICE=dd-shop", "DD_ENV=test", "DD_VERSION=1.4.2",
			"DD_INSTRUMENTATION_TELEMETRY_ENABLED=false", "DD_REMOTE_CONFIGURATION_ENABLED=false")
	}
}

func sendSkyWalking(s *delivery) string {
	return s.run("send_skywalking.py", "SW_AGENT_COLLECTOR_BACKEND_SERVICES="+s.address(), "SW_AGENT_NAME=sw-shop", "SW_AGENT_INSTANCE_NAME=sw-1",
		"SW_AGENT_LOG_REPORTER_ACTIVE=false", "SW_AGENT_METER_REPORTER_ACTIVE=false")
}

// sendSkyWalkingHTTP sends what SkyWalking's protocol (HTTP API, v3) says, as its client in a browser does.
func sendSkyWalkingHTTP(s *delivery) string {
	now := time.Now().UnixMilli()
	s.post("/v3/segments", jsonType, fmt.Appendf(nil, `[{
		"traceId": "7e2f14bb-1f9c-4b25-8e30-1d6c5a6b0001", "traceSegmentId": "7e2f14bb1f9c4b258e301d6c5a6b0002", "service": "sw-page", "serviceInstance": "v1.4.2",
		"spans": [{"operationName": "/checkout", "startTime": %d, "endTime": %d, "spanId": 0, "parentSpanId": -1, "spanLayer": "Http", "spanType": "Exit",
			"isError": true, "peer": "shop.example", "componentId": 10001, "tags": [{"key": "http.method", "value": "POST"}]}]}]`, now-250, now), http.StatusOK)
	return "7e2f14bb1f9c4b258e301d6c5a6b0001"
}

func sendXRay(s *delivery) string {
	return s.run("send_xray.py", "AWS_XRAY_DAEMON_ADDRESS="+s.address())
}
