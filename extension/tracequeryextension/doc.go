//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package tracequeryextension answers questions about stored traces over REST: one trace by its id, explained, a search, the
// map of services, and the operations with their times. It reads whichever storage its configuration names through the
// contract in internal/tracestore.
package tracequeryextension
