package block

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
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
		_, err = b.Candidates(nil, c)
		note(err)
	}
	for i := range b.Len() {
		if _, err := b.Traces(i); err != nil {
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
		for _, release := range tracetree.Releases(newCall(t, s, 3*n, 3)) {
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
			*half = whole[:i]
			require.ErrorIs(t, check(head, body), ErrCorrupt, "%d bytes", i)
		}
		*half = whole
	}
}

// TestBelievableNonsense changes what is in the frames and makes the checksums right, so that the decoders see it.
func TestBelievableNonsense(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	_, whole := smallBlock(t)
	for range 1000 {
		b, err := OpenBody(append([]byte(nil), whole...))
		require.NoError(t, err)
		for i := range b.frames {
			data, err := b.frames[i].read()
			require.NoError(t, err)
			b.frames[i].data, b.frames[i].pooled = append([]byte(nil), data...), false
		}
		for range 1 + rng.IntN(3) {
			data := b.frames[rng.IntN(len(b.frames))].data
			if len(data) > 0 {
				data[rng.IntN(len(data))] = byte(rng.Uint32() >> rng.IntN(25))
			}
		}
		for i := range b.Len() {
			otlp, err := b.AppendOTLP(nil, i)
			if err != nil {
				require.ErrorIs(t, err, ErrCorrupt)
				continue
			}
			require.LessOrEqual(t, len(otlp), b.limit)
			_, _ = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(otlp)
		}
		_, _ = b.Candidates(nil, &tracestore.SpanConditions{
			MinDuration: 1, Attributes: []tracestore.AttributeCondition{{Key: "session.id", Op: tracestore.OpEqual, Text: "x"}},
		})
	}
}

func FuzzBody(f *testing.F) {
	_, body := smallBlock(f)
	f.Add(body)
	f.Add([]byte("TWB\x01"))
	f.Fuzz(func(t *testing.T, data []byte) { bounded(t, nil, data) })
}

func FuzzHead(f *testing.F) {
	head, _ := smallBlock(f)
	f.Add(head)
	f.Add([]byte("TWH\x01"))
	f.Fuzz(func(t *testing.T, data []byte) { bounded(t, data, nil) })
}

// bounded reads a block and requires that it takes no more memory than its length allows.
func bounded(t *testing.T, head, body []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = readAll(head, body)
	runtime.ReadMemStats(&after)
	limit := uint64(64<<20) + 64*uint64(maxExpanded(len(head)+len(body)))
	require.Less(t, after.TotalAlloc-before.TotalAlloc, limit)
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

var golden = filepath.Join("testdata", "v1")

// TestGolden: blocks of every version can be read for ever. With UPDATE_GOLDEN set it writes the present one.
func TestGolden(t *testing.T) {
	s := shop.New(shop.Options{Seed: 7})
	releases := tracetree.Releases(newCall(t, s, 0, 3))
	w := wild{rand.New(rand.NewPCG(9, 10))}
	for range 3 {
		releases = append(releases, tracetree.Releases(unmarshal(t, w.call()))...)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		head, body := roundTrip(t, NewEncoder(), releases)
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(golden+".head", head, 0o600))
		require.NoError(t, os.WriteFile(golden+".body", body, 0o600))
	}
	head, err := os.ReadFile(golden + ".head")
	require.NoError(t, err)
	body, err := os.ReadFile(golden + ".body")
	require.NoError(t, err)
	requireReleases(t, head, body, releases)
}
