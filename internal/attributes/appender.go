package attributes

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Appender adds attributes to maps that do not have them: pdata's own Put methods look for the key first, which costs more than all else
// where a span has a dozen, and allocate each value by itself. The values are cut from slabs: Reset begins new ones, so that what is added
// next does not keep alive what was. The zero value is ready. It is not safe for concurrent use.
type Appender struct {
	texts    []text
	integers []integer
}

// slabValues is how many values a slab has.
const slabValues = 256

// Reset begins new slabs.
func (a *Appender) Reset() { *a = Appender{} }

// AppendStr adds a text to a map that has no such key, and is not read-only.
func (a *Appender) AppendStr(to pcommon.Map, key, s string) {
	if !known {
		to.PutStr(key, s)
		return
	}
	if len(a.texts) == 0 {
		a.texts = make([]text, slabValues)
	}
	v := &a.texts[0]
	a.texts = a.texts[1:]
	v.StringValue = s
	add(to, key, held{types.text, unsafe.Pointer(v)})
}

// AppendInt adds a number to a map that has no such key, and is not read-only.
func (a *Appender) AppendInt(to pcommon.Map, key string, n int64) {
	if !known {
		to.PutInt(key, n)
		return
	}
	if len(a.integers) == 0 {
		a.integers = make([]integer, slabValues)
	}
	v := &a.integers[0]
	a.integers = a.integers[1:]
	v.IntValue = n
	add(to, key, held{types.integer, unsafe.Pointer(v)})
}

func add(to pcommon.Map, key string, value held) {
	orig := (*list)(unsafe.Pointer(&to)).orig
	*orig = append(*orig, Attribute{key: key, value: value})
}
