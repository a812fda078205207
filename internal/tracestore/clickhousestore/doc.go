// Package clickhousestore reads traces from ClickHouse, and owns the schema that they are in. They are written by the clickhouse
// exporter of the OpenTelemetry Collector, which inserts the spans of a call into the table otel_traces; whatever else there is, views
// make of that insert.
package clickhousestore
