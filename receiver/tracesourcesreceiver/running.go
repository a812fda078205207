package tracesourcesreceiver

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tracewright/tracewright/internal/recovering"
	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/address"
)

const (
	startTimeout = 10 * time.Second
	// stopTimeout is how long requests that run may take when their source is stopped.
	stopTimeout = 10 * time.Second
)

// running is a source that was started.
type running struct {
	source  tracesources.Source
	version int64
	since   time.Time
	listens []address.Address
	secrets *resolved
	intake  *intake
	host    *sourceHost
	// warnings is what the receiver logs.
	warnings *warnings
	receiver receiver.Traces
	// end ends the context of its start. Receivers should not keep that, and some do for as long as they run.
	end context.CancelFunc
}

var errSlow = errors.New("requests of the source are still running")

// start starts a source, which goes on with the tally. The error is what the receiver said, without secrets.
func (r *sourcesReceiver) start(made *plan, version int64, t *tally) (*running, error) {
	now := r.now()
	s := &running{
		source: made.source, version: version, since: now, listens: made.listens, secrets: made.secrets,
		intake: &intake{next: r.next, metrics: r.metrics, tally: t, now: r.now}, warnings: &warnings{secrets: made.secrets},
	}
	s.intake.set(&made.source)
	// Its telemetry is that of a receiver of this name in the collector's configuration.
	set := r.set
	set.ID = component.NewIDWithName(made.factory.Type(), made.source.Name)
	set.Logger = r.set.Logger.With(zap.String("source", made.source.Name)).
		WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return zapcore.NewTee(core, s.warnings) }))
	s.host = &sourceHost{Host: recovering.Host(r.host, set.Logger), factories: r.policy.factories}
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	timeout := time.AfterFunc(startTimeout, end)
	defer timeout.Stop()
	receiver, err := made.build(ctx, set, s.intake)
	if err != nil {
		end()
		return nil, s.said(err)
	}
	s.receiver = receiver
	err = s.startReceiver(ctx)
	if err == nil && !timeout.Stop() {
		err = fmt.Errorf("receiver %s took longer than %s to start", s.source.Type, startTimeout)
	}
	if err != nil {
		r.stopLogged(s) // what it began must end
		return nil, s.said(err)
	}
	return s, nil
}

func (s *running) startReceiver(ctx context.Context) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("receiver %s panicked: %v", s.source.Type, panicked)
		}
	}()
	return s.receiver.Start(ctx, s.host)
}

// said is an error of the receiver's, without secrets and with what it wraps.
func (s *running) said(err error) error {
	return &saidError{readable(s.secrets.redact(err.Error())), err}
}

// saidError is an error of a receiver's.
type saidError struct {
	text string
	err  error
}

func (e *saidError) Error() string { return e.text }
func (e *saidError) Unwrap() error { return e.err }

// stop ends a source and waits until its requests are answered, at most stopTimeout. The error is errSlow, then, or what the receiver said.
// What is slow ends later.
func (r *sourcesReceiver) stop(s *running) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	result := make(chan error, 1)
	r.stopping.Go(func() {
		defer cancel()
		result <- s.shutdown(ctx)
	})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		select {
		case err := <-result: // at the last moment, or cancelled behind it
			return err
		default:
			return errSlow
		}
	}
}

func (s *running) shutdown(ctx context.Context) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("receiver %s panicked: %v", s.source.Type, panicked)
		}
	}()
	defer s.end()
	return s.receiver.Shutdown(ctx)
}

// same says whether the source needs no new receiver for a change.
func (s *running) same(source *tracesources.Source) bool {
	return s.source.Type == source.Type && reflect.DeepEqual(s.source.Configuration, source.Configuration)
}
