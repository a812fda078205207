//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package servicemapexporter writes who calls whom into Neo4j. One ConsumeTraces is one transaction, which commits the call's id with
// its effect; nothing is remembered from one to the next.
package servicemapexporter
