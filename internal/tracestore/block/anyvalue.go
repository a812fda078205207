package block

import (
	"encoding/binary"
	"math"
	"math/bits"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// anyWriter writes values as OTLP AnyValue, however deep they are nested: pdata's own marshalling recurses.
type anyWriter struct {
	nodes []anyNode
	todo  []anyNode
	sizes []int
}

// anyNode is a value, in the order in which values are written: before what it contains.
type anyNode struct {
	value    pcommon.Value
	key      string
	keyed    bool // stands in a map
	wrapped  bool // stands in an array or a map
	children int
	size     int // of the AnyValue
	body     int // of what stands in it behind its tag and length, for arrays and maps
}

// append appends the value as an AnyValue message.
func (w *anyWriter) append(buf []byte, value pcommon.Value) []byte {
	if value.Type() == pcommon.ValueTypeSlice {
		if all, ok := appendTexts(buf, value.Slice()); ok {
			return all
		}
	}
	w.collect(value)
	w.measure()
	for i := range w.nodes {
		buf = w.nodes[i].append(buf)
	}
	clear(w.nodes)
	return buf
}

// appendTexts appends an array of strings, if it is one: most arrays are.
func appendTexts(buf []byte, list pcommon.Slice) ([]byte, bool) {
	body := 0
	for _, v := range list.All() {
		if v.Type() != pcommon.ValueTypeStr {
			return buf, false
		}
		body += fieldSize(fieldSize(len(v.Str())))
	}
	buf = appendTagged(buf, tagAnyArray, body)
	for _, v := range list.All() {
		s := v.Str()
		buf = appendTagged(buf, tagRepeated, fieldSize(len(s)))
		buf = append(appendTagged(buf, tagAnyString, len(s)), s...)
	}
	return buf, true
}

// collect lists the nodes.
func (w *anyWriter) collect(value pcommon.Value) {
	w.nodes = w.nodes[:0]
	w.todo = append(w.todo[:0], anyNode{value: value})
	for len(w.todo) > 0 {
		node := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		first := len(w.todo)
		switch node.value.Type() {
		case pcommon.ValueTypeSlice:
			for _, child := range node.value.Slice().All() {
				w.todo = append(w.todo, anyNode{value: child, wrapped: true})
			}
		case pcommon.ValueTypeMap:
			for key, child := range node.value.Map().All() {
				w.todo = append(w.todo, anyNode{value: child, key: key, keyed: true, wrapped: true})
			}
		}
		node.children = len(w.todo) - first
		for i, j := first, len(w.todo)-1; i < j; i, j = i+1, j-1 {
			w.todo[i], w.todo[j] = w.todo[j], w.todo[i]
		}
		w.nodes = append(w.nodes, node)
	}
}

// measure fills in the sizes, from the innermost values outwards.
func (w *anyWriter) measure() {
	w.sizes = w.sizes[:0]
	for i := len(w.nodes) - 1; i >= 0; i-- {
		n := &w.nodes[i]
		for range n.children {
			n.body += w.sizes[len(w.sizes)-1]
			w.sizes = w.sizes[:len(w.sizes)-1]
		}
		n.size = n.measure()
		outer := n.size
		if n.keyed {
			outer = keyValueSize(n.key, n.size)
		}
		if n.wrapped {
			outer = fieldSize(outer)
		}
		w.sizes = append(w.sizes, outer)
	}
}

func (n *anyNode) measure() int {
	switch v := n.value; v.Type() {
	case pcommon.ValueTypeStr:
		return fieldSize(len(v.Str()))
	case pcommon.ValueTypeBytes:
		return fieldSize(v.Bytes().Len())
	case pcommon.ValueTypeInt:
		return 1 + uvarintSize(uint64(v.Int()))
	case pcommon.ValueTypeDouble:
		return 1 + 8
	case pcommon.ValueTypeBool:
		return 1 + 1
	case pcommon.ValueTypeSlice, pcommon.ValueTypeMap:
		return fieldSize(n.body)
	}
	return 0
}

func (n *anyNode) append(buf []byte) []byte {
	if n.keyed {
		buf = appendTagged(buf, tagRepeated, keyValueSize(n.key, n.size))
		buf = appendKey(buf, n.key)
		buf = appendTagged(buf, tagKeyValueValue, n.size)
	} else if n.wrapped {
		buf = appendTagged(buf, tagRepeated, n.size)
	}
	switch v := n.value; v.Type() {
	case pcommon.ValueTypeStr:
		buf = append(appendTagged(buf, tagAnyString, len(v.Str())), v.Str()...)
	case pcommon.ValueTypeBytes:
		buf = append(appendTagged(buf, tagAnyBytes, v.Bytes().Len()), v.Bytes().AsRaw()...)
	case pcommon.ValueTypeInt:
		buf = binary.AppendUvarint(append(buf, tagAnyInt), uint64(v.Int()))
	case pcommon.ValueTypeDouble:
		buf = binary.LittleEndian.AppendUint64(append(buf, tagAnyDouble), math.Float64bits(v.Double()))
	case pcommon.ValueTypeBool:
		buf = append(buf, tagAnyBool, 0)
		if v.Bool() {
			buf[len(buf)-1] = 1
		}
	case pcommon.ValueTypeSlice:
		buf = appendTagged(buf, tagAnyArray, n.body)
	case pcommon.ValueTypeMap:
		buf = appendTagged(buf, tagAnyMap, n.body)
	}
	return buf
}

func uvarintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
