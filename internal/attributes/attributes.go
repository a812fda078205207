// Package attributes reads pdata's attributes where they stand, and adds some without looking for their keys. Walking pcommon.Map.All costs some seventy instructions an attribute, and of
// a trace all attributes are walked several times; a slice costs a few.
//
// pdata has no way to its slice; this goes by package pdatalayout. Where that does not know the pdata that is linked in, List makes a copy by
// pdata's own methods: what callers see is the same.
package attributes

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/pdatalayout"
)

// Attribute is a key with its value. It is pdata's own memory: nothing may be changed through it, and it is valid as long as nobody changes
// the map.
type Attribute struct{ of pdatalayout.Attribute }

// other stands in copies alone.
type other struct{ value pcommon.Value }

// types are those of values, known whether pdata is laid out as package pdatalayout says; else they are our own, of copies.
var types, known = readTypes()

func readTypes() (pdatalayout.ValueTypes, bool) {
	if pdatalayout.Known {
		return pdatalayout.Types, true
	}
	return ownTypes(), false
}

func ownTypes() pdatalayout.ValueTypes {
	typeOf := func(v any) unsafe.Pointer { return pdatalayout.BoxOf(v).Type }
	return pdatalayout.ValueTypes{
		Text: typeOf(&pdatalayout.Text{}), Int: typeOf(&pdatalayout.Int{}), Double: typeOf(&pdatalayout.Double{}), Bool: typeOf(&pdatalayout.Bool{}),
	}
}

// wrapped is what a map wraps.
func wrapped(m *pcommon.Map) *pdatalayout.Wrapper[[]Attribute] {
	return (*pdatalayout.Wrapper[[]Attribute])(unsafe.Pointer(m))
}

// List is the attributes of a map.
func List(attributes pcommon.Map) []Attribute {
	if !known {
		return copied(attributes)
	}
	return *wrapped(&attributes).Orig
}

// Key is the attribute's key.
func (a *Attribute) Key() string { return a.of.Key }

// Type is the type of the value.
func (a *Attribute) Type() pcommon.ValueType {
	switch a.of.Value.Box().Type {
	case types.Text:
		return pcommon.ValueTypeStr
	case types.Int:
		return pcommon.ValueTypeInt
	case types.Bool:
		return pcommon.ValueTypeBool
	case types.Double:
		return pcommon.ValueTypeDouble
	case nil:
		return pcommon.ValueTypeEmpty
	}
	return a.otherType()
}

// IsStr says whether the value is a string.
func (a *Attribute) IsStr() bool { return a.of.Value.Box().Type == types.Text }

// IsInt says whether the value is an integer.
func (a *Attribute) IsInt() bool { return a.of.Value.Box().Type == types.Int }

// Str is the value, which is a string.
func (a *Attribute) Str() string { return (*pdatalayout.Text)(a.of.Value.Box().At).StringValue }

// Int is the value, which is an integer.
func (a *Attribute) Int() int64 { return (*pdatalayout.Int)(a.of.Value.Box().At).IntValue }

// StrOrEmpty is the value where it is a string, else empty.
func (a *Attribute) StrOrEmpty() string {
	if a.IsStr() {
		return a.Str()
	}
	return ""
}

// IntOrZero is the value where it is an integer, else 0.
func (a *Attribute) IntOrZero() int64 {
	if a.IsInt() {
		return a.Int()
	}
	return 0
}

// Double is the value, which is a double.
func (a *Attribute) Double() float64 { return (*pdatalayout.Double)(a.of.Value.Box().At).DoubleValue }

// Bool is the value, which is a boolean.
func (a *Attribute) Bool() bool { return (*pdatalayout.Bool)(a.of.Value.Box().At).BoolValue }

// Value is the value as pdata has it. of is the map whose attribute it is.
func (a *Attribute) Value(of pcommon.Map) pcommon.Value {
	if !known {
		return a.copiedValue()
	}
	v := pdatalayout.Wrapper[pdatalayout.Value]{Orig: &a.of.Value, State: wrapped(&of).State}
	return *(*pcommon.Value)(unsafe.Pointer(&v))
}

// otherType is the type of a value that is not one of the usual ones.
func (a *Attribute) otherType() pcommon.ValueType {
	if !known {
		return a.copiedValue().Type()
	}
	v := pdatalayout.Wrapper[pdatalayout.Value]{Orig: &a.of.Value}
	return (*pcommon.Value)(unsafe.Pointer(&v)).Type()
}

// copied makes attributes of a map by pdata's own methods.
func copied(attributes pcommon.Map) []Attribute {
	all := make([]Attribute, 0, attributes.Len())
	for key, v := range attributes.All() {
		a := Attribute{pdatalayout.Attribute{Key: key}}
		held := &a.of.Value.Value
		switch v.Type() {
		case pcommon.ValueTypeStr:
			*held = &pdatalayout.Text{StringValue: v.Str()}
		case pcommon.ValueTypeInt:
			*held = &pdatalayout.Int{IntValue: v.Int()}
		case pcommon.ValueTypeDouble:
			*held = &pdatalayout.Double{DoubleValue: v.Double()}
		case pcommon.ValueTypeBool:
			*held = &pdatalayout.Bool{BoolValue: v.Bool()}
		case pcommon.ValueTypeEmpty:
		default:
			*held = &other{v}
		}
		all = append(all, a)
	}
	return all
}

func (a *Attribute) copiedValue() pcommon.Value {
	var v pcommon.Value
	switch a.of.Value.Box().Type {
	case types.Text:
		v = pcommon.NewValueStr(a.Str())
	case types.Int:
		v = pcommon.NewValueInt(a.Int())
	case types.Double:
		v = pcommon.NewValueDouble(a.Double())
	case types.Bool:
		v = pcommon.NewValueBool(a.Bool())
	case nil:
		v = pcommon.NewValueEmpty()
	default:
		v = a.of.Value.Value.(*other).value
	}
	return v
}
