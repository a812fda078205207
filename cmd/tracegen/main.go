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
	context.AfterFunc(ctx, stop) // so that a second interrupt ends what the first could not
	status := command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
