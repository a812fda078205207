// Package arrival measures how soon after its last span trace_assembly releases a trace, and how many traces it releases
// whole, for the patterns in which spans arrive in practice: in virtual time, with the traffic of cmd/tracegen. Beside it
// stands what one fixed wait for all traces gives on the same arrivals. `make bench-arrival` prints the figures.
package arrival
