package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pageNode is a JSON document with its members in their order.
type pageNode struct {
	names  []string    // of an object's members
	items  []*pageNode // its members, or the elements of an array
	kind   json.Delim
	scalar json.RawMessage // where it is neither
}

func readTree(t *testing.T, content []byte) *pageNode {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	result, err := readNode(decoder)
	require.NoError(t, err, "%s", content)
	return result
}

func readNode(decoder *json.Decoder) (*pageNode, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		scalar, err := marshal(token)
		return &pageNode{scalar: scalar}, err
	}
	node := &pageNode{kind: delimiter}
	for decoder.More() {
		if delimiter == '{' {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			node.names = append(node.names, name.(string))
		}
		item, err := readNode(decoder)
		if err != nil {
			return nil, err
		}
		node.items = append(node.items, item)
	}
	_, err = decoder.Token()
	return node, err
}

func marshal(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(text.Bytes()), err
}

// shown is how many elements of an array stand on the page.
const shown = 2

// cut leaves out the further elements of arrays, and says how many.
func (n *pageNode) cut() *pageNode {
	result := &pageNode{names: n.names, kind: n.kind, scalar: n.scalar}
	for i, item := range n.items {
		if n.kind == '[' && i == shown && len(n.items) > shown+1 {
			more, _ := marshal(fmt.Sprintf("… %d more", len(n.items)-shown))
			result.items = append(result.items, &pageNode{scalar: more})
			break
		}
		result.items = append(result.items, item.cut())
	}
	return result
}

// width is how long a line is.
const width = 140

// render writes the tree in lines; what fits in one stands in one. before is how much of the first is taken.
func (n *pageNode) render(indent string, before int) string {
	if line := n.line(); len(indent)+before+len(line) <= width || n.kind == 0 {
		return line
	}
	var text strings.Builder
	text.WriteByte(byte(n.kind))
	for i, item := range n.items {
		name := ""
		if n.kind == '{' {
			name = fmt.Sprintf("%q: ", n.names[i])
		}
		separator := ","
		if i == len(n.items)-1 {
			separator = ""
		}
		text.WriteString("\n" + indent + "  " + name + item.render(indent+"  ", len(name)) + separator)
	}
	text.WriteString("\n" + indent + string(n.kind+2))
	return text.String()
}

// line is the tree in one line.
func (n *pageNode) line() string {
	if n.kind == 0 {
		return string(n.scalar)
	}
	parts := make([]string, len(n.items))
	for i, item := range n.items {
		if n.kind == '{' {
			parts[i] = fmt.Sprintf("%q: ", n.names[i])
		}
		parts[i] += item.line()
	}
	return string(n.kind) + strings.Join(parts, ", ") + string(n.kind+2)
}

// volatile are members whose values do not follow from the seed: times, what is counted by the second, where a cursor stands, and what a process says of
// itself.
var volatile = map[string]bool{
	"start": true, "end": true, "first_seen": true, "last_seen": true, "since": true, "changed": true, "reported": true, "next_cursor": true,
	"timestamp": true, "tracewright.released_at": true, "tracewright.start": true,
	"calls_per_second": true, "traces_per_second": true, "concurrency": true, "peak_concurrency": true, "previous_concurrency": true,
	"outcome": true,                                 // of what assembly has learned by then
	"id":      true, "bytes": true, "details": true, // which has a window in it
	"trace_ids": true, // some of those that have it
}

// volatileTrees are members of which all below differs: the course of a window that ends now, and one of the traces with a failure.
var volatileTrees = map[string]bool{"points": true, "example": true}

// requireAlike compares the trees of the page and of an answer: the same members of the same types, and the same values unless they are volatile.
func requireAlike(t *testing.T, path, member string, page, got *pageNode) {
	t.Helper()
	require.Equal(t, page.kind, got.kind, path)
	if volatileTrees[member] {
		return
	}
	require.Equal(t, page.names, got.names, "%s: members", path)
	if page.kind == 0 {
		require.Equal(t, typeOf(page.scalar), typeOf(got.scalar), path)
		if !volatile[member] {
			require.Equal(t, string(page.scalar), string(got.scalar), path)
		}
		return
	}
	require.Len(t, got.items, len(page.items), path)
	for i := range page.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if page.kind == '{' {
			member = page.names[i]
			at = path + "." + member
		}
		requireAlike(t, at, member, page.items[i], got.items[i])
	}
}

func typeOf(scalar json.RawMessage) string {
	switch scalar[0] {
	case '"':
		return "text"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}
