package api

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	defaultLimit = 20
	maxLimit     = 1000
	// maxConditions bounds what one search costs per span.
	maxConditions = 64
	orderRecency  = "recency"
)

// search is a parsed request.
type search struct {
	query tracestore.SearchQuery
	// cursor is nil for the first page.
	cursor *query.Cursor
}

var kinds = map[string]ptrace.SpanKind{
	"unspecified": ptrace.SpanKindUnspecified,
	"internal":    ptrace.SpanKindInternal,
	"server":      ptrace.SpanKindServer,
	"client":      ptrace.SpanKindClient,
	"producer":    ptrace.SpanKindProducer,
	"consumer":    ptrace.SpanKindConsumer,
}

var kindNames = []string{"unspecified", "internal", "server", "client", "producer", "consumer"} // by ptrace.SpanKind

// parseSearch reads a body; an empty one asks for everything of the last hour. now is what relative times count from.
func parseSearch(body []byte, now time.Time) (*search, []fault) {
	var request openapi.SearchRequest
	if len(bytes.TrimSpace(body)) > 0 {
		if faults := decodeStrict(body, &request); len(faults) > 0 {
			return nil, faults
		}
	}
	p := requestParser{now: now}
	s := p.search(&request)
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	return s, nil
}

func (p *requestParser) search(r *openapi.SearchRequest) *search {
	s := new(search)
	span, trace := &s.query.Where.Span, &s.query.Where.Trace
	span.Service = p.text("service", r.Service)
	span.Operation = p.text("operation", r.Operation)
	if r.Kind != nil {
		kind := kinds[oneOf(p, "kind", r.Kind, kindNames)]
		span.Kind = &kind
	}
	span.Category = oneOf(p, "category", r.Category, conventions.Categories)
	span.Attributes = p.attributes(r.Attributes)
	span.MinDuration, span.MaxDuration = p.durations("min_duration", r.MinDuration, "max_duration", r.MaxDuration)
	span.Errors = r.Errors
	trace.Outcome = oneOf(p, "outcome", r.Outcome, conventions.Outcomes)
	if r.Entry != nil {
		trace.Entry.Service = p.text("entry.service", r.Entry.Service)
		trace.Entry.Operation = p.text("entry.operation", r.Entry.Operation)
	}
	if d := r.TraceDuration; d != nil {
		trace.MinDuration, trace.MaxDuration = p.durations("trace_duration.min", d.Min, "trace_duration.max", d.Max)
	}
	oneOf(p, "order", r.Order, []string{orderRecency})
	s.query.Limit = p.limit(r.Limit, defaultLimit, maxLimit)
	s.query.Start, s.query.End, s.cursor = p.window(r.Start, r.End, r.Cursor)
	return s
}

func (p *requestParser) durations(minField string, minimum *string, maxField string, maximum *string) (from, to time.Duration) {
	before := len(p.faults)
	from, to = p.duration(minField, minimum), p.duration(maxField, maximum)
	switch {
	case len(p.faults) > before || maximum == nil:
	case to == 0:
		p.fault(maxField, "must be more than 0; leave it out for no bound")
	case from > to:
		p.fault(minField, "must not be more than %s", maxField)
	}
	return from, to
}

func (p *requestParser) duration(field string, value *string) time.Duration {
	if value == nil {
		return 0
	}
	d, err := parseDuration(*value)
	if err != nil {
		p.fault(field, "%s", err)
	}
	return d
}

func (p *requestParser) attributes(requests []openapi.AttributeCondition) []tracestore.AttributeCondition {
	if len(requests) > maxConditions {
		p.fault("attributes", "must not be more than %d", maxConditions)
		return nil
	}
	var conditions []tracestore.AttributeCondition
	for i := range requests {
		conditions = append(conditions, p.attribute(fmt.Sprintf("attributes[%d]", i), &requests[i]))
	}
	return conditions
}

func (p *requestParser) attribute(path string, r *openapi.AttributeCondition) tracestore.AttributeCondition {
	var c tracestore.AttributeCondition
	if r.Key == nil {
		p.fault(path+".key", "is required")
	} else {
		c.Scope, c.Key = splitKey(*r.Key)
		if c.Key == "" {
			p.fault(path+".key", "must name an attribute")
		}
	}
	if r.Op == nil {
		p.fault(path+".op", "is required; one of: %s", strings.Join(operators, ", "))
		return c
	}
	c.Op = tracestore.AttributeOp(oneOf(p, path+".op", r.Op, operators))
	if err := setOperand(&c, r.Value); err != nil {
		p.fault(path+".value", "%s", err)
	}
	return c
}

var operators = []string{
	string(tracestore.OpEqual), string(tracestore.OpNotEqual), string(tracestore.OpLess), string(tracestore.OpGreater),
	string(tracestore.OpExists), string(tracestore.OpRegex),
}

func splitKey(key string) (tracestore.AttributeScope, string) {
	if name, ok := strings.CutPrefix(key, "span."); ok {
		return tracestore.ScopeSpan, name
	}
	if name, ok := strings.CutPrefix(key, "resource."); ok {
		return tracestore.ScopeResource, name
	}
	return tracestore.ScopeAny, key
}

// setOperand gives the condition the value that its operator uses.
func setOperand(c *tracestore.AttributeCondition, value *openapi.Scalar) (err error) {
	switch c.Op {
	case tracestore.OpExists:
		if value != nil {
			return errors.New("must be left out with exists")
		}
		return nil
	case tracestore.OpEqual, tracestore.OpNotEqual, tracestore.OpLess, tracestore.OpGreater, tracestore.OpRegex:
		if value == nil {
			return errors.New("is required")
		}
	default: // an unknown operator is reported as such
		return nil
	}
	switch c.Op {
	case tracestore.OpLess, tracestore.OpGreater:
		c.Number, err = scalarNumber(*value)
	case tracestore.OpRegex:
		text, ok := (*value).(string)
		if !ok {
			return errors.New("must be a string that holds a regular expression")
		}
		if c.Regex, err = regexp.Compile(text); err != nil {
			return fmt.Errorf("must be a regular expression in RE2 syntax: %w", err)
		}
	default:
		c.Text, err = scalarText(*value)
	}
	return err
}
