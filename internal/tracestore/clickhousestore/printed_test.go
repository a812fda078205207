package clickhousestore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPrintedSchema: what tracewrightctl prints makes the schema, and run again with another retention it changes that of all tables that were there.
func TestPrintedSchema(t *testing.T) {
	options := testOptions(t)
	owner := openStore(t, Options{Endpoint: options.Endpoint, Database: options.Database + "_not", CreateSchema: true, Variant: VariantPlain, upTo: 1})
	defer func() {
		require.NoError(t, owner.db.Exec(t.Context(), "DROP DATABASE IF EXISTS "+quoted(options.Database)))
	}()
	for _, retention := range []time.Duration{0, 48 * time.Hour, 72 * time.Hour} {
		text, err := (&Schema{Database: options.Database, Variant: VariantPlain, Retention: retention}).SQL(true)
		require.NoError(t, err)
		for statement := range strings.SplitSeq(commentLine.ReplaceAllString(text, ""), ";\n") {
			if statement = strings.TrimSpace(statement); statement != "" {
				require.NoError(t, owner.db.Exec(t.Context(), statement), statement)
			}
		}
		kept := fmt.Sprintf("%%toIntervalSecond(%d)%%", int(retention.Seconds()))
		if retention == 0 {
			kept = "% TTL %"
		}
		const tables = "system.tables WHERE database = '%s' AND engine LIKE '%%MergeTree' AND name != 'trace_source_reports' AND engine_full %s '%s'"
		require.EqualValues(t, map[bool]int{true: 0, false: 11}[retention == 0], count(t, owner, fmt.Sprintf(tables, options.Database, "LIKE", kept)))
	}
	options.CreateSchema = false
	openStore(t, options)
}
