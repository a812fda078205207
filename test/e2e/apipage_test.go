package e2e

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var updatePage = flag.Bool("update", false, "write the answers in docs/api.md anew")

// TestAPIPage sends each request of docs/api.md, as it stands there, to a Tracewright that has the traffic of which the page tells. The answers are
// of the page's shape, and what follows from the seed alone has the page's values. With -update the page gets the answers: make generate-api-docs.
func TestAPIPage(t *testing.T) {
	t.Parallel() // it waits for a minute to end
	p := &apiPage{instance: newInstance(t), file: filepath.Join(root, "docs", "api.md")}
	p.ports["SOURCE"] = freePorts(t, "SOURCE")["SOURCE"]
	p.start("--config", "yaml:extensions::trace_query:"+pricesAndLinks, "--set=receivers.trace_sources.allowed_listen=[localhost]")
	p.fill()
	content, err := os.ReadFile(p.file)
	require.NoError(t, err)
	parts := splitPage(string(content))
	p.requireEveryOperation(parts)
	var page strings.Builder
	for _, part := range parts {
		page.WriteString(part.text)
		if part.request == "" {
			continue
		}
		got := p.ask(part.request)
		if *updatePage {
			page.WriteString(got.String())
			continue
		}
		page.WriteString(part.answer)
		t.Run(part.request, func(t *testing.T) { requireAsOnPage(t, part.answer, got) })
	}
	if *updatePage {
		require.NoError(t, os.WriteFile(p.file, []byte(page.String()), 0o644))
	}
}

// apiPage is docs/api.md, and a Tracewright to ask.
type apiPage struct {
	*instance
	file     string
	tracegen string
	deployed time.Time // when the fault began
}

// fill sends what the page says: traffic of a minute, and of a later one, in which inventory fails. Sums are kept by the minute, and compared with
// those of a window before that is as long.
func (p *apiPage) fill() {
	p.tracegen = buildTracegen(p.t)
	if time.Now().Second() > 30 {
		pause(p.t, time.Until(time.Now().Add(time.Minute).Truncate(time.Minute).Add(2*time.Second)))
	}
	before := time.Now().Truncate(time.Minute)
	p.play("--seed", "1")
	p.deployed = time.Now().Add(time.Minute).Truncate(time.Minute)
	pause(p.t, time.Until(p.deployed.Add(2*time.Second))) // traces begin a second before they are sent
	p.play("--seed", "2", "--fault", "inventory:errors=30%")
	pause(p.t, time.Until(p.deployed.Add(p.deployed.Sub(before)-time.Minute+time.Second)))
}

func (p *apiPage) play(flags ...string) {
	p.t.Helper()
	truth := filepath.Join(p.t.TempDir(), "truth.jsonl")
	generate(p.t, p.tracegen, p.endpoint("OTLP_GRPC"), truth, append(flags, "--total", "200", "--span-window", "1s")...)
	verify(p.t, p.tracegen, truth, p.url("QUERY", ""), "--timeout", "2m")
}

// requireEveryOperation wants a request of each operation of the OpenAPI document on the page.
func (p *apiPage) requireEveryOperation(parts []pagePart) {
	var document struct {
		Paths map[string]map[string]struct {
			ID string `yaml:"operationId"`
		} `yaml:"paths"`
	}
	content, err := p.get(p.url("QUERY", "/openapi.yaml"), http.StatusOK)
	require.NoError(p.t, err)
	require.NoError(p.t, yaml.Unmarshal(content, &document))
	for path, item := range document.Paths {
		pattern := regexp.MustCompile(`localhost:16686` + regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(path, `[^/?' ]+`) + `($|[?' "])`)
		for method := range item {
			found := false
			for _, part := range parts {
				found = found || methodOf(part.request) == strings.ToUpper(method) && pattern.MatchString(part.request)
			}
			require.True(p.t, found, "docs/api.md has no request of %s %s", method, path)
		}
	}
}

func methodOf(request string) string {
	if _, after, found := strings.Cut(request, "-X "); found {
		method, _, _ := strings.Cut(after, " ")
		return method
	}
	if strings.Contains(request, " -d ") {
		return http.MethodPost
	}
	return http.MethodGet
}

// A pagePart is some text of the page, up to a request, and its answer.
type pagePart struct{ text, request, answer string }

const (
	requestFence = "```sh\ncurl "
	fence        = "```\n"
)

// splitPage finds the requests: blocks that begin with curl. What stands between one and the next empty line after its answer's block is the answer.
func splitPage(page string) (parts []pagePart) {
	for {
		at := strings.Index(page, requestFence)
		if at < 0 {
			return append(parts, pagePart{text: page})
		}
		end := at + len("```sh\n") + strings.Index(page[at+len("```sh\n"):], fence)
		part := pagePart{text: page[:end+len(fence)], request: strings.TrimSpace(page[at+len("```sh\n") : end])}
		page = page[end+len(fence):]
		if strings.HasPrefix(page, answerBegins) {
			length := strings.Index(page, answerEnds) + len(answerEnds)
			part.answer, page = page[:length], page[length:]
		}
		parts = append(parts, part)
	}
}

// An answer stands between these.
const (
	answerBegins = "\n<!-- answer -->\n"
	answerEnds   = "<!-- end -->\n"
)

