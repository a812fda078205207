package conventions

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata"
)

func TestFindKey(t *testing.T) {
	require.Less(t, len(spanKeys), 128, "SpanFacts.Read has a bit for each")
	names := make(map[string]bool)
	for i, k := range spanKeys {
		require.False(t, names[k.name], k.name)
		names[k.name] = true
		require.Equal(t, i, findKey(k.name, keyHash(k.name)), k.name)
		for _, other := range []string{k.name + "s", k.name[1:], "x" + k.name, k.name[:len(k.name)-1]} {
			if !names[other] {
				at := findKey(other, keyHash(other))
				require.True(t, at < 0 || spanKeys[at].name == other, other)
			}
		}
	}
	require.Equal(t, -1, findKey("", keyHash("")))
}

// What is read into a place that held another span's facts is what is read into a new one; and a key stands more than once exactly
// where comparing all of them says so.
func TestReadAgain(t *testing.T) {
	var used SpanFacts
	repeated := 0
	for seed := range uint64(3_000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		span := ptrace.NewSpan()
		span.SetKind(ptrace.SpanKind(rng.IntN(6)))
		keys := make(map[string]int)
		var builder xpdata.MapBuilder // of all of pdata the one that lets a key stand twice, as senders do
		for range rng.IntN(16) {
			key := spanKeys[rng.IntN(len(spanKeys))].name
			if rng.IntN(3) == 0 {
				key = fmt.Sprint("app.key.", rng.IntN(2000))
			}
			if rng.IntN(100) == 0 {
				key = ""
			}
			switch value := builder.AppendEmpty(key); rng.IntN(4) {
			case 0:
				value.SetInt(7)
			case 1:
				value.SetStr("")
			default:
				value.SetStr("text")
			}
			keys[key]++
		}
		builder.UnsafeIntoMap(span.Attributes())
		used.Read(span)
		fresh := ReadSpan(span)
		require.Equal(t, fresh, used)
		twice := false
		for _, n := range keys {
			twice = twice || n > 1
		}
		if twice {
			repeated++
		}
		require.Equal(t, twice, used.Faults()&DuplicateKey != 0, "seed %d", seed)
		require.Equal(t, twice, ReadAttributeFaults(span.Attributes())&DuplicateKey != 0, "seed %d", seed)
		require.Equal(t, keys[""] > 0, used.Faults()&EmptyKey != 0)
	}
	require.Greater(t, repeated, 300)
	require.Less(t, repeated, 2_700)
}
