package testservers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/tracewright/tracewright/internal/freeport"
)

// The library of the real server, with the engine, the native protocol and HTTP. chserver starts it.
const chdbVersion = "26.7.3-stable.1"

// User and password of ClickHouse that may do everything; the user default has no password.
const (
	ClickHouseUser     = "tracewright"
	ClickHousePassword = "tracewright-secret"
)

// ClickHouse is a server of ClickHouse 26.7.
//
// It is the real server but for this: over the native protocol a login that fails, and a connection that is reset (a client that is killed, or
// gives a query up), end the process; over HTTP they do not. It knows no ON CLUSTER and no Keeper, and keeps no query log unless it is told to.
type ClickHouse struct {
	Process
	// Native and HTTP are where it listens, as host:port.
	Native, HTTP string

	users string // file of users
}

// NewClickHouse installs ClickHouse and makes a server with its data in folder, which is not started yet.
func NewClickHouse(ctx context.Context, folder string) (*ClickHouse, error) {
	platform, ok := map[string]string{"linux/amd64": "linux-x64-gnu", "linux/arm64": "linux-arm64-gnu"}[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("ClickHouse for %s/%s: %w", runtime.GOOS, runtime.GOARCH, errMissing)
	}
	library, err := installed(ctx, "chdb-"+platform+"-"+chdbVersion, func(ctx context.Context, part string) error {
		return installChdb(ctx, part, "@chdb/lib-"+platform+"@"+chdbVersion)
	})
	if err != nil {
		return nil, err
	}
	folder, err = filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	program := filepath.Join(folder, "chserver")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/tracewright/tracewright/internal/testservers/chserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build chserver: %w\n%s", err, output)
	}
	config, users, err := writeClickHouseConfig(folder)
	if err != nil {
		return nil, err
	}
	ports, err := freeport.Take(ctx, 2)
	if err != nil {
		return nil, err
	}
	s := &ClickHouse{
		Native: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])),
		HTTP:   net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1])),
		users:  users,
	}
	s.Process = Process{
		name: "ClickHouse",
		command: func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, program, "-lib", filepath.Join(library, "libchdb.so"), "-path", filepath.Join(folder, "data"),
				"-tcp", strconv.Itoa(ports[0]), "-http", strconv.Itoa(ports[1]), "-config", config)
		},
		ready: s.ping,
	}
	return s, nil
}

func installChdb(ctx context.Context, folder, name string) error {
	if err := run(ctx, folder, "npm", "pack", "--silent", name); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("npm pack left %d archives: %w", len(archives), err)
	}
	if err := run(ctx, folder, "tar", "xzf", archives[0], "--strip-components=1", "package/libchdb.so"); err != nil {
		return err
	}
	return os.Remove(archives[0])
}

// Grant adds a user with rights of its own, each of which is a GRANT without its TO. A server that runs does not know of it.
func (s *ClickHouse) Grant(user, password string, grants ...string) error {
	var added strings.Builder
	fmt.Fprintf(&added, "<%s><password>%s</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota><grants>", user, password)
	for _, grant := range grants {
		fmt.Fprintf(&added, "<query>%s</query>", grant)
	}
	fmt.Fprintf(&added, "</grants></%s>\n  </users>", user)
	users, err := os.ReadFile(s.users)
	if err != nil {
		return err
	}
	return os.WriteFile(s.users, bytes.Replace(users, []byte("</users>"), []byte(added.String()), 1), 0o600)
}

const clickHouseUsers = `<clickhouse>
  <users>
    <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota><access_management>1</access_management></default>
    <` + ClickHouseUser + `><password>` + ClickHousePassword + `</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota><access_management>1</access_management></` + ClickHouseUser + `>
  </users>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
</clickhouse>
`

// writeClickHouseConfig writes the configuration; the server wants the file of users by its absolute path.
func writeClickHouseConfig(folder string) (config, users string, err error) {
	config, users = filepath.Join(folder, "config.xml"), filepath.Join(folder, "users.xml")
	if err := os.WriteFile(users, []byte(clickHouseUsers), 0o600); err != nil {
		return "", "", err
	}
	text := "<clickhouse><logger><level>warning</level></logger><users_config>" + users + "</users_config>" +
		"<storage_configuration><disks><backups><type>local</type><path>" + filepath.Join(folder, "backups") + "/</path></backups></disks></storage_configuration>" +
		"<backups><allowed_disk>backups</allowed_disk></backups></clickhouse>\n"
	return config, users, os.WriteFile(config, []byte(text), 0o600)
}

// DSN is where clients of the native protocol connect to, as the user that may do everything.
func (s *ClickHouse) DSN() string {
	return "clickhouse://" + ClickHouseUser + ":" + ClickHousePassword + "@" + s.Native + "/default"
}

func (s *ClickHouse) ping(ctx context.Context) error {
	if err := dial(ctx, s.Native); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTP+"/ping", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ping: %s", response.Status)
	}
	return nil
}
