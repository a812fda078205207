package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// room is a part of the product that processor time is spent in.
type room struct {
	name string
	of   []string // beginnings of functions: a sample belongs to the first room that has one of them anywhere in its stack
}

const (
	ours       = "github.com/tracewright/tracewright/"
	assembling = ours + "processor/traceassemblyprocessor."
)

// rooms are asked in this order, so those that work within others stand before them.
var rooms = []room{
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcAssistAlloc", "runtime.gcStart"}},
	{"journal: compress", []string{"github.com/klauspost/compress/s2."}},
	{"journal: write, sync", []string{ours + "internal/journal."}},
	{"journal: the rest", []string{assembling + "(*ledger)", assembling + "(*intentWriter)", assembling + "encodeIntent", assembling + "(*handOn).intend"}},
	{"assembly: decode calls", []string{assembling + "(*callDecoder)"}},
	{"assembly: scan requests", []string{assembling + "(*assemblyProcessor).read"}},
	{"assembly: hold and release", []string{assembling + "(*shard)"}},
	{"analysis: read facts", []string{ours + "internal/analysis.(*spanReader)"}},
	{"analysis: write annotations", []string{ours + "internal/analysis.(*annotator)"}},
	{"analysis: the rest", []string{ours + "internal/analysis.", ours + "processor/traceanalysisprocessor."}},
	{"store: compress", []string{"github.com/klauspost/compress/zstd."}},
	{"store: records of blocks", []string{ours + "internal/tracestore/block.(*Encoder).Add"}},
	{"store: columns of blocks", []string{ours + "internal/tracestore/block."}},
	{"store: rollups", []string{ours + "internal/tracestore/rollup."}},
	{"store: commit, flush, compaction", []string{"github.com/cockroachdb/pebble/"}},
	{"store: the rest", []string{ours + "internal/tracestore/", ours + "exporter/tracestoreexporter."}},
	{"assembly: the rest", []string{assembling}},
	{"receive: gRPC codec", []string{ours + "extension/rawspansextension.", "go.opentelemetry.io/collector/pdata/internal/otelgrpc.(*codec"}},
	{"receive: gRPC", []string{"google.golang.org/grpc", "golang.org/x/net/http2"}},
	{"collector", []string{"go.opentelemetry.io/"}},
	{"scheduler", []string{"runtime.mcall", "runtime.schedule", "runtime.mstart", "runtime.sysmon", "runtime.asyncPreempt"}},
}

// where prints in which rooms a CPU profile of so many spans spent its time.
func where(file string, spans int64) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was read only
	p, err := profile.Parse(f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	spent, all := spentIn(p)
	rows := [][]string{{"where", "CPU s/Mspan", "%"}}
	for i, name := range append(namesOf(rooms), "elsewhere") {
		seconds := time.Duration(spent[i]).Seconds()
		rows = append(rows, []string{name, fmt.Sprintf("%.2f", seconds/float64(spans)*1e6), fmt.Sprintf("%.1f", 100*float64(spent[i])/float64(max(all, 1)))})
	}
	printTable(os.Stdout, rows)
	return nil
}

func namesOf(rooms []room) (names []string) {
	for _, r := range rooms {
		names = append(names, r.name)
	}
	return names
}

// spentIn sums the samples of each room, in nanoseconds; the last sum is of those that are in none.
func spentIn(p *profile.Profile) (spent []int64, all int64) {
	spent = make([]int64, len(rooms)+1)
	at := max(slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == "cpu" }), 0)
	for _, s := range p.Sample {
		spent[roomOf(s)] += s.Value[at]
		all += s.Value[at]
	}
	return spent, all
}

// roomOf is the index of a sample's room.
func roomOf(s *profile.Sample) int {
	for i := range rooms {
		for _, location := range s.Location {
			for _, line := range location.Line {
				if line.Function != nil && slices.ContainsFunc(rooms[i].of, func(begin string) bool { return strings.HasPrefix(line.Function.Name, begin) }) {
					return i
				}
			}
		}
	}
	return len(rooms)
}
