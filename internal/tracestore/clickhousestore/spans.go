package clickhousestore

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// storedTrace is a trace as it is stored.
type storedTrace struct {
	id pcommon.TraceID
	// releasedAt is when its first release was made, Unix nanoseconds.
	releasedAt int64
	// releases stand in the order version, part, time of writing.
	releases []ptrace.Traces
	spans    int
	// large says that there are more than a search reads; then there are none here.
	large bool
}

// spanColumns are what a span is made of, in the order of spanRow.scan.
const spanColumns = `Id, toUnixTimestamp64Nano(ReleasedAt), _block_number, toUnixTimestamp64Nano(Timestamp), Duration,
    SpanId, ParentSpanId, TraceState, SpanName, SpanKind, StatusCode, StatusMessage, ScopeName, ScopeVersion,
    mapKeys(ResourceAttributes), mapValues(ResourceAttributes), mapKeys(SpanAttributes), mapValues(SpanAttributes),
    arrayMap(t -> toUnixTimestamp64Nano(t), ` + "`Events.Timestamp`), `Events.Name`" + `,
    arrayMap(m -> mapKeys(m), ` + "`Events.Attributes`" + `), arrayMap(m -> mapValues(m), ` + "`Events.Attributes`" + `),
    ` + "`Links.TraceId`, `Links.SpanId`, `Links.TraceState`" + `,
    arrayMap(m -> mapKeys(m), ` + "`Links.Attributes`" + `), arrayMap(m -> mapValues(m), ` + "`Links.Attributes`" + `)`

// spanRow is a row of otel_traces.
type spanRow struct {
	id                                                 string
	releasedAt                                         int64
	call                                               uint64 // numbers calls in the order of writing
	start                                              int64  // the bits of an unsigned time
	duration                                           uint64
	spanID, parentID, state, name                      string
	kind, status, message, scope, scopeVersion         string
	resourceKeys, resourceValues, spanKeys, spanValues []string
	eventTimes                                         []int64
	eventNames                                         []string
	eventKeys, eventValues                             [][]string
	linkTraces, linkSpans, linkStates                  []string
	linkKeys, linkValues                               [][]string
}

func (r *spanRow) scan(rows driver.Rows) error {
	return rows.Scan(&r.id, &r.releasedAt, &r.call, &r.start, &r.duration, &r.spanID, &r.parentID, &r.state, &r.name, &r.kind, &r.status,
		&r.message, &r.scope, &r.scopeVersion, &r.resourceKeys, &r.resourceValues, &r.spanKeys, &r.spanValues,
		&r.eventTimes, &r.eventNames, &r.eventKeys, &r.eventValues,
		&r.linkTraces, &r.linkSpans, &r.linkStates, &r.linkKeys, &r.linkValues)
}

var spanKinds = map[string]ptrace.SpanKind{
	"Internal": ptrace.SpanKindInternal, "Server": ptrace.SpanKindServer, "Client": ptrace.SpanKindClient,
	"Producer": ptrace.SpanKindProducer, "Consumer": ptrace.SpanKindConsumer,
}

var statusCodes = map[string]ptrace.StatusCode{"Ok": ptrace.StatusCodeOk, "Error": ptrace.StatusCodeError}

// fill writes what the row says of its span.
func (r *spanRow) fill(span ptrace.Span, id pcommon.TraceID) {
	span.SetTraceID(id)
	span.SetSpanID(spanIDOf(r.spanID))
	span.SetParentSpanID(spanIDOf(r.parentID))
	span.TraceState().FromRaw(r.state)
	span.SetName(r.name)
	span.SetKind(spanKinds[r.kind])
	span.SetStartTimestamp(pcommon.Timestamp(r.start))
	span.SetEndTimestamp(pcommon.Timestamp(uint64(r.start) + r.duration))
	span.Status().SetCode(statusCodes[r.status])
	span.Status().SetMessage(r.message)
	putValues(span.Attributes(), r.spanKeys, r.spanValues)
	for i := range r.eventTimes {
		event := span.Events().AppendEmpty()
		event.SetTimestamp(pcommon.Timestamp(r.eventTimes[i]))
		event.SetName(r.eventNames[i])
		putValues(event.Attributes(), r.eventKeys[i], r.eventValues[i])
	}
	for i := range r.linkTraces {
		link := span.Links().AppendEmpty()
		link.SetTraceID(traceIDOf(r.linkTraces[i]))
		link.SetSpanID(spanIDOf(r.linkSpans[i]))
		link.TraceState().FromRaw(r.linkStates[i])
		putValues(link.Attributes(), r.linkKeys[i], r.linkValues[i])
	}
}

func putValues(attrs pcommon.Map, keys, values []string) {
	attrs.EnsureCapacity(len(keys))
	for i := range keys {
		putValue(attrs, keys[i], values[i])
	}
}

// spanIDOf and traceIDOf read what the exporter writes: hex digits, or nothing where an id is all zeros. Other text is no id.
func spanIDOf(text string) (id pcommon.SpanID) {
	if raw, err := hex.DecodeString(text); err == nil {
		copy(id[:], raw)
	}
	return id
}

