package pebblestore

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore/block"
)

// partitions lists the days of which each tenant has data. It is read from the keys at open and kept up to date by the
// writer; days are few.
type partitions struct {
	mu   sync.RWMutex              // guards days, and the blocks of each
	days map[string][]*dayInMemory // by tenant prefix, newest first; slices are replaced, never changed
}

// dayInMemory is what is kept in memory of a partition.
type dayInMemory struct {
	partition
	ids *idFilter
	// blocks are all blocks by sequence. Guarded by partitions.mu.
	blocks []blockInMemory
	// thinned is the sequence up to which the day was thinned. Guarded by Store.rewriteMu.
	thinned uint64
	// beside is what the day takes beside its blocks, 0 where that was not measured. Guarded by partitions.mu.
	beside int64
	// settled says that no block is to be merged or written again. Guarded by partitions.mu.
	settled bool
}

// blockInMemory is what it takes to choose blocks that are to be merged.
type blockInMemory struct {
	sequence uint64
	spans    uint32
	bytes    uint32 // of head and body, at most what fits
	otlp     uint64 // bytes of its releases as OTLP
	// damaged says that releases of it were deleted, unreadable that it could not be rewritten.
	damaged, unreadable bool
}

func newBlockInMemory(sequence uint64, v *blockValue) blockInMemory {
	return blockInMemory{
		sequence: sequence, spans: uint32(min(v.spans, math.MaxUint32)), bytes: uint32(min(v.size, math.MaxUint32)), otlp: v.otlp,
	}
}

// of returns the tenant's partitions, newest first.
func (p *partitions) of(tenant string) []*dayInMemory {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.days[tenant]
}

// day is the partition's, which is made where it is new.
func (p *partitions) day(at partition) *dayInMemory {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dayLocked(at)
}

func (p *partitions) dayLocked(at partition) *dayInMemory {
	days := p.days[at.tenant]
	i, found := slices.BinarySearchFunc(days, at.day, func(d *dayInMemory, day uint32) int { return cmp.Compare(day, d.day) })
	if found {
		return days[i]
	}
	d := &dayInMemory{partition: at, ids: &idFilter{}}
	p.days[at.tenant] = slices.Insert(slices.Clone(days), i, d)
	return d
}

// addBlock adds a block that was written.
func (p *partitions) addBlock(at partition, b blockInMemory) *dayInMemory {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.dayLocked(at)
	d.blocks = append(d.blocks, b)
	d.settled = false
	return d
}

// replaceBlocks puts blocks in the place of others, which they were made of.
func (p *partitions) replaceBlocks(at partition, old []uint64, made []blockInMemory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.dayLocked(at)
	kept := make([]blockInMemory, 0, len(d.blocks))
	for _, b := range d.blocks {
		if !slices.Contains(old, b.sequence) {
			kept = append(kept, b)
		}
	}
	kept = append(kept, made...)
	slices.SortFunc(kept, func(a, b blockInMemory) int { return cmp.Compare(a.sequence, b.sequence) })
	d.blocks, d.settled = kept, false
}

// damage notes that releases of a block were deleted.
func (p *partitions) damage(at partition, sequence uint64) {
	p.change(at, sequence, func(b *blockInMemory) { b.damaged = true })
}

// giveUp notes that a block cannot be rewritten.
func (p *partitions) giveUp(at partition, sequence uint64) {
	p.change(at, sequence, func(b *blockInMemory) { b.unreadable = true })
}

func (p *partitions) change(at partition, sequence uint64, f func(b *blockInMemory)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.dayLocked(at)
	d.settled = false
	for i := range d.blocks {
		if d.blocks[i].sequence == sequence {
			f(&d.blocks[i])
		}
	}
}

// has says whether the partition still has the blocks.
func (p *partitions) has(at partition, sequences []uint64) bool {
	have := 0
	for _, b := range p.blocksOf(at) {
		if slices.Contains(sequences, b.sequence) {
			have++
		}
	}
	return have == len(sequences)
}

