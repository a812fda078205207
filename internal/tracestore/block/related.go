package block

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// Related appends the numbers of the releases in which a span may stand above another one as the structure has it, ascending: in the others
// certainly none does. It looks at operations and at who called whom. The error is ErrCorrupt.
func (b *Body) Related(list []int, structure *tracestore.Structure) ([]int, error) {
	t, err := b.readTables()
	if err != nil {
		return list, err
	}
	above, below := newScan(b, t, &structure.Above), newScan(b, t, &structure.Below)
	defer above.close()
	defer below.close()
	if !above.judgeOperations() || !below.judgeOperations() || above.err != nil || below.err != nil {
		return list, cmp.Or(above.err, below.err)
	}
	c, err := newCursor(b, t)
	if err != nil {
		return list, err
	}
	defer c.close()
	r := relation{above: above.verdicts, below: below.verdicts, descendants: structure.Relation == tracestore.RelationDescendant}
	for i := range b.releases {
		c.readGroups()
		may := !b.failed && r.read(c) && r.holds()
		c.skipSpans()
		if b.failed {
			b.failed = false
			return list, fmt.Errorf("%w: release %d", ErrCorrupt, i)
		}
		if may {
			list = append(list, i)
		}
	}
	return list, nil
}

// relation is what Related knows of a release.
type relation struct {
	above, below []tracestore.Verdict // by operation
	descendants  bool

	ops, parents []int32 // of its spans; noParent also where the parent is not in the release
	ids          []uint64
	none         []bool // nothing stands above the span
}

// read reads the release that the cursor is at, and says whether it has spans for both sides.
func (r *relation) read(c *cursor) bool {
	ops, parents := c.spanOps, c.parents // the cursor's own stay where they are
	r.ops, r.parents, r.ids = r.ops[:0], r.parents[:0], r.ids[:0]
	above, below := false, false
	for range c.current.spans {
		op := c.operation(&ops, recordSpan)
		if op < 0 {
			return false
		}
		above, below = above || r.above[op] != tracestore.No, below || r.below[op] != tracestore.No
		r.ops = append(r.ops, op)
	}
	if !above || !below {
		return false
	}
	for i := range c.current.spans {
		parent := int64(noParent)
		if code := parents.uvarint(); code > 1 {
			if parent = int64(i) - unzigzag(code-2); parent < 0 || parent >= int64(c.current.spans) {
				c.b.failed = true
				return false
			}
		}
		r.parents = append(r.parents, int32(parent))
	}
	ids := c.spanIDs
	for range c.current.spans {
		if id := ids.bytes(8); id != nil {
			r.ids = append(r.ids, binary.BigEndian.Uint64(id))
		}
	}
	return !c.b.failed
}

// holds says whether it may. Where an id is that of several spans it is not known whose child another one is, nor where they go in a circle.
func (r *relation) holds() bool {
	slices.Sort(r.ids)
	for i := 1; i < len(r.ids); i++ {
		if r.ids[i] == r.ids[i-1] {
			return true
		}
	}
	r.none = resize(r.none, len(r.ops))
	clear(r.none)
	for i, op := range r.ops {
		if r.below[op] == tracestore.No {
			continue
		}
		from, steps := int32(i), 0
		for at := r.parents[i]; at != noParent && !r.none[from]; from, at = at, r.parents[at] {
			if steps++; r.above[r.ops[at]] != tracestore.No || steps > len(r.ops) {
				return true
			}
			if !r.descendants {
				break
			}
		}
		for at := int32(i); r.descendants && at != noParent && !r.none[at]; at = r.parents[at] {
			r.none[at] = true
		}
	}
	return false
}
