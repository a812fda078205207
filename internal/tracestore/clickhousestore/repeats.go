package clickhousestore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/tracewright/tracewright/internal/tracetree"
)

// An insert commits a part in otel_traces, and then one in each table that views fill, one after the other. A server that dies in between
// leaves some of them, and what the server itself remembers of blocks to drop repetitions is no help: it is written before the part, or
// behind it, so that a repetition is dropped whose part is not there, or counted twice. So the parts themselves say what they hold.
//
// An insert is called by the id of its call (Insert), which is the same when the call is repeated. Each view notes it in the column
// Inserts of one of the rows that it writes, and so in the same part as all of them. An insert that may be a repetition is sent to
// RepeatedTable, where each view has a twin that does nothing where its table has the id, and then to MissingTable, which does
// nothing where otel_traces has it. A deletion takes notes away with the rows in which they stand, so it keeps them in deleted_inserts, which all of
// these ask too. Two that send the same at once are told apart by the server, which runs one query of an id at a time.
//
// What is inserted for the first time pays for this with the column. Replicated tables do without: Keeper knows parts and blocks in
// one transaction.
const (
	// Table is where a call is inserted that was not before.
	Table = "otel_traces"
	// RepeatedTable and then MissingTable are where one is inserted that perhaps was.
	RepeatedTable = "otel_traces_repeated"
	MissingTable  = "otel_traces_missing"
)

// Insert runs an insert of the call, by its name. A query of that name which has just answered may still count as running for a moment, and
// is waited for; ErrRunning says that one runs for longer.
func Insert(ctx context.Context, id tracetree.CallID, insert func(context.Context) error) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithQueryID("tracewright-"+hex.EncodeToString(id[:])))
	for wait := time.Millisecond; ; wait *= 2 {
		err := insert(ctx)
		if !hasCode(err, codeRunning) {
			return err
		}
		if wait > maxRunning {
			return fmt.Errorf("%w: %w", ErrRunning, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// ErrRunning says that the same call is being inserted: who asks again later finds it done.
var ErrRunning = errors.New("the call is being inserted already")

// maxRunning is the longest wait for a query that runs.
const maxRunning = 512 * time.Millisecond

// repeats says whether the tables are to tell what they hold.
func (s *Schema) repeats() bool { return s.Variant != VariantReplicated }

// inserts is the column in which a table says so, behind its other columns.
func (s *Schema) inserts() string {
	if !s.repeats() {
		return ""
	}
	return ",\n    Inserts SimpleAggregateFunction(groupUniqArrayArray, Array(UInt64)) CODEC(ZSTD(1))"
}

var (
	viewText = regexp.MustCompile(`(?s)CREATE MATERIALIZED VIEW IF NOT EXISTS \{\{table "([a-z_]+_view)"\}\} \{\{on_cluster\}\} TO \{\{table "([a-z_]+)"\}\} AS\n(.*?);\n`)
	nullText = regexp.MustCompile(`(?s)CREATE TABLE IF NOT EXISTS \{\{table "([a-z_]+)"\}\} \{\{on_cluster\}\} [^;]*?ENGINE = Null;\n`)
	keptText = regexp.MustCompile(`\{\{ttl "([a-z_]+)" "([A-Za-z]+)"\}\}`)
)

// repeatable gives the views of migrations their twins, one file after the other.
type repeatable struct {
	null    map[string]bool   // tables that hand on what they get; otel_traces_again, of which the twins of views are, is otel_traces to them
	columns map[string]string // by table, the time by which it is partitioned
}

func newRepeatable() *repeatable {
	return &repeatable{null: map[string]bool{Table: true}, columns: map[string]string{}}
}

// add answers the file with views that note what they write, and with their twins.
func (r *repeatable) add(text string) string {
	for _, kept := range keptText.FindAllStringSubmatch(text, -1) {
		r.columns[kept[1]] = kept[2]
	}
	text = nullText.ReplaceAllStringFunc(text, func(statement string) string {
		name := nullText.FindStringSubmatch(statement)[1]
		if strings.HasPrefix(name, Table) {
			return statement // one of those where repetitions begin
		}
		r.null[name] = true
		return statement + fmt.Sprintf("\nCREATE TABLE IF NOT EXISTS {{table %q}} {{on_cluster}} AS {{table %q}} ENGINE = Null;\n", name+"_again", name)
	})
	return viewText.ReplaceAllStringFunc(text, func(statement string) string {
		found := viewText.FindStringSubmatch(statement)
		view, table, rows := found[1], found[2], found[3]
		again := rows
		for name := range r.null {
			again = strings.ReplaceAll(again, fmt.Sprintf("{{table %q}}", name), fmt.Sprintf("{{table %q}}", name+"_again"))
		}
		create := func(view, table, rows string) string {
			return fmt.Sprintf("CREATE MATERIALIZED VIEW IF NOT EXISTS {{table %q}} {{on_cluster}} TO {{table %q}} AS\n%s;\n", view, table, rows)
		}
		if r.null[table] {
			return statement + "\n" + create(view+"_again", table+"_again", again)
		}
		id := "sipHash64(initialQueryID(), '" + view + "')"
		noted := func(rows string) string {
			return "SELECT *, if(rowNumberInAllBlocks() = 0, [" + id + "], []) AS Inserts FROM (\n" + rows + "\n)"
		}
		known := fmt.Sprintf("\nWHERE NOT has((SELECT groupUniqArrayArray(Inserts) FROM {{table %q}} WHERE %s IN (SELECT %s FROM (\n%s\n))), %s)",
			table, r.columns[table], r.columns[table], again, id)
		if slices.ContainsFunc(ofTraces, func(of tableOfTraces) bool { return of.name == table }) {
			known += "\n    AND 0 = (SELECT count() FROM {{table \"deleted_inserts\"}} WHERE Insert = " + id + ")"
		}
		return create(view, table, noted(rows)) + "\n" + create(view+"_again", table, noted(again)+known)
	})
}
