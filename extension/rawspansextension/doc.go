//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package rawspansextension is a middleware of the otlp receiver that hands trace requests to trace_assembly as the bytes that came,
// instead of decoding them. Package rawspans says how they go through the pipeline, docs/adr/011-raw-spans.md why so.
package rawspansextension
