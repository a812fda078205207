// Package pebblestore keeps traces in an embedded Pebble database: one folder, no server. docs/storage-format.md describes
// what lies in it.
//
// The way of a write: the call is cut into its releases on the wire format and compressed outside of any lock; under the
// writer's lock one batch is made of everything the call changes, its call id included, and handed to Pebble; the wait for
// the disk is outside again, so that concurrent calls share one fsync.
//
// Rollups, the sums over all traces of a minute, are written with the call that adds to them, as one value, and folded into one
// value a minute and table in the background; rollups.go has why.
//
// Data lies in partitions, one for each tenant and day of release. Retention drops whole partitions. All releases of a trace
// stand in the partition of its first.
package pebblestore
