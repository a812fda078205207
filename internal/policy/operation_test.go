package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the pages for operators say of sizes, versions and percentages is what the code has.
func TestOperationPageHasTheDefaults(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "operation.md"))
	require.NoError(t, err)
	for _, fact := range []struct{ file, code, said string }{
		{"processor/traceassemblyprocessor/config.go", `defaultMemoryLimitBytes\s+= 512 << 20`, "`trace_assembly::memory_limit_bytes`, 512 MiB"},
		{"processor/traceassemblyprocessor/config.go", `memoryPerTrace\s+= 8\n`, "at least eight times `max_trace_bytes`"},
		{"processor/traceassemblyprocessor/config.go", `defaultJournalMaxBytes\s+= 8 << 30`, "`journal::max_bytes` | 8 GiB"},
		{"extension/tracequeryextension/config.go", `defaultMaxTotalTraceBytes\s+= 256 << 20`, "`trace_query::limits::max_total_trace_bytes`, 256 MiB"},
		{"config/gateway.yaml", `limit_percentage: 75\n\s+spike_limit_percentage: 15`, "60 % of the container's limit on (75 % less 15 %)"},
		{"config/gateway.yaml", `queue_size: 1073741824`, "`sending_queue::queue_size` of each"},
		{"config/agent.yaml", `TRACEWRIGHT_MEMORY_MIB:-256`, "`TRACEWRIGHT_MEMORY_MIB` (256)"},
		{"config/agent.yaml", `queue_size: 268435456`, "An agent's queue is 256 MiB"},
		{"internal/tracestore/pebblestore/freespace.go", `reservedBytes\s+= 64 << 20`, "with less than 64 MiB free"},
		{"internal/journal/segment.go", `version\s+= 1\n`, "**Journal** (format 1)"},
		{"processor/traceassemblyprocessor/ledger.go", `idleSegmentBytes\s+= 1 << 20`, "with less than 1 MiB"},
		{"extension/tracequeryextension/internal/query/manage.go", `this storage cannot be backed up here`, "[its own](production.md#operation)"},
	} {
		code, err := os.ReadFile(filepath.Join(root, fact.file))
		require.NoError(t, err)
		require.True(t, regexp.MustCompile(fact.code).Match(code), "%s has not %q, of which docs/operation.md says %q", fact.file, fact.code, fact.said)
		require.Contains(t, string(page), fact.said)
	}
}

// Pages for operators name variables that some configuration reads.
func TestPagesNameVariablesThatExist(t *testing.T) {
	known := knownVariables(t)
	for _, name := range []string{"operation.md", "kubernetes.md", "production.md"} {
		page, err := os.ReadFile(filepath.Join(root, "docs", name))
		require.NoError(t, err)
		for _, variable := range regexp.MustCompile(`TRACEWRIGHT_\w+`).FindAllString(string(page), -1) {
			require.True(t, known[variable], "docs/%s: no configuration reads %s", name, variable)
		}
	}
}
