//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package kafkareceiver is the collector's receiver of spans from Kafka (kafka), of which a message that overflows the stack when it is decoded
// does not end the process.
package kafkareceiver
