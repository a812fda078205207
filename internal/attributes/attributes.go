// Package attributes reads pdata's attributes where they stand. Walking pcommon.Map.All costs some seventy instructions an attribute, and of
// a trace all attributes are walked several times; a slice costs a few.
//
// pdata has no way to its slice, and its types cannot be named from outside. Those here are laid out alike, and it is looked at when the
// process starts whether that is so. Where it is not, as in another version of pdata, List makes a copy by pdata's own methods: what
// callers see is the same.
package attributes

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Attribute is a key with its value. It is pdata's own memory: nothing may be changed through it, and it is valid as long as nobody changes
// the map.
type Attribute struct {
	key      string
	value    held
	strindex int32 // which only profiles use
}

// held is an interface of pdata's, which holds a pointer to one of the types below.
type held struct{ typ, at unsafe.Pointer }

type (
	text    struct{ StringValue string }
	integer struct{ IntValue int64 }
	double  struct{ DoubleValue float64 }
	boolean struct{ BoolValue bool }
	// other stands in copies alone.
	other struct{ value pcommon.Value }
)

// list is pcommon.Map, and value pcommon.Value.
type (
	list struct {
		orig  *[]Attribute
		state unsafe.Pointer
	}
	value struct {
		orig  *held
		state unsafe.Pointer
	}
)

// List is the attributes of a map.
func List(attributes pcommon.Map) []Attribute {
	if !known {
		return copied(attributes)
	}
	return *(*list)(unsafe.Pointer(&attributes)).orig
}

// Key is the attribute's key.
func (a *Attribute) Key() string { return a.key }

// Type is the type of the value.
func (a *Attribute) Type() pcommon.ValueType {
	switch a.value.typ {
	case types.text:
		return pcommon.ValueTypeStr
	case types.integer:
		return pcommon.ValueTypeInt
	case types.boolean:
		return pcommon.ValueTypeBool
	case types.double:
		return pcommon.ValueTypeDouble
	case nil:
		return pcommon.ValueTypeEmpty
	}
	return a.otherType()
}

// IsStr says whether the value is a string.
func (a *Attribute) IsStr() bool { return a.value.typ == types.text }

// IsInt says whether the value is an integer.
func (a *Attribute) IsInt() bool { return a.value.typ == types.integer }

// Str is the value, which is a string.
func (a *Attribute) Str() string { return (*text)(a.value.at).StringValue }

// Int is the value, which is an integer.
func (a *Attribute) Int() int64 { return (*integer)(a.value.at).IntValue }

// Double is the value, which is a double.
func (a *Attribute) Double() float64 { return (*double)(a.value.at).DoubleValue }

// Bool is the value, which is a boolean.
func (a *Attribute) Bool() bool { return (*boolean)(a.value.at).BoolValue }

// Value is the value as pdata has it. of is the map whose attribute it is.
func (a *Attribute) Value(of pcommon.Map) pcommon.Value {
	if !known {
		return a.copiedValue()
	}
	v := value{&a.value, (*list)(unsafe.Pointer(&of)).state}
	return *(*pcommon.Value)(unsafe.Pointer(&v))
}

// otherType is the type of a value that is not one of the usual ones.
func (a *Attribute) otherType() pcommon.ValueType {
	if !known {
		return a.copiedValue().Type()
	}
	v := value{orig: &a.value}
	return (*pcommon.Value)(unsafe.Pointer(&v)).Type()
}

// copied makes attributes of a map by pdata's own methods.
func copied(attributes pcommon.Map) []Attribute {
	all := make([]Attribute, 0, attributes.Len())
	for key, v := range attributes.All() {
		a := Attribute{key: key}
		switch v.Type() {
		case pcommon.ValueTypeStr:
			a.value = held{types.text, unsafe.Pointer(&text{v.Str()})}
		case pcommon.ValueTypeInt:
			a.value = held{types.integer, unsafe.Pointer(&integer{v.Int()})}
		case pcommon.ValueTypeDouble:
			a.value = held{types.double, unsafe.Pointer(&double{v.Double()})}
		case pcommon.ValueTypeBool:
			a.value = held{types.boolean, unsafe.Pointer(&boolean{v.Bool()})}
		case pcommon.ValueTypeEmpty:
		default:
			a.value = held{types.other, unsafe.Pointer(&other{v})}
		}
		all = append(all, a)
	}
	return all
}

func (a *Attribute) copiedValue() pcommon.Value {
	var v pcommon.Value
	switch a.value.typ {
	case types.text:
		v = pcommon.NewValueStr(a.Str())
	case types.integer:
		v = pcommon.NewValueInt(a.Int())
	case types.double:
		v = pcommon.NewValueDouble(a.Double())
	case types.boolean:
		v = pcommon.NewValueBool(a.Bool())
	case nil:
		v = pcommon.NewValueEmpty()
	default:
		v = (*other)(a.value.at).value
	}
	return v
}
