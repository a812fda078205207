package rollup

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// sample has a series in Operations, Errors and Spans, and one more in Operations' "other".
func sample() *Sums {
	s := NewSums(1)
	id := s.strings.id
	for _, operation := range []string{"GET /", "POST /"} {
		r := s.at(Operations, &key{id("prod"), id("shop"), 0, id(operation), id("server")})
		r.numbers = [maxNumbers]uint64{3, 1, 300, 128, 2}
		r.durations.add(0)
		r.durations.add(1)
		r.durations.add(1)
	}
	r := s.at(Errors, &key{id("prod"), id("f"), id("shop"), id("GET /"), id("shop"), id("GET /")})
	r.numbers[numCount] = 1
	r.happened().add(5, pcommon.TraceID{0: 0xAA, 15: 0xBB})
	s.at(Spans, &key{id("prod")}).numbers = [maxNumbers]uint64{6, 2, 1}
	return s
}

// TestValueBytes holds docs/storage-format.md to the byte.
func TestValueBytes(t *testing.T) {
	operation := "03 01 ac02 8001 02 00  01 01 01 02" // numbers; one zero, one bin: at distance 0, count 2
	want := "04" +                                    // version
		"05" + " 04 70726f64" + " 04 73686f70" + " 05 474554202f" + " 06 736572766572" + " 01 66" + // prod, shop, GET /, server, f
		"01 1f 01" + operation + // Operations, 31 bytes, other
		"01" + "01 02 00 03 04" + operation + // one series: prod, shop, no version, GET /, server
		"05 1c 00 01" + "01 05 02 03 02 03" + "01 05 00 01" + "aa0000000000000000000000000000bb" +
		"06 07 00 01" + "01 06 02 01 00" +
		"09 08 03 00 00 00 00 00 00 00" // others: 3 of Operations
	require.Equal(t, strings.ReplaceAll(want, " ", ""), hex.EncodeToString(sample().Append(nil, AllTables)))

	want = "04 01 04 70726f64 06 07 00 01 01 06 02 01 00 09 08 03 00 00 00 00 00 00 00" // only the strings that it needs
	require.Equal(t, strings.ReplaceAll(want, " ", ""), hex.EncodeToString(sample().Append(nil, Of(Spans))))
	require.Equal(t, Of(Operations, Errors, Spans), sample().Tables())
	require.Equal(t, []byte{4, 0}, NewSums(1).Append(nil, AllTables))
}

func TestMergeRoundTrip(t *testing.T) {
	value := sample().Append([]byte("before"), AllTables)[len("before"):]
	again := NewSums(1)
	require.NoError(t, again.Merge(value, AllTables))
	require.Equal(t, value, again.Append(nil, AllTables))

	// Twice the value is twice the sums, and the same series.
	require.NoError(t, again.Merge(value, AllTables))
	r := again.tables[Operations].rows[0]
	require.Equal(t, [maxNumbers]uint64{6, 2, 600, 256, 4}, r.numbers)
	require.Equal(t, sketch{zeros: 2, bins: []bin{{0, 4}}}, r.durations)
	require.EqualValues(t, 6, again.tables[Operations].other.numbers[numCount])

	part := NewSums(9)
	require.NoError(t, part.Merge(value, Of(Errors)))
	require.Equal(t, Of(Errors), part.Tables())
}

// TestBrokenValues: a value that is cut off or changed is an error that changes nothing, or another valid value.
func TestBrokenValues(t *testing.T) {
	value := sample().Append(nil, AllTables)
	sums := sample()
	for i := range value {
		if i > 1 { // a value may end behind its strings, and behind a section
			_ = sums.Merge(value[:i], AllTables)
			sums = sample()
		} else {
			require.ErrorIs(t, sums.Merge(value[:i], AllTables), ErrValue)
		}
		for bit := range 8 {
			broken := append([]byte{}, value...)
			broken[i] ^= 1 << bit
			if sums.Merge(broken, AllTables) != nil {
				require.Equal(t, value, sums.Append(nil, AllTables), "byte %d", i)
			} else {
				sums = sample()
			}
		}
	}
	answer := NewAnswer(Operations, &tracestore.AggregateQuery{})
	require.ErrorIs(t, answer.Merge(value[:len(value)-1]), ErrValue)
	require.Empty(t, answer.sums.Tables())
}