// pageAnswer is what a request was answered.
type pageAnswer struct {
	status, contentType string
	body                string // as it stands on the page
}

func (a *pageAnswer) String() string {
	text := answerBegins + a.status
	if a.contentType != "" {
		text += ", `" + a.contentType + "`"
	}
	if a.body == "" {
		return text + "\n" + answerEnds
	}
	language := "text"
	if strings.Contains(a.contentType, "json") {
		language = "json"
	}
	return text + ":\n\n```" + language + "\n" + a.body + "\n" + fence + answerEnds
}

// maxLines is how many lines of an answer that is not JSON stand on the page.
const maxLines = 6

// ask runs the request in a shell.
func (p *apiPage) ask(request string) *pageAnswer {
	t := p.t
	t.Helper()
	var content []byte
	if strings.Contains(request, "/traces/live") {
		content = p.follow(request)
	} else {
		var err error
		content, err = p.curl(t.Context(), request).Output()
		require.NoError(t, err, "%s\n%s", request, content)
	}
	reader := bufio.NewReader(bytes.NewReader(content))
	line, err := reader.ReadString('\n')
	require.NoError(t, err, "%s\n%s", request, content)
	header, err := textproto.NewReader(reader).ReadMIMEHeader()
	require.NoError(t, err, request)
	_, status, _ := strings.Cut(strings.TrimSpace(line), " ")
	got := &pageAnswer{status: status, contentType: header.Get("Content-Type")}
	var body bytes.Buffer
	_, err = reader.WriteTo(&body)
	require.NoError(t, err)
	if strings.Contains(got.contentType, "json") {
		got.body = readTree(t, p.usual(body.Bytes())).cut().render("", 0)
		return got
	}
	lines := strings.Split(strings.TrimSuffix(body.String(), "\n"), "\n")
	if len(lines) > maxLines {
		lines = append(lines[:maxLines], "…")
	}
	got.body = strings.Join(lines, "\n")
	return got
}

// usualPorts are those of config/tracewright.yaml, and that of the page's source.
var usualPorts = map[string]int{
	"OTLP_GRPC": 4317, "OTLP_HTTP": 4318, "JAEGER_GRPC": 14250, "JAEGER_HTTP": 14268, "ZIPKIN": 9411, "QUERY": 16686, "SOURCE": 5317,
}

// usual is an answer with the ports of the page in place of those of this test, and nothing of the machine that it runs on.
func (p *apiPage) usual(content []byte) []byte {
	for name, port := range usualPorts {
		content = bytes.ReplaceAll(content, []byte("localhost:"+strconv.Itoa(p.ports[name])), []byte("localhost:"+strconv.Itoa(port)))
	}
	if host, err := os.Hostname(); err == nil {
		content = bytes.ReplaceAll(content, []byte(`"host":"`+host+`"`), []byte(`"host":"node-1"`))
	}
	return bytes.ReplaceAll(content, []byte(p.data), []byte("./data"))
}

// curl is the command, with the ports of this test in place of those of the page.
func (p *apiPage) curl(ctx context.Context, request string) *exec.Cmd {
	for _, name := range []string{"QUERY", "SOURCE"} {
		request = strings.ReplaceAll(request, "localhost:"+strconv.Itoa(usualPorts[name]), "localhost:"+strconv.Itoa(p.ports[name]))
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", strings.Replace(request, "curl ", "exec curl --silent --show-error --include --noproxy '*' ", 1))
	cmd.Env = append(os.Environ(), "DEPLOYED="+p.deployed.UTC().Format(time.RFC3339))
	return cmd
}

// follow sends a trace while the request listens, and ends it with the first event.
func (p *apiPage) follow(request string) []byte {
	t := p.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := p.curl(ctx, request)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var content bytes.Buffer
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		content.WriteString(lines.Text() + "\n")
		switch {
		case lines.Text() == ": following":
			p.send(checkout(), http.Header{"X-Tracewright-Tenant": {"staging"}})
		case strings.HasPrefix(lines.Text(), "data: "):
			cancel()
		}
	}
	_ = cmd.Wait() // it was ended
	require.Contains(t, content.String(), "data: ", request)
	return content.Bytes()
}

// requireAsOnPage compares an answer with the page's.
func requireAsOnPage(t *testing.T, page string, got *pageAnswer) {
	t.Helper()
	require.NotEmpty(t, page, "no answer on the page: make generate-api-docs")
	head := func(text string) string {
		line, _, _ := strings.Cut(strings.TrimPrefix(text, answerBegins), "\n")
		return line
	}
	require.Equal(t, head(page), head(got.String()), "status and content type")
	if !strings.Contains(got.contentType, "json") {
		require.Equal(t, volatileText(page), volatileText(got.String()))
		return
	}
	_, body, _ := strings.Cut(page, "```json\n")
	body, _, _ = strings.Cut(body, fence)
	requireAlike(t, "", "", readTree(t, []byte(body)), readTree(t, []byte(got.body)))
}

var (
	times   = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`)
	numbers = regexp.MustCompile(`_ns":[0-9]+`)
)

// volatileText is a text without what differs from run to run.
func volatileText(text string) string {
	return numbers.ReplaceAllString(times.ReplaceAllString(text, "TIME"), "_ns:N")
}
