package block

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/analysis"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracegen/wire"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

const released = 1_700_000_060_000_000_000

// newCall is a call of some visits to the simulated shop as assembly and analysis make it: releases share resources.
func newCall(t testing.TB, s *shop.Shop, first, visits int) ptrace.Traces {
	batches := make(map[int]*wire.Batch)
	var order []int
	for n := range visits {
		v := s.Visit(first + n)
		s.Encode(v, int64(n)*125_000, func(k int, scope wire.Scope, span *wire.Span) {
			instance := s.Instance(&v.Spans[k])
			if batches[instance] == nil {
				batches[instance] = wire.NewBatch(s.Resource(instance), shop.SchemaURL)
				order = append(order, instance)
			}
			batches[instance].Add(scope, span)
		})
	}
	var otlp []byte
	for _, instance := range order {
		payload := batches[instance].Payload()
		payload.Move(wire.Mask{}, 1_700_000_000_000_000_000)
		otlp = append(otlp, payload.Bytes()...)
	}
	td := unmarshal(t, otlp)
	for _, rs := range td.ResourceSpans().All() {
		rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, released)
	}
	releases := tracetree.Releases(td)
	for i := range releases {
		release := &releases[i]
		root := release.Spans[0].Attributes()
		for k := range release.Spans {
			if release.Spans[k].ParentSpanID().IsEmpty() {
				root = release.Spans[k].Attributes()
			}
		}
		root.PutStr(conventions.AttrOutcome, conventions.OutcomeComplete)
		root.PutInt(conventions.AttrVersion, 1)
		analysis.Annotate(release, analysis.Analyze(release))
	}
	return td
}

func headerOf(release *tracetree.Release) Header {
	return Header{
		Version: uint32(release.Version), Part: uint32(release.Part), ReleasedAt: release.ReleasedAt, Row: tracerow.FromRelease(release),
	}
}

// expected is the release as pdata writes it, made by copying.
func expected(t testing.TB, release *tracetree.Release) []byte {
	td := ptrace.NewTraces()
	var rs ptrace.ResourceSpans
	var ss ptrace.ScopeSpans
	for i := range release.Spans {
		span := &release.Spans[i]
		other := i == 0 || span.Resource != release.Spans[i-1].Resource
		if other {
			rs = td.ResourceSpans().AppendEmpty()
			span.Resource.CopyTo(rs.Resource())
			rs.SetSchemaUrl(span.SchemaURL)
		}
		if other || span.Scope != release.Spans[i-1].Scope {
			ss = rs.ScopeSpans().AppendEmpty()
			span.Scope.CopyTo(ss.Scope())
			ss.SetSchemaUrl(span.ScopeSchemaURL)
		}
		span.CopyTo(ss.Spans().AppendEmpty())
	}
	otlp, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return otlp
}

// roundTrip writes the releases as one block and requires the same back.
func roundTrip(t testing.TB, encoder *Encoder, releases []tracetree.Release) (head, body []byte) {
	for i := range releases {
		require.Equal(t, i, encoder.Len())
		require.NoError(t, encoder.Add(&releases[i], headerOf(&releases[i])))
	}
	head, body = encoder.Encode(nil, nil)
	require.Zero(t, encoder.Len())
	requireReleases(t, head, body, releases)
	return head, body
}

// requireReleases requires that the block holds the releases.
func requireReleases(t testing.TB, head, body []byte, releases []tracetree.Release) {
	headers, otlp := make([]Header, len(releases)), make([][]byte, len(releases))
	for i := range releases {
		headers[i], otlp[i] = headerOf(&releases[i]), expected(t, &releases[i])
		headers[i].Spans, headers[i].Size = len(releases[i].Spans), len(otlp[i])
	}
	requireBlock(t, head, body, headers, otlp)
}

// requireBlock requires that the block holds releases that pdata marshals so.
func requireBlock(t testing.TB, head, body []byte, headers []Header, otlp [][]byte) {
	h, err := OpenHead(head)
	require.NoError(t, err)
	b, err := OpenBody(body)
	require.NoError(t, err)
	defer b.Close()
	require.NoError(t, h.Check())
	require.NoError(t, b.Check())
	require.Equal(t, len(headers), h.Len())
	require.Equal(t, len(headers), b.Len())
	require.True(t, b.BelongsTo(h.Len(), h.TraceID))
	require.False(t, b.BelongsTo(h.Len()+1, h.TraceID))
	if body[3] > 1 && len(headers) > 0 {
		require.False(t, b.BelongsTo(h.Len(), func(int) pcommon.TraceID { return pcommon.TraceID{15: 0xff} }))
	}
	stored, err := h.Headers()
	require.NoError(t, err)
	var starts []int64
	for i := range headers {
		require.Equal(t, headers[i], stored[i])
		require.Equal(t, headers[i].Row.TraceID, h.TraceID(i))
		starts = append(starts, headers[i].Row.Start)
	}
	if first, last := h.Starts(); len(starts) > 0 {
		require.Equal(t, []int64{slices.Min(starts), slices.Max(starts)}, []int64{first, last})
	}
	order := rand.Perm(len(headers))
	for i := range headers { // once as they stand, and once from anywhere
		for _, i := range []int{i, order[i]} {
			written, err := b.AppendOTLP([]byte("before"), i, headers[i].Row.TraceID)
			require.NoError(t, err)
			require.Equal(t, headers[i].Size, len(written)-len("before"))
			td, err := b.Traces(i, headers[i].Row.TraceID)
			require.NoError(t, err)
			require.Equal(t, headers[i].Spans, td.SpanCount())
			again, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			require.NoError(t, err)
			require.True(t, bytes.Equal(otlp[i], again), "release %d comes back as another one", i)
		}
	}
}

