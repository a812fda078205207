package pebblestore

import (
	"github.com/tracewright/tracewright/internal/tracestore"
)

// count counts the candidates that are left, in no order: nobody asks which they are. Where everything matches, blocks are not even opened. It ends
// with errLimit when the search has looked at enough.
func (w *window) count() (n int, err error) {
	r := w.run
	add := func(more int) error {
		counted := min(more, r.rows)
		n, r.rows = n+counted, r.rows-counted
		if counted < more {
			return errLimit
		}
		return r.interrupted()
	}
	if err := add(len(w.heap)); err != nil {
		return n, err
	}
	w.heap = nil
	everything := r.filter.Judge(&tracestore.Facts{}) == tracestore.Yes
	for i := range w.blocks {
		b := &w.blocks[i]
		found := 0
		if everything && b.releases > 0 && b.opened == nil {
			marked, err := r.marked(b.at, b.sequence)
			if err != nil && !isUnreadable(err) { // reading its traces tells of it
				return n, err
			}
			r.unreadable(err)
			found = max(0, b.releases-len(marked))
		} else if _, err := w.read(b, func(*candidate) { found++ }); err != nil {
			return n, err
		}
		if err := add(found); err != nil {
			return n, err
		}
	}
	w.blocks = nil
	for {
		c, err := w.pop() // joined rows, which are few
		if err != nil || c == nil {
			return n, err
		}
		if err := add(1); err != nil {
			return n, err
		}
	}
}
