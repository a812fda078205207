package clickhousestore

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/testservers"
)

// documentedStatements are the SQL statements of a page that begin with one of the words.
func documentedStatements(t *testing.T, page string, words ...string) (statements []string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", page))
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(content), -1) {
		for statement := range strings.SplitSeq(commentLine.ReplaceAllString(block[1], ""), ";\n") {
			word, _, _ := strings.Cut(strings.TrimSpace(statement), " ")
			for _, wanted := range words {
				if word == wanted {
					statements = append(statements, statement)
				}
			}
		}
	}
	require.NotEmpty(t, statements, page)
	return statements
}

// What the pages tell operators to run does what they say: deleted bytes go, and what is restored goes on counting calls once.
func TestDocumentedOperation(t *testing.T) {
	server := testservers.StoppedClickHouse(t)
	require.NoError(t, server.Start(t.Context()))
	options := Options{
		Endpoint: server.DSN(), Database: DefaultDatabase, Variant: VariantPlain, CreateSchema: true, Retention: 48 * time.Hour,
		checkInterval: time.Hour, // or it would make the schema again between DROP and RESTORE
	}
	store := openStore(t, options)
	run := func(statements ...string) {
		for _, statement := range statements {
			require.NoError(t, store.db.Exec(t.Context(), statement), statement)
		}
	}
	w, now := newWriter(t, options), time.Now()
	for number := range byte(3) {
		require.NoError(t, w.WriteCall(t.Context(), oneSpan(now, 1+number)))
	}
	require.NoError(t, store.Delete(t.Context(), "", pcommon.TraceID{15: 2}))
	masked := func() uint64 { // rows of parts, of deleted ones too
		return count(t, store, store.table("otel_traces")+" SETTINGS apply_deleted_mask = 0")
	}
	require.Equal(t, uint64(3), masked(), "masked rows are there")
	run(documentedStatements(t, "operation.md", "ALTER", "DELETE")...)
	require.Eventually(t, func() bool { return masked() == 2 }, time.Minute, 10*time.Millisecond)

	run(documentedStatements(t, "production.md", "BACKUP")...)
	require.NoError(t, w.WriteCall(t.Context(), oneSpan(now, 4)))
	run(documentedStatements(t, "production.md", "DROP", "RESTORE")...)
	require.Equal(t, uint64(2), count(t, store, store.table("otel_traces")))
	require.NoError(t, w.WriteCall(t.Context(), oneSpan(now, 1)), "of a queue, once more")
	require.NoError(t, w.WriteCall(t.Context(), oneSpan(now, 5)))
	require.Equal(t, uint64(3), count(t, store, store.table("otel_traces")))
	require.Equal(t, uint64(3), count(t, store, "(SELECT DISTINCT Id FROM "+store.table("traces")+")"))
}
