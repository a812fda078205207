//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package skywalkingreceiver is the collector's receiver of SkyWalking's protocol (skywalking), which tells agents what was refused, ends while
// they keep streams open, and does not end the process on a request that it cannot read.
package skywalkingreceiver
