//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package awsxrayreceiver is the collector's receiver of AWS X-Ray's segments (awsxray), behind a guard: packets that would end the process
// are refused before it sees them.
package awsxrayreceiver
