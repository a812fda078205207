// Package pebblestore keeps traces in an embedded Pebble database: one folder, no server. docs/storage-format.md describes
// what lies in it.
//
// A call is written as one block for each tenant and day (package block): what is in it and what it takes to find it (head), and the
// spans (body). It is encoded outside of any lock; under the writer's lock it gets its sequence and its releases their places in the
// index, and one batch is handed to Pebble; the wait for the disk is outside again, so that concurrent calls share one fsync. No trace
// is looked up but those of which filters in memory say that they are stored already: their rows are made by the joiner.
//
// Rollups, the sums over all traces of a minute, are added up in memory and written down every few seconds; opensums.go has why, and what
// happens after a crash.
//
// Data lies in partitions, one for each tenant and day of release. Retention drops whole partitions, or writes their blocks again without
// the traces that are not worth keeping. Small blocks are merged in the background.
package pebblestore
