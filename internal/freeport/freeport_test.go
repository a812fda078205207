package freeport

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// As many as the tests of a package need, at once and by several processes: no two are the same, and one that somebody listens on is
// not given.
func TestTake(t *testing.T) {
	const processes, each = 4, 700
	if os.Getenv("FREEPORT_CHILD") != "" {
		ports, err := Take(t.Context(), each)
		require.NoError(t, err)
		for _, port := range ports {
			t.Log("port", port)
		}
		t.Log("taken")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent has all
		return
	}
	var mu sync.Mutex
	seen := map[int]bool{}
	add := func(port int) {
		mu.Lock()
		defer mu.Unlock()
		assert.False(t, seen[port], "port %d is given twice", port)
		assert.True(t, port > first && port < last, port)
		seen[port] = true
	}
	var group sync.WaitGroup
	for range processes {
		cmd := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestTake$", "-test.v") //nolint:gosec // this test itself
		cmd.Env = append(os.Environ(), "FREEPORT_CHILD=1")
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			require.NoError(t, stdin.Close())
			require.NoError(t, cmd.Wait())
		})
		group.Go(func() {
			var output strings.Builder
			buffer := make([]byte, 4096)
			for !strings.Contains(output.String(), "taken") {
				n, err := stdout.Read(buffer)
				output.Write(buffer[:n])
				if !assert.NoError(t, err, output.String()) {
					return
				}
			}
			for line := range strings.Lines(output.String()) {
				if _, port, found := strings.Cut(line, "port "); found {
					number, err := strconv.Atoi(strings.TrimSpace(port))
					assert.NoError(t, err, line)
					add(number)
				}
			}
		})
	}
	group.Wait()
	require.Len(t, seen, processes*each)

	ports, err := Take(t.Context(), 1)
	require.NoError(t, err)
	add(ports[0])
	listener, err := listen(t.Context(), ports[0]+1)
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	next, err := Take(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, ports[0]+2, next[0])
}
