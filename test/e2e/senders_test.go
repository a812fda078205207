package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"

	"github.com/tracewright/tracewright/internal/testservers"
)

// senderCase is a way by which spans come in.
type senderCase struct {
	receiver, protocol string
	// configuration is the receiver's, as JSON; A and B stand for ports. It is given to POST /traces/sources.
	configuration string
	// static says that it stands in the process's configuration instead.
	static bool
	// send sends a trace, and returns its id as the API has it.
	send func(*delivery) string
	// want are its spans, each the parent of the next.
	want []wantSpan
	// exact says that they have the times of the story.
	exact bool
}

func (c *senderCase) String() string { return c.receiver + "/" + c.protocol }

type wantSpan struct {
	service, operation, kind, status string
	// attributes are some of it, or of its resource.
	attributes map[string]any
}

// delivery is one of them, while it is sent.
type delivery struct {
	t     *testing.T
	i     *instance
	a, b  int // ports
	story ptrace.Traces
	kafka *testservers.Kafka
	dir   string // for files
}

func (s *delivery) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.a)) }

// storySpans is what most senders tell: a request that fails because of whom it calls.
var storySpans = []wantSpan{
	{"shop", "POST /checkout", "server", "error", map[string]any{"http.request.method": "POST", "http.response.status_code": 502, "service.version": "1.4.2"}},
	{"shop", "place order", "internal", "unset", map[string]any{"app.order.id": "o-1", "app.order.value": 19.5, "app.order.gift": true}},
	{"shop", "POST", "client", "error", map[string]any{"server.address": "bank.example", "http.request.method": "POST"}},
}

// storyDurations are those of its spans, in milliseconds. Each begins 20 ms behind its parent.
var storyDurations = []int{250, 200, 150}

const storyStep = 20 * time.Millisecond

// story makes it of storySpans.
func story(traceID pcommon.TraceID, start time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	rs.Resource().Attributes().PutStr("service.version", "1.4.2")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	kinds := map[string]ptrace.SpanKind{"server": ptrace.SpanKindServer, "internal": ptrace.SpanKindInternal, "client": ptrace.SpanKindClient}
	for n, want := range storySpans {
		span := spans.AppendEmpty()
		span.SetTraceID(traceID)
		span.SetSpanID(pcommon.SpanID{0: 0x5e, 7: byte(n + 1)})
		if n > 0 {
			span.SetParentSpanID(pcommon.SpanID{0: 0x5e, 7: byte(n)})
		}
		span.SetName(want.operation)
		span.SetKind(kinds[want.kind])
		begin := start.Add(time.Duration(n) * storyStep)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(begin))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(storyDurations[n]) * time.Millisecond)))
		if want.status == "error" {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		for key, value := range want.attributes {
			if key != "service.version" {
				_ = span.Attributes().PutEmpty(key).FromRaw(value) // they are of simple types
			}
		}
	}
	return td
}

// TestSenders sends a trace through every receiver of the binary, by every protocol that docs/sources.md names, and reads it back.
func TestSenders(t *testing.T) {
	cases := senderCases()
	var types []string
	args := []string{"--set=receivers.trace_sources.allowed_hosts=[127.0.0.1]", "--set=processors.trace_assembly.quiet.max=1s"}
	pipeline := []string{"otlp", "jaeger", "zipkin", "trace_sources"}
	ports := make([]map[string]int, len(cases))
	for n := range cases {
		c := &cases[n]
		ports[n] = freePorts(t, "A", "B")
		if !slices.Contains(types, c.receiver) {
			types = append(types, c.receiver)
		}
		if c.static {
			args = append(args, "--config=yaml:receivers: {"+c.receiver+": "+c.configured(ports[n], "")+"}")
			pipeline = append(pipeline, c.receiver)
		}
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "spans.json"), nil, 0o600))
	kafka := testservers.StartKafka(t)
	i := newInstance(t)
	i.env = append(i.env, "AWS_REGION=", "AWS_DEFAULT_REGION=")
	i.start(append(args, "--set=receivers.trace_sources.allowed_types=["+strings.Join(types, ",")+"]",
		"--set=receivers.trace_sources.secrets_dir="+dir, "--set=service.pipelines.traces.receivers=["+strings.Join(pipeline, ",")+"]")...)
	installSenders(t)
	for n := range cases {
		c := &cases[n]
		t.Run(c.String(), func(t *testing.T) {
			id := "s" + strconv.Itoa(n)
			if !c.static {
				i.source("POST", "", fmt.Sprintf(`{"name": %q, "type": %q, "configuration": %s}`, id, c.receiver, c.configured(ports[n], kafka.Broker)), 201)
			}
			start := time.Now().Add(-time.Second).Truncate(time.Millisecond)
			traceID := c.send(&delivery{
				t: t, i: i, a: ports[n]["A"], b: ports[n]["B"], kafka: kafka, dir: dir,
				story: story(pcommon.TraceID{0: 0x5e, 8: 1, 15: byte(n + 1)}, start),
			})
			trace := i.trace(traceID, func(trace *traceAnswer) error {
				if trace.SpanCount != len(c.want) {
					return fmt.Errorf("%d spans", trace.SpanCount)
				}
				return nil
			})
			c.check(t, trace, start)
			if !c.static {
				source := i.source("GET", "/"+id, "", 200)
				require.Equal(t, "running", source.Instances[0].Health, source.Instances[0].Error)
				require.Equal(t, len(c.want), source.Instances[0].Spans)
				require.Equal(t, []string{c.want[0].service}, source.Instances[0].Services)
				i.source("DELETE", "/"+id, "", 204)
			}
		})
	}
	t.Run("X-Ray where it does not start", func(t *testing.T) { checkXRayThatDoesNotStart(t, i) })
	t.Run("malformed X-Ray", func(t *testing.T) { checkMalformedXRay(t, i) })
	_, err := i.get(i.url("HEALTH", "/"), 200)
	require.NoError(t, err)
}

