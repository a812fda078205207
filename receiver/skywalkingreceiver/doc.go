//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package skywalkingreceiver is the collector's receiver of SkyWalking's protocol (skywalking), of which a request that it cannot read does not
// end the process.
package skywalkingreceiver
