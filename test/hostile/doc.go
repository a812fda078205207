// Package hostile sends what no sender should send through the whole pipeline and asks the API for it: it is counted and
// named, stored or rejected as documented, and never gives a crash, a trace that is stuck, memory without bounds, or a wrong
// answer without a mark.
package hostile
