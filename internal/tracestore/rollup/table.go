package rollup

import (
	"iter"
	"math"
	"math/rand/v2"
	"strings"
)

// MaxSeries is the number of series that a table of one tenant and minute holds besides "other".
const MaxSeries = 10_000

// Table is one of the rollups. Its number stands in stored values.
type Table uint8

const (
	Operations Table = iota + 1
	Edges
	Entries
	EntryOperations
	Errors
	Spans
	Contexts
	Contrasts
	// others is no table: it says of each table what went to "other".
	others
)

// Tables is a set of them.
type Tables uint16

// AllTables is what one call adds to, and what is kept of a minute.
const AllTables Tables = 1<<others - 1<<Operations

// Of is the set of the tables.
func Of(tables ...Table) (set Tables) {
	for _, t := range tables {
		set |= 1 << t
	}
	return set
}

// All yields the tables of the set.
func (s Tables) All() iter.Seq[Table] {
	return func(yield func(Table) bool) {
		for t := Operations; t < others; t++ {
			if s.has(t) && !yield(t) {
				return
			}
		}
	}
}

func (s Tables) has(t Table) bool { return s&(1<<t) != 0 }

// Columns of the keys. The environment is the first in every table.
const (
	colEnvironment = 0

	operationService, operationVersion, operationName, operationKind                       = 1, 2, 3, 4
	edgeParent, edgeParentOperation, edgeChild, edgeChildOperation, edgeKind, edgeProtocol = 1, 2, 3, 4, 5, 6
	entryService, entryOperation, entryOutcome                                             = 1, 2, 3
	entryOpEntryService, entryOpEntryOperation, entryOpService, entryOpOperation           = 1, 2, 3, 4
	errorFingerprint, errorService, errorOperation, errorEntryService, errorEntryOperation = 1, 2, 3, 4, 5
	// Of Contexts, see contexts.go.
	contextParent, contextChild, contextViolation, contextPeer = 1, 2, 3, 4

	contrastEntryService, contrastEntryOperation, contrastService, contrastKey, contrastValue = 1, 2, 3, 4, 5

	maxColumns = 7
)

// Numbers of the rows. The first counts spans (of Entries and Contrasts: traces) in every table.
const (
	numCount = 0

	numErrors   = 1
	numSelfTime = 2
	numPathTime = 3
	numTraces   = 4
	// Of Operations.
	numRoots  = 4
	numExcess = 5 // what the weights are above the calls, in 1/weightUnit

	// Of Edges and Entries: what was counted and is not to be. They are sums of their own, so that sums only grow.
	numRetracted       = 2
	numRetractedErrors = 3

	numPartial  = 1
	numOrphans  = 2
	numRepaired = 3 // orphans whose parent came

	// Of Contexts.
	numUnanswered = 1
	numTakenBack  = 2 // unanswered calls that were answered late

	// Of Contrasts.
	numSlow   = 2
	numJudged = 3

	maxNumbers = 6
)

// shape says what a table's series are made of.
type shape struct {
	columns, numbers       int
	durations, occurrences bool
	services               []int // the columns that a query's service is compared with
}

var shapes = [others]shape{
	Operations:      {columns: 5, numbers: 6, durations: true, services: []int{operationService}},
	Edges:           {columns: 7, numbers: 4, durations: true, services: []int{edgeParent, edgeChild}},
	Entries:         {columns: 4, numbers: 4, durations: true, services: []int{entryService}},
	EntryOperations: {columns: 5, numbers: 5, services: []int{entryOpService}},
	Errors:          {columns: 6, numbers: 1, occurrences: true, services: []int{errorService}},
	Spans:           {columns: 1, numbers: 4},
	Contexts:        {columns: 5, numbers: 3}, // the services of an answer are known when its peers are
	Contrasts:       {columns: 6, numbers: 4, services: []int{contrastService}},
}

// key is a series' key: a number for each column's string, see dictionary. Columns that a table does not have are 0.
type key [maxColumns]uint32

// row is a series' sums.
type row struct {
	numbers     [maxNumbers]uint64
	durations   sketch
	occurrences *occurrences // of Errors
	// release is, while a call is summed, the last one that was counted into numTraces, or the first that answered a call.
	release uint32
}

func (r *row) merge(from *row) {
	for i, n := range from.numbers {
		r.numbers[i] = sum(r.numbers[i], n)
	}
	r.durations.merge(&from.durations)
	if from.occurrences != nil {
		r.happened().merge(from.occurrences)
	}
}

// reset empties a row of a table that was used before.
func (r *row) reset() { *r = row{durations: sketch{bins: r.durations.bins[:0]}} }

// happened is where occurrences are added.
func (r *row) happened() *occurrences {
	if r.occurrences == nil {
		r.occurrences = &occurrences{}
	}
	return r.occurrences
}

