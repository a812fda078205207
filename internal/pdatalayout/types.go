package pdatalayout

import "unsafe"

// Span is what a ptrace.Span wraps.
type Span struct {
	TraceId                [16]byte
	SpanId                 [8]byte
	TraceState             string
	ParentSpanId           [8]byte
	Flags                  uint32
	Name                   string
	Kind                   int32
	StartTimeUnixNano      uint64
	EndTimeUnixNano        uint64
	Attributes             []Attribute
	DroppedAttributesCount uint32
	Events                 []*Event
	DroppedEventsCount     uint32
	Links                  []*Link
	DroppedLinksCount      uint32
	Status                 Status
}

// Status is that of a Span.
type Status struct {
	Message string
	Code    int32
}

// Event is what a ptrace.SpanEvent wraps.
type Event struct {
	TimeUnixNano           uint64
	Name                   string
	Attributes             []Attribute
	DroppedAttributesCount uint32
}

// Link is what a ptrace.SpanLink wraps.
type Link struct {
	TraceId                [16]byte
	SpanId                 [8]byte
	TraceState             string
	Attributes             []Attribute
	DroppedAttributesCount uint32
	Flags                  uint32
}

// Attribute is a key with its value; a pcommon.Map wraps a list of them.
type Attribute struct {
	Key         string
	Value       Value
	KeyStrindex int32 // which only profiles use
}

// Value holds a pointer to one of the types below, as an interface.
type Value struct{ Value any }

// Box is where the type of what v holds stands, and where that is.
func (v *Value) Box() *Box { return (*Box)(unsafe.Pointer(&v.Value)) }

// What a value is.
type (
	Text   struct{ StringValue string }
	Int    struct{ IntValue int64 }
	Double struct{ DoubleValue float64 }
	Bool   struct{ BoolValue bool }
	Array  struct{ ArrayValue *Values }
)

// Values are those of an Array.
type Values struct{ Values []Value }

// Wrapper is what pdata wraps its types in.
type Wrapper[T any] struct {
	Orig  *T
	State unsafe.Pointer
}

// Box is an interface in memory.
type Box struct{ Type, At unsafe.Pointer }

// BoxOf is the box of v.
func BoxOf(v any) Box { return *(*Box)(unsafe.Pointer(&v)) }
