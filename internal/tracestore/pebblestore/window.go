package pebblestore

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// searchRange is a range of search times and trace ids, newest first.
type searchRange struct {
	// newest and oldest bound the search times, both inclusive; empty where newest < oldest.
	newest, oldest int64
	// after, where set, is the place behind which the range begins.
	after *tracestore.Position
}

func (r *searchRange) has(at *tracestore.Position) bool {
	return at.Time <= r.newest && at.Time >= r.oldest && (r.after == nil || at.Compare(r.after) > 0)
}

// candidate is a trace of the window that may match.
type candidate struct {
	at      tracestore.Position
	row     *tracerow.Row
	verdict tracestore.Verdict
	// block and number say where its only release lies; block is nil for a trace of several.
	block  *openedSearchBlock
	number int
}

// candidates is a heap, the newest on top.
type candidates []candidate

func (c candidates) less(i, j int) bool { return c[i].at.Compare(&c[j].at) < 0 }

// push and pop are those of container/heap, which would make an object of each.
func (c *candidates) push(added *candidate) {
	*c = append(*c, *added)
	h := *c
	for i := len(h) - 1; i > 0; {
		above := (i - 1) / 2
		if !h.less(i, above) {
			return
		}
		h[i], h[above] = h[above], h[i]
		i = above
	}
}

func (c *candidates) pop() candidate {
	h := *c
	top, n := h[0], len(h)-1
	h[0], h[n] = h[n], candidate{}
	h = h[:n]
	for i := 0; 2*i+1 < n; {
		below := 2*i + 1
		if below+1 < n && h.less(below+1, below) {
			below++
		}
		if !h.less(below, i) {
			break
		}
		h[i], h[below] = h[below], h[i]
		i = below
	}
	*c = h
	return top
}

// maxCandidates is how many wait for older blocks to be opened, about. The oldest of more are given up, and their blocks opened again
// when it is their turn. It is reached where clocks are everywhere.
const maxCandidates = 100_000

// window walks the traces of a range, newest first. Blocks are opened as the walk comes to them; a block's releases and those of
// the blocks that overlap it wait in a heap. Traces of several releases come from their joined rows.
type window struct {
	run    *search
	rows   searchRange
	blocks []windowBlock // not opened yet, the one with the newest trace first
	heap   candidates
	kept   keptRows // of candidates
	joined *merged
	next   *joinedEntry // the newest joined row that was not looked at
	// mustMove says that the walk must not end for lack of time before it moved, so that whoever follows cursors comes to the end.
	mustMove bool
	// passed is, where moved is set, a place up to which everything was answered.
	passed tracestore.Position
	moved  bool
	// unmatched counts joined rows that did not match.
	unmatched int
}

// windowBlock is a block that overlaps the range.
type windowBlock struct {
	at       partition
	sequence uint64
	// next comes before all of its releases that are to be looked at yet, or is the first of them.
	next tracestore.Position
	// releases is how many there are where all of them are in the range, else 0.
	releases int
	// opened is set where the block was open before.
	opened *openedSearchBlock
}

// openedSearchBlock is a block of which a candidate is left.
type openedSearchBlock struct {
	at       partition
	sequence uint64
	body     *storedBody
	// verdicts are of its releases: No of those that are no candidates, Yes of the others until the body was asked.
	verdicts []tracestore.Verdict
	asked    bool
}

func (r *search) openWindow(rows searchRange) (*window, error) {
	w := &window{run: r, rows: rows}
	if rows.newest < rows.oldest {
		w.joined = &merged{}
		return w, nil
	}
	days := r.partitions()
	for _, d := range days {
		if err := w.listBlocks(d.partition); err != nil {
			return nil, err
		}
	}
	w.sortBlocks()
	w.joined = openMerged(r.snapshot, days, &rows)
	for _, c := range r.openRows {
		if c != nil && c.verdict != tracestore.No && rows.has(&c.at) {
			w.heap.push(c)
		}
	}
	return w, nil
}

func (w *window) sortBlocks() {
	slices.SortStableFunc(w.blocks, func(a, b windowBlock) int { return a.next.Compare(&b.next) })
}

