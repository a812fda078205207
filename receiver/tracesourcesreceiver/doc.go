//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package tracesourcesreceiver runs sources of traces that the API adds and changes while the process runs (trace_sources). Each is a
// receiver of the collector's, made by its own factory. The storage keeps them, so that they come back after a crash, and every instance that
// uses the storage runs them.
package tracesourcesreceiver
