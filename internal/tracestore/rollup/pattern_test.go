package rollup_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/attributes"
	"github.com/tracewright/tracewright/internal/conventions"
	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// compared is an Alike that has compared all spans of a call.
type compared struct {
	block    uint32
	offset   uint32 // of the numbers
	numbers  map[string]uint32
	firsts   []pcommon.Map
	varying  [][]int32
	released []uint32
}

func compare(releases []tracetree.Release) *compared {
	c := &compared{numbers: make(map[string]uint32)}
	for r := range releases {
		for i := range releases[r].Spans {
			c.number(releases[r].Spans[i].Span)
		}
	}
	return c
}

func (c *compared) number(span ptrace.Span) uint32 {
	look := strings.Builder{}
	fmt.Fprintf(&look, "%q", span.Name())
	for key, value := range span.Attributes().All() {
		fmt.Fprintf(&look, " %q %d", key, value.Type())
	}
	number, known := c.numbers[look.String()]
	if !known {
		number = uint32(len(c.numbers))
		c.numbers[look.String()] = number
		c.firsts, c.varying = append(c.firsts, span.Attributes()), append(c.varying, nil)
	}
	values := func(m pcommon.Map) (list []pcommon.Value) {
		for _, value := range m.All() {
			list = append(list, value)
		}
		return list
	}
	first := values(c.firsts[number])
	for i, value := range values(span.Attributes()) {
		if !value.Equal(first[i]) && !slices.Contains(c.varying[number], int32(i)) {
			c.varying[number] = append(c.varying[number], int32(i))
		}
	}
	return number
}

func (c *compared) of(release *tracetree.Release) *compared {
	c.released = c.released[:0]
	for i := range release.Spans {
		c.released = append(c.released, c.offset+c.number(release.Spans[i].Span))
	}
	return c
}

func (c *compared) Block() uint32                    { return c.block }
func (c *compared) Operations() []uint32             { return c.released }
func (c *compared) Varying(operation uint32) []int32 { return c.varying[operation-c.offset] }

// muddle writes what senders and earlier stages may write, some of it twice.
func muddle(rng *rand.Rand, td ptrace.Traces) {
	keys := append([]string{
		conventions.AttrService, conventions.AttrOperation, conventions.AttrEntryService, conventions.AttrEntryOperation, conventions.AttrParentService,
		conventions.AttrParentOperation, conventions.AttrPeerService, conventions.AttrPeerKind, conventions.AttrSelfTime,
		conventions.AttrErrorOrigin, conventions.AttrErrorFingerprint, conventions.AttrViolations, conventions.AttrWeight, conventions.AttrSpanCount,
		conventions.AttrOrphan, "http.request.method", "db.system", "rpc.system", "messaging.system", "", "tracewright.", "d",
	}, conventions.Repairs...)
	var appender attributes.Appender
	for _, rs := range td.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			for range rng.IntN(3) {
				key := keys[rng.IntN(len(keys))]
				if rng.IntN(8) == 0 {
					appender.AppendStr(span.Attributes(), key, []string{"c", "d"}[rng.IntN(2)]) // it may be there already
				}
				value := span.Attributes().PutEmpty(key)
				switch rng.IntN(6) {
				case 0:
					value.SetInt(int64(rng.IntN(3)))
				case 1:
					value.SetBool(rng.IntN(2) == 0)
				case 2:
					value.SetDouble(float64(rng.IntN(3)))
				case 3:
					list := value.SetEmptySlice()
					list.AppendEmpty().SetStr([]string{"a", conventions.ViolationConflictingSpanID}[rng.IntN(2)])
				default:
					value.SetStr([]string{"a", "b", ""}[rng.IntN(3)])
				}
			}
		}
	}
}

// TestAlike: who knows which spans are alike adds the same as who does not, to the byte.
func TestAlike(t *testing.T) {
	contrast := &rollup.Contrast{Attributes: tracestore.DefaultContrastAttributes()}
	plain, used := rollup.Call{Contrast: contrast}, rollup.Call{Contrast: contrast}
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 0))
		td := shopCall()
		if seed > 0 {
			muddle(rng, td)
		}
		releases := tracetree.Releases(td)[:100]
		alike := compare(releases)
		if seed == 3 {
			alike.offset = 4000 // more than there are patterns for
		}
		for i := range releases {
			releasedAt := int64(time.Hour) + int64(i%2)*int64(time.Minute)
			if i%30 == 29 {
				alike.block++ // as if another block began
			}
			plain.Add(&releases[i], releasedAt)
			used.AddAlike(&releases[i], releasedAt, alike.of(&releases[i]))
		}
		want, got := plain.Deltas(), used.Deltas()
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i].Sums.Append(nil, rollup.AllTables), got[i].Sums.Append(nil, rollup.AllTables), "seed %d", seed)
		}
		plain.Reset()
		used.Reset()
	}
}
