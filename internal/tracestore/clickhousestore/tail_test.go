package clickhousestore

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// tailed is a store whose tails are told by hand, when a test says so.
func tailed(t *testing.T) (*Store, Options, func() *tracestore.Tail) {
	t.Helper()
	options := testOptions(t)
	options.upTo, options.tailInterval = 2, time.Hour
	store := openStore(t, options)
	return store, options, func() *tracestore.Tail {
		tail, err := store.Tail(t.Context(), "", &tracestore.Conditions{}, 1000)
		require.NoError(t, err)
		t.Cleanup(tail.Close)
		return tail
	}
}

// told are the traces that the tail was told of by now.
func told(tail *tracestore.Tail) (traces []int) {
	for {
		select {
		case row := <-tail.Rows:
			traces = append(traces, int(row.TraceID[15]))
		default:
			return traces
		}
	}
}

// Whatever the server does with the parts of its table, and whenever releases were made, each is told once.
func TestTailBesideMerges(t *testing.T) {
	store, options, follow := tailed(t)
	now := time.Now()
	w := newWriter(t, options)
	number := byte(0)
	write := func(age time.Duration) {
		number++
		require.NoError(t, w.WriteCall(t.Context(), oneSpan(now.Add(-age), number)))
	}
	do := func(statement string) {
		require.NoError(t, store.db.Exec(t.Context(), fmt.Sprintf(statement, store.table("otel_traces"))))
	}
	look := func() {
		_, err := store.tellMore()
		require.NoError(t, err)
	}
	write(0) // 1
	tail := follow()
	write(0)              // 2
	write(48 * time.Hour) // 3, in a partition that is new
	look()
	require.ElementsMatch(t, []int{2, 3}, told(tail))
	do("OPTIMIZE TABLE %s FINAL")
	look()
	require.Empty(t, told(tail))
	write(0) // 4 and 5 are merged with what was told
	write(0)
	do("OPTIMIZE TABLE %s FINAL")
	write(48 * time.Hour) // 6
	look()
	require.ElementsMatch(t, []int{4, 5, 6}, told(tail))
	do("DELETE FROM %s WHERE TraceId LIKE '%%2'")
	do("OPTIMIZE TABLE %s FINAL")
	look()
	require.Empty(t, told(tail))
	second := follow()
	write(0) // 7
	require.Empty(t, told(follow()))
	require.Equal(t, []int{7}, told(tail), "it is told before another may follow")
	require.Equal(t, []int{7}, told(second))
}

// A look that fails tells the rest the next time, wherever it fails.
func TestTailGoesOn(t *testing.T) {
	errCut := errors.New("the connection was cut")
	blocks := blockRange{5, 9}
	// answer is what a server says of a range until the connection is cut, behind so many releases: there are three in each of three blocks.
	answer := func(asked blockRange, releases int) iter.Seq2[*storedRelease, error] {
		return func(yield func(*storedRelease, error) bool) {
			for n := range 9 {
				switch call := []uint64{5, 7, 8}[n/3]; {
				case int64(call) < asked.first:
				case n >= releases:
					yield(nil, errCut)
					return
				case !yield(&storedRelease{call: call, td: oneSpan(time.Now(), byte(n+1))}, nil):
					return
				}
			}
		}
	}
	for first := range 10 {
		for second := range 10 {
			f := followed{told: map[string]blockSet{}}
			tail := f.tails.Tail("", &tracestore.Conditions{}, 100)
			for _, releases := range []int{first, second, 9} {
				for _, rest := range (blockSet{blocks}).without(f.told["p"]) {
					if err := f.tell("p", rest, answer(rest, releases)); releases < 9 {
						require.ErrorIs(t, err, errCut)
					} else {
						require.NoError(t, err)
					}
				}
			}
			require.Equal(t, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, told(tail), "cut behind %d and %d", first, second)
			require.Equal(t, blockSet{blocks}, f.told["p"])
		}
	}
}

func TestTailsEndWithTheStore(t *testing.T) {
	options := testOptions(t)
	openStore(t, options) // drops the database
	store, err := Open(options)
	require.NoError(t, err)
	require.NoError(t, store.Ready(t.Context()))
	tail, err := store.Tail(t.Context(), "", &tracestore.Conditions{}, 1)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	<-tail.Ended
	tail, err = store.Tail(t.Context(), "", &tracestore.Conditions{}, 1)
	require.NoError(t, err)
	<-tail.Ended
}

// Of a table of many parts only those are opened that hold what is to be told.
func TestTailOpensFewParts(t *testing.T) {
	store, options, _ := tailed(t)
	do := func(statement string) { require.NoError(t, store.db.Exec(t.Context(), statement+" "+store.table("otel_traces"))) }
	do("SYSTEM STOP MERGES")
	w := newWriter(t, options)
	for number := range byte(10) {
		require.NoError(t, w.WriteCall(t.Context(), oneSpan(time.Now(), number)))
	}
	var partition string
	row := store.db.QueryRow(t.Context(), "SELECT max(_partition_id) FROM "+store.table("otel_traces"))
	require.NoError(t, row.Scan(&partition))
	sql := statement{values: parameters{}}
	sql.add("EXPLAIN indexes = 1 SELECT count() FROM " + store.table("otel_traces") + " WHERE " + inBlocks(sql.values, []string{""}, partition, blockRange{5, 7}))
	var plan strings.Builder
	require.NoError(t, store.read(t.Context(), &sql, func(rows driver.Rows) error {
		var line string
		err := rows.Scan(&line)
		plan.WriteString(line + "\n")
		return err
	}))
	require.Contains(t, plan.String(), "Parts: 3 | Granules: 3")
}

// Where nobody follows any more, the server is left alone.
func TestTailsLeave(t *testing.T) {
	store, _, follow := tailed(t)
	tail := follow()
	tail.Close()
	more, err := store.tellMore()
	require.NoError(t, err)
	require.False(t, more)
	require.Nil(t, store.followed.told)
}
