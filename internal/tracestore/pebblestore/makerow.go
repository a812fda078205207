package pebblestore

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
)

// Up to these sizes the row of a trace is made of all its spans; above them, where it is large, it is merged of its releases' rows
// (tracerow.Row.Merge). A large row grows: what came since is merged into what is there. An instrumentation that gives all its traces
// one id makes a trace that gets a release with every call, for ever.
const (
	maxRecomputedSpans    = 10_000
	maxRecomputedReleases = 100
	maxRecomputedBytes    = 32 << 20 // as OTLP protobuf
)

// maxRowReleases is of how many releases a row is made at most: it is the number of keys read to find those that came since. The row of
// a trace that has more stays as it is.
const maxRowReleases = 100_000

// A large row that took longer than promptJoin to make rests restFactor times as long, maxRest at most. Searches answer it as it is
// until then.
const (
	promptJoin = 50 * time.Millisecond
	restFactor = 10
	maxRest    = time.Minute
)

// madeRow is the row of several releases.
type madeRow struct {
	row *tracerow.Row // nil where the trace has no releases any more
	// kept says that the row which is stored stays.
	kept bool
	largeRow
}

// largeRow says of which releases a row was made.
type largeRow struct {
	first firstRelease
	// releases is their number, and the last one was written as the block through.
	releases int
	through  uint64
	large    bool
	until    time.Time // the row rests
}

// firstRelease is the release of a trace that was stored first.
type firstRelease struct {
	day        *dayInMemory
	releasedAt int64
}

// rests says whether a row is there that is not to be made again yet.
func (s *Store) rests(days []*dayInMemory, key traceKey) bool {
	known := s.joins.large[key]
	if known == nil || !time.Now().Before(known.until) {
		return false
	}
	row, err := readJoined(s.db, days, key)
	return err == nil && row != nil
}

// rest notes what a row was made of, and how long that took.
func (s *Store) rest(key traceKey, made *madeRow, took time.Duration) {
	if !made.large {
		delete(s.joins.large, key)
		return
	}
	if len(s.joins.large) >= maxOpenJoins {
		clear(s.joins.large) // they are made of all their releases once more
	}
	known := made.largeRow
	known.until = time.Time{}
	if took > promptJoin {
		known.until = time.Now().Add(min(restFactor*took, maxRest))
	}
	s.joins.large[key] = &known
}

// makeRow makes the row of a trace's releases. s.joining is held.
func (s *Store) makeRow(ctx context.Context, reader *blockReader, t *joinTask) (made madeRow, err error) {
	key, days, list := t.key, t.days, t.list
	if list == nil {
		if list, err = refs(reader.reader, days, key.id, maxRowReleases+1); err != nil || len(list) == 0 {
			return madeRow{}, err
		}
	}
	known := s.joins.large[key]
	var stored *tracerow.Row
	if known != nil || len(list) > maxRowReleases {
		if stored, err = readJoined(s.db, days, key); err != nil {
			if !isCorrupt(err) {
				return madeRow{}, err
			}
			stored = nil
		}
	}
	if len(list) > maxRowReleases {
		if stored != nil {
			return madeRow{kept: true, largeRow: largeRow{large: true}}, nil
		}
		list = list[:maxRowReleases]
	}
	byWriting := slices.Clone(list)
	slices.SortFunc(byWriting, ref.compareWritten)
	if known != nil && stored != nil && slices.Contains(days, known.first.day) {
		// Those that the row was made of are all there, unless releases were dropped.
		since, _ := slices.BinarySearchFunc(byWriting, known.through+1, func(r ref, sequence uint64) int {
			return r.compareWritten(ref{rank: rank{written: sequence}})
		})
		if since == known.releases {
			merged, err := mergeRows(ctx, reader, byWriting[since:], key, stored)
			made := madeRow{row: &merged.row, largeRow: *known}
			made.releases, made.through = len(byWriting), byWriting[len(byWriting)-1].written
			return made, err
		}
	}
	return rowOf(ctx, reader, days, key, list, byWriting)
}

// openRow makes a row for a search, of what its snapshot has. The row of a trace of many releases stays as it is, where it has one.
func openRow(ctx context.Context, reader *blockReader, days []*dayInMemory, key traceKey) (madeRow, error) {
	list, err := refs(reader.reader, days, key.id, maxRowReleases)
	if err != nil || len(list) == 0 {
		return madeRow{}, err
	}
	if len(list) > maxRecomputedReleases {
		if stored, err := readJoined(reader.reader, days, key); stored != nil || err != nil {
			return madeRow{kept: true}, err
		}
	}
	byWriting := slices.Clone(list)
	slices.SortFunc(byWriting, ref.compareWritten)
	return rowOf(ctx, reader, days, key, list, byWriting)
}

// rowOf makes a row of releases, which are given in the order of refs and in that of writing.
func rowOf(ctx context.Context, reader *blockReader, days []*dayInMemory, key traceKey, list, byWriting []ref) (madeRow, error) {
	merged, err := mergeRows(ctx, reader, byWriting, key, nil)
	if err != nil {
		return madeRow{}, err
	}
	made := madeRow{row: &merged.row, largeRow: largeRow{
		releases: len(byWriting), through: byWriting[len(byWriting)-1].written,
		large: merged.spans > maxRecomputedSpans || len(list) > maxRecomputedReleases || merged.size > maxRecomputedBytes,
	}}
	at := slices.IndexFunc(days, func(d *dayInMemory) bool { return d.partition == byWriting[0].at })
	made.first = firstRelease{days[at], merged.releasedAt}
	if !made.large {
		row, err := rowOfSpans(reader, key.id, list)
		made.row = &row
		return made, err
	}
	return made, nil
}

// rowOfSpans makes a row of all spans of a trace's releases, which are in the order of refs.
func rowOfSpans(reader *blockReader, id pcommon.TraceID, list []ref) (tracerow.Row, error) {
	releases := make([]ptrace.Traces, len(list))
	for i, r := range list {
		var err error
		if releases[i], err = reader.traces(r, id); err != nil {
			return tracerow.Row{}, err
		}
	}
	return tracerow.FromTrace(releases), nil
}

// mergedRows are the rows of several releases merged.
type mergedRows struct {
	row        tracerow.Row
	spans      int
	size       int   // see maxRecomputedBytes
	releasedAt int64 // of the first one
}

// mergeRows merges the rows of releases, in the order of writing, into one that is given or that of the first.
func mergeRows(ctx context.Context, reader *blockReader, list []ref, key traceKey, into *tracerow.Row) (merged mergedRows, err error) {
	if into != nil {
		merged.row = *into
	}
	for i, r := range list {
		if err := ctx.Err(); err != nil {
			return mergedRows{}, err
		}
		header, err := reader.header(r, key)
		if err != nil {
			return mergedRows{}, err
		}
		merged.spans += header.Spans
		merged.size += header.Size
		if i == 0 {
			merged.releasedAt = header.ReleasedAt
		}
		if i == 0 && into == nil {
			merged.row = header.Row
		} else {
			merged.row.Merge(&header.Row)
		}
	}
	return merged, nil
}
