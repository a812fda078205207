// Production starts a ClickHouse and a Neo4j from the package registries, and then a command that finds them by the variables of
// config/gateway.yaml. All end together.
//
//	go run ./internal/testservers/production --folder data/servers -- bin/tracewright --config config/gateway.yaml
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tracewright/tracewright/internal/testservers"
)

func main() {
	folder := flag.String("folder", "data/servers", "where the servers keep their data")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *folder, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "production:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, folder string, command []string) (err error) {
	if len(command) == 0 {
		return errors.New("name a command behind --")
	}
	clickhouse, err := testservers.NewClickHouse(ctx, filepath.Join(folder, "clickhouse"))
	if err != nil {
		return err
	}
	neo4j, err := testservers.NewNeo4j(ctx, filepath.Join(folder, "neo4j"))
	if err != nil {
		return err
	}
	for _, server := range []interface {
		Start(ctx context.Context) error
		Stop() error
	}{clickhouse, neo4j} {
		if err := server.Start(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
	}
	fmt.Printf("\n  ClickHouse  clickhouse://%s, user %s, password %s; HTTP %s\n  Neo4j       %s, user %s, password %s\n  data        %s\n\n",
		clickhouse.Native, testservers.ClickHouseUser, testservers.ClickHousePassword, clickhouse.HTTP,
		neo4j.URI(), testservers.Neo4jUser, testservers.Neo4jPassword, folder)
	// A signal from the terminal reaches the command too: it ends first, while its servers are there.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(),
		"TRACEWRIGHT_CLICKHOUSE=http://"+clickhouse.HTTP, // see testservers.ClickHouse
		"TRACEWRIGHT_CLICKHOUSE_USER="+testservers.ClickHouseUser,
		"TRACEWRIGHT_CLICKHOUSE_PASSWORD="+testservers.ClickHousePassword,
		"TRACEWRIGHT_NEO4J="+neo4j.URI(), "TRACEWRIGHT_NEO4J_USER="+testservers.Neo4jUser, "TRACEWRIGHT_NEO4J_PASSWORD="+testservers.Neo4jPassword)
	if err := cmd.Start(); err != nil {
		return err
	}
	stopped := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // it may have had its own
	defer stopped()
	err = cmd.Wait()
	if ctx.Err() != nil { // it was asked to end
		return nil
	}
	return err
}
