// Package command is tracegen's command line.
package command

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something was not sent, or is not as it was sent
	exitUsage  = 2
)

// Run runs tracegen with the arguments after its name and returns its exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = printable{stdout}, printable{stderr}
	run := generate
	if len(args) > 0 {
		switch args[0] {
		case "verify":
			run, args = verifyRun, args[1:]
		case "replay":
			run, args = replayRun, args[1:]
		}
	}
	err := run(ctx, args, stdout, stderr)
	var usage *usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s\nrun tracegen --help for what there is\n", err)
		return exitUsage
	case errors.Is(err, errDiffers): // the report says it
		return exitFailed
	}
	fmt.Fprintf(stderr, "tracegen: %s\n", err)
	return exitFailed
}

// usageError is a fault of the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

var errDiffers = errors.New("not as it was sent")

// parse reads flags and at most arguments other arguments, in any order. The flag set prints nothing but its help.
func parse(flags *flag.FlagSet, args []string, arguments int, help io.Writer) (rest []string, err error) {
	flags.SetOutput(io.Discard)
	usage := flags.Usage
	flags.Usage = func() {}
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				flags.SetOutput(help)
				usage()
				return nil, err
			}
			return nil, &usageError{err}
		}
		if args = flags.Args(); len(args) == 0 {
			return rest, nil
		}
		if len(rest) == arguments {
			return nil, &usageError{fmt.Errorf("what is %q?", args[0])}
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// printFlags describes the flags with the two dashes that everything else here writes.
func printFlags(flags *flag.FlagSet) {
	out := flags.Output()
	var text bytes.Buffer
	flags.SetOutput(&text)
	flags.PrintDefaults()
	flags.SetOutput(out)
	fmt.Fprint(out, strings.ReplaceAll("\n"+text.String(), "\n  -", "\n  --")[1:])
}
