// Package rollup makes the sums from which aggregates over many traces are answered: what every release adds to the rollups of
// the minute in which it was released, how such sums add up, and how they are written down. The embedded backends share it.
//
// The rollups are tables of series. A series is a key, which begins with the environment, and its sums:
//
//	table           key, behind the environment                          sums
//	Operations      service, version, operation, kind                    calls, errors, self time, path time, durations
//	Edges           parent service and operation, child service and      calls, errors, retracted calls and errors, durations
//	                operation, child kind, protocol
//	Entries         service, operation, outcome                          traces, errors, retracted traces and errors, durations
//	EntryOperations entry service and operation, service, operation      calls, errors, self time, path time, traces
//	Errors          fingerprint, service, operation, entry service       count, first and last minute, trace ids
//	                and operation
//	Spans           –                                                    spans, partial, orphans, repaired
//
// Everything comes from the annotations on the spans (package conventions): nothing is analysed here.
//
// A table holds a limited number of series. Those that come first stay; what later ones would add goes to one more series,
// "other". Which ones come first is decided by the order of the calls and of the spans in them alone, so that the same calls
// give the same sums however often they were written down and read again in between.
package rollup
