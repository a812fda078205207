package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// maxFaults is how many faults a check lists; it counts all of them.
const maxFaults = 100

// CheckResult is what Check found in a folder.
type CheckResult struct {
	// Format is the version of the storage format.
	Format uint32
	// What was read: traces, their releases and spans (repeated ones included), and minutes of rollups.
	Traces, Releases, Spans, RollupMinutes int64
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
// The error says why it could not go on: ErrInUse, ErrNotAStore, ErrNewerFormat, the context's, or the disk's. What is wrong with
// the content is no error but a fault.
func Check(ctx context.Context, path string) (result CheckResult, err error) {
	f, err := openFolder(path)
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

func (c *checker) everything() error {
	// Pebble's own check: every table, and that their keys are in order.
	if err := c.db.CheckLevels(nil); err != nil {
		return err
	}
	partitions, _, err := loadPartitions(c.db)
	if err != nil {
		return err
	}
	for _, at := range partitions.sorted() {
		if err := c.partition(at); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) partition(at partition) error {
	lower, upper := at.span(0)
	iter, err := c.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	spans := int64(0) // values of spans that stand there; each must belong to a trace
	for valid := iter.First(); valid; valid = iter.Next() {
		if err := c.ctx.Err(); err != nil {
			return errors.Join(err, iter.Close())
		}
		key := iter.Key()
		value, err := iter.ValueAndErr()
		if err != nil {
			c.fault(at, pcommon.TraceID{}, err)
			continue
		}
		switch kind := key[len(at.tenant)+4:]; {
		case len(kind) > 0 && kind[0] == kindTrace:
			n, err := c.trace(at, key, value)
			spans -= n
			if err != nil {
				return errors.Join(err, iter.Close())
			}
		case len(kind) > 0 && kind[0] == kindSpans:
			spans++
		case len(kind) > 0 && (kind[0] == kindDelta || kind[0] == kindRollup):
			c.rollups(at, value)
		case len(kind) > 0 && (kind[0] == kindSearch || kind[0] == kindRelease): // asked for by trace
		default:
			c.fault(at, pcommon.TraceID{}, fmt.Errorf("%w: %x", errKey, key))
		}
	}
	if spans != 0 {
		c.fault(at, pcommon.TraceID{}, fmt.Errorf("%d releases stand there that belong to no trace", spans))
	}
	return errors.Join(iter.Error(), iter.Close())
}

// trace checks one trace and returns how many of its releases are there. The error is one of the disk.
func (c *checker) trace(at partition, key, value []byte) (releases int64, err error) {
	var id pcommon.TraceID
	rest, err := at.strip(key, kindTrace, len(id))
	if err != nil {
		c.fault(at, id, err)
		return 0, nil
	}
	copy(id[:], rest)
	c.result.Traces++
	stored, err := decodeTraceValue(value)
	if err != nil {
		c.fault(at, id, err)
		return 0, nil
	}
	found, err := get(c.db, at.searchKey(stored.searchTime, id), func(value []byte) error {
		_, err := decodeRow(id, value)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: its row is missing", errCorrupt)
	}
	if err != nil {
		c.fault(at, id, err)
	}
	refs, err := releaseRefs(c.db, at, id, &stored)
	if err != nil {
		c.fault(at, id, err)
		return 0, nil
	}
	if uint64(len(refs)) != stored.releases {
		c.fault(at, id, fmt.Errorf("%d of %d releases are there", len(refs), stored.releases))
	}
	for _, ref := range refs {
		td, err := readSpans(c.db, at, ref)
		if err != nil {
			c.fault(at, id, err)
			continue
		}
		releases++
		c.result.Releases++
		c.result.Spans += int64(td.SpanCount())
	}
	return releases, nil
}

func (c *checker) rollups(at partition, value []byte) {
	c.result.RollupMinutes++
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
