package clickhousestore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// A trace that never ends (a consumer that makes one trace of all that it consumes) has a release in every call. Whoever asks for it by its id reads it
// release by release, as far as he wants; a search reads no more than some of it, and then goes by the sums of its releases.

const (
	// readSpans is how many spans are read at once of a trace of several releases.
	readSpans = 10_000
	// readReleases is of how many releases at most these are.
	readReleases = 1000
	// spreadReleases and spreadSpans are how much of a trace of several releases a search reads.
	spreadReleases = 100
	spreadSpans    = 100_000
)

// newestReleases ends a query for when traces were released: no more of each than tell that there are too many for a search.
var newestReleases = " GROUP BY Id, ReleasedAt ORDER BY ReleasedAt DESC LIMIT " + strconv.Itoa(spreadReleases+1) + " BY Id"

// gather adds a release to the trace. Where bounded, and there are too many, it keeps none of them.
func (t *storedTrace) gather(release *storedRelease, bounded bool) {
	t.releasedAt = min(t.releasedAt, release.releasedAt)
	if t.large {
		return
	}
	t.releases, t.spans = append(t.releases, release.td), t.spans+release.td.SpanCount()
	if bounded && len(t.releases) > 1 && (len(t.releases) > spreadReleases || t.spans > spreadSpans) {
		t.large, t.releases = true, nil
	}
}

// releaseOf is a release before its spans are read.
type releaseOf struct {
	releasedAt    int64
	call          uint64
	version, part uint32
	spans         uint64
}

// listReleases lists the releases of a trace in their order.
func (s *Store) listReleases(ctx context.Context, tenant string, id pcommon.TraceID) (list []releaseOf, err error) {
	values := parameters{}
	rows, err := s.query(ctx, "SELECT toUnixTimestamp64Nano(ReleasedAt), _block_number, max(t.Version), max(t.Part), count() FROM "+
		s.table("otel_traces")+" AS t WHERE "+s.ofTrace(values, tenant, []pcommon.TraceID{id}, "")+" GROUP BY ReleasedAt, _block_number", values)
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r releaseOf
		if err := rows.Scan(&r.releasedAt, &r.call, &r.version, &r.part, &r.spans); err != nil {
			return nil, fmt.Errorf("list releases: %w", s.failed(ctx, err))
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b releaseOf) int {
		return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.part, b.part), cmp.Compare(a.call, b.call), cmp.Compare(a.releasedAt, b.releasedAt))
	})
	return list, s.failed(ctx, rows.Err())
}

// largeTrace yields the releases of a trace in their order, and reads some at a time.
func (s *Store) largeTrace(ctx context.Context, tenant string, id pcommon.TraceID) iter.Seq2[*storedRelease, error] {
	return func(yield func(*storedRelease, error) bool) {
		list, err := s.listReleases(ctx, tenant, id)
		for err == nil && len(list) > 0 {
			n, spans := 1, list[0].spans
			for n < len(list) && n < readReleases && spans+list[n].spans <= readSpans {
				spans += list[n].spans
				n++
			}
			var read map[releaseOf]*storedRelease
			if read, err = s.readReleases(ctx, tenant, id, list[:n]); err != nil {
				break
			}
			for _, r := range list[:n] {
				if release := read[releaseOf{releasedAt: r.releasedAt, call: r.call}]; release != nil && !yield(release, nil) { // nil: deleted meanwhile
					return
				}
			}
			list = list[n:]
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// readReleases reads some releases of a trace; they are called by time and call.
func (s *Store) readReleases(ctx context.Context, tenant string, id pcommon.TraceID, list []releaseOf) (map[releaseOf]*storedRelease, error) {
	times := make([]time.Time, len(list))
	for i := range list {
		times[i] = time.Unix(0, list[i].releasedAt)
	}
	values := parameters{}
	where := "Tenant = " + values.text(tenant) + " AND Id = " + values.id(id) + " AND ReleasedAt IN " + values.moments(times)
	read := make(map[releaseOf]*storedRelease, len(list))
	for release, err := range s.releases(ctx, where, "Id, _block_number, ReleasedAt, _block_offset", values) {
		if err != nil {
			return nil, err
		}
		read[releaseOf{releasedAt: release.releasedAt, call: release.call}] = release
	}
	return read, nil
}

// findLarge finds out which of the traces match, of which more was released than a search reads, and where they stand. They are judged by the sums of
// all of their releases, and by what the server says of their spans. Where that leaves it open they do not match, and the search says that it is truncated.
func (r *search) findLarge(ids []pcommon.TraceID) (list []found, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	s, values := r.store, parameters{}
	c := r.compiler(values, false)
	c.inSet = func(more string) string {
		return "Id IN (SELECT Id FROM " + s.table("otel_traces") + " WHERE " + s.ofTrace(values, r.tenant, ids, "") + " AND " + more + ")"
	}
	where := c.all(&r.query.Where)
	met := where.over
	for _, set := range c.sets {
		met += " AND " + c.inSet(set)
	}
	rows, err := s.query(r.ctx, "SELECT "+columnsOf(true)+", released, toUInt8("+met+") FROM ("+
		s.parts(values, r.tenant, "SELECT "+rowColumns, "Quarter IN ("+s.timesOfTraces(values, r.tenant, ids, "toStartOfFifteenMinutes(ReleasedAt)")+")")+
		values.ids(ids)+" GROUP BY Id)", values)
	if err != nil {
		return nil, fmt.Errorf("read sums: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var released int64
		var met uint8
		row, err := scanRow(rows, true, &released, &met)
		if err != nil {
			return nil, fmt.Errorf("read sums: %w", err)
		}
		at := tracestore.SearchTime(row.Start, released, s.options.Retention)
		if when := time.Unix(0, at); met == 0 || when.Before(r.query.Start) || !when.Before(r.query.End) {
			continue
		}
		verdict := tracestore.Yes
		if !where.exact() {
			verdict = row.Judge(r.filter)
		}
		switch verdict {
		case tracestore.Yes:
			list = append(list, found{r.query.Order.Position(&row.Summary, at), row.Summary})
		case tracestore.Maybe:
			r.unread = true
		}
	}
	return list, rows.Err()
}

// ofTrace is the condition that a row of otel_traces is of one of the traces; more bounds when these were released.
func (s *Store) ofTrace(values parameters, tenant string, ids []pcommon.TraceID, more string) string {
	return "Tenant = " + values.text(tenant) + " AND " + values.idIn(ids) + " AND ReleasedAt IN (" + s.timesOfTraces(values, tenant, ids, "ReleasedAt") + more + ")"
}

// timesOfTraces is a query for when the traces were released.
func (s *Store) timesOfTraces(values parameters, tenant string, ids []pcommon.TraceID, column string) string {
	return "SELECT " + column + " FROM " + s.table("trace_times") + " WHERE Tenant = " + values.text(tenant) + " AND " + values.idIn(ids)
}

// idIn is the condition that a row is of one of the traces.
func (p parameters) idIn(ids []pcommon.TraceID) string {
	if len(ids) == 1 {
		return "Id = " + p.id(ids[0])
	}
	return "Id IN " + p.ids(ids)
}
