package traceassemblyprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Lists are as long as what they hold needs, whoever had them before, and hold what was put into them.
func TestSpanLists(t *testing.T) {
	fill := func(n int) []heldSpan {
		var list []heldSpan
		for i := range n {
			list = appendSpan(list, &heldSpan{start: pcommon.Timestamp(i)})
		}
		require.Len(t, list, n)
		for i := range list {
			require.Equal(t, pcommon.Timestamp(i), list[i].start)
		}
		return list
	}
	for _, n := range []int{300, 1, 4, 5, 31, 32, 33, 129, 256, 257, 1000, 2, 20} {
		for range 3 {
			one, other := fill(n), fill(n)
			if n <= maxPooled {
				require.Less(t, cap(one), max(2*n, minList+1))
				require.Equal(t, cap(one), cap(other))
			}
			one[0].start = 77
			require.Zero(t, other[0].start, "two have one list")
			recycleList(one)
			recycleList(other)
		}
	}
	recycleList(nil)
	recycleList(make([]heldSpan, 3)) // of no length that is pooled
}
