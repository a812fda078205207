package block

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
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
	joined := ptrace.NewTraces()
	resources := map[int]ptrace.ResourceSpans{}
	for n := first; n < first+visits; n++ {
		v := s.Visit(n)
		s.Encode(v, int64(n-first)*125_000, func(k int, scope wire.Scope, span *wire.Span) {
			instance := s.Instance(&v.Spans[k])
			batch := wire.NewBatch(s.Resource(instance), "https://opentelemetry.io/schemas/1.40.0")
			batch.Add(scope, span)
			payload := batch.Payload()
			payload.Move(wire.Mask{}, 1_700_000_000_000_000_000)
			td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(payload.Bytes())
			require.NoError(t, err)
			from := td.ResourceSpans().At(0)
			to, ok := resources[instance]
			if !ok {
				to = joined.ResourceSpans().AppendEmpty()
				resources[instance] = to
				from.Resource().CopyTo(to.Resource())
				to.Resource().Attributes().PutInt(conventions.AttrReleasedAt, released)
				to.SetSchemaUrl(from.SchemaUrl())
			}
			for _, ss := range to.ScopeSpans().All() {
				if ss.Scope().Name() == from.ScopeSpans().At(0).Scope().Name() {
					from.ScopeSpans().At(0).Spans().MoveAndAppendTo(ss.Spans())
					return
				}
			}
			from.ScopeSpans().MoveAndAppendTo(to.ScopeSpans())
		})
	}
	releases := tracetree.Releases(joined)
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
	return joined
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
	h, err := OpenHead(head)
	require.NoError(t, err)
	b, err := OpenBody(body)
	require.NoError(t, err)
	defer b.Close()
	require.Equal(t, len(releases), h.Len())
	require.Equal(t, len(releases), b.Len())
	stored, err := h.Headers()
	require.NoError(t, err)
	for i := range releases {
		want := expected(t, &releases[i])
		header := headerOf(&releases[i])
		header.Spans, header.Size = len(releases[i].Spans), len(want)
		require.Equal(t, header, stored[i])
		require.Equal(t, releases[i].TraceID, h.TraceID(i))
		got, err := b.AppendOTLP(nil, i)
		require.NoError(t, err)
		require.Equal(t, len(want), len(got))
		td, err := b.Traces(i)
		require.NoError(t, err)
		require.Equal(t, len(releases[i].Spans), td.SpanCount())
		again, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, again), "release %d comes back as another one", i)
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