func (w *window) listBlocks(at partition) error {
	lower, upper := at.span(kindBlock)
	retention := w.run.store.options.Retention
	return scan(w.run.snapshot, lower, upper, func(key []byte, value func() ([]byte, error)) error {
		sequence, err := at.decodeSequence(key, kindBlock)
		if err != nil {
			return err
		}
		encoded, err := value()
		if err != nil {
			return err
		}
		v, err := decodeBlockValue(encoded)
		if err != nil {
			w.run.store.corruptBlock(at, sequence, err)
			return nil
		}
		if first, last := v.times(retention); first <= w.rows.newest && last >= w.rows.oldest {
			b := windowBlock{at: at, sequence: sequence, next: tracestore.Position{Time: min(last, w.rows.newest), TraceID: lastTraceID}}
			if first >= w.rows.oldest && last <= w.rows.newest && (w.rows.after == nil || last < w.rows.after.Time) {
				b.releases = int(v.releases)
			}
			w.blocks = append(w.blocks, b)
		}
		return nil
	})
}

// each calls f for the candidates until it returns false, and says whether all were seen. It ends with errLimit when the search has
// looked at enough.
func (w *window) each(f func(c *candidate) (bool, error)) (all bool, err error) {
	for {
		c, err := w.pop()
		if err != nil || c == nil {
			return c == nil && err == nil, err
		}
		if err := w.orMove(w.run.spend()); err != nil {
			return false, err
		}
		goOn, err := f(c)
		if err != nil || !goOn {
			return false, err
		}
		w.passed, w.moved = c.at, true
	}
}

