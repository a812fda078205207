package tracestore

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// releasesOf are releases of one tenant, numbered from 1.
func releasesOf(tenant string, n int) []tracetree.Release {
	releases := make([]tracetree.Release, n)
	for i := range releases {
		releases[i] = tracetree.Release{Tenant: tenant, TraceID: pcommon.TraceID{15: byte(i + 1)}}
	}
	return releases
}

func rowOf(r *tracetree.Release) (*Summary, []tracetree.Span) {
	return &Summary{TraceID: r.TraceID, SpanCount: int(r.TraceID[15])}, nil
}

func told(t *Tail) (ids []byte) {
	for {
		select {
		case row := <-t.Rows:
			ids = append(ids, row.TraceID[15])
		default:
			return ids
		}
	}
}

func TestTails(t *testing.T) {
	var tails Tails
	tails.Tell(releasesOf("", 1), func(*tracetree.Release) (*Summary, []tracetree.Span) {
		t.Fatal("nobody listens, so nothing is explained")
		return nil, nil
	})
	all := tails.Tail("", &Conditions{}, 10)
	some := tails.Tail("", &Conditions{Trace: TraceConditions{Spans: CountRange{Min: 2}}}, 1)
	other := tails.Tail("other", &Conditions{}, 10)
	tails.Tell(releasesOf("", 3), rowOf)
	tails.Tell(releasesOf("nobody", 3), func(*tracetree.Release) (*Summary, []tracetree.Span) {
		t.Fatal("nobody of this tenant listens")
		return nil, nil
	})
	require.Equal(t, []byte{1, 2, 3}, told(all))
	require.Equal(t, []byte{2}, told(some))
	require.Empty(t, told(other))
	require.Zero(t, all.Missed())
	require.EqualValues(t, 1, some.Missed())

	some.Close()
	some.Close()
	tails.Tell(releasesOf("", 2), rowOf)
	require.Empty(t, told(some))
	require.EqualValues(t, 1, some.Missed())
	require.Equal(t, []byte{1, 2}, told(all))

	tails.Close()
	tails.Close()
	<-all.Ended
	<-other.Ended
	<-tails.Tail("", &Conditions{}, 1).Ended
	all.Close()
	other.Close()
	require.Nil(t, tails.list.Load())
}

// Writers, readers that come and go, and a reader that takes nothing: who listens all the time gets everything.
func TestTailsConcurrently(t *testing.T) {
	var tails Tails
	const writers, calls = 4, 200
	patient := tails.Tail("", &Conditions{}, writers*calls*2)
	stuck := tails.Tail("", &Conditions{}, 1)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range calls {
				tails.Tell(releasesOf("", 2), rowOf)
			}
		})
		wg.Go(func() {
			for range calls {
				tail := tails.Tail("", &Conditions{}, 1)
				told(tail)
				tail.Close()
			}
		})
	}
	wg.Wait()
	require.Len(t, told(patient), writers*calls*2)
	require.EqualValues(t, writers*calls*2-1, stuck.Missed())
}
