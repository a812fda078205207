// Package schedule decides when each span leaves its service and encodes the requests before anything is sent.
//
// Every instance of a service has an SDK of its own that collects ended spans and sends them as one request at its next
// tick, so a trace arrives in pieces, out of order, from several senders. Late spans and duplicates leave in requests of
// their own. A Plan is that for a number of visits; it can be played again with other ids and times.
package schedule
