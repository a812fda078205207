// Command tracegen sends the traces of a simulated shop to an OTLP receiver and knows the truth about them; tracegen
// verify checks a Tracewright against it.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
