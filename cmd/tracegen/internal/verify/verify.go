package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tracewright/tracewright/cmd/tracegen/internal/access"
	"github.com/tracewright/tracewright/cmd/tracegen/internal/truth"
)

// Options say how to verify.
type Options struct {
	// API is the address of the REST API, as in http://localhost:16686.
	API string
	// Access is what the API asks for.
	Access access.Access
	// Timeout is how long to wait for the answers to become right.
	Timeout time.Duration
	// Concurrency is the number of traces read at the same time.
	Concurrency int
	// OnlyTraces leaves the map and the operations out.
	OnlyTraces bool
	// Interval is the time between two rounds of questions.
	Interval time.Duration
}

// requestTimeout bounds one question.
const requestTimeout = 30 * time.Second

// Verifier compares one run with the API.
type Verifier struct {
	options Options
	file    *truth.File
	tenants []*tenantRun
}

// New makes a verifier of a run.
func New(file *truth.File, options Options) (*Verifier, error) {
	if len(file.Traces) == 0 {
		return nil, errors.New("the run sent no traces")
	}
	v := &Verifier{options: options, file: file}
	asker := v.options.Access.Client(&http.Transport{MaxIdleConnsPerHost: options.Concurrency, MaxConnsPerHost: options.Concurrency})
	asker.Timeout = requestTimeout
	byName := map[string]*tenantRun{}
	tenant := func(name string) *tenantRun {
		t := byName[name]
		if t == nil {
			t = &tenantRun{
				client: &client{
					http: asker, with: &v.options.Access, base: options.API,
					tenantHeader: file.Run.TenantHeader, tenant: name,
				},
				sent: map[string]*truth.Trace{}, pending: map[string]problem{}, edges: map[string]counts{}, operations: map[string]counts{},
				onlyTraces: options.OnlyTraces,
			}
			byName[name] = t
			v.tenants = append(v.tenants, t)
		}
		return t
	}
	for i := range file.Traces {
		tenant(file.Traces[i].Tenant).addTrace(&file.Traces[i])
	}
	for _, e := range file.Edges {
		tenant(e.Tenant).edges[edgeName(e.Parent, e.Child, e.Protocol)] = counts{e.Calls, e.Errors, e.Unanswered}
	}
	for _, o := range file.Operations {
		tenant(o.Tenant).operations[operationName(o.Service, o.Operation, o.Kind)] = counts{o.Calls, o.Errors, 0}
	}
	return v, nil
}

// Run asks until all answers are right or the timeout is over, and reports what it found last. An error means that it
// could not ask at all.
func (v *Verifier) Run(ctx context.Context) (*Report, error) {
	deadline := time.Now().Add(v.options.Timeout)
	for {
		report, err := v.round(ctx)
		if err != nil && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && (report.OK() || len(report.NotServed) > 0 && report.tracesOK()) {
			return report, nil
		}
		if !time.Now().Add(v.options.Interval).Before(deadline) {
			return report, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(v.options.Interval):
		}
	}
}

// round asks everything that was not right yet.
func (v *Verifier) round(ctx context.Context) (*Report, error) {
	report := &Report{onlyTraces: v.options.OnlyTraces}
	for _, t := range v.tenants {
		if err := t.readTraces(ctx, v.options.Concurrency); err != nil {
			return nil, fmt.Errorf("read the traces: %w", err)
		}
		t.reportTraces(report)
		if err := t.search(ctx, report); err != nil {
			return nil, fmt.Errorf("search the run's window: %w", err)
		}
		if v.options.OnlyTraces {
			continue
		}
		// Sums are kept by the minute.
		start, end := minTime(t.first, v.file.Run.Started).Truncate(time.Minute), time.Now()
		if err := t.compareEdges(ctx, start, end, report); err != nil {
			return nil, fmt.Errorf("ask for the map: %w", err)
		}
		if err := t.compareOperations(ctx, start, end, report); err != nil {
			return nil, fmt.Errorf("ask for the operations: %w", err)
		}
	}
	return report, nil
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