// orMove is nil instead of errLimit where the walk must move on first.
func (w *window) orMove(err error) error {
	if w.mustMove && !w.moved && errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// pop takes the newest candidate that is left; nil where there is none.
func (w *window) pop() (*candidate, error) {
	for {
		if w.next == nil {
			next, err := w.joined.next()
			if err != nil {
				return nil, err
			}
			w.next = next
		}
		var top *tracestore.Position
		if len(w.heap) > 0 {
			top = &w.heap[0].at
		}
		fromJoined := w.next != nil && (top == nil || w.next.at.Compare(top) < 0)
		if fromJoined {
			top = &w.next.at
		}
		if len(w.blocks) > 0 && (top == nil || w.blocks[0].next.Compare(top) <= 0) {
			if err := w.openFirst(); err != nil {
				return nil, err
			}
			continue
		}
		if fromJoined {
			if c, err := w.judgeNext(); c != nil || err != nil {
				return c, err
			}
			continue
		}
		if len(w.heap) == 0 {
			return nil, nil
		}
		c := w.heap.pop()
		return &c, nil
	}
}

// openFirst opens the first of the blocks, in front of which everything was answered.
func (w *window) openFirst() error {
	b := w.blocks[0]
	w.passTo(b.next.Time)
	if err := w.orMove(w.run.interrupted()); err != nil {
		return err
	}
	w.blocks = w.blocks[1:]
	return w.open(b)
}

// passTo notes that everything newer than a time was answered.
func (w *window) passTo(newest int64) {
	if newest >= w.rows.newest {
		return
	}
	at := tracestore.Position{Time: newest + 1} // no trace id is less than that, so it comes behind all of this time
	if (w.rows.after == nil || at.Compare(w.rows.after) > 0) && (!w.moved || at.Compare(&w.passed) > 0) {
		w.passed, w.moved = at, true
	}
}

// lastTraceID is the first of those that start together.
var lastTraceID = func() (id pcommon.TraceID) {
	for i := range id {
		id[i] = 0xFF
	}
	return id
}()

// open adds a block's candidates to the heap.
func (w *window) open(b windowBlock) error {
	if b.opened == nil {
		b.opened = &openedSearchBlock{at: b.at, sequence: b.sequence}
	}
	var found candidates
	rows, err := w.read(&b, func(c *candidate) {
		found = append(found, *c)
		found[len(found)-1].row = w.kept.keep(c.row)
	})
	if err != nil {
		return err
	}
	if b.opened.verdicts == nil && len(found) > 0 {
		b.opened.verdicts = make([]tracestore.Verdict, rows)
		for i := range found {
			b.opened.verdicts[found[i].number] = tracestore.Yes
		}
	}
	if len(w.heap)+len(found) > w.run.waiting {
		w.giveUp(found)
		return nil
	}
	for i := range found {
		w.heap.push(&found[i])
	}
	return nil
}

// keptRows are copies of rows, some together, so that there is not an object for each, and one that is needed for long does not keep all of its block.
type keptRows struct {
	rows        []tracerow.Row
	bottlenecks []tracestore.Bottleneck
}

func (k *keptRows) keep(row *tracerow.Row) *tracerow.Row {
	const together = 32
	if len(k.rows) == cap(k.rows) {
		k.rows, k.bottlenecks = make([]tracerow.Row, 0, together), make([]tracestore.Bottleneck, 0, together)
	}
	k.rows = append(k.rows, *row)
	kept := &k.rows[len(k.rows)-1]
	if row.Bottleneck != nil {
		k.bottlenecks = append(k.bottlenecks, *row.Bottleneck)
		kept.Bottleneck = &k.bottlenecks[len(k.bottlenecks)-1]
	}
	return kept
}

// read calls f for the block's candidates, in their order, whose rows are valid during the call, and answers how many rows there are: none in a block that cannot be read, or that
// certainly holds no candidate.
func (w *window) read(b *windowBlock, f func(c *candidate)) (rows int, err error) {
	r := w.run
	head, err := readHead(r.snapshot, b.at, b.sequence)
	if isUnreadable(err) {
		r.passBlock(b, err)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer head.Close()
	if !r.mayHold(head.Head) {
		return 0, nil
	}
	marked, err := r.marked(b.at, b.sequence)
	if err == nil {
		err = head.EachHeader(func(i int, h *block.Header) {
			if len(marked) > 0 && int(marked[0]) == i {
				marked = marked[1:]
				return
			}
			at := tracestore.Position{Time: tracestore.SearchTime(h.Row.Start, h.ReleasedAt, r.store.options.Retention), TraceID: h.Row.TraceID}
			if !w.rows.has(&at) || at.Compare(&b.next) < 0 {
				return
			}
			if verdict := h.Row.Judge(r.filter); verdict != tracestore.No {
				f(&candidate{at: at, row: &h.Row, verdict: verdict, block: b.opened, number: i})
			}
		})
	}
	if isUnreadable(err) {
		r.passBlock(b, err)
		return 0, nil
	}
	return head.Len(), err
}

// giveUp adds candidates to the heap, of which it then keeps the newest only. The blocks of the others are to be opened again.
func (w *window) giveUp(more candidates) {
	w.heap = append(w.heap, more...)
	slices.SortFunc(w.heap, func(a, b candidate) int { return a.at.Compare(&b.at) }) // which is a heap, too
	kept := min(max(1, w.run.waiting/2), len(w.heap))
	again := make(map[*openedSearchBlock]bool)
	for i := range w.heap[kept:] {
		again[w.heap[kept+i].block] = true
	}
	// Those that were to be opened again anyway are so earlier.
	w.blocks = slices.DeleteFunc(w.blocks, func(b windowBlock) bool { return b.opened != nil && again[b.opened] })
	all := w.heap
	w.heap = w.heap[:kept]
	for _, c := range all[kept:] {
		switch {
		case c.block == nil: // of which there are few
			w.heap = append(w.heap, c)
		case again[c.block]:
			again[c.block] = false
			w.blocks = append(w.blocks, windowBlock{at: c.block.at, sequence: c.block.sequence, next: c.at, opened: c.block})
		}
	}
	clear(all[len(w.heap):])
	w.sortBlocks()
}

// judgeNext takes the next joined row, which comes before everything else that is left; nil where it does not match or there is a newer one.
func (w *window) judgeNext() (*candidate, error) {
	e := w.next
	w.next = nil
	if _, older := w.run.openRows[e.at.TraceID]; !older {
		row, err := decodeRow(e.at.TraceID, e.value)
		if err != nil {
			w.run.store.corrupt(e.at.TraceID, errors.Join(errCorrupt, err))
		} else if verdict := row.Judge(w.run.filter); verdict != tracestore.No {
			return &candidate{at: e.at, row: &row, verdict: verdict}, nil
		}
	}
	w.passed, w.moved = e.at, true
	w.unmatched++
	if w.unmatched%64 != 0 {
		return nil, nil
	}
	return nil, w.run.interrupted()
}

func (w *window) close() error { return w.joined.close() }

// marked lists the releases of a block that searches pass over, in order.
func (r *search) marked(at partition, sequence uint64) (numbers []uint16, err error) {
	lower, upper := at.markSpan(sequence)
	err = scan(r.snapshot, lower, upper, func(key []byte, _ func() ([]byte, error)) error {
		mark, err := at.decodeMark(key)
		numbers = append(numbers, mark.number)
		return err
	})
	return numbers, err
}

// unixNano is t, limited to what an int64 holds.
func unixNano(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// iterOptions bound an iterator.
func iterOptions(lower, upper []byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: lower, UpperBound: upper}
}
