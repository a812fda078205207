package api

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	defaultLimit = 20
	maxLimit     = 1000
	// maxListed bounds each list of conditions.
	maxListed = 64
	// maxConditions bounds all conditions of a search together, and so what it costs per span.
	maxConditions = 128
)

var (
	orders = map[string]tracestore.Order{
		"recency": tracestore.OrderRecency, "duration": tracestore.OrderDuration, "errors": tracestore.OrderErrors,
	}
	orderNames = []string{"recency", "duration", "errors"}
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
	where := &s.query.Where
	where.Span = p.onSpan("", &openapi.SpanCondition{
		Service: r.Service, Operation: r.Operation, Kind: r.Kind, Category: r.Category, Attributes: r.Attributes,
		MinDuration: r.MinDuration, MaxDuration: r.MaxDuration, Errors: r.Errors,
	}, 0)
	where.Trace = p.onTrace("", "trace_duration", &openapi.TraceCondition{
		Entry: r.Entry, Outcome: r.Outcome, Duration: r.TraceDuration, Services: r.Services,
	})
	where.Structure = p.structure("structure", r.Structure, 1)
	if r.Where != nil {
		where.And = append(where.And, p.condition("where", r.Where, 1))
	}
	s.query.Order = orders[oneOf(p, "order", r.Order, orderNames)]
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
func (p *requestParser) setOperand(c *tracestore.AttributeCondition, value *openapi.Scalar) (err error) {
	switch c.Op {
	case tracestore.OpExists, tracestore.OpNotExists:
		if value != nil {
			return fmt.Errorf("must be left out with %s", c.Op)
		}
		return nil
	default:
		if !slices.Contains(tracestore.Operators, c.Op) {
			return nil // which is reported as such
		}
		if value == nil {
			return errors.New("is required")
		}
	}
	switch c.Op {
	case tracestore.OpLess, tracestore.OpLessEqual, tracestore.OpGreater, tracestore.OpGreaterEqual:
		c.Number, err = scalarNumber(*value)
	case tracestore.OpRegex:
		text, ok := (*value).(string)
		if !ok {
			return errors.New("must be a string that holds a regular expression")
		}
		c.Regex, err = p.regex(text)
	default:
		c.Text, err = scalarText(*value)
	}
	return err
}
