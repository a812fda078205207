// Package tracerow makes the row that a search answers for a trace out of the trace's releases, and what a backend keeps
// beside it so that a search opens few traces that do not match. The embedded backends share it.
package tracerow
