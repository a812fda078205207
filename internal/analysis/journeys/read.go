package journeys

import (
	"encoding/hex"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
)

// maxLinks bounds how many links of a trace are followed.
const maxLinks = 16

// Read makes a visit of an analysed trace. Session and user are those of the first span that names one, the entry root before others.
func Read(r *analysis.Result) Visit {
	v := Visit{Service: r.EntryService, Operation: r.EntryOperation, Duration: r.RootDuration, Start: r.Start}
	if r.Tree.Entry < 0 {
		return v
	}
	entry := &r.Tree.Nodes[r.Tree.Entry]
	id := entry.TraceID()
	v.TraceID, v.Start, v.Failed = hex.EncodeToString(id[:]), entry.Start, r.Spans[r.Tree.Entry].Failing
	v.name(r, r.Tree.Entry)
	for i := range r.Tree.Nodes {
		n := &r.Tree.Nodes[i]
		if !n.InTree() {
			continue
		}
		if v.Session == "" || v.User == "" {
			v.name(r, i)
		}
		if n.Parent >= 0 {
			continue // links between messages are of one journey anyway
		}
		for k := range min(n.Links().Len(), maxLinks-len(v.Links)) {
			if other := n.Links().At(k).TraceID(); other != id {
				v.Links = append(v.Links, hex.EncodeToString(other[:]))
			}
		}
	}
	return v
}

func (v *Visit) name(r *analysis.Result, i int) {
	attrs := r.Tree.Nodes[i].Attributes()
	if v.Session == "" {
		v.Session = conventions.Str(attrs, "session.id")
	}
	if v.User == "" {
		v.User = conventions.Str(attrs, "user.id")
	}
}
