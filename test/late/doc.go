// Package late sends spans after the release of their trace through assembly, analysis and the sums of the store, and
// compares the sums with those of the same traces released whole.
package late
