package command

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSchema(t *testing.T) {
	status, out, errs := run(t, "schema", "--variant", "replicated", "--cluster", "main", "--database", "spans", "--retention", "24h")
	require.Equal(t, statusDone, status, errs)
	require.Contains(t, out, "CREATE DATABASE IF NOT EXISTS `spans` ON CLUSTER `main`;")
	require.Contains(t, out, "CREATE TABLE IF NOT EXISTS `spans`.`otel_traces` ON CLUSTER `main` (")
	require.Contains(t, out, "ENGINE = ReplicatedMergeTree")
	require.Contains(t, out, "TTL toDateTime(ReleasedAt) + toIntervalSecond(86400)")

	status, out, _ = run(t, "schema")
	require.Equal(t, statusDone, status)
	require.NotContains(t, out, "CLUSTER")

	// Tables that are there lose nothing by a retention that nobody named.
	require.Contains(t, out, "\n-- ALTER TABLE `tracewright`.`otel_traces`  MODIFY TTL")
	require.NotContains(t, out, "\nALTER TABLE `tracewright`.`otel_traces`  MODIFY TTL")
	_, out, _ = run(t, "schema", "--retention", "168h")
	require.Contains(t, out, "\nALTER TABLE `tracewright`.`otel_traces`  MODIFY TTL")

	for want, args := range map[string][]string{
		"the variant replicated wants the name of a cluster; see tracewrightctl --help": {"schema", "--variant", "replicated"},
		"a retention of -720h0m0s keeps nothing":                                        {"schema", "--retention", "-720h"},
		"a retention of 500ms keeps nothing":                                            {"schema", "--retention", "500ms"},
		`"sharded" is no variant`:                                                       {"schema", "--variant", "sharded"},
		`schema wants no "more"`:                                                        {"schema", "more"},
		"flag provided but not defined: -tenant":                                        {"schema", "--tenant", "a"},
	} {
		status, out, errs := run(t, args...)
		require.Equal(t, statusUsage, status, args)
		require.Empty(t, out)
		require.Contains(t, errs, want)
	}
}
