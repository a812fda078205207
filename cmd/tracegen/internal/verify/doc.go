// Package verify compares the truth of a run with what Tracewright's REST API answers about it.
package verify
