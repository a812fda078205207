package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracewright/tracewright/internal/testservers"
)

// sourceAnswer is what the API says of a source.
type sourceAnswer struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Enabled   bool   `json:"enabled"`
	Version   int    `json:"version"`
	Instances []struct {
		ID       string   `json:"id"`
		Health   string   `json:"health"`
		Error    string   `json:"error"`
		Version  int      `json:"version"`
		Spans    int      `json:"spans"`
		Services []string `json:"services"`
		SDKs     []struct {
			Name string `json:"name"`
		} `json:"sdks"`
		Rejected struct {
			Limit int `json:"limit"`
		} `json:"rejected"`
	} `json:"instances"`
	ContextAccuracy *float64 `json:"context_accuracy"`
}

// source sends a request about sources, which has to be answered with the status. below is the path below /traces/sources.
func (i *instance) source(method, below, body string, status int) *sourceAnswer {
	i.t.Helper()
	var content []byte
	if body != "" {
		content = []byte(body)
	}
	content, err := i.do(method, i.url("QUERY", "/traces/sources"+below), content, status, nil)
	require.NoError(i.t, err)
	answer := &sourceAnswer{}
	if len(content) > 0 {
		require.NoError(i.t, json.Unmarshal(content, answer))
	}
	return answer
}

// sender runs tracegen, whose truth is compared when it has ended.
type sender struct {
	t      *testing.T
	tenant string
	truth  string
	cmd    *exec.Cmd
	output testservers.Output
}

// startSender sends for some seconds to a receiver of OTLP, and repeats what is not taken.
func startSender(t *testing.T, tracegen, tenant string, port int, seconds int) *sender {
	t.Helper()
	s := &sender{t: t, tenant: tenant, truth: filepath.Join(t.TempDir(), "truth.jsonl")}
	s.cmd = exec.CommandContext(t.Context(), tracegen, "--endpoint", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		"--rate", "60", "--duration", strconv.Itoa(seconds)+"s", "--tenants", "1", "--batch-delay", "200ms", "--expect", s.truth)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	require.NoError(t, s.cmd.Start())
	return s
}

// wait waits until everything was taken, and writes the tenant into the truth that the source has given the spans.
func (s *sender) wait() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Wait(), s.output.String())
	content, err := os.ReadFile(s.truth)
	require.NoError(s.t, err)
	require.Contains(s.t, string(content), `"tenant-1"`)
	require.NoError(s.t, os.WriteFile(s.truth, bytes.ReplaceAll(content, []byte(`"tenant-1"`), []byte(`"`+s.tenant+`"`)), 0o600))
}

// verify compares what is stored with what was sent.
func (s *sender) verify(tracegen string, i *instance) {
	s.t.Helper()
	verify(s.t, tracegen, s.truth, i.url("QUERY", ""), "--timeout", "2m")
}

func TestSources(t *testing.T) {
	tracegen := buildTracegen(t)
	kafka := testservers.StartKafka(t)
	t.Run("one instance", func(t *testing.T) { testSources(t, tracegen, kafka) })
	t.Run("two gateways", func(t *testing.T) { testSourcesOfGateways(t, tracegen, kafka) })
}

