package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/replay"
	"github.com/tracewright/tracewright/cmd/tracegen/internal/send"
)

const replayUsage = `tracegen replay FILE… sends the traces of files to an OTLP receiver: what Jaeger's page, Zipkin's API or the collector's
file exporter saved (JSON, OTLP in protobuf too, gzip or not).

Flags:
`

// replayFiles bounds what one command line names.
const replayFiles = 1000

// replayOptions are the flags of tracegen replay.
type replayOptions struct {
	endpoint, protocol, tenant string
	giveUp                     time.Duration
	now                        bool
	access                     accessFlags
}

func replayRun(ctx context.Context, args []string, stdout, _ io.Writer) (err error) {
	var o replayOptions
	flags := flag.NewFlagSet("tracegen replay", flag.ContinueOnError)
	flags.StringVar(&o.endpoint, "endpoint", "", "where the receiver is (default localhost:4317, or localhost:4318 for http); https:// before it for TLS")
	flags.StringVar(&o.protocol, "protocol", send.GRPC, "OTLP over grpc or http")
	flags.StringVar(&o.tenant, "tenant", "", "send the traces as this tenant's, by the header "+send.TenantHeader)
	flags.DurationVar(&o.giveUp, "give-up", time.Minute, "how long a request is repeated that the receiver cannot take; then the run ends")
	flags.BoolVar(&o.now, "now", false, "move all times so that the last span of a file ends now; as they are, old traces are found by searches of their time")
	o.access.register(flags)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), replayUsage)
		printFlags(flags)
	}
	files, err := parse(flags, args, replayFiles, stdout)
	if err != nil {
		return err
	}
	switch {
	case len(files) == 0:
		return &usageError{errors.New("replay needs a file")}
	case o.giveUp < 0:
		return &usageError{errors.New("--give-up must not be negative")}
	}
	with, err := o.access.load()
	if err != nil {
		return err
	}
	exporter, err := send.Dial(o.protocol, orDefault(o.endpoint, o.protocol), &with)
	if err != nil {
		return &usageError{err}
	}
	defer func() { err = errors.Join(err, exporter.Close()) }()
	for _, file := range files {
		if err := o.replay(ctx, exporter, file, stdout); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// replay sends one file.
func (o *replayOptions) replay(ctx context.Context, exporter send.Exporter, name string, stdout io.Writer) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	var shift time.Duration
	if o.now {
		if shift, err = shiftToNow(file); err != nil {
			return err
		}
	}
	ids, spans, rejected := map[pcommon.TraceID]struct{}{}, 0, int64(0)
	for td, err := range replay.Read(file) {
		if err != nil {
			return fmt.Errorf("%w; %d spans before it were sent", err, spans)
		}
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					ids[span.TraceID()] = struct{}{}
				}
			}
		}
		replay.Shift(td, shift)
		count := td.SpanCount()
		for body, err := range replay.Requests(td) {
			if err != nil {
				return err
			}
			refused, err := send.Send(ctx, exporter, o.tenant, body, o.giveUp)
			if err != nil {
				return fmt.Errorf("send a request: %w", err)
			}
			rejected += refused
		}
		spans += count
	}
	if spans == 0 {
		return errors.New("it holds no span")
	}
	fmt.Fprintf(stdout, "%s: sent %d spans of %d traces\n", name, spans, len(ids))
	if len(ids) == 1 {
		for id := range ids {
			fmt.Fprintf(stdout, "  trace %s\n", id)
		}
	}
	if rejected > 0 {
		return fmt.Errorf("%d spans were rejected", rejected)
	}
	return nil
}

// shiftToNow is the time from the last end in the file until now; the file is at its beginning again.
func shiftToNow(file *os.File) (time.Duration, error) {
	var last pcommon.Timestamp
	for td, err := range replay.Read(file) {
		if err != nil {
			return 0, err
		}
		last = max(last, replay.LastEnd(td))
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("--now reads a file twice: %w", err)
	}
	return time.Since(last.AsTime()), nil
}
