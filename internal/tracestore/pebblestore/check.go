package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore/block"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// maxFaults is how many faults a check lists; it counts all of them.
const maxFaults = 100

// CheckResult is what Check found in a folder.
type CheckResult struct {
	// Format is the version of the storage format.
	Format uint32
	// What was read: blocks; the traces and releases that can be found, a trace once for each day; spans, repeated and deleted ones
	// included; and values of rollups.
	Blocks, Traces, Releases, Spans, Rollups int64
	// Faults are the first of them, FaultCount is the number of all. None is a sound store.
	Faults     []Fault
	FaultCount int64
}

// Fault is something in a store that is not as it was written.
type Fault struct {
	// Tenant and Day (UTC) say where it is, TraceID whom it concerns, where that is known.
	Tenant  string
	Day     time.Time
	TraceID pcommon.TraceID
	What    string
}

// Check reads everything in the folder of a store that no process uses, and holds one part against the other. It changes nothing.
// The error says why it could not go on: ErrInUse, ErrNotAStore, ErrOlderFormat, ErrNewerFormat, the context's, or the disk's. What is wrong with
// the content is no error but a fault.
func Check(ctx context.Context, path string) (result CheckResult, err error) {
	f, err := openFolder(ctx, path)
	if pebble.IsCorruptionError(err) {
		c := checker{}
		c.fault(partition{}, pcommon.TraceID{}, err)
		return c.result, nil
	}
	if err != nil {
		return CheckResult{}, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	c := checker{folder: f, ctx: ctx, result: CheckResult{Format: f.format}}
	err = c.everything()
	if pebble.IsCorruptionError(err) {
		c.fault(partition{}, pcommon.TraceID{}, err) // what stands in broken tables cannot be gone through
		err = nil
	}
	return c.result, err
}

type checker struct {
	*folder
	ctx    context.Context
	result CheckResult
}

func (c *checker) fault(at partition, id pcommon.TraceID, err error) {
	if c.result.FaultCount++; c.result.FaultCount <= maxFaults {
		c.result.Faults = append(c.result.Faults, Fault{Tenant: tenantName(at.tenant), Day: dayStart(at.day), TraceID: id, What: err.Error()})
	}
}

// ofSystem says whether an error is the disk's or the process's: nothing could be read, so nothing is known of the content.
func ofSystem(err error) bool {
	var file *os.PathError
	var number syscall.Errno
	return !pebble.IsCorruptionError(err) && (errors.As(err, &file) || errors.As(err, &number))
}

func (c *checker) everything() error {
	// Pebble's own check: every table, and that their keys are in order. It ends at the first fault, and does not say whose it is.
	if err := c.db.CheckLevels(nil); c.ctx.Err() != nil {
		return c.ctx.Err()
	} else if ofSystem(err) {
		return err
	} else if err != nil {
		c.fault(partition{}, pcommon.TraceID{}, err)
	}
	partitions, err := c.partitions()
	if err != nil {
		return err
	}
	for _, at := range partitions {
		if err := c.partition(at); pebble.IsCorruptionError(err) {
			c.fault(at, pcommon.TraceID{}, fmt.Errorf("the rest of the day cannot be read: %w", err))
		} else if err != nil {
			return err
		}
	}
	return eachSource(c.db, func(key, value []byte) error {
		if _, _, err := decodeSourceValue(value); err != nil {
			c.fault(partition{}, pcommon.TraceID{}, fmt.Errorf("source %q: %w", decodeSource(key), err))
		}
		return nil
	})
}

// partitions lists them. Where a broken table hides some, those are listed too that the tables' bounds name, and what comes behind each.
func (c *checker) partitions() ([]partition, error) {
	list, err := listPartitions(c.db)
	if !pebble.IsCorruptionError(err) {
		return list, err
	}
	c.fault(partition{}, pcommon.TraceID{}, fmt.Errorf("list the days: %w", err))
	levels, err := c.db.SSTables()
	if err != nil {
		return nil, err
	}
	known := list
	for _, level := range levels {
		for i := range level {
			for _, key := range [][]byte{level[i].Smallest.UserKey, level[i].Largest.UserKey} {
				if at, err := decodePartition(key); err == nil {
					known = append(known, at)
				}
			}
		}
	}
	list = nil
	for _, at := range known {
		for more := true; more && !slices.Contains(list, at); {
			list = append(list, at)
			if at, more, err = partitionBehind(c.db, at); err != nil && !pebble.IsCorruptionError(err) {
				return nil, err
			}
		}
	}
	return list, nil
}

// partitionBehind finds the first partition behind another, if there is one.
func partitionBehind(db *pebble.DB, at partition) (next partition, found bool, err error) {
	_, end := at.span(0)
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: end, UpperBound: []byte{systemByte}})
	if err != nil {
		return partition{}, false, err
	}
	if iter.First() {
		next, err = decodePartition(iter.Key())
		found = err == nil
	}
	return next, found, iter.Close()
}

