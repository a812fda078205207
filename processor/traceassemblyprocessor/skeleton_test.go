package traceassemblyprocessor

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// heapInUse is what lives on the heap.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestSkeletonMemory fills a table and compares what it takes with what it says it takes, and with what it may take: 24 bytes a
// span and 128 a trace, and what a Go map takes for its entry: 32 bytes, of places of which 44 to 88 % are used, with a byte
// each.
func TestSkeletonMemory(t *testing.T) {
	const traces, mapSlack = 100_000, 80
	for _, test := range []struct {
		spans, index int
	}{{1, 0}, {10, 0}, {20, 0}, {20, 1}} {
		t.Run(fmt.Sprintf("%d spans, index %d", test.spans, test.index), func(t *testing.T) {
			s := newSkeletons(time.Minute, 1<<40, newSymbols[operation]())
			op := s.symbols.ref(operation{"shop", "work"})
			entry := s.endpoints.ref(endpoint{operation: operation{"shop", "work"}})
			ids := uint64(0)
			before := heapInUse()
			for i := range traces {
				var key traceKey
				binary.BigEndian.PutUint64(key.id[:], uint64(i)*0x9e3779b97f4a7c15)
				sk := s.make(key)
				s.weight -= sk.weight()
				sk.entry = s.endpoints.again(entry)
				sk.spans = make([]skeletonSpan, 0, test.spans)
				for range test.spans {
					ids += 0x9e3779b97f4a7c15
					var id pcommon.SpanID
					binary.BigEndian.PutUint64(id[:], ids)
					sk.spans = append(sk.spans, skeletonSpan{id: id, op: s.symbols.again(op), kind: uint8(ptrace.SpanKindServer)})
				}
				s.weight += sk.weight()
				s.put(sk)
				if test.index > 0 {
					s.index(sk)
				}
			}
			took := float64(heapInUse()-before) / traces
			said := float64(s.weight) / traces
			t.Logf("%.0f bytes a trace, estimated %.0f", took, said)
			require.InEpsilon(t, took, said, 0.15)
			if test.index == 0 {
				require.LessOrEqual(t, took, float64(128+24*test.spans+mapSlack))
				require.LessOrEqual(t, took-float64(mapSlack), float64(128+24*test.spans))
			}
			runtime.KeepAlive(s)
		})
	}
}
