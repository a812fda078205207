package attributes

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/pdatalayout"
)

// Appender adds attributes to maps that do not have them: pdata's own Put methods look for the key first, which costs more than all else
// where a span has a dozen, and allocate each value by itself. The values are cut from slabs: Reset begins new ones, so that what is added
// next does not keep alive what was. The zero value is ready. It is not safe for concurrent use.
type Appender struct {
	texts    pdatalayout.Slab[pdatalayout.Text]
	integers pdatalayout.Slab[pdatalayout.Int]
	arrays   pdatalayout.Slab[pdatalayout.Array]
	lists    pdatalayout.Slab[pdatalayout.Values]
	values   pdatalayout.Slab[pdatalayout.Value]
}

// Reset begins new slabs.
func (a *Appender) Reset() { *a = Appender{} }

// AppendStr adds a text to a map that has no such key, and is not read-only.
func (a *Appender) AppendStr(to pcommon.Map, key, s string) {
	if !known {
		to.PutStr(key, s)
		return
	}
	add(to, key, a.text(s))
}

// AppendStrs adds a list of texts to a map that has no such key, and is not read-only.
func (a *Appender) AppendStrs(to pcommon.Map, key string, texts []string) {
	if !known {
		list := to.PutEmptySlice(key)
		list.EnsureCapacity(len(texts))
		for _, s := range texts {
			list.AppendEmpty().SetStr(s)
		}
		return
	}
	list := a.lists.One()
	list.Values = a.values.Take(len(texts), 0)
	for i, s := range texts {
		*list.Values[i].Box() = a.text(s)
	}
	v := a.arrays.One()
	v.ArrayValue = list
	add(to, key, pdatalayout.Box{Type: types.Array, At: unsafe.Pointer(v)})
}

func (a *Appender) text(s string) pdatalayout.Box {
	v := a.texts.One()
	v.StringValue = s
	return pdatalayout.Box{Type: types.Text, At: unsafe.Pointer(v)}
}

// AppendInt adds a number to a map that has no such key, and is not read-only.
func (a *Appender) AppendInt(to pcommon.Map, key string, n int64) {
	if !known {
		to.PutInt(key, n)
		return
	}
	v := a.integers.One()
	v.IntValue = n
	add(to, key, pdatalayout.Box{Type: types.Int, At: unsafe.Pointer(v)})
}

func add(to pcommon.Map, key string, value pdatalayout.Box) {
	added := Attribute{pdatalayout.Attribute{Key: key}}
	*added.of.Value.Box() = value
	orig := wrapped(&to).Orig
	*orig = append(*orig, added)
}
