package otlpwire

import (
	"reflect"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// How pdata has spans in memory. Its own types cannot be named from outside; these are laid out alike, and sameLayout looks whether
// that is still so, name by name, when the process starts. Where it is not, the Decoder has pdata decode.

type spanMemory struct {
	TraceId                [16]byte
	SpanId                 [8]byte
	TraceState             string
	ParentSpanId           [8]byte
	Flags                  uint32
	Name                   string
	Kind                   int32
	StartTimeUnixNano      uint64
	EndTimeUnixNano        uint64
	Attributes             []keyValue
	DroppedAttributesCount uint32
	Events                 []*eventMemory
	DroppedEventsCount     uint32
	Links                  []*linkMemory
	DroppedLinksCount      uint32
	Status                 statusMemory
}

type statusMemory struct {
	Message string
	Code    int32
}

type eventMemory struct {
	TimeUnixNano           uint64
	Name                   string
	Attributes             []keyValue
	DroppedAttributesCount uint32
}

type linkMemory struct {
	TraceId                [16]byte
	SpanId                 [8]byte
	TraceState             string
	Attributes             []keyValue
	DroppedAttributesCount uint32
	Flags                  uint32
}

type keyValue struct {
	Key         string
	Value       anyValue
	KeyStrindex int32
}

// anyValue holds a pointer to one of the types below, as an interface.
type anyValue struct{ Value any }

type (
	textMemory   struct{ StringValue string }
	intMemory    struct{ IntValue int64 }
	doubleMemory struct{ DoubleValue float64 }
	boolMemory   struct{ BoolValue bool }
	arrayMemory  struct{ ArrayValue *arrayValue }
)

type arrayValue struct{ Values []anyValue }

// wrapper is what pdata wraps its types in.
type wrapper[T any] struct {
	orig  *T
	state unsafe.Pointer
}

// box is what an interface is: its type and where the value stands.
type box struct{ typ, value unsafe.Pointer }

// boxTypes are the types of values, as interfaces have them.
type boxTypes struct{ text, integer, double, boolean, array unsafe.Pointer }

// pdataTypes are those of the pdata that is linked in; nil where it has other types than those above.
var pdataTypes = readTypes()

func readTypes() *boxTypes {
	if !wraps[spanMemory](reflect.TypeFor[ptrace.Span]()) || !wraps[[]*spanMemory](reflect.TypeFor[ptrace.SpanSlice]()) ||
		!wraps[anyValue](reflect.TypeFor[pcommon.Value]()) {
		return nil
	}
	var types boxTypes
	ok := readType[textMemory](pcommon.NewValueStr("text"), &types.text) &&
		readType[intMemory](pcommon.NewValueInt(1), &types.integer) &&
		readType[doubleMemory](pcommon.NewValueDouble(1), &types.double) &&
		readType[boolMemory](pcommon.NewValueBool(true), &types.boolean) &&
		readType[arrayMemory](pcommon.NewValueSlice(), &types.array)
	if !ok {
		return nil
	}
	return &types
}

// wraps says whether a type of pdata's is a wrapper of what is laid out as T.
func wraps[T any](outer reflect.Type) bool {
	if outer.Kind() != reflect.Struct || outer.NumField() != 2 || outer.Size() != unsafe.Sizeof(wrapper[T]{}) {
		return false
	}
	orig := outer.Field(0).Type
	return orig.Kind() == reflect.Pointer && outer.Field(1).Type.Kind() == reflect.Pointer && sameLayout(reflect.TypeFor[T](), orig.Elem())
}

// readType reads the type of a value, which must point to what is laid out as T.
func readType[T any](value pcommon.Value, to *unsafe.Pointer) bool {
	held := (*wrapper[anyValue])(unsafe.Pointer(&value)).orig.Value
	pointer := reflect.TypeOf(held)
	if pointer == nil || pointer.Kind() != reflect.Pointer || !sameLayout(reflect.TypeFor[T](), pointer.Elem()) {
		return false
	}
	*to = (*box)(unsafe.Pointer(&held)).typ
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
