package pebblestore

import (
	"container/heap"
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

func (c candidates) Len() int           { return len(c) }
func (c candidates) Less(i, j int) bool { return c[i].at.Compare(&c[j].at) < 0 }
func (c candidates) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)        { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	(*c)[len(*c)-1] = candidate{}
	*c = (*c)[:len(*c)-1]
	return last
}

// maxCandidates bounds those that wait for older blocks to be opened. It is reached where clocks are everywhere.
const maxCandidates = 100_000

// window walks the traces of a range, newest first. Blocks are opened as the walk comes to them; a block's releases and those of
// the blocks that overlap it wait in a heap. Traces of several releases come from their joined rows.
type window struct {
	run    *search
	rows   searchRange
	blocks []windowBlock // not opened yet, the one with the newest trace first
	heap   candidates
	joined *merged
	next   *candidate // the newest joined row that is not answered
	// resume is a place up to which everything was answered, when the walk ends early.
	resume *tracestore.Position
}

// windowBlock is a block that overlaps the range.
type windowBlock struct {
	at       partition
	sequence uint64
	newest   int64
}

// openedSearchBlock is a block of which a candidate is left.
type openedSearchBlock struct {
	windowBlock
	body *block.Body
	// excluded are the releases that certainly do not match, once the body was asked.
	asked    bool
	excluded []bool
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
	slices.SortStableFunc(w.blocks, func(a, b windowBlock) int {
		switch {
		case a.newest > b.newest:
			return -1
		case a.newest < b.newest:
			return 1
		}
		return 0
	})
	w.joined = openMerged(r.snapshot, days, &rows)
	return w, nil
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
			w.blocks = append(w.blocks, windowBlock{at, sequence, min(last, w.rows.newest)})
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
		if err := w.run.spend(); err != nil {
			return false, err
		}
		goOn, err := f(c)
		if err != nil || !goOn {
			return false, err
		}
		w.resume = &c.at
	}
}

// pop takes the newest candidate that is left; nil where there is none.
func (w *window) pop() (*candidate, error) {
	for {
		if w.next == nil {
			if err := w.nextJoined(); err != nil {
				return nil, err
			}
		}
		newest := int64(math.MinInt64)
		if len(w.heap) > 0 {
			newest = w.heap[0].at.Time
		}
		if w.next != nil {
			newest = max(newest, w.next.at.Time)
		}
		if len(w.blocks) > 0 && (w.blocks[0].newest >= newest) {
			b := w.blocks[0]
			if err := w.run.interrupted(); err != nil {
				w.stopBefore(b.newest)
				return nil, err
			}
			w.blocks = w.blocks[1:]
			if err := w.open(b); err != nil {
				w.stopBefore(b.newest)
				return nil, err
			}
			continue
		}
		if w.next != nil && (len(w.heap) == 0 || w.next.at.Compare(&w.heap[0].at) < 0) {
			c := w.next
			w.next = nil
			return c, nil
		}
		if len(w.heap) == 0 {
			return nil, nil
		}
		c := heap.Pop(&w.heap).(candidate)
		return &c, nil
	}
}

// stopBefore notes that everything newer than a time was answered.
func (w *window) stopBefore(newest int64) {
	at := &tracestore.Position{Time: newest, TraceID: lastTraceID}
	if w.rows.newest > newest && (w.resume == nil || at.Compare(w.resume) > 0) {
		w.resume = at
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
	r := w.run
	head, err := readHead(r.snapshot, b.at, b.sequence)
	if err == nil && !r.mayHold(head) {
		return nil
	}
	var headers []block.Header
	if err == nil {
		headers, err = head.Headers()
	}
	var marked []uint16
	if err == nil {
		marked, err = r.marked(b.at, b.sequence)
	}
	if isCorrupt(err) {
		r.store.corruptBlock(b.at, b.sequence, err)
		return nil
	}
	if err != nil {
		return err
	}
	if len(w.heap)+len(headers) > maxCandidates {
		return errLimit
	}
	opened := &openedSearchBlock{windowBlock: b}
	for i := range headers {
		if len(marked) > 0 && int(marked[0]) == i {
			marked = marked[1:]
			continue
		}
		h := &headers[i]
		at := tracestore.Position{Time: tracestore.SearchTime(h.Row.Start, h.ReleasedAt, r.store.options.Retention), TraceID: h.Row.TraceID}
		if !w.rows.has(&at) {
			continue
		}
		if verdict := h.Row.Judge(r.filter); verdict != tracestore.No {
			heap.Push(&w.heap, candidate{at: at, row: &h.Row, verdict: verdict, block: opened, number: i})
		}
	}
	return nil
}

// nextJoined makes w.next the next joined row that may match, if there is one.
func (w *window) nextJoined() error {
	for {
		e, err := w.joined.next()
		if err != nil || e == nil {
			return err
		}
		row, err := decodeRow(e.at.TraceID, e.value)
		if err != nil {
			w.run.store.corrupt(e.at.TraceID, errors.Join(errCorrupt, err))
			continue
		}
		if verdict := row.Judge(w.run.filter); verdict != tracestore.No {
			w.next = &candidate{at: e.at, row: &row, verdict: verdict}
			return nil
		}
	}
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
