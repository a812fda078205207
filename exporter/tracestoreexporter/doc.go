//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package tracestoreexporter hands assembled and analysed traces to a storage of the trace_store extension. One ConsumeTraces
// is one call of the storage.
package tracestoreexporter