// unsettled lists the partitions of which blocks may be to be merged or written again.
func (p *partitions) unsettled() []*dayInMemory {
	all := p.all()
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.DeleteFunc(all, func(d *dayInMemory) bool { return d.settled })
}

// settle notes that there is nothing to merge or write again of a day's blocks, unless one came or was damaged meanwhile.
func (p *partitions) settle(d *dayInMemory, blocks []blockInMemory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.settled = slices.Equal(d.blocks, blocks)
}

// unsettle notes that another day has begun. Blocks that could not be rewritten are tried again: the disk may give them now.
func (p *partitions) unsettle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, days := range p.days {
		for _, d := range days {
			d.settled = false
			for i := range d.blocks {
				d.blocks[i].unreadable = false
			}
		}
	}
}

// blocksOf lists the partition's blocks by sequence.
func (p *partitions) blocksOf(at partition) []blockInMemory { return p.blocksBehind(at, 0) }

// blocksBehind lists those behind a sequence.
func (p *partitions) blocksBehind(at partition, sequence uint64) []blockInMemory {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, d := range p.days[at.tenant] {
		if d.day == at.day {
			from, _ := slices.BinarySearchFunc(d.blocks, sequence+1, func(b blockInMemory, at uint64) int { return cmp.Compare(b.sequence, at) })
			return slices.Clone(d.blocks[from:])
		}
	}
	return nil
}

func (p *partitions) remove(at partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	days := slices.DeleteFunc(slices.Clone(p.days[at.tenant]), func(d *dayInMemory) bool { return d.day == at.day })
	if len(days) == 0 {
		delete(p.days, at.tenant)
		return
	}
	p.days[at.tenant] = days
}

// all lists the partitions of all tenants.
func (p *partitions) all() []*dayInMemory { return p.between(0, math.MaxUint32) }

// between lists the partitions of all tenants from one day to before another, oldest first.
func (p *partitions) between(from, before uint32) []*dayInMemory {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var list []*dayInMemory
	for _, days := range p.days {
		for _, d := range days {
			if d.day >= from && (d.day < before || before == math.MaxUint32) {
				list = append(list, d)
			}
		}
	}
	slices.SortFunc(list, func(a, b *dayInMemory) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.tenant, b.tenant)) })
	return list
}

// size is about what all days take.
func (p *partitions) size() (sum float64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, days := range p.days {
		for _, d := range days {
			sum += d.size()
		}
	}
	return sum
}

// sizeOf is about what a day takes.
func (p *partitions) sizeOf(d *dayInMemory) float64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return d.size()
}

// measured says whether it is known what a day takes beside its blocks.
func (p *partitions) measured(d *dayInMemory) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return d.beside > 0
}

// noteBeside notes that, or with 0 that it is to be measured again.
func (p *partitions) noteBeside(d *dayInMemory, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.beside = bytes
}

// current says whether the day was not dropped.
func (p *partitions) current(d *dayInMemory) bool { return slices.Contains(p.of(d.tenant), d) }

// boundFilters gives the filters of the oldest days before today up where all filters together take more memory than that. These days are
// looked up on the disk from then on.
func (p *partitions) boundFilters(limit int, today uint32) (given int) {
	days := p.all()
	total := 0
	for _, d := range days {
		total += d.ids.size()
	}
	for _, d := range days {
		if total <= limit || d.day >= today {
			break
		}
		if size := d.ids.size(); size > 0 {
			total -= size
			d.ids.giveUp()
			given++
		}
	}
	return given
}

// corruptBlock is told of a block that cannot be read.
type corruptBlock func(at partition, sequence uint64, err error)

