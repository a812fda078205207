//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package traceanalysisprocessor explains every trace as it passes: it analyses each release and writes what it found on
// the spans.
package traceanalysisprocessor