// testSources adds an OTLP, a Zipkin and a Kafka source, and changes, breaks, pauses and removes them under load, with a kill -9 in between:
// nothing that was acknowledged is lost.
func testSources(t *testing.T, tracegen string, kafka *testservers.Kafka) {
	ports := freePorts(t, "OTLP", "ZIPKIN", "RELAY", "MORE")
	i := newInstance(t)
	args := []string{
		"--set=receivers.trace_sources.allowed_hosts=[127.0.0.1]", "--set=processors.trace_assembly.linger=300ms",
	}
	i.start(args...)
	listing := `"endpoint": "localhost:` + strconv.Itoa(ports["OTLP"]) + `"`
	otlp := func(more string) string { return `"configuration": {"protocols": {"grpc": {` + listing + more + `}}}` }
	i.source("POST", "", `{"name": "shop", "type": "otlp", "tenant": "otlp", "labels": {"team": "red"}, `+otlp("")+`}`, 201)
	i.source("POST", "", fmt.Sprintf(`{"name": "browsers", "type": "zipkin", "tenant": "zipkin", "configuration": {"endpoint": "localhost:%d"}}`, ports["ZIPKIN"]), 201)
	topic := func(more string) string { return ofTopic(kafka, "spans", more) }
	i.source("POST", "", `{"name": "topic", "type": "kafka", "tenant": "kafka", `+topic("")+`}`, 201)

	const seconds = 9
	senders := []*sender{
		startSender(t, tracegen, "otlp", ports["OTLP"], seconds),
		startSender(t, tracegen, "zipkin", startZipkinRelay(t, ports["ZIPKIN"]), seconds),
		startSender(t, tracegen, "kafka", startKafkaRelay(t, kafka.Broker, "spans", ports["RELAY"]), seconds),
	}
	seen := func(id string) *sourceAnswer { return i.source("GET", "/"+id, "", 200) }
	for _, id := range []string{"shop", "browsers", "topic"} {
		i.await("spans through "+id, func() error {
			if got := seen(id).Instances[0]; got.Spans < 100 || len(got.Services) < 10 || got.Health != "running" {
				return fmt.Errorf("%+v", got)
			}
			return nil
		})
	}
	require.Equal(t, "opentelemetry", seen("shop").Instances[0].SDKs[0].Name)

	// Changes: one that interrupts nothing, one for which the old one makes room, and one beside which the old one runs.
	i.source("PUT", "/shop", `{"labels": {"team": "blue"}}`, 200)
	require.Equal(t, 3, i.source("PUT", "/shop", "{"+otlp(`, "max_recv_msg_size_mib": 16`)+"}", 200).Version)
	i.source("PUT", "/topic", "{"+topic(`, "max_fetch_wait": "100ms"`)+"}", 200)

	// Changes that break it leave it as it was.
	i.source("PUT", "/shop", "{"+otlp(`, "max_recv_msg_size": 16`)+"}", 400)
	i.source("PUT", "/shop", fmt.Sprintf(`{"configuration": {"protocols": {"grpc": {%s}, "http": {"endpoint": "localhost:%d"}}}}`, listing, i.ports["OTLP_HTTP"]), 409)
	i.source("PUT", "/browsers", fmt.Sprintf(`{"configuration": {"endpoint": "localhost:%d"}}`, ports["OTLP"]), 409)
	i.source("PUT", "/topic", `{"configuration": {"brokers": ["elsewhere.example:9092"]}}`, 403)
	i.source("POST", "", `{"name": "shop2", "type": "otlp", `+otlp("")+`}`, 409)
	require.Equal(t, "running", seen("shop").Instances[0].Health)

	// Pauses, and a limit that is too low for what comes.
	for _, id := range []string{"shop", "browsers", "topic"} {
		require.Equal(t, "paused", i.source("PUT", "/"+id, `{"enabled": false}`, 200).Instances[0].Health)
	}
	for _, id := range []string{"shop", "browsers", "topic"} {
		i.source("PUT", "/"+id, `{"enabled": true, "limits": {"spans_per_second": 300}}`, 200)
	}
	i.await("spans above the limit", func() error {
		if seen("shop").Instances[0].Rejected.Limit == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	for _, id := range []string{"shop", "browsers", "topic"} {
		i.source("PUT", "/"+id, `{"limits": {}}`, 200)
	}

	// They come back after a crash.
	i.stop(syscall.SIGKILL)
	i.start(args...)
	for _, id := range []string{"shop", "browsers", "topic"} {
		require.Equal(t, "running", seen(id).Instances[0].Health)
	}

	for _, s := range senders {
		s.wait()
	}
	senders[0].verify(tracegen, i)
	senders[2].verify(tracegen, i)
	senders[1].requireSpans(i)
	require.NotNil(t, seen("shop").ContextAccuracy)
	require.InDelta(t, 1, *seen("shop").ContextAccuracy, 0.02)

	for _, id := range []string{"shop", "browsers", "topic"} {
		i.source("DELETE", "/"+id, "", 204)
		i.source("GET", "/"+id, "", 404)
	}
	for _, name := range []string{"OTLP", "ZIPKIN"} {
		_, err := new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[name])))
		require.Error(t, err, "nobody listens")
	}
}

