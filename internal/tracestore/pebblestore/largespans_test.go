package pebblestore

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// payloads puts random bytes on each span.
func payloads(td ptrace.Traces, size int) ptrace.Traces {
	r := rand.NewChaCha8([32]byte{1})
	for _, rs := range td.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			b := make([]byte, size)
			_, _ = r.Read(b)
			span.Attributes().PutEmptyBytes("payload").FromRaw(b)
		}
	}
	return td
}

// blockBytes lists the OTLP bytes of each block of noon's day.
func blockBytes(store *Store) (list []uint64) {
	for _, b := range store.partitions.blocksOf(partition{tenantPrefix(""), dayOf(noon.UnixNano())}) {
		list = append(list, b.otlp)
	}
	return list
}

// TestMergeOfLargeSpans: what a merge reads and makes is bounded in bytes, however few its spans are.
func TestMergeOfLargeSpans(t *testing.T) {
	for name, test := range map[string]struct{ calls, traces, payload int }{
		"blocks of 2 MiB":     {9, 10, 210 << 10},
		"blocks of half an M": {40, 5, 100 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			store := openStore(t, Options{Path: path, Now: atNoon})
			for k := range test.calls {
				require.NoError(t, store.WriteCall(t.Context(), payloads(newCall(noon, test.traces*k, test.traces, 1), test.payload)))
			}
			merge(t, store)
			total := uint64(0)
			list := blockBytes(store)
			for _, n := range list {
				require.Less(t, n, uint64(targetBytes+smallSpans*spanBytes))
				total += n
			}
			require.Greater(t, total, uint64(test.calls*test.traces*test.payload))
			require.LessOrEqual(t, len(list), int(total/(smallSpans*spanBytes))+1, "they are merged up to that")
			require.Len(t, mustSearch(t, store, aroundNoon()).Traces, test.calls*test.traces)
			require.NoError(t, store.Close())
			store = openStore(t, Options{Path: path, Now: atNoon})
			require.Equal(t, list, blockBytes(store), "it is known after a restart too")
		})
	}
}

// TestCallOfLargeSpans: a call is cut into blocks by bytes.
func TestCallOfLargeSpans(t *testing.T) {
	store := openStore(t, Options{Path: t.TempDir(), Now: atNoon})
	const payload = 3 << 20
	require.NoError(t, store.WriteCall(t.Context(), payloads(newCall(noon, 0, 13, 1), payload)))
	require.Equal(t, []uint32{6, 6, 1}, blockSpans(store))
	require.InDelta(t, 6*payload, blockBytes(store)[0], 10_000, fmt.Sprint("a block ends at ", cutBytes, " bytes"))
}
