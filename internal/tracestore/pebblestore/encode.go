package pebblestore

import (
	"fmt"
	"math"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// encodedCall is a call ready to be stored: everything that can be made of it without the writer's lock.
type encodedCall struct {
	id       tracetree.CallID
	releases []encodedRelease
	deltas   []encodedDelta
	spans    int
	bytes    int // of the releases' values
}

// encodedDelta is what the call adds to the rollups of a minute.
type encodedDelta struct {
	minute rollupMinute
	value  []byte
}

type encodedRelease struct {
	tenant        string // see tenantPrefix
	traceID       pcommon.TraceID
	releasedAt    int64
	version, part uint32
	spans         int
	row           tracerow.Row
	value         []byte
}

// calls are pooled for their memory.
var calls = sync.Pool{New: func() any { return new(rollup.Call) }}

// encode cuts and compresses a call. now stands in for the time of release where the call names none. An error is permanent.
func encode(td ptrace.Traces, releases []tracetree.Release, now int64, contrast *rollup.Contrast) (*encodedCall, error) {
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return nil, fmt.Errorf("marshal call: %w", err)
	}
	cut, err := split(td, wire, releases)
	if err != nil {
		return nil, fmt.Errorf("split call: %w", err)
	}
	call := &encodedCall{id: tracetree.NewCallID(releases), releases: make([]encodedRelease, len(releases))}
	var otlp []byte
	sums := calls.Get().(*rollup.Call)
	sums.Contrast = contrast
	defer func() {
		sums.Reset()
		calls.Put(sums)
	}()
	values := make([]byte, 0, len(wire)/4)
	for i := range releases {
		release := &releases[i]
		otlp = cut.appendRelease(otlp[:0], i)
		if len(otlp) > maxReleaseBytes {
			return nil, fmt.Errorf("trace %s: a release of %d bytes is above the limit of %d; "+
				"lower max_part_bytes of trace_assembly", release.TraceID, len(otlp), maxReleaseBytes)
		}
		start := len(values)
		values = appendSpans(values, otlp)
		explained := tracerow.Explained(release)
		call.releases[i] = encodedRelease{
			tenant: tenantPrefix(release.Tenant), traceID: release.TraceID, releasedAt: release.ReleasedAt,
			version: number32(release.Version), part: number32(release.Part), spans: len(release.Spans),
			row: tracerow.FromRelease(explained), value: values[start:len(values):len(values)],
		}
		if release.ReleasedAt <= 0 {
			call.releases[i].releasedAt = now
		}
		sums.Add(explained, call.releases[i].releasedAt)
		call.spans += len(release.Spans)
		call.bytes += len(values) - start
	}
	for _, delta := range sums.Deltas() {
		call.deltas = append(call.deltas, encodedDelta{
			minute: newRollupMinute(tenantPrefix(delta.Tenant), delta.Minute), value: delta.Sums.Append(nil, rollup.AllTables),
		})
	}
	return call, nil
}

func number32(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