func traceIDOf(text string) (id pcommon.TraceID) {
	if raw, err := hex.DecodeString(text); err == nil {
		copy(id[:], raw)
	}
	return id
}

// traces yields whole traces, one after the other. Those that are not there are not yielded. Where bounded, large ones are without their releases.
func (s *Store) traces(ctx context.Context, tenant string, ids []pcommon.TraceID, bounded bool) iter.Seq2[*storedTrace, error] {
	return func(yield func(*storedTrace, error) bool) {
		values := parameters{}
		more, order := "", "Id, _block_number, _block_offset"
		if bounded {
			more = newestReleases
		}
		if len(ids) == 1 {
			order += oneThread // for a granule or two
		}
		var trace *storedTrace
		for release, err := range s.releases(ctx, s.ofTrace(values, tenant, ids, more), order, values) {
			if err != nil {
				yield(nil, err)
				return
			}
			if trace == nil || trace.id != release.id {
				if trace != nil && !yield(trace.sorted(), nil) {
					return
				}
				trace = &storedTrace{id: release.id, releasedAt: release.releasedAt}
			}
			trace.gather(release, bounded)
		}
		if trace != nil {
			yield(trace.sorted(), nil)
		}
	}
}

// storedRelease is what a call has brought of a trace.
type storedRelease struct {
	id         pcommon.TraceID
	call       uint64 // numbers calls of a partition in the order of writing
	releasedAt int64
	td         ptrace.Traces
}

// releases yields the releases of the spans for which a condition holds, in an order that keeps those of a release together. An error ends it.
func (s *Store) releases(ctx context.Context, where, order string, values parameters) iter.Seq2[*storedRelease, error] {
	return func(yield func(*storedRelease, error) bool) {
		rows, err := s.query(ctx, "SELECT "+spanColumns+" FROM "+s.table("otel_traces")+" WHERE "+where+" ORDER BY "+order, values)
		if err != nil {
			yield(nil, fmt.Errorf("read spans: %w", err))
			return
		}
		defer rows.Close()
		var release *releaseBuilder
		for rows.Next() {
			row := new(spanRow) // its texts and lists are kept
			if err := row.scan(rows); err != nil {
				yield(nil, fmt.Errorf("read spans: %w", s.failed(ctx, err)))
				return
			}
			id := pcommon.TraceID([]byte(row.id))
			if release == nil || release.id != id || release.call != row.call || release.releasedAt != row.releasedAt {
				if release != nil && !yield(&release.storedRelease, nil) {
					return
				}
				release = &releaseBuilder{storedRelease: storedRelease{id: id, call: row.call, releasedAt: row.releasedAt, td: ptrace.NewTraces()}}
			}
			release.add(row)
		}
		if err := rows.Err(); err != nil {
			yield(nil, fmt.Errorf("read spans: %w", s.failed(ctx, err)))
			return
		}
		if release != nil {
			yield(&release.storedRelease, nil)
		}
	}
}

// sorted orders the releases, which stand in the order of writing, by version and part.
func (t *storedTrace) sorted() *storedTrace {
	if len(t.releases) < 2 {
		return t
	}
	type assembled struct {
		tracetree.Assembly
		td ptrace.Traces
	}
	list := make([]assembled, len(t.releases))
	for i, td := range t.releases {
		list[i] = assembled{tracetree.Releases(td)[0].Assembly, td}
	}
	slices.SortStableFunc(list, func(a, b assembled) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Part, b.Part))
	})
	for i := range list {
		t.releases[i] = list[i].td
	}
	return t
}

// releaseBuilder puts the spans of a release together, which share resources and scopes.
type releaseBuilder struct {
	storedRelease
	resources map[string]ptrace.ResourceSpans
	scopes    map[string]ptrace.ScopeSpans // by resource, name and version
}

func (b *releaseBuilder) add(row *spanRow) {
	if b.resources == nil {
		b.resources, b.scopes = make(map[string]ptrace.ResourceSpans), make(map[string]ptrace.ScopeSpans)
	}
	var key strings.Builder
	for i := range row.resourceKeys {
		appendText(&key, row.resourceKeys[i])
		appendText(&key, row.resourceValues[i])
	}
	resource := key.String()
	appendText(&key, row.scope)
	appendText(&key, row.scopeVersion)
	scope := key.String()
	ss, known := b.scopes[scope]
	if !known {
		rs, known := b.resources[resource]
		if !known {
			rs = b.td.ResourceSpans().AppendEmpty()
			putValues(rs.Resource().Attributes(), row.resourceKeys, row.resourceValues)
			b.resources[resource] = rs
		}
		ss = rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName(row.scope)
		ss.Scope().SetVersion(row.scopeVersion)
		b.scopes[scope] = ss
	}
	row.fill(ss.Spans().AppendEmpty(), b.id)
}

// appendText adds a text such that no other texts give the same.
func appendText(to *strings.Builder, text string) {
	fmt.Fprintf(to, "%d:%s", len(text), text)
}
