// Package e2e tests the built binary from outside: it starts bin/tracewright with the configurations that users start, sends
// spans as SDKs do, and asks over HTTP.
package e2e
