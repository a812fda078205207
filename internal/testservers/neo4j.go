package testservers

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/tracewright/tracewright/internal/freeport"
)

// User and password of Neo4j.
const (
	Neo4jUser     = "neo4j"
	Neo4jPassword = "tracewright-secret"
)

// smallHeap is enough for tests.
const smallHeap = 512

// Neo4j is a server of Neo4j 5.26 Community, with Bolt and without encryption.
type Neo4j struct {
	Process
	// Bolt is where it listens, as host:port.
	Bolt string
	// HeapMiB and PageCacheMiB are its memory, from the next start on: small, for tests, unless set to more.
	HeapMiB, PageCacheMiB int
}

// NewNeo4j installs Neo4j and makes a server with its data in folder, which is not started yet.
func NewNeo4j(ctx context.Context, folder string) (*Neo4j, error) {
	library, err := jars(ctx, "neo4j", "Neo4jServer")
	if err != nil {
		return nil, err
	}
	ports, err := freeport.Take(ctx, 1)
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(ports[0])
	s := &Neo4j{Bolt: net.JoinHostPort("127.0.0.1", port), HeapMiB: smallHeap, PageCacheMiB: 64}
	s.Process = Process{
		name: "Neo4j",
		command: func(ctx context.Context) *exec.Cmd {
			args := []string{"-Xms128m", "-Xmx" + strconv.Itoa(s.HeapMiB) + "m"}
			if s.HeapMiB == smallHeap {
				args = append(args, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1") // it starts sooner, and never runs for long
			}
			for _, name := range []string{"nio", "io", "lang", "util.concurrent"} {
				args = append(args, "--add-opens=java.base/java."+name+"=ALL-UNNAMED")
			}
			args = append(args, "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
				"-cp", filepath.Join(library, "classes")+":"+filepath.Join(library, "lib")+"/*",
				"Neo4jServer", folder, port, Neo4jPassword, strconv.Itoa(s.PageCacheMiB))
			return exec.CommandContext(ctx, "java", args...)
		},
		// The password is set before it listens to others' knowledge: "ready" is printed last.
		ready: func(ctx context.Context) error { return s.printed(ctx, s.Bolt, "ready\n") },
	}
	return s, nil
}

// URI is where drivers connect to.
func (s *Neo4j) URI() string { return "bolt://" + s.Bolt }