func TestRoundTripOfTheShop(t *testing.T) {
	s := shop.New(shop.Options{Seed: 7})
	encoder := NewEncoder()
	for n := range 3 {
		roundTrip(t, encoder, tracetree.Releases(newCall(t, s, n*50, 50)))
	}
}

func TestEmptyBlock(t *testing.T) {
	roundTrip(t, NewEncoder(), nil)
}

// TestForeignSpan: a release is of one trace.
func TestForeignSpan(t *testing.T) {
	releases := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 7}), 0, 2))
	releases[0].Spans = append(releases[0].Spans, releases[1].Spans[0])
	encoder := NewEncoder()
	require.Error(t, encoder.Add(&releases[0], Header{}))
	require.Zero(t, encoder.Len())
	roundTrip(t, encoder, releases[1:])
}

// TestReleaseOfPdata: a block is the same where the encoder lets go of each release, and it holds none then.
func TestReleaseOfPdata(t *testing.T) {
	releases := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 7}), 0, 3))
	kept, released := NewEncoder(), NewEncoder()
	for i := range releases {
		require.NoError(t, kept.Add(&releases[i], headerOf(&releases[i])))
		require.NoError(t, released.Add(&releases[i], headerOf(&releases[i])))
		released.Release()
		require.Empty(t, released.resources)
		require.Empty(t, released.scopes)
	}
	require.Positive(t, kept.Bytes())
	require.Equal(t, kept.Bytes(), released.Bytes())
	wantHead, wantBody := kept.Encode(nil, nil)
	head, body := released.Encode(nil, nil)
	require.Equal(t, wantHead, head)
	require.Equal(t, wantBody, body)
	require.Zero(t, released.Bytes())
}

// TestRehearsed: releases that were added once before take less, and come back as they are.
func TestRehearsed(t *testing.T) {
	releases := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 11}), 0, 200))
	_, straight := roundTrip(t, NewThoroughEncoder(), releases)
	encoder := NewThoroughEncoder()
	rehearse := func(releases []tracetree.Release) (head, body []byte) {
		for i := range releases {
			require.NoError(t, encoder.Add(&releases[i], headerOf(&releases[i])))
		}
		encoder.Rehearsed()
		require.Zero(t, encoder.Len())
		return roundTrip(t, encoder, releases)
	}
	_, rehearsed := rehearse(releases)
	t.Logf("%d instead of %d bytes", len(rehearsed), len(straight))
	require.Less(t, len(rehearsed), len(straight)*95/100)
	w := wild{rand.New(rand.NewPCG(13, 14))}
	for range 20 {
		var releases []tracetree.Release
		for range w.IntN(20) {
			releases = append(releases, tracetree.Releases(unmarshal(t, w.call()))...)
		}
		rehearse(releases)
	}
}

// TestEncoderForgets: what an encoder keeps from block to block does not grow with the number of blocks, although every call's resources
// differ by the time at which it was released.
func TestEncoderForgets(t *testing.T) {
	encoder := NewEncoder()
	call := newCall(t, shop.New(shop.Options{Seed: 11}), 0, 20)
	kept := 0
	for n := range 20 {
		for _, rs := range call.ResourceSpans().All() {
			rs.Resource().Attributes().PutInt(conventions.AttrReleasedAt, int64(n))
		}
		for _, release := range tracetree.Releases(call) {
			require.NoError(t, encoder.Add(&release, headerOf(&release)))
		}
		encoder.Encode(nil, nil)
		require.Empty(t, encoder.entities)
		if n == 2 {
			kept = encoder.kept
		}
	}
	require.Equal(t, kept, encoder.kept)
}

// TestAnyOrder: releases are the same in whatever order they are read.
func TestAnyOrder(t *testing.T) {
	releases := tracetree.Releases(newCall(t, shop.New(shop.Options{Seed: 12}), 0, 150))
	_, b := blockOf(t, NewEncoder(), releases)
	defer b.Close()
	var want [][]byte
	for i := range releases {
		otlp, err := b.AppendOTLP(nil, i, releases[i].TraceID)
		require.NoError(t, err)
		want = append(want, otlp)
	}
	rng := rand.New(rand.NewPCG(15, 16))
	for n := range 4 * len(releases) {
		i := len(releases) - 1 - n // backwards first
		if i < 0 {
			i = rng.IntN(len(releases))
		}
		otlp, err := b.AppendOTLP(nil, i, releases[i].TraceID)
		require.NoError(t, err)
		require.Equal(t, want[i], otlp, "release %d", i)
	}
}