func (c *senderCase) configured(ports map[string]int, broker string) string {
	return strings.NewReplacer("localhost:A", "localhost:"+strconv.Itoa(ports["A"]), "localhost:B", "localhost:"+strconv.Itoa(ports["B"]),
		"BROKER", broker).Replace(c.configuration)
}

// check compares the spans, from the root down.
func (c *senderCase) check(t *testing.T, trace *traceAnswer, start time.Time) {
	t.Helper()
	require.Zero(t, trace.MissingParents)
	require.Len(t, trace.Roots, 1)
	children := make(map[string]spanAnswer)
	for _, span := range trace.Spans {
		children[span.ParentSpanID] = span
	}
	require.Len(t, children, len(c.want), "each has one child")
	parent := spanAnswer{DurationNS: trace.DurationNS}
	for n, want := range c.want {
		span := children[parent.SpanID]
		got := wantSpan{span.Service, span.Operation, span.Kind, span.Status.Code, nil}
		require.Equal(t, wantSpan{want.service, want.operation, want.kind, want.status, nil}, got)
		resource, _ := trace.Resources[span.Resource]["attributes"].(map[string]any)
		for key, value := range want.attributes {
			has, ok := span.Attributes[key]
			if !ok {
				has = resource[key]
			}
			require.EqualValues(t, value, has, "%s of %s: %v, %v", key, span.Operation, span.Attributes, resource)
		}
		if c.exact {
			require.Equal(t, (time.Duration(n) * storyStep).Nanoseconds(), span.StartNS)
			require.Equal(t, (time.Duration(storyDurations[n]) * time.Millisecond).Nanoseconds(), span.DurationNS)
			require.True(t, start.Equal(trace.Start), "%s, %s", start, trace.Start)
		} else {
			require.WithinDuration(t, time.Now(), trace.Start, 2*time.Minute)
			require.GreaterOrEqual(t, span.StartNS, parent.StartNS)
			require.LessOrEqual(t, span.StartNS+span.DurationNS, parent.StartNS+parent.DurationNS)
		}
		parent = span
	}
}

// addXRay makes a source of X-Ray.
func addXRay(t *testing.T, i *instance, ports map[string]int, name, region string, status int) []byte {
	t.Helper()
	body := fmt.Sprintf(`{"name": %q, "type": "awsxray", "configuration": {"endpoint": "localhost:%d",
		"proxy_server": {"endpoint": "localhost:%d", "region": %q, "local_mode": true}}}`, name, ports["A"], ports["B"], region)
	answer, err := i.do("POST", i.url("QUERY", "/traces/sources"), []byte(body), status, nil)
	require.NoError(t, err)
	return answer
}

// checkMalformedXRay: a packet that the collector's receiver cannot stand does not end the process, and the next one is taken.
func checkMalformedXRay(t *testing.T, i *instance) {
	ports := freePorts(t, "A", "B")
	addXRay(t, i, ports, "malformed", "eu-central-1", 201)
	conn, err := new(net.Dialer).DialContext(t.Context(), "udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports["A"])))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	for _, subsegments := range []string{`[{"id": "5e000000000000b1", "start_time": 1}]`, `[]`} {
		_, err := fmt.Fprintf(conn, `{"format": "json", "version": 1}`+"\n"+`{"name": "xray-odd", "id": "5e000000000000a1", "trace_id": "1-5e5e5e5e-000000000000000000000001",
			"start_time": %d, "end_time": %[1]d, "subsegments": %s}`, time.Now().Unix(), subsegments)
		require.NoError(t, err)
	}
	trace := i.trace("5e5e5e5e000000000000000000000001", func(*traceAnswer) error { return nil })
	require.Equal(t, 1, trace.SpanCount)
	i.source("DELETE", "/malformed", "", 204)
}

