//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package agentguardprocessor holds what an agent takes to what it can keep, split by trace, and send: it stands before the agent's queue on disk,
// behind which a request that is too much would be too much again after each restart.
package agentguardprocessor
