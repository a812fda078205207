package conventions_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/conventions"
)

func TestReadSampling(t *testing.T) {
	for ot, want := range map[string]conventions.Sampling{
		"":                            {Weight: 1},
		"p:8;r:62":                    {Weight: 1},
		"th:0":                        {Weight: 1},
		"th:8":                        {Weight: 2},   // half are rejected
		"th:c":                        {Weight: 4},   // three of four
		"th:C":                        {Weight: 4},   // upper case
		"th:c;rv:d29d6a7215ced0":      {Weight: 4},   // sampled: d29… ≥ c00…
		"rv:c0000000000000;th:c":      {Weight: 4},   // just so
		"x:1;th:ff":                   {Weight: 256}, // 255 of 256
		"th:80000000000000":           {Weight: 2},
		"th:ffffffffffffff":           {Weight: 1 << 56},
		"rv:d29d6a7215ced0":           {Weight: 1},
		"th:c;th:8":                   {Weight: 4}, // the first counts
		"th:":                         {Weight: 1, BadThreshold: true},
		"th":                          {Weight: 1, BadThreshold: true},
		"th:g":                        {Weight: 1, BadThreshold: true},
		"th:0x8":                      {Weight: 1, BadThreshold: true},
		"th:ffffffffffffff0":          {Weight: 1, BadThreshold: true},
		"th:;th:8":                    {Weight: 1, BadThreshold: true},
		"th:8;rv:8":                   {Weight: 2, BadRandomness: true},
		"th:8;rv:800000000000000":     {Weight: 2, BadRandomness: true},
		"th:8;rv:8000000000000x":      {Weight: 2, BadRandomness: true},
		"th:c;rv:bfffffffffffff":      {Weight: 1, Inconsistent: true},
		"th:y;rv:y":                   {Weight: 1, BadThreshold: true, BadRandomness: true},
		";;:;th:8;":                   {Weight: 2},
		"TH:8":                        {Weight: 1},
		"th:fd70a4;rv:fe000000000000": {Weight: 72057594037927936.0 / (72057594037927936 - 0xfd70a400000000)}, // 1 % in six digits
	} {
		require.Equal(t, want, conventions.ReadSampling(ot), "%q", ot)
	}
	require.InEpsilon(t, 100, conventions.ReadSampling("th:fd70a4").Weight, 1e-5)
}

func FuzzReadSampling(f *testing.F) {
	f.Add("th:c;rv:d29d6a7215ced0")
	f.Add(";:th")
	f.Fuzz(func(t *testing.T, ot string) {
		s := conventions.ReadSampling(ot)
		require.GreaterOrEqual(t, s.Weight, 1.0)
		require.LessOrEqual(t, s.Weight, float64(1<<56))
	})
}