func (c *checker) partition(at partition) error {
	lower, upper := at.span(0)
	iter, err := c.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	p := partitionCheck{checker: c, at: at, blocks: make(map[uint64]*checkedBlock)}
	for valid := iter.First(); valid; valid = iter.Next() {
		if err := c.ctx.Err(); err != nil {
			return errors.Join(err, iter.Close())
		}
		key := iter.Key()
		value, err := iter.ValueAndErr()
		if err == nil {
			err = p.value(key, value)
		}
		if ofSystem(err) {
			return errors.Join(err, iter.Close())
		}
		if err != nil {
			c.fault(at, pcommon.TraceID{}, fmt.Errorf("key %x: %w", key, err))
		}
	}
	if err := iter.Close(); err != nil { // that of the iteration too
		return err
	}
	p.compare()
	return nil
}

// partitionCheck holds the blocks of a partition against the index of its traces.
type partitionCheck struct {
	*checker
	at     partition
	blocks map[uint64]*checkedBlock
	last   *pcommon.TraceID // in the index
}

// checkedBlock counts what was found of a block.
type checkedBlock struct {
	value      blockValue
	ids        []pcommon.TraceID
	spans      int64
	head, body bool
	deleted    int64
	indexed    int64
}

func (p *partitionCheck) block(sequence uint64) *checkedBlock {
	b := p.blocks[sequence]
	if b == nil {
		b = &checkedBlock{}
		p.blocks[sequence] = b
	}
	return b
}

// value checks one value. The kinds of a partition come in the order b, d, f, h, i, j, m, o, t, w, x.
func (p *partitionCheck) value(key, value []byte) (err error) {
	rest := key[len(p.at.tenant)+4:]
	if len(rest) == 0 {
		return errKey
	}
	switch rest[0] {
	case kindBlock, kindHead, kindBody, kindFilter:
		sequence, err := p.at.decodeSequence(key, rest[0])
		if err != nil {
			return err
		}
		return p.half(rest[0], sequence, value)
	case kindID:
		id, at, err := p.at.decodeID(key)
		if err != nil {
			return err
		}
		if _, err := decodeRank(value); err != nil {
			return err
		}
		b := p.blocks[at.sequence]
		if b == nil || b.head && (int(at.number) >= len(b.ids) || b.ids[at.number] != id) {
			return fmt.Errorf("%w: the index names a release that its block %d does not have", errCorrupt, at.sequence)
		}
		b.indexed++
		if p.last == nil || id != *p.last {
			p.last = &id
			p.result.Traces++
		}
	case kindMark:
		at, err := p.at.decodeMark(key)
		if err != nil {
			return err
		}
		m, err := decodeMarkValue(value)
		if err != nil {
			return err
		}
		if b := p.blocks[at.sequence]; b != nil && m == markDeleted {
			b.deleted++
		}
	case kindJoined:
		if _, id, err := p.at.decodeJoined(key); err != nil {
			return err
		} else if _, err := decodeRow(id, value); err != nil {
			return err
		}
	case kindJoin:
		return p.join(key, value)
	case kindThinned:
		_, err := decodeSequenceValue(value)
		return err
	case kindDelta, kindRollup:
		p.rollups(p.at, value)
	default:
		return errKey
	}
	return nil
}

