package clickhousestore

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/testservers"
	"github.com/tracewright/tracewright/internal/tracestore"
)

// documentedGrants are the rights that docs/production.md names for a user that uses the schema, and those that it needs besides to make it,
// as GRANT without TO. What is for clusters is left out.
func documentedGrants(t *testing.T) (uses, makes []string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "production.md"))
	require.NoError(t, err)
	var blocks [][]string
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		var grants []string
		for _, match := range regexp.MustCompile(`(?m)^(GRANT .*) TO tracewright;(.*)$`).FindAllStringSubmatch(block[1], -1) {
			if !strings.Contains(match[2], "cluster") {
				grants = append(grants, match[1])
			}
		}
		if grants != nil {
			blocks = append(blocks, grants)
		}
	}
	require.Len(t, blocks, 2, "docs/production.md grants in two blocks")
	return blocks[0], blocks[1]
}

// The rights that docs/production.md names are enough for all that the product does: those of both blocks where it makes the schema, those of
// the first where somebody else made it.
func TestDocumentedGrants(t *testing.T) {
	server := testservers.StoppedClickHouse(t)
	uses, makes := documentedGrants(t)
	require.NoError(t, server.Grant("maker", "secret", append(uses, makes...)...))
	require.NoError(t, server.Grant("user", "secret", uses...))
	require.NoError(t, server.Start(t.Context()))
	options := Options{
		Database: DefaultDatabase, Variant: VariantPlain, Retention: time.Hour, tailInterval: 50 * time.Millisecond,
	}
	as := func(user string) Options {
		options.Endpoint = "http://" + user + ":secret@" + server.HTTP
		options.CreateSchema = user == "maker"
		return options
	}
	useAll(t, as("maker"), 1)
	options.Retention *= 2 // changes tables that are there
	useAll(t, as("maker"), 2)
	useAll(t, as("user"), 3)
}

// useAll writes, reads, follows and deletes a trace, and keeps a source.
func useAll(t *testing.T, options Options, number byte) {
	t.Helper()
	ctx := t.Context()
	health := make(chan error, 100)
	options.OnHealth = func(err error) {
		select {
		case health <- err:
		default:
		}
	}
	store, err := Open(options)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	waitReady(t, store, health)

	tail, err := store.Tail(ctx, "", &tracestore.Conditions{}, 10)
	require.NoError(t, err)
	defer tail.Close()
	w, call := newWriter(t, options), oneSpan(time.Now(), number)
	require.NoError(t, w.WriteCall(ctx, call))
	require.NoError(t, w.WriteCall(ctx, call)) // as a repetition, which goes through other tables
	select {
	case row := <-tail.Rows:
		require.Equal(t, number, row.TraceID[15])
	case <-time.After(time.Minute):
		t.Fatal("nobody tells what was written")
	}

	start, end := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	page, err := store.Search(ctx, "", &tracestore.SearchQuery{Start: start, End: end, Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Traces, 1)
	id := page.Traces[0].TraceID
	for _, err := range store.Trace(ctx, "", id) {
		require.NoError(t, err)
	}
	for _, err := range store.Operations(ctx, "", &tracestore.AggregateQuery{Start: start, End: end}) {
		require.NoError(t, err)
	}
	_, err = store.AttributeKeys(ctx, "", &tracestore.CatalogueQuery{Start: start, End: end, Limit: 10})
	require.NoError(t, err)
	require.NoError(t, store.Delete(ctx, "", id))
	require.Zero(t, count(t, store, store.table("otel_traces")))

	require.NoError(t, store.PutSource(ctx, tracestore.SourceRecord{Name: string('a' + number), Version: 1, Value: []byte("source")}))
	_, err = store.Sources(ctx)
	require.NoError(t, err)
	require.NoError(t, store.PutSourceReport(ctx, tracestore.SourceReport{Instance: "gateway", At: time.Now(), Value: []byte("report")}))
	_, err = store.SourceReports(ctx)
	require.NoError(t, err)
}
