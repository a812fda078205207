package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis/tracediff"
)

const (
	defaultDifferences = 50
	maxDifferences     = 1000
	// withUsual asks for a comparison with what is usual.
	withUsual = "usual"
)

// CompareTraces answers with what makes a trace longer or shorter than another one, or than usual.
func (h *handler) CompareTraces(w http.ResponseWriter, r *http.Request) {
	var parameters openapi.CompareTracesParams
	p := requestParser{faults: bindParameters(r, &parameters)}
	id := p.traceID(r.PathValue("id"))
	with := p.comparedWith(&parameters)
	limit := p.limit(parameters.Limit, defaultDifferences, maxDifferences)
	tenant, ok := h.accepted(w, r, p.faults)
	if !ok {
		return
	}
	var found *query.Comparison
	var err error
	if with.IsEmpty() {
		found, err = h.Service.CompareWithUsual(r.Context(), tenant, id, parameters.Environment, limit)
	} else {
		found, err = h.Service.Compare(r.Context(), tenant, id, with, limit)
	}
	if err != nil {
		h.writeNoComparison(w, r, err, id)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", newComparisonAnswer(found))
}

// comparedWith is the other trace; the empty id asks for the usual one.
func (p *requestParser) comparedWith(r *openapi.CompareTracesParams) (with pcommon.TraceID) {
	const wanted = `must be "usual", or the id of another trace`
	p.length("environment", r.Environment)
	if r.With == nil {
		p.fault("with", wanted)
		return with
	}
	if *r.With == withUsual {
		return with
	}
	with, err := parseTraceID(*r.With)
	if err != nil {
		p.fault("with", wanted+": %s", err)
	}
	if r.Environment != nil {
		p.fault("environment", "is of what is usual: it needs with=usual")
	}
	return with
}

func (h *handler) writeNoComparison(w http.ResponseWriter, r *http.Request, err error, id pcommon.TraceID) {
	var notFound *query.NotFoundError
	var noUsual *query.NoUsualError
	switch {
	case errors.As(err, &notFound) && notFound.ID != id:
		p := newProblem(http.StatusNotFound, fault{"with", notFound.Error()})
		if notFound.InFlightKnown {
			p.InFlight = &notFound.InFlight
		}
		p.write(w)
	case errors.As(err, &noUsual):
		newProblem(http.StatusNotFound, fault{"with", noUsual.Error()}).write(w)
	case errors.Is(err, query.ErrNoCriticalPath):
		newProblem(http.StatusNotFound, fault{"id", err.Error()}).write(w)
	default:
		h.writeFailure(w, r, err)
	}
}

func newComparisonAnswer(c *query.Comparison) openapi.ComparisonAnswer {
	answer := openapi.ComparisonAnswer{
		Trace: *newComparedTrace(c.Trace), Message: comparisonMessage(c), DifferenceNS: wholeNS(c.Diff.Duration),
		Differences: make([]openapi.Difference, 0, len(c.Diff.Parts)), More: c.Diff.More, OtherContributionNS: wholeNS(c.Diff.Rest),
	}
	if c.With != nil {
		answer.With = newComparedTrace(c.With)
	}
	if c.Usual != nil {
		answer.Usual = &openapi.UsualTrace{
			Traces: c.Usual.Traces, Errors: c.Usual.Errors, MeanNS: wholeNS(c.Usual.Duration), Window: wholeMinutes(&c.Usual.Window),
		}
	}
	for i := range c.Diff.Parts {
		answer.Differences = append(answer.Differences, newDifference(&c.Diff.Parts[i]))
	}
	return answer
}

func newComparedTrace(trace *query.Trace) *openapi.ComparedTrace {
	r := trace.Analysis
	return &openapi.ComparedTrace{
		TraceID: trace.ID.String(), Entry: openapi.Operation{Service: r.EntryService, Operation: r.EntryOperation}, Start: formatTime(r.Start),
		RootDurationNS: r.RootDuration, SpanCount: r.SpanCount, ErrorCount: r.ErrorCount, Complete: len(trace.Wholeness().Missing) == 0,
	}
}

func newDifference(p *tracediff.Part) openapi.Difference {
	d := openapi.Difference{
		PathLength: p.Length, ContributionNS: wholeNS(p.Contribution()),
		CriticalPathNS: wholeNS(p.This.PathTime), OtherCriticalPathNS: wholeNS(p.Other.PathTime),
		Calls: p.This.Calls, OtherCalls: p.Other.Calls, Errors: p.This.Errors, OtherErrors: p.Other.Errors,
		SelfTimeNS: wholeNS(p.This.SelfTime), OtherSelfTimeNS: wholeNS(p.Other.SelfTime),
	}
	switch {
	case p.Other.Calls == 0:
		d.OnlyIn = new(openapi.DifferenceOnlyInTrace)
	case p.This.Calls == 0:
		d.OnlyIn = new(openapi.DifferenceOnlyInOther)
	}
	for _, step := range p.Path {
		d.Path = append(d.Path, openapi.Operation{Service: step.Service, Operation: step.Operation})
	}
	return d
}

// comparisonMessage says what differs most, of what made the trace longer where it is, else of what made it shorter.
func comparisonMessage(c *query.Comparison) string {
	var b strings.Builder
	other, otherErrors, than := 0.0, 0.0, "the other trace"
	if c.Usual != nil {
		other, otherErrors, than = c.Usual.Duration, c.Usual.FailedSpans, "usual"
	} else {
		other, otherErrors = float64(c.With.Analysis.RootDuration), float64(c.With.Analysis.ErrorCount)
	}
	this := float64(c.Trace.Analysis.RootDuration)
	verb := "added"
	switch difference := wholeNS(c.Diff.Duration); {
	case difference == 0:
		fmt.Fprintf(&b, "This trace took as long as %s: %s.", than, readable(this))
	case difference > 0:
		fmt.Fprintf(&b, "This trace took %s longer than %s: %s, not %s.", readable(c.Diff.Duration), than, readable(this), readable(other))
	default:
		verb = "saved"
		fmt.Fprintf(&b, "This trace took %s less than %s: %s, not %s.", readable(-c.Diff.Duration), than, readable(this), readable(other))
	}
	if c.With != nil && (c.With.Analysis.EntryService != c.Trace.Analysis.EntryService ||
		c.With.Analysis.EntryOperation != c.Trace.Analysis.EntryOperation) {
		b.WriteString(" They are of different entries, so little of them can be matched.")
		return b.String()
	}
	for i := range c.Diff.Parts {
		p := &c.Diff.Parts[i]
		if contribution := wholeNS(p.Contribution()); contribution != 0 && (contribution > 0) == (verb == "added") {
			writePart(&b, p, verb, than)
			break
		}
	}
	switch failed := float64(c.Trace.Analysis.ErrorCount); {
	case failed > 0 && number(failed) != number(otherErrors):
		fmt.Fprintf(&b, " %s of its spans failed, not %s.", number(failed), number(otherErrors))
	case failed == 0 && otherErrors > 0 && c.With != nil:
		fmt.Fprintf(&b, " None of its spans failed, and %s of the other's did.", number(otherErrors))
	}
	return b.String()
}

// writePart says what one path added or saved.
func writePart(b *strings.Builder, p *tracediff.Part, verb, than string) {
	last := p.Path[len(p.Path)-1]
	fmt.Fprintf(b, " What %s most is %s %q, %s: ", verb, last.Service, last.Operation, readable(math.Abs(p.Contribution())))
	switch {
	case p.This.Calls == 0:
		b.WriteString("it was not called.")
	case p.Other.Calls == 0 && than == "usual":
		b.WriteString("it is not called otherwise.")
	case p.Other.Calls == 0:
		b.WriteString("the other trace did not call it.")
	default:
		fmt.Fprintf(b, "the request waited %s for it, not %s", readable(p.This.PathTime), readable(p.Other.PathTime))
		if math.Abs(p.This.Calls-p.Other.Calls) >= 1 { // a mean is hardly ever a whole number
			fmt.Fprintf(b, ", in %s, not %s", calls(p.This.Calls), number(p.Other.Calls))
		}
		b.WriteString(".")
	}
}

// readable is a duration in three digits or so.
func readable(ns float64) string {
	d := time.Duration(wholeNS(ns))
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit || d <= -unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

func calls(n float64) string {
	if n == 1 {
		return "1 call"
	}
	return number(n) + " calls"
}

func number(n float64) string { return strconv.FormatFloat(math.Round(n*10)/10, 'f', -1, 64) }
