package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/truth"
	"github.com/tracewright/tracewright/cmd/tracegen/internal/verify"
)

const verifyUsage = `tracegen verify FILE compares the truth that a run wrote (--expect FILE) with what Tracewright's REST API answers.

Every trace is read by its id and must be as it was sent; a search over the run's window must list these traces and no
others; calls and errors of the service map's edges and of the operations must be those that were sent (edges may lack
as many calls as the map itself calls unrepaired). Sums are kept by the minute: spans from elsewhere since the run's first
minute count as differences, so verify before the next run. It asks again until everything is right or the timeout is
over, prints what it found last, and exits with 1 where anything differs.

Flags:
`

func verifyRun(ctx context.Context, args []string, stdout, _ io.Writer) error {
	o := verify.Options{Interval: time.Second}
	only := ""
	flags := flag.NewFlagSet("tracegen verify", flag.ContinueOnError)
	flags.StringVar(&o.API, "api", "http://localhost:16686", "address of the REST API")
	flags.DurationVar(&o.Timeout, "timeout", time.Minute, "how long to wait until everything is right")
	flags.IntVar(&o.Concurrency, "concurrency", 8, "traces read at the same time")
	flags.StringVar(&only, "only", "", "traces: leave the map and the operations out")
	var with accessFlags
	with.register(flags)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), verifyUsage)
		printFlags(flags)
	}
	files, err := parse(flags, args, 1, stdout)
	if err != nil {
		return err
	}
	switch {
	case len(files) == 0:
		return &usageError{errors.New("verify needs the file that a run wrote with --expect")}
	case only != "" && only != "traces":
		return &usageError{fmt.Errorf("--only must be traces, not %q", only)}
	case o.Concurrency < 1 || o.Timeout < 0:
		return &usageError{errors.New("--concurrency must be positive and --timeout not negative")}
	}
	if o.Access, err = with.load(); err != nil {
		return err
	}
	o.OnlyTraces = only == "traces"
	file, err := readTruth(files[0])
	if err != nil {
		return fmt.Errorf("read %s: %w", files[0], err)
	}
	verifier, err := verify.New(file, o)
	if err != nil {
		return fmt.Errorf("read %s: %w", files[0], err)
	}
	report, err := verifier.Run(ctx)
	if err != nil {
		return err
	}
	if err := report.Write(stdout); err != nil {
		return err
	}
	if !report.OK() {
		return errDiffers
	}
	return nil
}

func readTruth(path string) (*truth.File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return truth.Read(in)
}