// ofTopic is the configuration of a source that reads a topic and loses nothing.
func ofTopic(kafka *testservers.Kafka, topic, more string) string {
	return fmt.Sprintf(`"configuration": {"brokers": [%q], "traces": {"topics": [%q]}, "group_id": "tracewright", "initial_offset": "earliest",
		"message_marking": {"after": true, "on_permanent_error": true}, "error_backoff": {"enabled": true, "max_elapsed_time": "0s", "initial_interval": "100ms"}%s}`, kafka.Broker, topic, more)
}

// testSourcesOfGateways adds sources to one of two gateways on one ClickHouse, changes them at the other, and kills the first under load.
func testSourcesOfGateways(t *testing.T, tracegen string, kafka *testservers.Kafka) {
	clickhouse := testservers.StartClickHouse(t)
	ports := freePorts(t, "OTLP", "RELAY", "STEADY")
	one, other := newInstance(t), newInstance(t)
	// Beside sources that move from one to the other, a topic of which each keeps its partitions. It is there when they start: a span that
	// is rejected has made it.
	steadyRelay := startKafkaRelay(t, kafka.Broker, "steady", ports["STEADY"])
	rejected := ptrace.NewTraces()
	rejected.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	relayed := dial(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(steadyRelay)))
	_, err := ptraceotlp.NewGRPCClient(relayed).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(rejected))
	require.NoError(t, err)
	args := func(i *instance) []string {
		name := "one"
		if i == other {
			name = "other"
		}
		return []string{
			"--set=receivers.trace_sources.allowed_hosts=[127.0.0.1]", "--set=receivers.trace_sources.poll_interval=1s",
			"--set=processors.trace_assembly.linger=300ms", "--set=service.pipelines.traces.exporters=[trace_clickhouse]",
			"--config", "yaml:extensions::trace_query::service_map: ''", // no Neo4j
			"--config", fmt.Sprintf(`yaml:receivers: {kafka: {brokers: [%q], traces: {topics: [steady]}, group_id: steady, group_instance_id: %s, session_timeout: 2m,
				initial_offset: earliest, message_marking: {after: true, on_permanent_error: true}, autocommit: {interval: 1m}, error_backoff: {enabled: true, max_elapsed_time: 0s}}}`, kafka.Broker, name),
			"--set=service.pipelines.traces.receivers=[otlp, kafka, trace_sources]",
		}
	}
	for _, i := range []*instance{one, other} {
		i.file = "gateway.yaml"
		i.env = []string{
			"TRACEWRIGHT_CLICKHOUSE=http://" + clickhouse.HTTP,
			"TRACEWRIGHT_CLICKHOUSE_USER=" + testservers.ClickHouseUser, "TRACEWRIGHT_CLICKHOUSE_PASSWORD=" + testservers.ClickHousePassword,
		}
		i.start(args(i)...)
	}
	// both waits until both gateways say that this version of a source does so on two instances.
	both := func(id string, version int, health ...string) {
		for _, i := range []*instance{one, other} {
			i.await(id+" on both", func() error {
				got, healths := i.source("GET", "/"+id, "", 200), []string{}
				for _, at := range got.Instances {
					if at.Version == version || at.Health != "running" {
						healths = append(healths, at.Health)
					}
				}
				slices.Sort(healths)
				if got.Version != version || !slices.Equal(healths, health) {
					return fmt.Errorf("%+v", got)
				}
				return nil
			})
		}
	}
	one.await("the storage", func() error {
		_, err := one.get(one.url("QUERY", "/traces/sources"), 200)
		return err
	})

	// Kafka shares the topic's partitions between both.
	one.source("POST", "", `{"name": "topic", "type": "kafka", "tenant": "first", `+ofTopic(kafka, "shared", `, "session_timeout": "6s", "heartbeat_interval": "1s"`)+`}`, 201)
	both("topic", 1, "running", "running")
	relay := startKafkaRelay(t, kafka.Broker, "shared", ports["RELAY"])
	first := startSender(t, tracegen, "first", relay, 2)
	for _, i := range []*instance{one, other} {
		i.await("spans on both", func() error {
			got := i.source("GET", "/topic", "", 200)
			if len(got.Instances) != 2 || got.Instances[0].Spans == 0 || got.Instances[1].Spans == 0 {
				return fmt.Errorf("%+v", got)
			}
			return nil
		})
	}
	first.wait()
	first.requireSpans(one) // traces that came while partitions were shared out went through both, which sums do not forgive

	// A change at one is one at the other; who knows an older version is refused.
	require.Equal(t, 2, other.source("PUT", "/topic", `{"tenant": "shared", "version": 1}`, 200).Version)
	one.source("PUT", "/topic", `{"labels": {"team": "red"}, "version": 1}`, 409)
	both("topic", 2, "running", "running")
	shared := startSender(t, tracegen, "shared", relay, 3)
	shared.wait()
	shared.verify(tracegen, other)

	// Of two on one host one has the port, until it is killed.
	one.source("PUT", "/topic", `{"tenant": "killed"}`, 200)
	both("topic", 3, "running", "running")
	one.source("POST", "", fmt.Sprintf(`{"name": "shop", "type": "otlp", "tenant": "taken", "configuration": {"protocols": {"grpc": {"endpoint": "localhost:%d"}}}}`, ports["OTLP"]), 201)
	both("shop", 1, "failed", "running")
	senders := []*sender{startSender(t, tracegen, "killed", relay, 9), startSender(t, tracegen, "taken", ports["OTLP"], 9)}
	steady := startSender(t, tracegen, "", steadyRelay, 9)
	one.await("spans", func() error {
		for _, id := range []string{"shop", "topic"} {
			if got := one.source("GET", "/"+id, "", 200); got.Instances[0].Spans == 0 {
				return fmt.Errorf("%+v", got)
			}
		}
		return nil
	})
	one.await("spans of the topic", func() error {
		metrics, err := one.get(one.url("METRICS", "/metrics"), http.StatusOK)
		if err == nil && !regexp.MustCompile(`otelcol_receiver_accepted_spans\{[^}]*receiver="kafka"[^}]*\} [0-9]{2}`).Match(metrics) {
			err = errors.New("none yet")
		}
		return err
	})
	one.stop(syscall.SIGKILL)
	other.await("the port taken over", func() error {
		if got := other.source("GET", "/shop", "", 200); got.Instances[0].Health != "running" || got.Instances[0].Spans == 0 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	for _, s := range senders {
		s.wait()
	}
	steady.wait()
	one.start(args(one)...) // it has in its journal what it had acknowledged
	both("topic", 3, "running", "running")
	for _, s := range senders {
		s.requireSpans(other) // sums count twice what the one had taken and could not say
	}
	// What comes again comes to the one, which knows it: every sum is right.
	steady.verify(tracegen, other)
	require.NotZero(t, one.assemblyMetric("spans_duplicate"))

	other.requireEvents(t, one, nil) // who follows is told whatever gateway stores it
	other.source("DELETE", "/shop", "", 204)
	one.await("removal", func() error {
		_, err := one.get(one.url("QUERY", "/traces/sources/shop"), 404)
		return err
	})
}

// requireSpans compares the traces of the source's tenant with the truth, but for times, which Zipkin has in microseconds, and for sums.
func (s *sender) requireSpans(i *instance) {
	s.t.Helper()
	want := make(map[string]int)
	file, err := os.Open(s.truth)
	require.NoError(s.t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Type      string `json:"type"`
			TraceID   string `json:"trace_id"`
			SpanCount int    `json:"span_count"`
		}
		require.NoError(s.t, json.Unmarshal(lines.Bytes(), &line))
		if line.Type == "trace" {
			want[line.TraceID] = line.SpanCount
		}
	}
	require.NoError(s.t, lines.Err())
	require.NotEmpty(s.t, want)
	i.awaitFor(2*time.Minute, "all spans", func() error {
		got, cursor := make(map[string]int), ""
		for {
			content, err := i.do(http.MethodPost, i.url("QUERY", "/traces/search"), []byte(`{"limit": 1000`+cursor+`}`), 200, http.Header{"X-Tracewright-Tenant": {s.tenant}})
			if err != nil {
				return err
			}
			var page searchAnswer
			if err := json.Unmarshal(content, &page); err != nil {
				return err
			}
			for _, trace := range page.Traces {
				got[trace.TraceID] = trace.SpanCount
			}
			if page.NextCursor == "" {
				break
			}
			cursor = `, "cursor": "` + page.NextCursor + `"`
		}
		for id, spans := range want {
			if got[id] != spans {
				return fmt.Errorf("trace %s has %d spans of %d; %d traces of %d", id, got[id], spans, len(got), len(want))
			}
		}
		if len(got) != len(want) {
			return fmt.Errorf("%d traces, %d were sent", len(got), len(want))
		}
		return nil
	})
}

