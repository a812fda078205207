// Package journal is a segmented write-ahead log. It knows bytes, not spans.
//
// Append returns when its record is durable by policy; concurrent calls share one write and one sync (group commit). Records are
// read back segment by segment, after a crash as well: what is damaged is reported and skipped, the rest is yielded, each
// record under the Position that Append gave it. docs/adr/004-journal.md says why it is our own.
//
// # Data flow
//
//	Append ─┐
//	Append ─┼─► queue ─► writer: one goroutine, one buffer ─► segment ─► sync ─► answers
//	Write  ─┘  (callers' slices)   (the only copy)
//
// The queue holds what callers hold: a caller that goes away takes its record out of it. A write or sync that fails ends the
// segment, because what an fsync failed for may be gone from the page cache though a second fsync succeeds. All records of
// that group are answered with the error, and the next group tries a new segment, so that a full disk heals by itself.
//
// # Format of a segment
//
// A segment is a file NNNNNNNNNN.log, N its number in decimal. All integers are little-endian, all checksums CRC-32C.
//
//	┌──────────── block 0, 32 KiB ────────────┬──────── block 1 ────────┬─ …
//	│ header │ chunk │ chunk │ chunk          │ chunk    │ chunk │ zero │
//	└────────┴───────┴───────┴────────────────┴──────────┴───────┴──────┴─ …
//	                         └ first            last ┘
//
//	header, 16 bytes           chunk, 7 bytes and its part of a record
//	 0  "twjrnl"                0  checksum of: segment number (4 bytes), offset of the chunk (4), bytes 4 to the chunk's end
//	 6  version, 2 bytes: 1     4  length of the part, 2 bytes
//	 8  segment number, 4       6  kind, 1 byte: 4, +1 if a record begins here, +2 if it ends here
//	12  checksum of 0 to 11     7  the part
//
// A chunk never crosses a block's end, so that reading resumes at the next block after a damaged one. Where fewer than 8 bytes
// of a block remain they are zero. A record lies in one segment, however long; its position is the offset of its
// first chunk. Since a checksum covers where the chunk stands, bytes of another place or another file are never taken for a record.
//
// Beside the segments lie LOCK, held while the log is open, and one empty file NNNNNNNNNN.reserved: numbers up to N may have
// been used. It is made before the segments that it covers, so that a number never comes again, not even when all segments
// were removed and the process restarted: a position names one record for ever. SetAside leaves files NNNNNNNNNN.unreadable, which the
// log does not look at.
package journal
