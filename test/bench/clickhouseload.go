package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore"
	"github.com/tracewright/tracewright/internal/tracestore/clickhousestore/stock"
	"github.com/tracewright/tracewright/internal/tracetree"
)

// Targets of what is written.
const (
	maxBytesOfSpan = 110
	maxCPURatio    = 2.0 // of the exporter's schema
	maxParts       = 50  // of a partition, a tenth of where ClickHouse begins to slow inserts down
)

// loadedClickHouse is what questions ask for. It is kept beside the data.
type loadedClickHouse struct {
	Spans    int
	End      time.Time // behind the last release
	IDs      []string
	Searches []stock.Search // without their windows
}

// load fills both schemas in turns, unless that was done before.
func (b *clickHouseBench) load(ctx context.Context, folder string) (made []measure, err error) {
	record := filepath.Join(folder, "loaded.json")
	if text, err := os.ReadFile(record); err == nil {
		b.loaded = &loadedClickHouse{}
		return nil, json.Unmarshal(text, b.loaded)
	}
	p, err := newPool(ctx, b.seed, b.pool, b.callSpans)
	if err != nil {
		return nil, err
	}
	var writers []clickHouseWriter
	for _, database := range []string{oursDatabase, stockDatabase} {
		var traces exporter.Traces
		if traces, err = startExporter(ctx, b.server.DSN(), database, database == stockDatabase); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, traces.Shutdown(context.WithoutCancel(ctx))) }()
		writers = append(writers, clickHouseWriter{traces, database == oursDatabase})
	}
	rng := rand.New(rand.NewPCG(b.seed, 0xc11c))
	b.loaded = &loadedClickHouse{End: time.Now()}
	for range b.searches + warmUp {
		search := pickSearch(rng, p)
		b.loaded.Searches = append(b.loaded.Searches, stock.Search{
			Service: search.Service, Operation: search.Operation, Key: search.Attributes[0].Key, Value: search.Attributes[0].Value, Limit: search.Limit,
		})
	}
	releases := b.releases(p)
	var cost [2][]float64
	most := map[string]uint64{}
	for round := range b.rounds {
		mine := releases[round*len(releases)/b.rounds : (round+1)*len(releases)/b.rounds]
		first, state := p.next, *p.source
		for turn := range 2 {
			which := (round + turn) % 2
			// Both get the same calls, byte for byte.
			p.next, *p.source = first, state
			spans, perMillion, err := b.write(ctx, writers[which], p, mine)
			if err != nil {
				return nil, err
			}
			if cost[which] = append(cost[which], perMillion); which == 0 {
				b.loaded.Spans += spans
			}
		}
		for range b.queries/b.rounds + 1 {
			c := p.calls[(p.next-1-rng.IntN(min(len(mine), len(p.calls))))%len(p.calls)] // one that was written last
			b.loaded.IDs = append(b.loaded.IDs, c.ids[rng.IntN(len(c.ids))].String())
		}
		if err := b.notePart(ctx, most); err != nil {
			return nil, err
		}
		fmt.Printf("round %d: ours %.2f, stock %.2f CPU s per million spans, %d spans\n", round+1, cost[0][round], cost[1][round], b.loaded.Spans)
	}
	text, err := json.Marshal(b.loaded)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(record, text, 0o600); err != nil {
		return nil, err
	}
	return b.sizes(ctx, cost, most)
}

// releases are when calls are released: over the days, and more of them in the last hour.
func (b *clickHouseBench) releases(p *pool) []time.Time {
	spans := 0
	for _, c := range p.calls {
		spans += c.spans
	}
	calls := max(b.rounds, b.spans*len(p.calls)/spans)
	lately := calls * b.lastHour / 100
	past := time.Duration(b.days)*24*time.Hour - time.Hour
	begin := b.loaded.End.Add(-past - time.Hour)
	list := make([]time.Time, 0, calls)
	for i := range calls - lately {
		list = append(list, begin.Add(past*time.Duration(i)/time.Duration(calls-lately)))
	}
	for i := range lately {
		list = append(list, b.loaded.End.Add(-time.Hour+time.Hour*time.Duration(i)/time.Duration(lately)))
	}
	return list
}

