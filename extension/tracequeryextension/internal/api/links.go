package api

import (
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/correlation"
	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/query"
	"github.com/tracewright/tracewright/internal/analysis"
)

// Links are the templates of links from a trace, and from each of its spans, to other systems. nil has none.
type Links struct {
	Trace, Spans []*correlation.Template
}

// linkMargin is how much earlier and later than a trace or span "from" and "to" are: what was logged, or measured, around it.
const linkMargin = time.Minute

type correlationLink struct{ name, url string }

func (l *Links) ofTrace(trace *query.Trace) []correlationLink {
	if l == nil {
		return nil
	}
	r := trace.Analysis
	values := map[string]string{"trace_id": trace.ID.String(), "service": r.EntryService, "operation": r.EntryOperation}
	return expandLinks(l.Trace, r.Start, r.Start+r.Duration, func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	})
}

func (l *Links) ofSpan(r *analysis.Result, i int) []correlationLink {
	if l == nil || len(l.Spans) == 0 {
		return nil
	}
	node := &r.Tree.Nodes[i]
	return expandLinks(l.Spans, node.Start, node.End, func(name string) (string, bool) {
		switch name {
		case "trace_id":
			return node.TraceID().String(), true
		case "span_id":
			return node.SpanID().String(), true
		case "service":
			return r.Spans[i].Service, true
		case "operation":
			return r.Spans[i].Operation, true
		}
		if key, ok := strings.CutPrefix(name, "span."); ok {
			return attributeText(node.Attributes(), key)
		}
		key, _ := strings.CutPrefix(name, "resource.")
		return attributeText(node.Resource.Attributes(), key)
	})
}

// attributeText is the text of an attribute that is text, a number or a truth value.
func attributeText(attributes pcommon.Map, key string) (string, bool) {
	value, ok := attributes.Get(key)
	if !ok {
		return "", false
	}
	switch value.Type() {
	case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
		return value.AsString(), true
	}
	return "", false
}

// expandLinks makes the links of which every value is there.
func expandLinks(templates []*correlation.Template, start, end int64, value func(name string) (string, bool)) (links []correlationLink) {
	for _, template := range templates {
		link, ok := template.Expand(func(name string) (string, bool) {
			if t, ok := linkTime(name, start, end); ok {
				return t, true
			}
			return value(name)
		})
		if ok {
			links = append(links, correlationLink{template.Name, link})
		}
	}
	return links
}

// linkTime is the value of a placeholder for a time.
func linkTime(name string, start, end int64) (string, bool) {
	point, unit, _ := strings.Cut(name, "_")
	var ns int64
	switch point {
	case "start":
		ns = start
	case "end":
		ns = end
	case "from":
		ns = max(0, start-int64(linkMargin))
	case "to":
		ns = max(end, end+int64(linkMargin)) // which may lie beyond what int64 holds
	default:
		return "", false
	}
	switch unit {
	case "ns":
		return strconv.FormatInt(ns, 10), true
	case "ms":
		return strconv.FormatInt(ns/int64(time.Millisecond), 10), true
	case "":
		return formatTime(ns), true
	}
	return "", false
}

// correlationLinks writes the links; left out where there are none.
func (w *jsonWriter) correlationLinks(links []correlationLink) {
	if len(links) == 0 {
		return
	}
	w.key("correlation_links")
	w.open("[")
	for _, link := range links {
		w.open("{")
		w.textMember("name", link.name)
		w.textMember("url", link.url)
		w.close("}")
	}
	w.close("]")
}
