package rollup

import "slices"

// durationLog keeps which bins the spans of a call count in, to add them up row by row in the end: rows lie apart in memory, and to put a bin
// into the middle of a row's takes longer than all else that is done for it.
type durationLog struct {
	entries []uint32 // table, place of the row, bin; in as many bits
	sorted  []uint32
}

const (
	logBinBits   = 12 // maxIndex has as many
	logPlaceBits = 14 // of MaxSeries
	logDigit     = 9  // bits that are sorted by at once
	logBits      = 1 + logPlaceBits + logBinBits
	// maxLog bounds the entries.
	maxLog = 1 << 16
)

// loggedTables are those whose durations are logged, by their bit.
var loggedTables = [2]Table{Operations, Edges}

// add adds a bin to a row, by its place; table is a number in loggedTables.
func (l *durationLog) add(table, place int, bin uint32) {
	l.entries = append(l.entries, uint32(table)<<(logPlaceBits+logBinBits)|uint32(place)<<logBinBits|bin)
}

// flush counts what was added in the rows.
func (l *durationLog) flush(s *Sums) {
	l.sort()
	for i := 0; i < len(l.entries); {
		of := l.entries[i] >> logBinBits
		r := &s.tables[loggedTables[of>>logPlaceBits]].rows[of&(1<<logPlaceBits-1)]
		// What the row has already, of a log before, is merged.
		earlier := sketch{}
		if len(r.durations.bins) > 0 {
			earlier.bins, r.durations.bins = r.durations.bins, nil
		}
		bins := r.durations.bins
		for ; i < len(l.entries) && l.entries[i]>>logBinBits == of; i++ {
			index := l.entries[i] & (1<<logBinBits - 1)
			if n := len(bins); n > 0 && bins[n-1].index == index {
				bins[n-1].count++
			} else {
				bins = append(bins, bin{index, 1})
			}
		}
		r.durations.bins = bins
		r.durations.merge(&earlier)
	}
	l.entries = l.entries[:0]
}

// sort sorts the entries by their digits, the last one first.
func (l *durationLog) sort() {
	if len(l.entries) < 1<<logDigit {
		slices.Sort(l.entries)
		return
	}
	l.sorted = slices.Grow(l.sorted[:0], len(l.entries))[:len(l.entries)]
	for shift := 0; shift < logBits; shift += logDigit {
		var ends [1 << logDigit]uint32
		for _, entry := range l.entries {
			ends[entry>>shift&(1<<logDigit-1)]++
		}
		end := uint32(0)
		for digit, count := range ends {
			ends[digit], end = end, end+count
		}
		for _, entry := range l.entries {
			to := &ends[entry>>shift&(1<<logDigit-1)]
			l.sorted[*to] = entry
			*to++
		}
		l.entries, l.sorted = l.sorted, l.entries
	}
}
