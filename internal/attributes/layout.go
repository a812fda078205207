package attributes

import (
	"reflect"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// valueTypes are the types of values, as interfaces have them.
type valueTypes struct{ text, integer, double, boolean, other unsafe.Pointer }

// types are those of pdata, where its layout is known, else our own. known says which.
var types, known = readTypes()

func readTypes() (valueTypes, bool) {
	t := valueTypes{
		text:    typeOf(pcommon.NewValueStr("text")),
		integer: typeOf(pcommon.NewValueInt(1)),
		double:  typeOf(pcommon.NewValueDouble(1)),
		boolean: typeOf(pcommon.NewValueBool(true)),
	}
	if sameLayouts() {
		return t, true
	}
	return ownTypes(), false
}

func ownTypes() valueTypes {
	return valueTypes{interfaceType(&text{}), interfaceType(&integer{}), interfaceType(&double{}), interfaceType(&boolean{}), interfaceType(&other{})}
}

// typeOf is the type of what a value holds. The layout need not be known: without it the result is of no use and not used.
func typeOf(v pcommon.Value) unsafe.Pointer {
	if !wraps(reflect.TypeOf(v), reflect.TypeFor[any](), "Value") {
		return nil
	}
	return (*value)(unsafe.Pointer(&v)).orig.typ
}

func interfaceType(v any) unsafe.Pointer { return (*held)(unsafe.Pointer(&v)).typ }

// sameLayouts says whether pdata's types are laid out as ours.
func sameLayouts() bool {
	attributes := reflect.TypeFor[pcommon.Map]()
	if !isWrapper(attributes) {
		return false
	}
	orig := attributes.Field(0).Type.Elem()
	if orig.Kind() != reflect.Slice {
		return false
	}
	pair := orig.Elem()
	ours := reflect.TypeFor[Attribute]()
	if pair.Kind() != reflect.Struct || pair.NumField() != 3 || pair.Size() != ours.Size() ||
		!isField(pair.Field(0), "Key", reflect.TypeFor[string](), ours.Field(0).Offset) ||
		pair.Field(1).Name != "Value" || pair.Field(1).Offset != ours.Field(1).Offset ||
		!wraps(reflect.TypeFor[pcommon.Value](), reflect.TypeFor[any](), "Value") ||
		pair.Field(1).Type != reflect.TypeFor[pcommon.Value]().Field(0).Type.Elem() {
		return false
	}
	return holds(pcommon.NewValueStr("text"), reflect.TypeFor[text]()) && holds(pcommon.NewValueInt(1), reflect.TypeFor[integer]()) &&
		holds(pcommon.NewValueDouble(1), reflect.TypeFor[double]()) && holds(pcommon.NewValueBool(true), reflect.TypeFor[boolean]())
}

// isWrapper says whether a type is a pointer to what it wraps and another one.
func isWrapper(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() == 2 && t.Field(0).Type.Kind() == reflect.Pointer && t.Field(1).Type.Kind() == reflect.Pointer
}

// wraps says whether a type wraps a struct of one field.
func wraps(t, field reflect.Type, name string) bool {
	if !isWrapper(t) {
		return false
	}
	orig := t.Field(0).Type.Elem()
	return orig.Kind() == reflect.Struct && orig.NumField() == 1 && isField(orig.Field(0), name, field, 0)
}

// anyValue is pcommon.Value, whose value is an interface.
type anyValue struct {
	orig  *any
	state unsafe.Pointer
}

// holds says whether what a value holds is a pointer to a struct like one of ours, of one field.
func holds(v pcommon.Value, ours reflect.Type) bool {
	held := reflect.TypeOf(*(*anyValue)(unsafe.Pointer(&v)).orig)
	if held == nil || held.Kind() != reflect.Pointer || held.Elem().Kind() != reflect.Struct || held.Elem().NumField() != 1 {
		return false
	}
	return isField(held.Elem().Field(0), ours.Field(0).Name, ours.Field(0).Type, 0)
}

func isField(f reflect.StructField, name string, t reflect.Type, offset uintptr) bool {
	return f.Name == name && f.Type == t && f.Offset == offset
}