// write has one writer write calls, and says what the server used for it, merges included, CPU seconds per million spans.
func (b *clickHouseBench) write(ctx context.Context, w clickHouseWriter, p *pool, releases []time.Time) (spans int, perMillion float64, err error) {
	before, err := cpuTime(b.server.PID())
	if err != nil {
		return 0, 0, err
	}
	for _, at := range releases {
		c := p.take(at.UnixNano())
		if err := w.write(ctx, c.td); err != nil {
			return 0, 0, err
		}
		spans += c.spans
	}
	if err := b.settle(ctx); err != nil {
		return 0, 0, err
	}
	after, err := cpuTime(b.server.PID())
	return spans, (after - before).Seconds() / float64(spans) * 1e6, err
}

// settle waits until nothing is merged.
func (b *clickHouseBench) settle(ctx context.Context) error {
	end := time.Now().Add(b.settled)
	for quiet := 0; quiet < 10 && time.Now().Before(end); {
		merges, err := b.stock.Merges(ctx)
		if err != nil {
			return err
		}
		if quiet++; merges > 0 {
			quiet = 0
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// notePart keeps the most parts that a partition of each table has had.
func (b *clickHouseBench) notePart(ctx context.Context, most map[string]uint64) error {
	tables, err := b.stock.Tables(ctx, oursDatabase)
	for _, t := range tables {
		most[t.Name] = max(most[t.Name], t.MostParts)
	}
	return err
}

// sizes holds what was written to the targets.
func (b *clickHouseBench) sizes(ctx context.Context, cost [2][]float64, most map[string]uint64) ([]measure, error) {
	ratios := make([]float64, b.rounds)
	for i := range ratios {
		ratios[i] = cost[0][i] / cost[1][i]
	}
	perSpan := map[string]float64{}
	rows := [][]string{{"table", "rows", "bytes a span", "most parts"}}
	parts, worst := uint64(0), ""
	for _, database := range []string{oursDatabase, stockDatabase} {
		tables, err := b.stock.Tables(ctx, database)
		if err != nil {
			return nil, err
		}
		for _, t := range tables {
			size := float64(t.Bytes) / float64(b.loaded.Spans)
			perSpan[database] += size
			n := max(most[t.Name], t.MostParts)
			if database == stockDatabase {
				n = t.MostParts
			} else if n > parts {
				parts, worst = n, t.Name
			}
			rows = append(rows, []string{database + "." + t.Name, fmt.Sprint(t.Rows), fmt.Sprintf("%.2f", size), fmt.Sprint(n)})
		}
	}
	printTable(os.Stdout, rows)
	return []measure{
		{
			name: "ClickHouse CPU of our schema", figure: median(ratios), target: maxCPURatio, digits: 2, unit: "of stock",
			note: fmt.Sprintf("%.2f against %.2f CPU s per million spans, merges included, medians of %d rounds", median(cost[0]), median(cost[1]), b.rounds),
		},
		{
			name: "all our tables", figure: perSpan[oursDatabase], target: maxBytesOfSpan, digits: 1, unit: "bytes a span",
			note: fmt.Sprintf("stock %.1f", perSpan[stockDatabase]),
		},
		{name: "most parts of a partition", figure: float64(parts), target: maxParts, unit: "parts", note: worst},
	}, nil
}

// clickHouseWriter writes calls as trace_clickhouse does those that are new, or as the collector's exporter does by itself. trace_clickhouse
// cannot be sent the past: it takes what was released before its start for a repetition, which costs about twice as much.
type clickHouseWriter struct {
	traces exporter.Traces
	ours   bool
}

func (w clickHouseWriter) write(ctx context.Context, td ptrace.Traces) error {
	insert := func(ctx context.Context) error { return w.traces.ConsumeTraces(ctx, td) }
	if !w.ours {
		return insert(ctx)
	}
	return clickhousestore.Insert(ctx, tracetree.CallIDOf(td), insert)
}

// startExporter starts the collector's exporter, which makes its own tables with create.
func startExporter(ctx context.Context, dsn, database string, create bool) (exporter.Traces, error) {
	factory := clickhouseexporter.NewFactory()
	config := factory.CreateDefaultConfig().(*clickhouseexporter.Config)
	if err := confmap.NewFromStringMap(map[string]any{
		"endpoint": dsn, "database": database, "create_schema": create, "traces_table_name": clickhousestore.Table, "async_insert": false,
		"timeout":          "120s",
		"retry_on_failure": map[string]any{"enabled": false},
	}).Unmarshal(config); err != nil {
		return nil, err
	}
	config.QueueSettings = configoptional.None[exporterhelper.QueueBatchConfig]()
	w, err := factory.CreateTraces(ctx, exportertest.NewNopSettings(factory.Type()), config)
	if err != nil {
		return nil, err
	}
	return w, w.Start(ctx, componenttest.NewNopHost())
}
