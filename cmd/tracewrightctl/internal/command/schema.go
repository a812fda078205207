package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore"
)

// schema prints the SQL that makes the tables in ClickHouse.
func schema(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("schema", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	s := clickhousestore.Schema{Variant: clickhousestore.VariantPlain}
	flags.StringVar(&s.Database, "database", clickhousestore.DefaultDatabase, "")
	variant := flags.String("variant", string(clickhousestore.VariantPlain), "")
	flags.StringVar(&s.Cluster, "cluster", "", "")
	flags.DurationVar(&s.Retention, "retention", 7*24*time.Hour, "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(stdout, usage)
		return statusDone
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("schema wants no %q", flags.Arg(0))
	}
	s.Variant = clickhousestore.Variant(*variant)
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		fail(stderr, fmt.Errorf("%w; see tracewrightctl --help", err))
		return statusUsage
	}
	retention := false // given, so that it is meant for tables that are there too
	flags.Visit(func(f *flag.Flag) { retention = retention || f.Name == "retention" })
	text, err := s.SQL(retention)
	if err == nil {
		_, err = io.WriteString(stdout, text)
	}
	if err != nil {
		fail(stderr, err)
		return statusFailed
	}
	return statusDone
}
