package traceassemblyprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

// patches are the attributes that assembly writes on a span, in their order. They stand beside the span's bytes until it is decoded.
type patches []patch

// patch is an attribute, or an element of a list.
type patch struct {
	key  string            // empty for an element
	kind pcommon.ValueType // ValueTypeStr, ValueTypeInt, ValueTypeBool, or ValueTypeSlice of these
	str  string
	num  int64
	list []patch
}

// put writes an attribute, in place of one of that name.
func (p *patches) put(attribute patch) {
	if at := slices.IndexFunc(*p, func(there patch) bool { return there.key == attribute.key }); at >= 0 {
		(*p)[at] = attribute
		return
	}
	*p = append(*p, attribute)
}

func (p *patches) putStr(key, value string) {
	p.put(patch{key: key, kind: pcommon.ValueTypeStr, str: value})
}

func (p *patches) putInt(key string, value int64) {
	p.put(patch{key: key, kind: pcommon.ValueTypeInt, num: value})
}

func (p *patches) putBool(key string, value bool) {
	p.put(patch{key: key, kind: pcommon.ValueTypeBool, num: truth(value)})
}

// truth is how a patch has a boolean.
func truth(value bool) int64 {
	if value {
		return 1
	}
	return 0
}

// apply writes them on the span.
func (p patches) apply(span ptrace.Span) {
	attrs := span.Attributes()
	for i := range p {
		value, ok := attrs.Get(p[i].key)
		if !ok {
			value = attrs.PutEmpty(p[i].key)
		}
		p[i].write(value)
	}
}

func (p *patch) write(value pcommon.Value) {
	switch p.kind {
	case pcommon.ValueTypeStr:
		value.SetStr(p.str)
	case pcommon.ValueTypeInt:
		value.SetInt(p.num)
	case pcommon.ValueTypeBool:
		value.SetBool(p.num != 0)
	case pcommon.ValueTypeSlice:
		list := value.SetEmptySlice()
		for i := range p.list {
			p.list[i].write(list.AppendEmpty())
		}
	}
}

// markConflict marks a span whose identity was received before with other times.
func markConflict(span ptrace.Span) {
	v, ok := span.Attributes().Get(conventions.AttrViolations)
	if !ok || v.Type() != pcommon.ValueTypeSlice {
		v = span.Attributes().PutEmpty(conventions.AttrViolations)
		v.SetEmptySlice()
	}
	for _, name := range v.Slice().All() {
		if name.Type() == pcommon.ValueTypeStr && name.Str() == conventions.ViolationConflictingSpanID {
			return
		}
	}
	v.Slice().AppendEmpty().SetStr(conventions.ViolationConflictingSpanID)
}