// half checks a value that stands under a sequence.
func (p *partitionCheck) half(kind byte, sequence uint64, value []byte) (err error) {
	if kind == kindFilter {
		_, err = decodeIDChunk(value)
		return err
	}
	b := p.block(sequence)
	switch kind {
	case kindBlock:
		b.value, err = decodeBlockValue(value)
		return err
	case kindHead:
		head, err := block.OpenHead(value)
		if err != nil {
			return err
		}
		headers, err := head.Headers()
		if err != nil {
			return err
		}
		b.head = true
		for i := range headers {
			b.ids = append(b.ids, headers[i].Row.TraceID)
		}
		return nil
	}
	body, err := block.OpenBody(value)
	if err != nil {
		return err
	}
	defer body.Close()
	b.body = true
	if !body.BelongsTo(len(b.ids), func(i int) pcommon.TraceID { return b.ids[i] }) {
		return fmt.Errorf("%w: %d releases, its head has %d, or others", errCorrupt, body.Len(), len(b.ids))
	}
	for i := range body.Len() {
		td, err := body.Traces(i, b.ids[i])
		if err != nil {
			p.fault(p.at, b.ids[i], err)
			continue
		}
		b.spans += int64(td.SpanCount())
	}
	return nil
}

// join checks that a trace of several releases has its row.
func (p *partitionCheck) join(key, value []byte) error {
	id, err := p.at.decodeJoin(key)
	if err != nil {
		return err
	}
	searchTime, err := decodeTime(value)
	if err != nil {
		return err
	}
	found, err := get(p.db, p.at.joinedKey(searchTime, id), func([]byte) error { return nil })
	if err == nil && !found {
		p.fault(p.at, id, fmt.Errorf("%w: its row is missing", errCorrupt))
	}
	return err
}

// compare holds what was found of each block together.
func (p *partitionCheck) compare() {
	for sequence, b := range p.blocks {
		releases := int64(b.value.releases)
		switch {
		case !b.head || !b.body || b.value.through == 0:
			p.fault(p.at, pcommon.TraceID{}, fmt.Errorf("%w: a part of block %d is missing", errCorrupt, sequence))
		case releases != int64(len(b.ids)) || int64(b.value.spans) != b.spans:
			p.fault(p.at, pcommon.TraceID{}, fmt.Errorf("%w: block %d has other releases than it says", errCorrupt, sequence))
		case b.indexed+b.deleted != releases:
			p.fault(p.at, pcommon.TraceID{}, fmt.Errorf("%w: %d of the %d releases of block %d are in the index",
				errCorrupt, b.indexed, releases-b.deleted, sequence))
		}
		p.result.Blocks++
		p.result.Releases += b.indexed
		p.result.Spans += b.spans
	}
}

func (c *checker) rollups(at partition, value []byte) {
	c.result.Rollups++
	if err := rollup.NewSums(rollup.MaxSeries).Merge(value, rollup.AllTables); err != nil {
		c.fault(at, pcommon.TraceID{}, err)
	}
}

// tenantName is the tenant of a prefix; of one that is too long, its hash.
func tenantName(prefix string) string {
	switch {
	case prefix == "":
		return ""
	case prefix[0] == hashedTenant:
		return fmt.Sprintf("sha256:%x", prefix[1:])
	}
	return prefix[1:]
}

func dayStart(day uint32) time.Time { return time.Unix(int64(day)*24*60*60, 0).UTC() }
