// Package replay reads files of traces that others wrote, in the formats of OTLP, Jaeger and Zipkin, and makes OTLP requests of them.
package replay
