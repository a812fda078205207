package contrast

import (
	"slices"

	"github.com/tracewright/tracewright/internal/analysis"
)

// maxValue is how long a value, in bytes, may be to be counted; what is longer differs from trace to trace.
const maxValue = 256

// Read appends the attributes of an analysed trace that have one of the keys, of spans and of resources, each as text. The same one may stand there
// several times.
func Read(dst []Attribute, r *analysis.Result, keys []string) []Attribute {
	for i := range r.Tree.Nodes {
		n := &r.Tree.Nodes[i]
		if !n.InTree() {
			continue
		}
		for _, key := range keys {
			value, ok := n.Attributes().Get(key)
			if !ok {
				value, ok = n.Resource.Attributes().Get(key)
			}
			if !ok {
				continue
			}
			a := Attribute{r.Spans[i].Service, key, value.AsString()}
			if len(a.Value) <= maxValue && (len(dst) == 0 || !slices.Contains(dst[max(0, len(dst)-len(keys)):], a)) {
				dst = append(dst, a)
			}
		}
	}
	return dst
}