func FuzzMerge(f *testing.F) {
	f.Add(sample().Append(nil, AllTables))
	f.Add(NewSums(1).Append(nil, AllTables))
	f.Add(minuteSums(100).AppendPacked(nil, AllTables))
	f.Add([]byte{4, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, value []byte) {
		sums := NewSums(MaxSeries)
		err := sums.Merge(value, AllTables)
		for table := range AllTables.All() {
			answer := NewAnswer(table, &tracestore.AggregateQuery{Service: "shop"})
			require.Equal(t, err, answer.Merge(value))
		}
		if err != nil {
			require.ErrorIs(t, err, ErrValue)
			require.Zero(t, sums.Tables())
			return
		}
		first := sums.Append(nil, AllTables)
		again := NewSums(MaxSeries)
		require.NoError(t, again.Merge(first, AllTables))
		require.Equal(t, first, again.Append(nil, AllTables))
	})
}

// TestFoldingIsInvisible merges deltas with few series allowed, writes the sums down and reads them again at random moments, and
// gets the same as without.
func TestFoldingIsInvisible(t *testing.T) {
	const limit = 7
	r := rand.New(rand.NewPCG(1, 2))
	sums := func() *Sums {
		s := NewSums(limit)
		s.maxValues = 2
		return s
	}
	for range 200 {
		straight, folded := sums(), sums()
		for range 1 + r.IntN(8) {
			delta := sums()
			for range r.IntN(12) {
				table := Operations + Table(r.IntN(int(others)-1))
				k := key{delta.strings.id(string(rune('a' + r.IntN(4)))), delta.strings.id(string(rune('a' + r.IntN(4))))}
				if table == Spans {
					k[1] = 0
				}
				if table == Contrasts {
					k = key{0, 1, contrastValue: delta.strings.id(string(rune('a' + r.IntN(5))))}
				}
				row := delta.at(table, &k)
				row.numbers[numCount]++
				if shapes[table].durations {
					row.durations.add(r.Int64N(1000))
				}
				if shapes[table].occurrences {
					row.happened().add(r.Uint32N(9), pcommon.TraceID{byte(r.IntN(9))})
				}
			}
			value := delta.Append(nil, AllTables)
			require.NoError(t, straight.Merge(value, AllTables))
			require.NoError(t, folded.Merge(value, AllTables))
			if r.IntN(2) == 0 { // table by table, as a backend may keep them
				read := sums()
				for table := range folded.Tables().All() {
					require.NoError(t, read.Merge(folded.Append(nil, Of(table)), Of(table)))
				}
				folded = read
			}
		}
		for table := range AllTables.All() {
			require.Equal(t, straight.Append(nil, Of(table)), folded.Append(nil, Of(table)))
		}
	}
}

func TestSumsStayAtTheLargest(t *testing.T) {
	s := NewSums(1)
	r := s.at(Operations, &key{})
	r.numbers[numSelfTime] = math.MaxUint64 - 1
	value := s.Append(nil, AllTables)
	require.NoError(t, s.Merge(value, AllTables))
	require.Equal(t, uint64(math.MaxUint64), s.at(Operations, &key{}).numbers[numSelfTime])

	answer := NewAnswer(Operations, &tracestore.AggregateQuery{})
	require.NoError(t, answer.Merge(s.Append(nil, AllTables)))
	for operation := range answer.Operations() {
		require.Equal(t, int64(math.MaxInt64), operation.SelfTime)
	}
}

func TestWindow(t *testing.T) {
	at := func(seconds, nanos int64) time.Time { return time.Unix(seconds, nanos) }
	for name, test := range map[string]struct {
		start, end  time.Time
		first, last uint32
		ok          bool
	}{
		"a minute":       {at(60, 0), at(120, 0), 1, 1, true},
		"a moment":       {at(119, 999_999_999), at(120, 0), 1, 1, true},
		"a moment more":  {at(60, 0), at(120, 1), 1, 2, true},
		"empty":          {at(60, 0), at(60, 0), 0, 0, false},
		"backwards":      {at(61, 0), at(60, 0), 0, 0, false},
		"before 1970":    {at(-120, 0), at(-60, 0), 0, 0, false},
		"up to 1970":     {at(-120, 0), at(0, 0), 0, 0, false},
		"from before":    {at(-120, 0), at(60, 0), 0, 0, true},
		"from year one":  {time.Time{}, at(60, 0), 0, 0, true},
		"to the far end": {at(0, 0), at(math.MaxInt64/2, 0), 0, math.MaxUint32, true},
	} {
		t.Run(name, func(t *testing.T) {
			first, last, ok := Window(&tracestore.AggregateQuery{Start: test.start, End: test.end})
			require.Equal(t, test.ok, ok)
			require.Equal(t, test.first, first)
			require.Equal(t, test.last, last)
		})
	}
	require.EqualValues(t, 0, MinuteOf(-1))
	require.EqualValues(t, 1, MinuteOf(int64(2*time.Minute)-1))
}
