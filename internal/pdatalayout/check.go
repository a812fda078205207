package pdatalayout

import (
	"reflect"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// ValueTypes are the types of values, as boxes have them.
type ValueTypes struct{ Text, Int, Double, Bool, Array unsafe.Pointer }

// Types are those of the pdata that is linked in. Known says whether it is laid out as this package says; else they are of no use.
var Types, Known = read()

func read() (types ValueTypes, known bool) {
	known = wraps[Span](reflect.TypeFor[ptrace.Span]()) && wraps[[]*Span](reflect.TypeFor[ptrace.SpanSlice]()) &&
		wraps[[]Attribute](reflect.TypeFor[pcommon.Map]()) && wraps[Value](reflect.TypeFor[pcommon.Value]()) &&
		readType[Text](pcommon.NewValueStr("text"), &types.Text) &&
		readType[Int](pcommon.NewValueInt(1), &types.Int) &&
		readType[Double](pcommon.NewValueDouble(1), &types.Double) &&
		readType[Bool](pcommon.NewValueBool(true), &types.Bool) &&
		readType[Array](pcommon.NewValueSlice(), &types.Array)
	return types, known
}

// wraps says whether a type of pdata's is a wrapper of what is laid out as T.
func wraps[T any](outer reflect.Type) bool {
	if outer.Kind() != reflect.Struct || outer.NumField() != 2 || outer.Size() != unsafe.Sizeof(Wrapper[T]{}) {
		return false
	}
	orig := outer.Field(0).Type
	return orig.Kind() == reflect.Pointer && outer.Field(1).Type.Kind() == reflect.Pointer && sameLayout(reflect.TypeFor[T](), orig.Elem())
}

// readType reads the type of a value, which must point to what is laid out as T.
func readType[T any](value pcommon.Value, to *unsafe.Pointer) bool {
	held := (*Wrapper[Value])(unsafe.Pointer(&value)).Orig.Value
	pointer := reflect.TypeOf(held)
	if pointer == nil || pointer.Kind() != reflect.Pointer || !sameLayout(reflect.TypeFor[T](), pointer.Elem()) {
		return false
	}
	*to = BoxOf(held).Type
	return true
}

// sameLayout says whether two types have the same fields, by name, at the same places. Neither may refer to itself.
func sameLayout(ours, theirs reflect.Type) bool {
	if ours.Kind() != theirs.Kind() || ours.Size() != theirs.Size() {
		return false
	}
	switch ours.Kind() {
	case reflect.Struct:
		if ours.NumField() != theirs.NumField() {
			return false
		}
		for i := range ours.NumField() {
			a, b := ours.Field(i), theirs.Field(i)
			if a.Name != b.Name || a.Offset != b.Offset || !sameLayout(a.Type, b.Type) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Pointer, reflect.Array:
		return sameLayout(ours.Elem(), theirs.Elem())
	case reflect.Interface:
		return ours.NumMethod() == 0 && theirs.NumMethod() == 0
	}
	return true
}
