// Package command is what tracewrightctl does.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
)

// Statuses with which the process ends.
const (
	statusDone   = 0
	statusFaults = 1 // check found something
	statusUsage  = 2
	statusFailed = 3 // the folder could not be read
)

const usage = `tracewrightctl looks into the folder of an embedded store that no Tracewright uses, and prints what ClickHouse needs. It changes
nothing.

  tracewrightctl check [--json] PATH   read everything, and say whether it is as it was written
  tracewrightctl stats [--json] PATH   say what is in it, by tenant and day (UTC) of release
  tracewrightctl schema [--database tracewright] [--variant plain|on_cluster|replicated] [--cluster NAME] [--retention 168h]
                                       print the SQL of ClickHouse's database, tables and views

PATH is what the configuration names as path of a pebble backend, or a backup. Ends with 0, 1 where check found
faults, 2 where it was called wrongly, 3 where the folder could not be read.
`

// Run does what the arguments say and returns the status.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && (args[0] == "help" || args[0] == "-h" || args[0] == "--help") {
		_, _ = io.WriteString(stdout, usage)
		return statusDone
	}
	if len(args) > 0 && args[0] == "schema" {
		return schema(args[1:], stdout, stderr)
	}
	name, path, asJSON, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stdout, usage)
		return statusDone
	}
	if err != nil {
		fail(stderr, fmt.Errorf("%w; see tracewrightctl --help", err))
		return statusUsage
	}
	look := stats
	if name == "check" {
		look = check
	}
	found, err := look(ctx, path)
	if err != nil {
		fail(stderr, err)
		return statusFailed
	}
	if asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(found)
	} else {
		err = found.write(stdout, path)
	}
	if err != nil {
		fail(stderr, err)
		return statusFailed
	}
	return found.status()
}

// findings are what one of the commands has found. Their JSON is the answer to --json.
type findings interface {
	write(out io.Writer, path string) error
	status() int
}

func parse(args []string) (name, path string, asJSON bool, err error) {
	if len(args) == 0 {
		return "", "", false, errors.New("name a command")
	}
	name = args[0]
	if name != "check" && name != "stats" {
		return "", "", false, fmt.Errorf("unknown command %q", name)
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&asJSON, "json", false, "")
	var paths []string
	for rest := args[1:]; ; { // flags may stand behind the path
		if err := flags.Parse(rest); err != nil {
			return "", "", false, err
		}
		if flags.NArg() == 0 {
			break
		}
		paths, rest = append(paths, flags.Arg(0)), flags.Args()[1:]
	}
	if len(paths) != 1 {
		return "", "", false, fmt.Errorf("%s wants one PATH", name)
	}
	return name, paths[0], asJSON, nil
}

// fail tells of an error. Where that fails too, the status has to do.
func fail(stderr io.Writer, err error) { _, _ = fmt.Fprintln(stderr, "tracewrightctl:", err) }