// loadPartitions finds all partitions, reads what is kept of each in memory, and answers the highest sequence in use.
func loadPartitions(db *pebble.DB, corrupt corruptBlock) (*partitions, uint64, error) {
	found := &partitions{days: make(map[string][]*dayInMemory)}
	var highest uint64
	err := eachPartition(db, func(at partition) error {
		last, err := found.day(at).load(db, corrupt)
		highest = max(highest, last)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return found, highest, nil
}

// listPartitions lists the partitions of all tenants, by tenant and day.
func listPartitions(db *pebble.DB) (list []partition, err error) {
	err = eachPartition(db, func(at partition) error {
		list = append(list, at)
		return nil
	})
	slices.SortFunc(list, func(a, b partition) int {
		return cmp.Or(cmp.Compare(tenantName(a.tenant), tenantName(b.tenant)), cmp.Compare(a.day, b.day))
	})
	return list, err
}

// eachPartition finds all partitions by jumping from one to the next.
func eachPartition(db *pebble.DB, f func(at partition) error) error {
	iter, err := db.NewIter(&pebble.IterOptions{UpperBound: []byte{systemByte}})
	if err != nil {
		return err
	}
	defer func() { _ = iter.Close() }() // its error is read below
	for valid := iter.First(); valid; {
		at, err := decodePartition(iter.Key())
		if err != nil {
			return err
		}
		if err := f(at); err != nil {
			return err
		}
		_, end := at.span(0)
		valid = iter.SeekGE(end)
	}
	return iter.Error()
}

// load reads the partition's blocks and the filter of its ids, and answers the highest sequence that it names, be it of a block that is
// gone: what is said of all blocks up to a sequence must not be said of one that is yet to come.
func (d *dayInMemory) load(db *pebble.DB, corrupt corruptBlock) (highest uint64, err error) {
	if err := d.loadFilter(db); err != nil {
		return 0, err
	}
	_, err = get(db, d.key(kindThinned, 0), func(value []byte) (err error) {
		d.thinned, err = decodeSequenceValue(value)
		return err
	})
	if err != nil && !isCorrupt(err) {
		return 0, err
	}
	damaged, err := d.loadDamage(db)
	if err != nil {
		return 0, err
	}
	ids := idLoader{day: d, db: db, known: d.ids.upTo}
	highest = max(d.ids.upTo, d.thinned)
	lower, upper := d.span(kindBlock)
	err = scan(db, lower, upper, func(key []byte, value func() ([]byte, error)) error {
		sequence, err := d.decodeSequence(key, kindBlock)
		if err != nil {
			corrupt(d.partition, 0, err)
			return nil
		}
		b, through, err := loadBlock(sequence, value)
		if err != nil && !isUnreadable(err) {
			return err
		}
		if err != nil {
			corrupt(d.partition, sequence, err)
			if b.bytes, err = d.sizeOf(db, sequence); err != nil {
				return err
			}
		}
		b.damaged = damaged[sequence]
		d.blocks = append(d.blocks, b)
		highest = max(highest, sequence, through)
		return ids.load(sequence, through, b.unreadable)
	})
	return highest, err
}

// loadBlock reads what is known of a block. With an error that isCorrupt it is one that cannot be read.
func loadBlock(sequence uint64, value func() ([]byte, error)) (b blockInMemory, through uint64, err error) {
	encoded, err := value()
	if err == nil {
		var v blockValue
		if v, err = decodeBlockValue(encoded); err == nil {
			return newBlockInMemory(sequence, &v), v.through, nil
		}
	}
	return blockInMemory{sequence: sequence, unreadable: true}, sequence, err
}

// sizeOf is what the halves of a block take of which nothing is known: retention by size counts it.
func (d *dayInMemory) sizeOf(db *pebble.DB, sequence uint64) (size uint32, err error) {
	for _, kind := range []byte{kindHead, kindBody} {
		_, err := get(db, d.sequenceKey(kind, sequence), func(value []byte) error {
			size = uint32(min(uint64(size)+uint64(len(value)), math.MaxUint32))
			return nil
		})
		if err != nil && !isUnreadable(err) {
			return 0, err
		}
	}
	return size, nil
}

// loadDamage finds the blocks that have deleted releases.
func (d *dayInMemory) loadDamage(db *pebble.DB) (map[uint64]bool, error) {
	damaged := make(map[uint64]bool)
	lower, upper := d.span(kindMark)
	err := scan(db, lower, upper, func(key []byte, value func() ([]byte, error)) error {
		encoded, err := value()
		if err != nil || len(encoded) != 1 || mark(encoded[0]) != markDeleted {
			return err
		}
		if at, err := d.decodeMark(key); err == nil { // else Check tells of it
			damaged[at.sequence] = true
		}
		return nil
	})
	return damaged, err
}

// loadFilter reads what was written down of the filter. Where anything of that is not as it should be, the filter is made afresh of the
// blocks.
func (d *dayInMemory) loadFilter(db *pebble.DB) error {
	var chunks []storedChunk
	lower, upper := d.span(kindFilter)
	err := scan(db, lower, upper, func(key []byte, value func() ([]byte, error)) error {
		number, err := d.decodeSequence(key, kindFilter)
		if err != nil {
			return err
		}
		if number != uint64(len(chunks)) {
			return errValue
		}
		encoded, err := value()
		if err != nil {
			return err
		}
		chunk, err := decodeIDChunk(encoded)
		chunks = append(chunks, chunk)
		return err
	})
	damaged := isCorrupt(err)
	d.ids.stale = damaged || !d.ids.restore(chunks)
	if damaged {
		err = nil
	}
	return err
}

// idLoader adds ids to a partition's filter that are not written down.
type idLoader struct {
	day *dayInMemory
	db  *pebble.DB
	// known is the sequence up to which they are.
	known uint64
	// all says that the whole index was read.
	all bool
}

// load adds the ids of a block. It reads the index, if the block's head cannot be read.
func (l *idLoader) load(sequence, through uint64, unreadable bool) error {
	if l.all || through <= l.known && !unreadable {
		l.day.ids.add(max(sequence, through), nil)
		return nil
	}
	var hashes []uint64
	found, err := get(l.db, l.day.sequenceKey(kindHead, sequence), func(value []byte) error {
		head, err := block.OpenHead(value)
		if err != nil {
			return err
		}
		for i := range head.Len() {
			hashes = append(hashes, hashID(head.TraceID(i)))
		}
		return nil
	})
	if err != nil && !isUnreadable(err) {
		return err
	}
	if err == nil && found {
		l.day.ids.add(max(sequence, through), hashes)
		return nil
	}
	l.all = true
	l.day.ids.add(max(sequence, through), nil)
	return l.loadIndex()
}

// loadIndex adds all ids of the partition.
func (l *idLoader) loadIndex() error {
	var hashes []uint64
	lower, upper := l.day.span(kindID)
	err := scan(l.db, lower, upper, func(key []byte, _ func() ([]byte, error)) error {
		id, _, err := l.day.decodeID(key)
		if err == nil { // else Check tells of it
			hashes = append(hashes, hashID(id))
		}
		if len(hashes) == 4096 {
			l.day.ids.add(0, hashes)
			hashes = hashes[:0]
		}
		return nil
	})
	l.day.ids.add(0, hashes)
	if err != nil {
		return fmt.Errorf("read the index of trace ids: %w", err)
	}
	return nil
}

// ref is one release of a trace: where it lies and its place among the others.
type ref struct {
	at partition
	place
	rank
}

// refs lists the releases of a trace, in the order version, part, time of writing. days are the tenant's. limit, where above 0,
// ends the list early, in no order.
func refs(reader pebble.Reader, days []*dayInMemory, id pcommon.TraceID, limit int) (list []ref, err error) {
	hash := hashID(id)
	for _, d := range days {
		if !d.ids.mayHold(hash) {
			continue
		}
		lower, upper := d.idSpan(id)
		err := scan(reader, lower, upper, func(key []byte, value func() ([]byte, error)) error {
			if limit > 0 && len(list) == limit {
				return errEnough
			}
			_, at, err := d.decodeID(key)
			if err != nil {
				return err
			}
			encoded, err := value()
			if err != nil {
				return err
			}
			r, err := decodeRank(encoded)
			r.written = cmp.Or(r.written, at.sequence)
			list = append(list, ref{d.partition, at, r})
			return err
		})
		if errors.Is(err, errEnough) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b ref) int {
		return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.part, b.part), a.compareWritten(b))
	})
	return list, nil
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// compareWritten orders releases of a trace as they were written; a call has one of them at most.
func (r ref) compareWritten(other ref) int { return cmp.Compare(r.written, other.written) }