// sum adds, and stays at the largest number: what senders write as a time may be anything.
func sum(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// table is the series of one rollup, in the order in which they came.
type table struct {
	limit int
	index []int32 // places of keys + 1: open addressing, a power of two
	keys  []key
	rows  []row
	other *row // what went beyond the limit; nil for nothing
}

// spread is odd and not known to senders, so that they cannot choose what falls together.
var spread = rand.Uint64() | 1

// slot is where a key stands in the index, or is to stand.
func (t *table) slot(k *key) int {
	h := (uint64(k[0]) | uint64(k[1])<<32) * 0x9e3779b97f4a7c15
	h = (h ^ h>>32 ^ uint64(k[2]) ^ uint64(k[3])<<32) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>32 ^ uint64(k[4]) ^ uint64(k[5])<<32) * 0x94d049bb133111eb
	h = (h ^ h>>32 ^ uint64(k[6])) * spread
	mask := len(t.index) - 1
	for i := int(h>>32) & mask; ; i = (i + 1) & mask {
		if at := t.index[i]; at == 0 || t.keys[at-1] == *k {
			return i
		}
	}
}

// find finds a series.
func (t *table) find(k *key) (at int, known bool) {
	if len(t.index) == 0 {
		return 0, false
	}
	at = int(t.index[t.slot(k)]) - 1
	return at, at >= 0
}

// at finds the row of a series, a new one where there is room, else that of "other". It is valid until the next call.
func (t *table) at(k *key) *row { return t.row(t.place(k)) }

// near is at for a series that is mostly the one at a place, counted from 1. place becomes its own.
func (t *table) near(k *key, place *int32) *row {
	at := int(*place) - 1
	if at < 0 || at >= len(t.keys) || t.keys[at] != *k {
		at = t.place(k)
		*place = int32(at + 1)
	}
	return t.row(at)
}

func (t *table) row(place int) *row {
	if place < 0 {
		return t.beyond()
	}
	return &t.rows[place]
}

// place is that of a series, a new one where there is room, else below 0.
func (t *table) place(k *key) int {
	if at, known := t.find(k); known {
		return at
	}
	n := len(t.keys)
	if n >= t.limit {
		return -1
	}
	if 2*n >= len(t.index) {
		t.grow()
	}
	t.index[t.slot(k)] = int32(n + 1)
	t.keys = append(t.keys, *k)
	if n == cap(t.rows) {
		t.rows = append(t.rows, row{})
		return n
	}
	t.rows = t.rows[:n+1]
	t.rows[n].reset()
	return n
}

func (t *table) grow() {
	t.index = make([]int32, max(16, 2*len(t.index)))
	for i := range t.keys {
		t.index[t.slot(&t.keys[i])] = int32(i + 1)
	}
}

// reset empties the table, which keeps its memory.
func (t *table) reset() {
	clear(t.index)
	t.keys, t.rows, t.other = t.keys[:0], t.rows[:0], nil
}

// beyond is the row of "other".
func (t *table) beyond() *row {
	if t.other == nil {
		t.other = &row{}
	}
	return t.other
}

// dictionary numbers strings. The empty string is 0.
type dictionary struct {
	ids  map[string]uint32
	list []string // by number - 1
	// recent are the numbers that were asked for last, by what is at hand of a string.
	recent [256]uint32
}

func (d *dictionary) id(s string) uint32 {
	if s == "" {
		return 0
	}
	recent := &d.recent[uint8(len(s))*31^s[len(s)-1]*7^s[len(s)/2]]
	if id := *recent; id != 0 && d.list[id-1] == s {
		return id
	}
	id, ok := d.ids[s]
	if !ok {
		if d.ids == nil {
			d.ids = make(map[string]uint32)
		}
		d.list = append(d.list, s)
		id = uint32(len(d.list))
		d.ids[s] = id
	}
	*recent = id
	return id
}

// idOf is id for bytes, which are copied where they are new.
func (d *dictionary) idOf(b []byte) uint32 {
	if id, ok := d.ids[string(b)]; ok { // does not copy
		return id
	}
	return d.id(string(b))
}

// copyOf is id for a string of which a copy is kept.
func (d *dictionary) copyOf(s string) uint32 {
	if id, ok := d.ids[s]; ok {
		return id
	}
	return d.id(strings.Clone(s))
}

// reset empties the dictionary, which keeps its memory.
func (d *dictionary) reset() {
	clear(d.ids)
	clear(d.list) // lets go of the strings
	d.list = d.list[:0]
	d.recent = [256]uint32{}
}

func (d *dictionary) text(id uint32) string {
	if id == 0 {
		return ""
	}
	return d.list[id-1]
}
