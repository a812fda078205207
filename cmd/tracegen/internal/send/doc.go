// Package send sends encoded requests to an OTLP receiver at their times and repeats those that the receiver asks to
// have again.
package send
