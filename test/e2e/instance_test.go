package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/freeport"
	"github.com/tracewright/tracewright/internal/testservers"
)

const (
	root    = "../.."
	timeout = 30 * time.Second // for what takes a moment on a busy machine
)

// binary is a built distribution; make test builds it first.
func binary(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", name))
	require.NoError(t, err)
	_, err = os.Stat(path)
	require.NoError(t, err, "run make build build-agent first")
	return path
}

// instance is one running process of a binary and its configuration in config/, on ports of its own.
type instance struct {
	t     *testing.T
	name  string // of the binary
	file  string // the configuration
	ports map[string]int
	data  string
	env   []string // besides
	logs  testservers.Output
	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has ended
}

// newInstance chooses ports and a data folder; start and kill may then be called in turn.
func newInstance(t *testing.T) *instance {
	t.Helper()
	ports := freePorts(t, "OTLP_GRPC", "OTLP_HTTP", "JAEGER_GRPC", "JAEGER_HTTP", "ZIPKIN", "QUERY", "HEALTH", "METRICS")
	return &instance{t: t, name: "tracewright", file: "tracewright.yaml", ports: ports, data: t.TempDir()}
}

func startInstance(t *testing.T, args ...string) *instance {
	t.Helper()
	i := newInstance(t)
	i.start(args...)
	return i
}

func (i *instance) environment() []string {
	env := append(os.Environ(), i.env...)
	env = append(env, "TRACEWRIGHT_DATA="+i.data)
	for name, port := range i.ports {
		env = append(env, fmt.Sprintf("TRACEWRIGHT_%s_PORT=%d", name, port))
	}
	return env
}

func (i *instance) command(ctx context.Context, args ...string) *exec.Cmd {
	config := filepath.Join(root, "config", i.file)
	cmd := exec.CommandContext(ctx, binary(i.t, i.name), append([]string{"--config", config}, args...)...)
	cmd.Env = i.environment()
	return cmd
}

// start starts the process and waits until it is healthy. It is stopped with the test.
func (i *instance) start(args ...string) {
	i.t.Helper()
	i.launch(args...)
	i.awaitHealth()
}

// launch starts the process and does not wait. It is stopped with the test.
func (i *instance) launch(args ...string) {
	i.t.Helper()
	cmd := i.command(context.Background(), args...)
	cmd.Stdout, cmd.Stderr = &i.logs, &i.logs
	require.NoError(i.t, cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // how it ended is the tests' business
	}()
	if i.cmd == nil {
		i.t.Cleanup(func() {
			i.stop(syscall.SIGKILL)
			if i.t.Failed() {
				i.t.Log(i.logs.String())
			}
		})
	}
	i.cmd, i.done = cmd, done
}

func (i *instance) awaitHealth() {
	i.t.Helper()
	i.await("health", func() error {
		select {
		case <-i.done:
			return fmt.Errorf("the process has ended:\n%s", i.logs.String())
		default:
		}
		_, err := i.get(i.url("HEALTH", "/"), http.StatusOK)
		return err
	})
}

// stop ends the process by the signal and waits for it.
func (i *instance) stop(signal syscall.Signal) {
	i.t.Helper()
	_ = i.cmd.Process.Signal(signal) // it may have ended before
	select {
	case <-i.done:
	case <-time.After(timeout):
		i.t.Errorf("the process does not end on %s", signal)
		_ = i.cmd.Process.Kill()
	}
}

func (i *instance) url(port, path string) string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(i.ports[port])) + path
}

// await polls until check succeeds.
func (i *instance) await(what string, check func() error) {
	i.t.Helper()
	i.awaitFor(timeout, what, check)
}

func (i *instance) awaitFor(most time.Duration, what string, check func() error) {
	i.t.Helper()
	var err error
	for deadline := time.Now().Add(most); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	require.NoError(i.t, err, "waiting for %s", what)
}

// awaitLogs waits until the logs have each of the parts: what a request logs may come after its answer.
func (i *instance) awaitLogs(parts ...string) {
	i.t.Helper()
	i.await("logs", func() error {
		logs := i.logs.String()
		for _, part := range parts {
			if !strings.Contains(logs, part) {
				return fmt.Errorf("the logs have no %q", part)
			}
		}
		return nil
	})
}

func (i *instance) get(url string, status int) ([]byte, error) {
	return i.do(http.MethodGet, url, nil, status, nil)
}

func (i *instance) do(method, url string, body []byte, status int, header http.Header) ([]byte, error) {
	request, err := http.NewRequestWithContext(i.t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for key, values := range header {
		request.Header[key] = values
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != status {
		return nil, fmt.Errorf("%s %s: %s, want %d: %s", method, url, response.Status, status, content)
	}
	return content, nil
}

// trace asks for one trace until it is there.
func (i *instance) trace(id string, ready func(*traceAnswer) error) *traceAnswer {
	i.t.Helper()
	var answer *traceAnswer
	i.await("trace "+id, func() error {
		content, err := i.get(i.url("QUERY", "/traces/"+id), http.StatusOK)
		if err != nil {
			return err
		}
		answer = &traceAnswer{}
		if err := json.Unmarshal(content, answer); err != nil {
			return err
		}
		if ready != nil {
			return ready(answer)
		}
		return nil
	})
	return answer
}

// search asks once.
func (i *instance) search(body map[string]any) *searchAnswer {
	i.t.Helper()
	request, err := json.Marshal(body)
	require.NoError(i.t, err)
	content, err := i.do(http.MethodPost, i.url("QUERY", "/traces/search"), request, http.StatusOK, nil)
	require.NoError(i.t, err)
	answer := &searchAnswer{}
	require.NoError(i.t, json.Unmarshal(content, answer))
	return answer
}

// searchAll follows the cursor to the end.
func (i *instance) searchAll(body map[string]any) []summaryAnswer {
	i.t.Helper()
	var all []summaryAnswer
	for {
		page := i.search(body)
		all = append(all, page.Traces...)
		if page.NextCursor == "" {
			return all
		}
		body["cursor"] = page.NextCursor
	}
}

func freePorts(t *testing.T, names ...string) map[string]int {
	t.Helper()
	list, err := freeport.Take(t.Context(), len(names))
	require.NoError(t, err)
	ports := map[string]int{}
	for n, name := range names {
		ports[name] = list[n]
	}
	return ports
}
