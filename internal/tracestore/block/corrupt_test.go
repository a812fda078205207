package block

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracegen/shop"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// readAll reads everything that a block can be asked for.
func readAll(head, body []byte) error {
	conditions := &tracestore.SpanConditions{
		Service: "shop", Operation: "GET /", MinDuration: 1, Category: conventions.CategoryDatabaseOperation,
		Attributes: []tracestore.AttributeCondition{
			{Key: "http.route", Op: tracestore.OpEqual, Text: "/cart"}, {Key: "http.response.status_code", Op: tracestore.OpGreater, Number: 400},
		},
	}
	var failed error
	note := func(err error) {
		if err != nil {
			failed = err
		}
	}
	h, err := OpenHead(head)
	note(err)
	if err == nil {
		_, err = h.Headers()
		note(err)
		h.MayMatch(conditions)
		note(h.Check())
		for i := range h.Len() {
			h.TraceID(i)
		}
	}
	b, err := OpenBody(body)
	note(err)
	if err != nil {
		return failed
	}
	defer b.Close()
	note(b.Check())
	for _, c := range []*tracestore.SpanConditions{
		conditions, {MinDuration: 1}, {Attributes: conditions.Attributes[:1]}, {Not: &tracestore.SpanConditions{Service: "x"}},
	} {
		verdicts := slices.Repeat([]tracestore.Verdict{tracestore.Yes}, b.Len())
		note(b.Judge(verdicts, c))
		note(b.Settle(verdicts, c))
	}
	_, err = b.Related(nil, &tracestore.Structure{Relation: tracestore.RelationDescendant})
	note(err)
	note(b.AttributeKeys(everyRelease, ignoreAttribute))
	note(b.AttributeValues("session.id", everyRelease, ignoreAttribute))
	for i := range b.Len() {
		if _, err := b.Traces(i, pcommon.TraceID{1}); err != nil {
			note(err)
			break
		}
	}
	return failed
}

func smallBlock(t testing.TB) (head, body []byte) {
	encoder := NewEncoder()
	s := shop.New(shop.Options{Seed: 7})
	for n := range 2 { // of the second one columns are known
		for _, release := range tracetree.Releases(newCall(t, s, n, 1)) {
			require.NoError(t, encoder.Add(&release, headerOf(&release)))
		}
		head, body = encoder.Encode(nil, nil)
	}
	return head, body
}

// check reads what the checksums are of.
func check(head, body []byte) error {
	h, err := OpenHead(head)
	if err != nil {
		return err
	}
	b, err := OpenBody(body)
	if err != nil {
		return err
	}
	defer b.Close()
	return errors.Join(h.Check(), b.Check())
}

// TestEveryByteCounts: no byte of a block can change, or be missing, without notice.
func TestEveryByteCounts(t *testing.T) {
	head, body := smallBlock(t)
	require.NoError(t, check(head, body))
	require.NoError(t, readAll(head, body))
	for _, half := range []*[]byte{&head, &body} {
		whole := *half
		changed := bytes.Clone(whole)
		for i := range whole {
			changed[i] ^= 0x10
			*half = changed
			err := check(head, body)
			changed[i] = whole[i]
			if i == 3 {
				require.ErrorIs(t, err, ErrVersion)
			} else {
				require.ErrorIs(t, err, ErrCorrupt, "byte %d", i)
			}
			if i%5 == 0 {
				*half = whole[:i]
				require.ErrorIs(t, check(head, body), ErrCorrupt, "%d bytes", i)
			}
		}
		*half = whole
	}
}

// openChanged opens the body and lets change write to the content of its frames, as if that had been written, with checksums that are right.
func openChanged(t testing.TB, body []byte, change func(frame []byte)) *Body {
	b, err := OpenBody(body)
	require.NoError(t, err)
	for i := range b.frames {
		data, err := b.frames[i].read()
		require.NoError(t, err)
		b.frames[i].data, b.frames[i].pooled = bytes.Clone(data), false
		change(b.frames[i].data)
	}
	return b
}

