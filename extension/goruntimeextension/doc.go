//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package goruntimeextension sets how Go's garbage collector trades memory for processor time, by the memory that there is: that of the
// container, else that of the machine.
package goruntimeextension
