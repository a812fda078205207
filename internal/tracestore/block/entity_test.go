package block

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	xentity "go.opentelemetry.io/collector/pdata/xpdata/entity"
)

// TestAppendResource: resources are written as pdata writes them.
func TestAppendResource(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		td := ptrace.NewTraces()
		r := td.ResourceSpans().AppendEmpty().Resource()
		r.SetDroppedAttributesCount(rng.Uint32N(3))
		for range rng.IntN(6) {
			v := r.Attributes().PutEmpty([]string{"", "service.name", "host.name", string(make([]byte, 200))}[rng.IntN(4)])
			switch rng.IntN(9) {
			case 0:
			case 1:
				v.SetInt(rng.Int64() - rng.Int64())
			case 2:
				v.SetDouble(rng.NormFloat64())
			case 3:
				v.SetBool(rng.IntN(2) == 0)
			case 4:
				v.SetEmptySlice().AppendEmpty().SetStr("within")
			case 5:
				v.SetEmptyMap().PutInt("within", 1)
			case 6:
				v.SetEmptyBytes().FromRaw([]byte{1, 2})
			default:
				v.SetStr(string(make([]byte, rng.IntN(300))))
			}
		}
		if rng.IntN(5) == 0 {
			xentity.ResourceEntityRefs(r).AppendEmpty().SetType("service")
		}
		want, err := nested(td, 1, 1)
		require.NoError(t, err)
		got, err := appendResource([]byte("before"), r)
		require.NoError(t, err)
		require.Equal(t, "before"+string(want), string(got))
	}
}
