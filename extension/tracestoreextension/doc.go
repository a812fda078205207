//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package tracestoreextension owns the trace storages: it opens them before the pipelines start, hands them to the exporter
// that writes and to the extension that answers queries, and closes them when both are done.
package tracestoreextension
