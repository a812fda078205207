// Package stock asks the schema that the clickhouse exporter of the OpenTelemetry Collector makes by itself, as its users do: what ours is
// measured against. It also says what the tables of either take.
package stock
