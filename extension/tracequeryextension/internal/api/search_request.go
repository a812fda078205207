package api

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	defaultLimit  = 20
	maxLimit      = 1000
	defaultWindow = time.Hour
	// maxConditions bounds what one search costs per span.
	maxConditions = 64
	orderRecency  = "recency"
)

// searchRequest is the body of POST /traces/search; its members' meaning is in README.md.
type searchRequest struct {
	Service       *string            `json:"service"`
	Operation     *string            `json:"operation"`
	Kind          *string            `json:"kind"`
	Category      *string            `json:"category"`
	Attributes    []attributeRequest `json:"attributes"`
	MinDuration   *string            `json:"min_duration"`
	MaxDuration   *string            `json:"max_duration"`
	Errors        *bool              `json:"errors"`
	Outcome       *string            `json:"outcome"`
	Entry         *entryRequest      `json:"entry"`
	TraceDuration *durationsRequest  `json:"trace_duration"`
	Start         *string            `json:"start"`
	End           *string            `json:"end"`
	Order         *string            `json:"order"`
	Limit         *int               `json:"limit"`
	Cursor        *string            `json:"cursor"`
}

type attributeRequest struct {
	Key   *string `json:"key"`
	Op    *string `json:"op"`
	Value *scalar `json:"value"`
}

type entryRequest struct {
	Service   *string `json:"service"`
	Operation *string `json:"operation"`
}

type durationsRequest struct {
	Min *string `json:"min"`
	Max *string `json:"max"`
}

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
	var request searchRequest
	if len(bytes.TrimSpace(body)) > 0 {
		if faults := decodeStrict(body, &request); len(faults) > 0 {
			return nil, faults
		}
	}
	p := searchParser{now: now}
	s := p.search(&request)
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	return s, nil
}

// searchParser turns members into conditions and collects what is wrong with them.
type searchParser struct {
	now    time.Time
	faults []fault
}

func (p *searchParser) fault(field, format string, args ...any) {
	p.faults = append(p.faults, fault{field, fmt.Sprintf(format, args...)})
}

func (p *searchParser) search(r *searchRequest) *search {
	s := new(search)
	span, trace := &s.query.Span, &s.query.Trace
	span.Service = p.text("service", r.Service)
	span.Operation = p.text("operation", r.Operation)
	if r.Kind != nil {
		kind := kinds[p.oneOf("kind", r.Kind, kindNames)]
		span.Kind = &kind
	}
	span.Category = p.oneOf("category", r.Category, conventions.Categories)
	span.Attributes = p.attributes(r.Attributes)
	span.MinDuration, span.MaxDuration = p.durations("min_duration", r.MinDuration, "max_duration", r.MaxDuration)
	span.Errors = r.Errors
	trace.Outcome = p.oneOf("outcome", r.Outcome, conventions.Outcomes)
	if r.Entry != nil {
		trace.Entry.Service = p.text("entry.service", r.Entry.Service)
		trace.Entry.Operation = p.text("entry.operation", r.Entry.Operation)
	}
	if d := r.TraceDuration; d != nil {
		trace.MinDuration, trace.MaxDuration = p.durations("trace_duration.min", d.Min, "trace_duration.max", d.Max)
	}
	p.oneOf("order", r.Order, []string{orderRecency})
	s.query.Limit = defaultLimit
	if r.Limit != nil {
		s.query.Limit = *r.Limit
		if *r.Limit < 1 || *r.Limit > maxLimit {
			p.fault("limit", "must be between 1 and %d", maxLimit)
		}
	}
	p.window(r, s)
	return s
}

// window sets the times and the cursor. A cursor's window is that of its first page, so an absolute time beside it must
// be the same.
func (p *searchParser) window(r *searchRequest, s *search) {
	before := len(p.faults)
	start := p.moment("start", r.Start, moment{p.now.Add(-defaultWindow), true})
	end := p.moment("end", r.End, moment{p.now, true})
	if len(p.faults) > before {
		return
	}
	if r.Cursor == nil {
		s.query.Start, s.query.End = start.time, end.time
		if !start.time.Before(end.time) {
			p.fault("start", "must be before end: %s is not before %s",
				start.time.Format(time.RFC3339Nano), end.time.Format(time.RFC3339Nano))
		}
		return
	}
	cursor, err := query.ParseCursor(*r.Cursor)
	if err == nil && (!start.relative && !start.time.Equal(cursor.Start) || !end.relative && !end.time.Equal(cursor.End)) {
		err = tracestore.ErrCursor
	}
	if err != nil {
		p.fault("cursor", "%s; send next_cursor as it was answered, with the same conditions", err)
		return
	}
	s.cursor = &cursor
}

func (p *searchParser) text(field string, value *string) string {
	if value == nil {
		return ""
	}
	if *value == "" {
		p.fault(field, "must not be empty; leave it out to find any")
	}
	return *value
}

func (p *searchParser) oneOf(field string, value *string, allowed []string) string {
	if value == nil {
		return ""
	}
	if !slices.Contains(allowed, *value) {
		p.fault(field, "must be one of: %s", strings.Join(allowed, ", "))
	}
	return *value
}

func (p *searchParser) moment(field string, value *string, otherwise moment) moment {
	if value == nil {
		return otherwise
	}
	m, err := parseMoment(*value, p.now)
	if err != nil {
		p.fault(field, "%s", err)
	}
	return m
}

func (p *searchParser) durations(minField string, minimum *string, maxField string, maximum *string) (from, to time.Duration) {
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

func (p *searchParser) duration(field string, value *string) time.Duration {
	if value == nil {
		return 0
	}
	d, err := parseDuration(*value)
	if err != nil {
		p.fault(field, "%s", err)
	}
	return d
}

func (p *searchParser) attributes(requests []attributeRequest) []tracestore.AttributeCondition {
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

func (p *searchParser) attribute(path string, r *attributeRequest) tracestore.AttributeCondition {
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
	c.Op = tracestore.AttributeOp(p.oneOf(path+".op", r.Op, operators))
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
func setOperand(c *tracestore.AttributeCondition, value *scalar) (err error) {
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
		c.Number, err = value.number()
	case tracestore.OpRegex:
		text, ok := value.value.(string)
		if !ok {
			return errors.New("must be a string that holds a regular expression")
		}
		if c.Regex, err = regexp.Compile(text); err != nil {
			return fmt.Errorf("must be a regular expression in RE2 syntax: %w", err)
		}
	default:
		c.Text, err = value.text()
	}
	return err
}
