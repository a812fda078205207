//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package traceclickhouseexporter writes traces into ClickHouse. One ConsumeTraces is one insert, by the clickhouse exporter of the
// OpenTelemetry Collector, which this package tells where to insert: a call that may have been inserted before goes where it changes nothing
// that is there.
package traceclickhouseexporter
