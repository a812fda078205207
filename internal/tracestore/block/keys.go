package block

import (
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// attributeKey says of the attributes of one key and kind, of spans and their events and links or of resources, what a search by
// them needs to know before it asks the filter.
type attributeKey struct {
	key      string
	kind     kind
	resource bool
	// tokens says whether the filter has all values.
	tokens bool
	// least and most bound numbers: int64s, or the bits of doubles.
	least, most uint64
}

func resourceKey(key string, v pcommon.Value) attributeKey {
	k := attributeKey{key: key, kind: kindOf(v.Type()), resource: true}
	switch k.kind {
	case kindString, kindBool:
		k.tokens = true
	case kindInt:
		k.tokens = key != conventions.AttrReleasedAt // of which there is another one in each call
		k.least, k.most = uint64(v.Int()), uint64(v.Int())
	case kindDouble:
		k.least = math.Float64bits(v.Double())
		k.most = k.least
	}
	return k
}

type attributeKeyID struct {
	key      string
	kind     kind
	resource bool
}

// keySet collects the keys of a block, in the order in which they come.
type keySet struct {
	list  []attributeKey
	index map[attributeKeyID]int
}

func (s *keySet) reset() {
	clear(s.list)
	s.list = s.list[:0]
	clear(s.index)
}

func (s *keySet) add(k attributeKey) {
	id := attributeKeyID{k.key, k.kind, k.resource}
	at, ok := s.index[id]
	if !ok {
		if s.index == nil {
			s.index = make(map[attributeKeyID]int)
		}
		s.index[id] = len(s.list)
		s.list = append(s.list, k)
		return
	}
	known := &s.list[at]
	known.tokens = known.tokens && k.tokens
	if less(k.least, known.least, k.kind) {
		known.least = k.least
	}
	if less(known.most, k.most, k.kind) {
		known.most = k.most
	}
}

// mayEqual says whether a value may read as text.
func (k *attributeKey) mayEqual(text string, filter filter, token uint64) bool {
	switch k.kind {
	case kindString, kindBool:
		return !k.tokens || filter.has(token)
	case kindInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < int64(k.least) || n > int64(k.most) {
			return false
		}
		return !k.tokens || filter.has(token)
	case kindEmpty:
		return text == ""
	}
	return true
}

// mayCompare says whether a value may be a number below or above another one.
func (k *attributeKey) mayCompare(op tracestore.AttributeOp, than float64) bool {
	var least, most float64
	switch k.kind {
	case kindInt:
		least, most = float64(int64(k.least)), float64(int64(k.most))
	case kindDouble:
		least, most = math.Float64frombits(k.least), math.Float64frombits(k.most)
	default:
		return k.kind == kindString // which may read as a number
	}
	if math.IsNaN(least) || math.IsNaN(most) {
		return true // they bound nothing
	}
	switch op {
	case tracestore.OpLess:
		return least < than
	case tracestore.OpLessEqual:
		return least <= than
	case tracestore.OpGreater:
		return most > than
	case tracestore.OpGreaterEqual:
		return most >= than
	}
	return true
}