// checkXRayThatDoesNotStart: the reason is told as what it is, and the port is free again.
func checkXRayThatDoesNotStart(t *testing.T, i *instance) {
	ports := freePorts(t, "A", "B")
	add := func(name, region string, status int) []byte { return addXRay(t, i, ports, name, region, status) }
	require.Contains(t, string(add("x", "", 400)), "it does not start: region not specified")
	add("x", "eu-central-1", 201) // the port is free
	require.Contains(t, string(add("y", "eu-central-1", 409)), "address already in use")
	require.Equal(t, "running", i.source("GET", "/x", "", 200).Instances[0].Health)
	i.source("DELETE", "/x", "", 204)
}

// What the binary has, what docs/sources.md names, and what is sent through are the same.
func TestSendersAreAll(t *testing.T) {
	sent, receivers := make(map[string]bool), make(map[string]bool)
	for _, c := range senderCases() {
		sent[c.String()] = true
		receivers[c.receiver] = true
	}

	content, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	var manifest struct {
		Receivers []struct {
			Module string `yaml:"gomod"`
			Import string `yaml:"import"`
		} `yaml:"receivers"`
	}
	require.NoError(t, yaml.Unmarshal(content, &manifest))
	built := make(map[string]bool)
	for _, r := range manifest.Receivers {
		module, _, _ := strings.Cut(r.Module, " ")
		name, ok := strings.CutSuffix(path.Base(cmp.Or(r.Import, module)), "receiver")
		require.True(t, ok, r)
		built[name] = true
	}
	require.Contains(t, built, "tracesources")
	delete(built, "tracesources") // it runs the others
	require.Equal(t, sorted(built), sorted(receivers), "builder-config.yaml and what is sent through")

	_, kinds, _ := strings.Cut(sourcesPage(t), "\n## Kinds\n")
	kinds, _, _ = strings.Cut(kinds, "\n## ")
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]+) \\|").FindAllStringSubmatch(kinds, -1) {
		for protocol := range strings.SplitSeq(row[2], ", ") {
			documented[row[1]+"/"+strings.TrimSpace(strings.Trim(protocol, "` "))] = true
		}
	}
	require.Equal(t, sorted(sent), sorted(documented), "the table in docs/sources.md and what is sent through")
}

func sourcesPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "sources.md"))
	require.NoError(t, err)
	return string(page)
}

// Every source that docs/sources.md shows, as JSON and as YAML, is a configuration that the binary takes.
func TestSourcesPage(t *testing.T) {
	page := sourcesPage(t)
	var args []string
	shown := make(map[string]map[string]bool) // types by language
	for n, block := range regexp.MustCompile("(?s)```(json|yaml)\n(.*?)```").FindAllStringSubmatch(page, -1) {
		language, text := block[1], block[2]
		if shown[language] == nil {
			shown[language] = make(map[string]bool)
		}
		if language == "json" {
			var source struct {
				Name          string         `yaml:"name"`
				Type          string         `yaml:"type"`
				Configuration map[string]any `yaml:"configuration"`
			}
			text = regexp.MustCompile(`\{"secret": ("[^"]+")\}`).ReplaceAllString(text, "$1")
			require.NoError(t, yaml.Unmarshal([]byte(text), &source), text) // JSON is YAML
			shown[language][source.Type] = true
			content, err := yaml.Marshal(map[string]any{"receivers": map[string]any{source.Type + "/" + source.Name + "_json": source.Configuration}})
			require.NoError(t, err)
			text = string(content)
		} else {
			var config struct {
				Receivers map[string]any `yaml:"receivers"`
			}
			require.NoError(t, yaml.Unmarshal([]byte(text), &config), text)
			for id := range config.Receivers {
				name, _, _ := strings.Cut(id, "/")
				shown[language][name] = true
			}
		}
		file := filepath.Join(t.TempDir(), fmt.Sprintf("%d.yaml", n))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		args = append(args, "--config", file)
	}
	delete(shown["yaml"], "trace_sources")
	receivers := make(map[string]bool)
	for _, c := range senderCases() {
		receivers[c.receiver] = true
	}
	require.Equal(t, sorted(receivers), sorted(shown["json"]))
	require.Equal(t, sorted(receivers), sorted(shown["yaml"]))
	command := append([]string{"validate", "--config", filepath.Join(root, "config", "tracewright.yaml")}, args...)
	cmd := exec.CommandContext(t.Context(), binary(t, "tracewright"), command...)
	cmd.Env = append(os.Environ(), "KAFKA_PASSWORD=secret")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
