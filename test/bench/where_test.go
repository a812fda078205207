package main

import (
	"testing"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

// stack is a sample with functions from the innermost to the outermost.
func stack(value int64, functions ...string) *profile.Sample {
	s := &profile.Sample{Value: []int64{1, value}}
	for _, name := range functions {
		s.Location = append(s.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: name}}}})
	}
	return s
}

func TestSpentIn(t *testing.T) {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples"}, {Type: "cpu"}},
		Sample: []*profile.Sample{
			stack(5, "runtime.memmove", ours+"internal/tracestore/block.(*Encoder).put", ours+"internal/tracestore/block.(*Encoder).Add", assembling+"(*handOn).work"),
			stack(7, "runtime.gcDrain", "runtime.gcBgMarkWorker"),
			stack(11, "github.com/klauspost/compress/s2.Encode", assembling+"(*ledger).arrive", assembling+"(*assemblyProcessor).ConsumeTraces", "google.golang.org/grpc.(*Server).handleStream"),
			stack(13, "main.other"),
		},
	}
	spent, all := spentIn(p)
	require.EqualValues(t, 36, all)
	got := map[string]int64{}
	for i, name := range append(namesOf(rooms), "elsewhere") {
		if spent[i] > 0 {
			got[name] = spent[i]
		}
	}
	require.Equal(t, map[string]int64{"store: records of blocks": 5, "garbage collection": 7, "journal: compress": 11, "elsewhere": 13}, got)
}
