//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package tracesummaryconnector tells services of logs and of metrics what trace_analysis found in traces: a log record for each
// trace, and sums over traces with exemplars. It reads annotations and analyses nothing.
package tracesummaryconnector
