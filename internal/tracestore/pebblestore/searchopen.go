package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

const (
	// fewOpenRows is how many rows a search makes for itself before it waits for the joiner, and maxOpenRows at most.
	fewOpenRows = 16
	maxOpenRows = 1000
)

// openSnapshot opens a view of the store, which the caller closes, and sees to it that every trace of several releases that may match has its row. It
// waits for the rows that are open, where these are many; those that writers open meanwhile it makes itself. stale says that some are missing, because there
// are too many, or half of the search's time is over: the rest is for the search. A page behind a cursor does not wait once more.
func (r *search) openSnapshot() (stale bool, err error) {
	deadline := r.deadline
	defer func() { r.deadline = deadline }()
	left := time.Until(deadline)
	r.deadline = deadline.Add(-left / 2)
	open, wait, over, err := r.takeSnapshot()
	if err != nil {
		return false, err
	}
	if r.cursor == nil && (wait || len(open) > fewOpenRows) {
		if err := r.snapshot.Close(); err != nil {
			return false, err
		}
		ctx, cancel := context.WithTimeout(r.ctx, left/3)
		_ = r.store.finishJoins(ctx) // what it leaves undone, the next snapshot has
		cancel()
		if open, _, over, err = r.takeSnapshot(); err != nil {
			return false, err
		}
	}
	if stale = over; len(open) > maxOpenRows {
		open, stale = open[:maxOpenRows], true
	}
	if err = r.makeOpenRows(open); errors.Is(err, errLimit) {
		stale, err = true, nil
	}
	if err != nil {
		return false, errors.Join(err, r.snapshot.Close())
	}
	return stale, nil
}

// takeSnapshot takes a snapshot, and lists the traces whose rows are open in it and that may match, up to one more than maxOpenRows. wait says that the row of one
// is for the joiner to make, because it has many releases, over that the time was over before all were listed.
func (r *search) takeSnapshot() (open []traceKey, wait, over bool, err error) {
	r.days = r.store.partitions.of(tenantPrefix(r.tenant))
	r.snapshot, r.heads = r.store.db.NewSnapshot(), nil
	r.openRows = make(map[pcommon.TraceID]*candidate)
	lower, _ := openJoinSpan()
	lower = append(lower, tenantPrefix(r.tenant)...)
	upper := append(bytes.Clone(lower), bytes.Repeat([]byte{0xFF}, 17)...) // a trace id has a byte less
	err = scan(r.snapshot, lower, upper, func(encoded []byte, _ func() ([]byte, error)) error {
		key, err := decodeOpenJoin(encoded)
		if err != nil {
			return err
		}
		if err := r.interrupted(); err != nil {
			return err
		}
		may, large, err := r.openMayMatch(key)
		wait = wait || large
		switch {
		case isUnreadable(err):
			r.passTrace(key.id, err) // the row that is there stays
			return nil
		case err != nil:
			return err
		case !may:
			r.openRows[key.id] = nil
			return nil
		}
		if open = append(open, key); len(open) > maxOpenRows {
			return errEnough
		}
		return nil
	})
	if over = errors.Is(err, errLimit); over || errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil {
		return nil, false, false, errors.Join(err, r.snapshot.Close())
	}
	return open, wait, over, nil
}

// openMayMatch says whether a trace whose row is open may match by the heads of its blocks, which saves the making of a row. large says that it has more releases
// than those of which openRow makes one.
func (r *search) openMayMatch(key traceKey) (may, large bool, err error) {
	list, err := refs(r.snapshot, r.days, key.id, maxRecomputedReleases+1)
	if large = len(list) > maxRecomputedReleases; err != nil || large {
		return true, large, err
	}
	if len(r.filter.Tokens()) == 0 {
		return true, false, nil
	}
	may, err = r.headsMayHold(nil, list)
	return may, false, err
}

// makeOpenRows makes the rows of traces.
func (r *search) makeOpenRows(open []traceKey) error {
	reader := blockReader{reader: r.snapshot}
	defer reader.close()
	for _, key := range open {
		if err := r.interrupted(); err != nil {
			return err
		}
		made, err := openRow(r.ctx, &reader, r.days, key)
		switch {
		case isUnreadable(err):
			r.passTrace(key.id, err) // the row that is there stays
		case err != nil:
			return err
		case made.kept: // it rests, and is answered as it is
		case made.row == nil:
			r.openRows[key.id] = nil
		default:
			row, err := decodeRow(key.id, appendRow(nil, made.row)) // a copy: texts of what was made are parts of all its spans
			if err != nil {
				return err
			}
			r.openRows[key.id] = &candidate{row: &row, verdict: row.Judge(r.filter), at: tracestore.Position{
				Time: tracestore.SearchTime(row.Start, made.first.releasedAt, r.store.options.Retention), TraceID: key.id,
			}}
		}
	}
	return nil
}
