// Command tracewrightctl looks into the folder of an embedded store while no Tracewright uses it: whether it is sound, and what
// is in it.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/tracewright/tracewright/cmd/tracewrightctl/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // so that a second interrupt ends what the first could not
	status := command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