// readChanged reads everything in such a body.
func readChanged(t testing.TB, b *Body) {
	for i := range b.Len() {
		otlp, err := b.AppendOTLP(nil, i, pcommon.TraceID{1})
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			continue
		}
		require.LessOrEqual(t, len(otlp), b.limit)
		_, _ = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(otlp)
	}
	_, _ = b.Related(nil, &tracestore.Structure{Relation: tracestore.RelationDescendant})
	_ = b.AttributeKeys(everyRelease, ignoreAttribute)
	for _, key := range []string{"session.id", "http.response.status_code", "user_agent.original"} {
		_ = b.AttributeValues(key, everyRelease, ignoreAttribute)
	}
	conditions := &tracestore.SpanConditions{
		MinDuration: 1, Attributes: []tracestore.AttributeCondition{{Key: "session.id", Op: tracestore.OpEqual, Text: "x"}},
	}
	verdicts := slices.Repeat([]tracestore.Verdict{tracestore.Yes}, b.Len())
	_ = b.Judge(verdicts, conditions)
	for i := range verdicts {
		verdicts[i] = tracestore.Maybe
	}
	_ = b.Settle(verdicts, conditions)
}

// TestBelievableNonsense changes some bytes behind the checksums.
func TestBelievableNonsense(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	_, body := smallBlock(t)
	for range 500 {
		readChanged(t, openChanged(t, body, func(frame []byte) {
			if len(frame) > 0 && rng.IntN(2) == 0 {
				frame[rng.IntN(len(frame))] = byte(rng.Uint32() >> rng.IntN(25))
			}
		}))
	}
}

// FuzzFrames reads a body whose frames hold other bytes, from an offset on.
func FuzzFrames(f *testing.F) {
	_, body := smallBlock(f)
	f.Add(uint16(0), []byte{1, 2, 3})
	f.Add(uint16(2000), bytes.Repeat([]byte{0xff}, 500))
	f.Fuzz(func(t *testing.T, offset uint16, data []byte) {
		at := 0
		b := openChanged(t, body, func(frame []byte) {
			for i := range frame {
				if k := at + i - int(offset); k >= 0 && k < len(data) {
					frame[i] = data[k]
				}
			}
			at += len(frame)
		})
		bounded(t, len(body), func() { readChanged(t, b) })
	})
}

// FuzzBody opens any directory with any content.
func FuzzBody(f *testing.F) {
	_, body := smallBlock(f)
	_, directory, content, err := unseal(body, bodyMagic)
	require.NoError(f, err)
	f.Add(directory, content)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, directory, content []byte) {
		data := appendSealed(nil, bodyMagic, directory, content, 0)
		bounded(t, len(data), func() { _ = readAll(nil, data) })
	})
}

// FuzzHead does the same for heads.
func FuzzHead(f *testing.F) {
	head, _ := smallBlock(f)
	_, directory, content, err := unseal(head, headMagic)
	require.NoError(f, err)
	f.Add(directory, content)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, directory, content []byte) {
		data := appendSealed(nil, headMagic, directory, content, 0)
		bounded(t, len(data), func() { _ = readAll(data, nil) })
	})
}

// FuzzSections reads what stands behind the checksums of a head.
func FuzzSections(f *testing.F) {
	head, _ := smallBlock(f)
	h, err := OpenHead(head)
	require.NoError(f, err)
	for _, section := range []int{headKeys, headRows} {
		content, err := h.sections[section].read()
		require.NoError(f, err)
		f.Add(uint16(h.Len()), content)
	}
	f.Fuzz(func(t *testing.T, n uint16, data []byte) {
		bounded(t, len(data), func() {
			_, _ = new(headersRoom).read(data, int(n))
			_, _ = readKeys(data)
		})
	})
}

// bounded requires that f takes no more memory than n bytes allow.
func bounded(t *testing.T, n int, f func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, 64<<20+64*uint64(maxExpanded(n)))
}

// FuzzRoundTrip: what pdata reads of any bytes comes back.
func FuzzRoundTrip(f *testing.F) {
	w := wild{rand.New(rand.NewPCG(7, 8))}
	for range 8 {
		f.Add(w.call())
	}
	f.Fuzz(func(t *testing.T, otlp []byte) {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(otlp)
		if err != nil || hidden(td) {
			return
		}
		encoder := NewEncoder()
		for range 2 {
			roundTrip(t, encoder, tracetree.Releases(td))
		}
	})
}

// hidden says whether the spans have what pdata does not show and a block does not keep.
func hidden(td ptrace.Traces) bool {
	json, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	return err != nil || bytes.Contains(json, []byte("trindex"))
}
