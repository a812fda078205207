package clickhousestore

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// rowColumns puts the parts of a trace's row together. What of them a query does not use costs nothing.
const rowColumns = `Id, toUnixTimestamp64Nano(min(FirstReleasedAt)) AS released, sum(Releases) AS releases, sum(Unexplained) AS unexplained,
    max(Version) AS version, max(Outcome) AS outcome, min(Entry) AS entry,
    if(min(Start) = 9223372036854775807, 0, min(Start)) AS start, max(End) - start AS lasting, max(LongestSpan) AS longest,
    sum(Spans) AS spans, sum(Errors) AS errors, sum(MissingParents) AS missing, groupBitOr(Kinds) AS kinds,
    max(Failed) AS failed, max(Fine) AS fine, groupUniqArrayArray(Services) AS services, groupUniqArrayArray(Senders) AS senders,
    max(Bottleneck) AS bottleneck`

// wholeRow is the condition that a row says what tracerow.FromRelease would: it is of one release, which was analysed, and before which
// there was none. Other rows are sums, which are right as long as no span stands in two releases and no clock is off.
const wholeRow = "(releases = 1 AND unexplained = 0 AND version <= 1)"

// place is where a trace stands in a search.
type place struct {
	tracestore.Position
	released int64         // its first release, Unix nanoseconds
	whole    bool          // see wholeRow
	row      *tracerow.Row // nil where it was not read
}

// partColumns name the columns of rowColumns in one part of a row, which is all of it where the trace is of one release.
const partColumns = `toUnixTimestamp64Nano(FirstReleasedAt) AS released, Releases AS releases, Unexplained AS unexplained,
    Version AS version, Outcome AS outcome, Entry AS entry,
    if(Start = 9223372036854775807, 0, Start) AS start, End - start AS lasting, LongestSpan AS longest,
    Spans AS spans, Errors AS errors, MissingParents AS missing, Kinds AS kinds,
    Failed AS failed, Fine AS fine, Services AS services, Senders AS senders, Bottleneck AS bottleneck`

// The columns of rowColumns that scanRow reads: those of a page, and those behind them that only a filter asks for.
const (
	shownColumns = `Id, version, outcome.5, entry.3, entry.4, start, lasting, spans, errors, missing, services,
    bottleneck.1, bottleneck.2, bottleneck.3, bottleneck.4`
	judgedColumns = `, entry.1, longest, kinds, failed, fine, senders`
)

// columnsOf names the columns that scanRow reads.
func columnsOf(judged bool) string {
	if judged {
		return shownColumns + judgedColumns
	}
	return shownColumns
}

// A statement that reads parts of rows asks for these first. Each column, and each name for one, costs the server about as much as a row that is
// found: where no condition is on them, they are asked for as they stand in the table.
const (
	ofParts    = "WITH " + partColumns + " SELECT "
	shownParts = `SELECT Id, Version, Outcome.5, Entry.3, Entry.4, if(Start = 9223372036854775807, 0, Start) AS start, End - start,
    Spans, Errors, MissingParents, Services, Bottleneck.1, Bottleneck.2, Bottleneck.3, Bottleneck.4`
	// partOf is what a search wants to know of a part, see wholeRow.
	partOf = ", toUnixTimestamp64Nano(FirstReleasedAt), (Releases = 1 AND Unexplained = 0 AND Version <= 1)"
)

// parts asks for parts of traces' rows, of those ids that are said behind it.
func (s *Store) parts(values parameters, tenant, selected, quarters string) string {
	return selected + " FROM " + s.table("traces") + " WHERE Tenant = " + values.text(tenant) + " AND " + quarters + " AND Id IN "
}

// wanted is of traces' rows what a caller wants.
type wanted struct {
	whole  bool // all are of one part: the server has less to plan
	judged bool // what only a filter asks for is wanted too
}

// readRows reads the rows of traces.
func (s *Store) readRows(ctx context.Context, tenant string, ids []pcommon.TraceID, quarters []time.Time, want wanted) (map[pcommon.TraceID]*tracerow.Row, error) {
	values := parameters{}
	columns, in := columnsOf(want.judged), "Quarter IN "+values.seconds(quarters)
	var text string
	switch {
	case !want.whole:
		text = "SELECT " + columns + " FROM (" + s.parts(values, tenant, "SELECT "+rowColumns, in) + values.ids(ids) + " GROUP BY Id)"
	case want.judged:
		text = s.parts(values, tenant, ofParts+columns, in) + values.ids(ids)
	default:
		text = s.parts(values, tenant, shownParts, in) + values.ids(ids)
	}
	rows, err := s.query(ctx, text, values)
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	defer rows.Close()
	list := make(map[pcommon.TraceID]*tracerow.Row)
	for rows.Next() {
		row, err := scanRow(rows, want.judged)
		if err != nil {
			return nil, fmt.Errorf("read rows: %w", s.failed(ctx, err))
		}
		list[row.TraceID] = row
	}
	return list, s.failed(ctx, rows.Err())
}

// scanRow reads shownColumns, judgedColumns where they were asked for, and what stands behind them.
func scanRow(rows driver.Rows, judged bool, more ...any) (*tracerow.Row, error) {
	var (
		row                    tracerow.Row
		id, spanID             string
		version                uint32
		rootless, failed, fine uint8
		spans, errors, missing uint64
		bottleneck             tracestore.Bottleneck
		services, senders      []string
	)
	columns := []any{
		&id, &version, &row.Outcome, &row.Entry.Service, &row.Entry.Operation, &row.Start, &row.Duration, &spans, &errors, &missing, &services,
		&bottleneck.Share, &spanID, &bottleneck.Service, &bottleneck.Operation,
	}
	if judged {
		columns = append(columns, &rootless, &row.LongestSpan, &row.Kinds, &failed, &fine, &senders)
	}
	if err := rows.Scan(append(columns, more...)...); err != nil {
		return nil, err
	}
	row.TraceID = pcommon.TraceID([]byte(id))
	row.Version, row.SpanCount, row.ErrorCount, row.MissingParents = int(version), int(spans), int(errors), int(missing)
	row.Failed, row.Fine, row.Rooted = failed != 0, fine != 0, rootless == 0
	slices.Sort(services)
	row.Services = services
	for _, sender := range senders {
		row.AddAlias(sender)
	}
	if raw, err := hex.DecodeString(spanID); err == nil && len(raw) == len(bottleneck.SpanID) {
		bottleneck.SpanID = pcommon.SpanID(raw)
		row.Bottleneck = &bottleneck
	}
	return &row, nil
}

// row makes the row of a trace from its spans, which it answers too, joined. It takes the trace over.
func (t *storedTrace) row() (tracerow.Row, []tracetree.Span) {
	if len(t.releases) > 1 {
		return tracerow.Join(t.releases)
	}
	releases := tracetree.Releases(t.releases[0])
	row := tracerow.FromRelease(tracerow.Explained(&releases[0]))
	_, joined := tracetree.Join([]ptrace.Traces{t.releases[0]})
	return row, joined.Spans
}

// searchTime is the SQL of tracestore.SearchTime for rowColumns.
func searchTime(values parameters, retention time.Duration) string {
	earliest := "0"
	if retention > 0 {
		earliest = "greatest(released - " + values.int(int64(retention)) + ", 0)"
	}
	return "least(greatest(start, " + earliest + "), released + " + values.int(int64(time.Hour)) + ")"
}

// nanoseconds is the time in Unix nanoseconds, the nearest that an int64 holds.
func nanoseconds(at time.Time) int64 {
	switch {
	case at.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case at.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return at.UnixNano()
}
