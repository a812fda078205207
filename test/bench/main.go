// Bench measures what stages cost and holds the figures to their targets.
//
//	go run ./test/bench assembly [flags]
//	go run ./test/bench analysis [flags]
//	go run ./test/bench store [flags]
//	go run ./test/bench clickhouse [flags]
//	go run ./test/bench query [flags]
//	go run ./test/bench service-map [flags]
//	go run ./test/bench whole [flags]
//	go run ./test/bench compare [flags]
//
// All but analysis, clickhouse and service-map start the built collector with one configuration after the other and send each the same traffic; analysis
// drives the processor in its own process, clickhouse the exporter and the reader before a ClickHouse, service-map a writer of maps before a Neo4j. All read the kernel's account of the process: what it
// does costs what the system paid for it, garbage collection included. Make targets build the binaries that are started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usageText = `usage: bench whole [flags]        the product, stage by stage: cost, tails, ten minutes at full rate
       bench compare [flags]      the cost of two builds of the product, in turns
       bench assembly [flags]     trace_assembly against otlp → nop and against contrib's processors
       bench analysis [flags]     trace_analysis against a processor that hands calls on, in this process
       bench store [flags]        the embedded store in the product: cost, disk, queries on many days
       bench clickhouse [flags]   the schema and the reader for ClickHouse beside the exporter's own schema: cost, disk, queries on many days
       bench query [flags]        the API of the product with a store of 10 million spans, while it is written to
       bench service-map [flags]  a large map of services in Neo4j: how many edges a second it takes
       bench COMMAND --help`

// errMissed says that the run is complete and a figure misses its target; it has been printed.
var errMissed = errors.New("a target is missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errMissed):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usageText)
	}
	switch command, args := args[0], args[1:]; command {
	case "whole":
		return whole(ctx, args)
	case "compare":
		return compare(ctx, args)
	case "assembly":
		return assembly(ctx, args)
	case "analysis":
		return analysis(ctx, args)
	case "store":
		return store(ctx, args)
	case "clickhouse":
		return clickHouse(ctx, args)
	case "query":
		return query(ctx, args)
	case "service-map":
		return serviceMap(ctx, args)
	case holdCommand:
		return hold(ctx, args)
	default:
		return fmt.Errorf("%q is no command\n%s", command, usageText)
	}
}
