package rollup

import (
	"iter"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Series is a series as a storage has it that adds up by itself. Such a storage limits the series of a minute by itself, too.
type Series struct {
	// Key is the table's columns, without the environment: what the query does not tell apart is added up and empty.
	//
	//	Operations       service, version, operation, kind
	//	Edges            parent, its operation, child, its operation, child's kind, protocol
	//	Entries          service, operation, outcome
	//	EntryOperations  entry service, entry operation, service, operation
	//	Errors           fingerprint, service, operation, entry service, entry operation
	//	Spans
	//	Contexts         parent, child, violation, peer: see contexts.go
	//	Contrasts        entry service, entry operation, service, key, value
	Key []string
	// Numbers are the sums.
	//
	//	Operations       calls, errors, self time, path time, roots, excess of the weights in 1/1024
	//	Edges, Entries   calls or traces, errors, retracted of both
	//	EntryOperations  calls, errors, self time, path time, traces
	//	Errors           calls
	//	Spans            spans, partial, orphans, repaired
	//	Contexts         answered or counted, unanswered, taken back
	//	Contrasts        traces, errors, slow, judged
	Numbers []uint64
	// Durations are those of Operations, Edges and Entries.
	Durations Bins
	// First and Last are the minutes (MinuteOf) of a failure, and Traces some of those with it. Of Errors.
	First, Last uint32
	Traces      []pcommon.TraceID
}

// Bins are a sketch of durations in nanoseconds: a DDSketch whose bins grow by a factor of (1+α)/(1−α), α being 1 %.
type Bins struct {
	Zeros uint64 // durations of 0
	// Indexes ascend. Bin i holds the durations from factor^i up to factor^(i+1).
	Indexes []uint32
	Counts  []uint64
}

// OtherName names the services, operations and whatever else tells series apart in the series "other".
const OtherName = otherName

// Add adds a series that the query asks for. Of Contexts, see AddMinute.
func (a *Answer) Add(s *Series) {
	k, r := a.series(s)
	a.sums.at(a.table, &k).merge(&r)
}

// AddOther adds what went beyond the limit of a minute, unless the query names an environment or a service: whose it is is not known.
func (a *Answer) AddOther(s *Series) {
	if a.query.Environment == nil && (a.query.Service == "" || len(shapes[a.table].services) == 0) {
		_, r := a.series(s)
		a.sums.tables[a.table].beyond().merge(&r)
	}
}

// AddBeyond says, to an answer from Spans, how many spans a table counts in its "other".
func (a *Answer) AddBeyond(t Table, spans uint64) { a.beyond[t] = sum(a.beyond[t], spans) }

// AddMinute adds all that Contexts holds of a minute in the environments of the query, whatever the services.
func (a *Answer) AddMinute(series iter.Seq[*Series]) {
	m := newContextMinute(a)
	for s := range series {
		k, r := a.series(s)
		m.add(&k, &r)
	}
	m.finish()
}

// series is the series in the answer's own numbers of strings.
func (a *Answer) series(s *Series) (k key, r row) {
	for i, text := range s.Key {
		k[1+i] = a.sums.strings.id(text)
	}
	copy(r.numbers[:], s.Numbers)
	r.durations.zeros = s.Durations.Zeros
	for i, index := range s.Durations.Indexes {
		r.durations.bins = append(r.durations.bins, bin{index, s.Durations.Counts[i]})
	}
	for i, id := range s.Traces {
		if i == 0 {
			r.happened().between(s.First, s.Last)
		}
		r.happened().trace(id)
	}
	return k, r
}

// SlowAbove is the last bin of durations that are not slow, by those of an entry's traces in the closed hour before; ok is false where they
// are too few to say. The bin is −1 where only a duration of 0 is not slow.
func SlowAbove(before Bins, traces int64) (index int64, ok bool) {
	count := before.Zeros
	for _, n := range before.Counts {
		count = sum(count, n)
	}
	if traces < minUsual || count == 0 {
		return 0, false
	}
	// As DDSketch has quantiles.
	rank, below := usualQuantile*float64(count-1), float64(before.Zeros)
	if below > rank {
		return -1, true
	}
	for i, n := range before.Counts {
		if below += float64(n); below > rank {
			return int64(before.Indexes[i]), true
		}
	}
	return int64(before.Indexes[len(before.Indexes)-1]), true
}

// Above counts the durations in the bins behind index.
func (b *Bins) Above(index int64) (count uint64) {
	for i, n := range b.Counts {
		if int64(b.Indexes[i]) > index {
			count = sum(count, n)
		}
	}
	return count
}
