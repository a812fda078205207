package pebblestore

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// searchRange is a range of search times and trace ids, newest first.
type searchRange struct {
	// newest and oldest bound the search times, both inclusive; empty where newest < oldest.
	newest, oldest int64
	// after, where set, is the place behind which the range begins.
	after *place
}

type place struct {
	searchTime int64
	id         pcommon.TraceID
}

// bounds are the range's keys in a partition.
func (r *searchRange) bounds(at partition) (lower, upper []byte) {
	lower = binary.BigEndian.AppendUint64(at.key(kindSearch, 24), ^orderedTime(r.newest))
	if r.after != nil && r.after.searchTime <= r.newest {
		lower = append(at.searchKey(r.after.searchTime, r.after.id), 0)
	}
	if r.oldest == math.MinInt64 {
		_, upper = at.span(kindSearch)
		return lower, upper
	}
	return lower, binary.BigEndian.AppendUint64(at.key(kindSearch, 24), ^orderedTime(r.oldest-1))
}

// entry is one search key and its value, valid until the next one is asked for.
type entry struct {
	at    partition
	place place
	value []byte
}

// merged walks the search index over several partitions, newest first.
type merged struct {
	iters []*partitionIter // a heap
	err   error
}

type partitionIter struct {
	at   partition
	iter *pebble.Iterator
}

// order is what follows the partition in the key.
func (p *partitionIter) order() []byte { return p.iter.Key()[len(p.at.tenant)+4:] }

func (m *merged) Len() int { return len(m.iters) }
func (m *merged) Less(i, j int) bool {
	return bytes.Compare(m.iters[i].order(), m.iters[j].order()) < 0
}
func (m *merged) Swap(i, j int) { m.iters[i], m.iters[j] = m.iters[j], m.iters[i] }
func (m *merged) Push(any)      {} // nothing is added to the heap
func (m *merged) Pop() any {
	last := m.iters[len(m.iters)-1]
	m.iters = m.iters[:len(m.iters)-1]
	return last
}

// openMerged opens the range in the partitions. close must be called.
func openMerged(reader pebble.Reader, list []partition, r *searchRange) *merged {
	m := &merged{}
	if r.newest < r.oldest {
		return m
	}
	for _, at := range list {
		lower, upper := r.bounds(at)
		if bytes.Compare(lower, upper) >= 0 {
			continue
		}
		iter, err := reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			m.err = errors.Join(m.err, err)
			continue
		}
		if !iter.First() {
			m.err = errors.Join(m.err, iter.Error(), iter.Close())
			continue
		}
		m.iters = append(m.iters, &partitionIter{at, iter})
	}
	heap.Init(m)
	return m
}

// each calls f for the entries until it returns false, and says whether all were seen.
func (m *merged) each(f func(e entry) bool) (all bool, err error) {
	for m.err == nil && len(m.iters) > 0 {
		top := m.iters[0]
		searchTime, id, err := top.at.decodeSearch(top.iter.Key())
		if err != nil {
			return false, err
		}
		value, err := top.iter.ValueAndErr()
		if err != nil {
			return false, err
		}
		if !f(entry{top.at, place{searchTime, id}, value}) {
			return false, nil
		}
		if top.iter.Next() {
			heap.Fix(m, 0)
			continue
		}
		m.err = errors.Join(top.iter.Error(), top.iter.Close())
		heap.Pop(m)
	}
	return m.err == nil, m.err
}

func (m *merged) close() error {
	err := m.err
	for _, p := range m.iters {
		err = errors.Join(err, p.iter.Close())
	}
	m.iters = nil
	return err
}

// unixNano is t, limited to what an int64 holds.
func unixNano(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}
