package api

import (
	"encoding/base64"
	"io"
	"math"
	"slices"
	"strings"

	jsoniter "github.com/json-iterator/go"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

const (
	// flushBytes is how much of an answer is collected before it is sent.
	flushBytes = 64 << 10
	// maxDepth is how deep arrays and objects are nested in an attribute's value; what lies deeper is answered as text, because
	// common readers of JSON give up or crash on thousands of levels.
	maxDepth = conventions.MaxNesting
)

// jsonWriter writes JSON as a stream, of any length in bounded memory. It sets commas by itself: a value stands alone, or
// behind its key, or behind another value of its array. Text that is not UTF-8 is written with U+FFFD in its place.
type jsonWriter struct {
	stream *jsoniter.Stream
	// comma says that the next key or element stands behind another one.
	comma bool
}

// newJSONWriter writes to out, or where out is nil into memory. Its memory is that of one that is done, where there is one.
func newJSONWriter(out io.Writer) *jsonWriter {
	return &jsonWriter{stream: jsoniter.ConfigDefault.BorrowStream(out)}
}

// done gives the writer's memory to others. Nothing is written behind it, nor read from what it has collected.
func (w *jsonWriter) done() {
	if cap(w.stream.Buffer()) <= 2*flushBytes {
		jsoniter.ConfigDefault.ReturnStream(w.stream)
	}
	w.stream = nil
}

// flushFull sends what is collected once it is worth it; the error is that of the connection, now or before.
func (w *jsonWriter) flushFull() error {
	if w.stream.Buffered() < flushBytes {
		return w.stream.Error
	}
	return w.stream.Flush()
}

func (w *jsonWriter) key(name string) {
	w.separate()
	w.stream.WriteString(strings.ToValidUTF8(name, "\uFFFD"))
	w.stream.WriteRaw(":")
	w.comma = false
}

func (w *jsonWriter) separate() {
	if w.comma {
		w.stream.WriteMore()
	}
	w.comma = true
}

func (w *jsonWriter) open(bracket string) {
	w.separate()
	w.stream.WriteRaw(bracket)
	w.comma = false
}

func (w *jsonWriter) close(bracket string) {
	w.stream.WriteRaw(bracket)
	w.comma = true
}

func (w *jsonWriter) text(s string) {
	w.separate()
	w.stream.WriteString(strings.ToValidUTF8(s, "\uFFFD"))
}

func (w *jsonWriter) int(n int64) {
	w.separate()
	w.stream.WriteInt64(n)
}

func (w *jsonWriter) bool(b bool) {
	w.separate()
	w.stream.WriteBool(b)
}

func (w *jsonWriter) float(f float64) {
	switch {
	case math.IsNaN(f):
		w.text("NaN")
	case math.IsInf(f, 1):
		w.text("Infinity")
	case math.IsInf(f, -1):
		w.text("-Infinity")
	default:
		w.separate()
		w.stream.WriteFloat64(f)
	}
}

// raw writes JSON that is ready.
func (w *jsonWriter) raw(json string) {
	w.separate()
	w.stream.WriteRaw(json)
}

func (w *jsonWriter) textMember(name, value string) {
	w.key(name)
	w.text(value)
}

// givenText writes a member that is left out where it is empty.
func (w *jsonWriter) givenText(name, value string) {
	if value != "" {
		w.textMember(name, value)
	}
}

func (w *jsonWriter) intMember(name string, value int64) {
	w.key(name)
	w.int(value)
}

// givenInt writes a member that is left out where it is zero.
func (w *jsonWriter) givenInt(name string, value int64) {
	if value != 0 {
		w.intMember(name, value)
	}
}

func (w *jsonWriter) textsMember(name string, values []string) {
	w.key(name)
	w.open("[")
	for _, value := range values {
		w.text(value)
	}
	w.close("]")
}

// attributes writes a map as an object: keys sorted, of equal keys the first, which is the one that searches look at, keys
// under the prefix left out where there is one.
func (w *jsonWriter) attributes(attributes pcommon.Map, without string) {
	w.object(attributes, without, 1)
}

type entry struct {
	key   string
	value pcommon.Value
}

func (w *jsonWriter) object(m pcommon.Map, without string, depth int) {
	entries := make([]entry, 0, m.Len())
	for key, value := range m.All() {
		if without == "" || !strings.HasPrefix(key, without) {
			entries = append(entries, entry{strings.ToValidUTF8(key, "\uFFFD"), value})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	w.open("{")
	for i, e := range entries {
		if i > 0 && entries[i-1].key == e.key {
			continue
		}
		w.key(e.key)
		w.value(e.value, depth)
	}
	w.close("}")
}

// value writes an attribute's value; depth counts it and the arrays and objects in which it stands.
func (w *jsonWriter) value(v pcommon.Value, depth int) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		w.text(v.Str())
	case pcommon.ValueTypeInt:
		w.int(v.Int())
	case pcommon.ValueTypeDouble:
		w.float(v.Double())
	case pcommon.ValueTypeBool:
		w.bool(v.Bool())
	case pcommon.ValueTypeBytes:
		w.text(base64.StdEncoding.EncodeToString(v.Bytes().AsRaw()))
	case pcommon.ValueTypeMap:
		if depth > maxDepth {
			w.text(nestedText(v))
			return
		}
		w.object(v.Map(), "", depth+1)
	case pcommon.ValueTypeSlice:
		if depth > maxDepth {
			w.text(nestedText(v))
			return
		}
		w.open("[")
		for _, element := range v.Slice().All() {
			w.value(element, depth+1)
		}
		w.close("]")
	default:
		w.raw("null")
	}
}

// nestedText is the JSON of what lies too deep to be answered as such. (pcommon's AsString knows no NaN and answers nothing
// for a map that holds one.) trace_assembly bounds how deep it goes.
func nestedText(v pcommon.Value) string {
	w := newJSONWriter(nil)
	defer w.done()
	w.value(v, math.MinInt32) // so that it never is too deep
	return string(w.stream.Buffer())
}
