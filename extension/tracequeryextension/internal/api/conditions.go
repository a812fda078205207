package api

import (
	"fmt"
	"strings"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

var operators = func() (names []string) {
	for _, op := range tracestore.Operators {
		names = append(names, string(op))
	}
	return names
}()

var (
	relations = map[string]tracestore.Relation{
		"": tracestore.RelationDescendant, "descendant": tracestore.RelationDescendant, "child": tracestore.RelationChild,
	}
	relationNames = []string{"descendant", "child"}
)

// member is a member's path, of a member of the body where the path above is empty.
func member(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// spend counts one condition. It says whether the tree may go on: at this depth, and with so many.
func (p *requestParser) spend(path string, depth int) bool {
	if p.conditions++; p.conditions == maxConditions+1 {
		p.fault(path, "is one condition too many; a search may hold %d", maxConditions)
	}
	if depth > tracestore.MaxDepth {
		p.fault(path, "is nested too deep; conditions may be nested %d deep", tracestore.MaxDepth)
		return false
	}
	return p.conditions <= maxConditions
}

func (p *requestParser) condition(path string, r *openapi.Condition, depth int) (c tracestore.Conditions) {
	if !p.spend(path, depth) {
		return c
	}
	if r.Span != nil {
		c.Span = p.onSpan(member(path, "span"), r.Span, depth+1)
	}
	if r.Trace != nil {
		c.Trace = p.onTrace(member(path, "trace"), "duration", r.Trace)
	}
	c.Structure = p.structure(member(path, "structure"), r.Structure, depth+1)
	c.And = branches(p, member(path, "and"), r.And, depth+1, p.condition)
	c.Or = branches(p, member(path, "or"), r.Or, depth+1, p.condition)
	if r.Not != nil {
		not := p.condition(member(path, "not"), r.Not, depth+1)
		c.Not = &not
	}
	return c
}

// branches parses the elements of an and or an or.
func branches[R, C any](p *requestParser, path string, list []R, depth int, parse func(path string, r *R, depth int) C) []C {
	if list != nil && len(list) == 0 {
		p.fault(path, "must not be empty; leave it out instead")
	}
	var branches []C
	for i := range list {
		if p.conditions > maxConditions {
			break
		}
		branches = append(branches, parse(fmt.Sprintf("%s[%d]", path, i), &list[i], depth))
	}
	return branches
}

// onSpan reads conditions on one span. Those of the body itself stand at the path "" and do not count.
func (p *requestParser) onSpan(path string, r *openapi.SpanCondition, depth int) (c tracestore.SpanConditions) {
	if path != "" && !p.spend(path, depth) {
		return c
	}
	c.Service = p.text(member(path, "service"), r.Service)
	c.Operation = p.text(member(path, "operation"), r.Operation)
	if r.Kind != nil {
		kind := kinds[oneOf(p, member(path, "kind"), r.Kind, kindNames)]
		c.Kind = &kind
	}
	c.Category = oneOf(p, member(path, "category"), r.Category, conventions.Categories)
	c.Attributes = p.attributes(member(path, "attributes"), r.Attributes, depth)
	c.MinDuration, c.MaxDuration = p.durations(member(path, "min_duration"), r.MinDuration, member(path, "max_duration"), r.MaxDuration)
	c.Errors = r.Errors
	c.And = branches(p, member(path, "and"), r.And, depth+1, p.onSpan)
	c.Or = branches(p, member(path, "or"), r.Or, depth+1, p.onSpan)
	if r.Not != nil {
		not := p.onSpan(member(path, "not"), r.Not, depth+1)
		c.Not = &not
	}
	return c
}

// onTrace reads conditions on the trace; duration is what the member of that name is called there.
func (p *requestParser) onTrace(path, duration string, r *openapi.TraceCondition) (c tracestore.TraceConditions) {
	c.Outcome = oneOf(p, member(path, "outcome"), r.Outcome, conventions.Outcomes)
	if r.Entry != nil {
		c.Entry.Service = p.text(member(path, "entry.service"), r.Entry.Service)
		c.Entry.Operation = p.text(member(path, "entry.operation"), r.Entry.Operation)
	}
	if d := r.Duration; d != nil {
		at := member(path, duration)
		c.MinDuration, c.MaxDuration = p.durations(member(at, "min"), d.Min, member(at, "max"), d.Max)
	}
	if p.listed(member(path, "services"), len(r.Services)) {
		for i := range r.Services {
			at := fmt.Sprintf("%s[%d]", member(path, "services"), i)
			if !p.spend(at, 0) {
				break
			}
			c.Services = append(c.Services, p.text(at, &r.Services[i]))
		}
	}
	c.Spans = p.count(member(path, "spans"), r.Spans)
	c.Errors = p.count(member(path, "errors"), r.Errors)
	return c
}

// maxCount is more spans than any trace has.
const maxCount = 1_000_000_000

func (p *requestParser) count(path string, r *openapi.CountRange) (c tracestore.CountRange) {
	if r == nil {
		return c
	}
	before := len(p.faults)
	for i, n := range []*int{r.Min, r.Max} {
		if n != nil && (*n < 0 || *n > maxCount) {
			p.fault(member(path, []string{"min", "max"}[i]), "must be between 0 and %d", maxCount)
		}
	}
	if r.Min != nil {
		c.Min = *r.Min
	}
	if c.Max = r.Max; len(p.faults) == before && c.Max != nil && *c.Max < c.Min {
		p.fault(member(path, "min"), "must not be more than %s", member(path, "max"))
	}
	return c
}

func (p *requestParser) structure(path string, list []openapi.Structure, depth int) (structures []tracestore.Structure) {
	if !p.listed(path, len(list)) {
		return nil
	}
	for i := range list {
		at, r := fmt.Sprintf("%s[%d]", path, i), &list[i]
		if !p.spend(at, depth) {
			return structures
		}
		s := tracestore.Structure{Relation: relations[oneOf(p, at+".relation", r.Relation, relationNames)]}
		for _, side := range []struct {
			name string
			from *openapi.SpanCondition
			to   *tracestore.SpanConditions
		}{{"above", r.Above, &s.Above}, {"below", r.Below, &s.Below}} {
			if side.from == nil {
				p.fault(member(at, side.name), "is required; {} is any span")
				continue
			}
			*side.to = p.onSpan(member(at, side.name), side.from, depth+1)
		}
		structures = append(structures, s)
	}
	return structures
}

// listed says whether a list is short enough.
func (p *requestParser) listed(path string, n int) bool {
	if n > maxListed {
		p.fault(path, "must not be more than %d", maxListed)
	}
	return n <= maxListed
}

func (p *requestParser) attributes(path string, requests []openapi.AttributeCondition, depth int) []tracestore.AttributeCondition {
	if !p.listed(path, len(requests)) {
		return nil
	}
	var conditions []tracestore.AttributeCondition
	for i := range requests {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !p.spend(at, depth) {
			break
		}
		conditions = append(conditions, p.attribute(at, &requests[i]))
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
	if err := p.setOperand(&c, r.Value); err != nil {
		p.fault(path+".value", "%s", err)
	}
	return c
}