// zipkinRelay hands on what comes over OTLP to a Zipkin receiver, and acknowledges it when that has.
type zipkinRelay struct {
	ptraceotlp.UnimplementedGRPCServer
	url string
}

func (z *zipkinRelay) Export(ctx context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	answer := ptraceotlp.NewExportResponse()
	spans, err := zipkinv2.FromTranslator{}.FromTraces(request.Traces())
	if err != nil {
		return answer, err
	}
	body, err := json.Marshal(spans)
	if err != nil {
		return answer, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, z.url, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	post.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(post)
	if err != nil {
		return answer, status.Error(codes.Unavailable, err.Error())
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusAccepted {
		return answer, status.Error(codes.Unavailable, response.Status)
	}
	return answer, nil
}

// startZipkinRelay returns the port on which it takes OTLP.
func startZipkinRelay(t *testing.T, zipkin int) int {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &zipkinRelay{url: fmt.Sprintf("http://127.0.0.1:%d/api/v2/spans", zipkin)})
	go func() { _ = server.Serve(listener) }() // until it is stopped
	t.Cleanup(server.Stop)
	return listener.Addr().(*net.TCPAddr).Port
}

// startKafkaRelay starts a collector that acknowledges what comes over OTLP when the topic has it. It returns the port.
func startKafkaRelay(t *testing.T, broker, topic string, port int) int {
	t.Helper()
	config := filepath.Join(t.TempDir(), "relay.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:%d"}}}}
exporters:
  kafka: {brokers: [%q], traces: {topic: %s}, partition_traces_by_id: true, producer: {required_acks: all}, sending_queue: {enabled: false}}
service:
  pipelines: {traces: {receivers: [otlp], exporters: [kafka]}}
  telemetry: {metrics: {level: none}}
`, port, broker, topic), 0o600))
	var logs testservers.Output
	cmd := exec.CommandContext(context.Background(), binary(t, "tracewright"), "--config", config)
	cmd.Stdout, cmd.Stderr = &logs, &logs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Log(strings.ToValidUTF8(logs.String(), "?"))
		}
	})
	require.Eventually(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		return err == nil && conn.Close() == nil
	}, timeout, 50*time.Millisecond, logs.String())
	return port
}
