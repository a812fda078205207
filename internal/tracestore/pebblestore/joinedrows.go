package pebblestore

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// bounds are the keys of the range's joined rows in a partition.
func (r *searchRange) bounds(at partition) (lower, upper []byte) {
	lower = binary.BigEndian.AppendUint64(at.key(kindJoined, 24), ^orderedTime(r.newest))
	if r.after != nil && r.after.Time <= r.newest {
		lower = append(at.joinedKey(r.after.Time, r.after.TraceID), 0)
	}
	if r.oldest == math.MinInt64 {
		_, upper = at.span(kindJoined)
		return lower, upper
	}
	return lower, binary.BigEndian.AppendUint64(at.key(kindJoined, 24), ^orderedTime(r.oldest-1))
}

// joinedEntry is one joined row, valid until the next one is asked for.
type joinedEntry struct {
	at    tracestore.Position
	value []byte
}

// merged walks the joined rows of several partitions, newest first.
type merged struct {
	iters []*partitionIter // a heap
	// moved says that the first iterator stands on what was answered.
	moved bool
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
func openMerged(reader pebble.Reader, days []*dayInMemory, r *searchRange) *merged {
	m := &merged{}
	for _, d := range days {
		lower, upper := r.bounds(d.partition)
		if bytes.Compare(lower, upper) >= 0 {
			continue
		}
		iter, err := reader.NewIter(iterOptions(lower, upper))
		if err != nil {
			m.err = errors.Join(m.err, err)
			continue
		}
		if !iter.First() {
			m.err = errors.Join(m.err, iter.Error(), iter.Close())
			continue
		}
		m.iters = append(m.iters, &partitionIter{d.partition, iter})
	}
	heap.Init(m)
	return m
}

// next is the next row, nil where there is none.
func (m *merged) next() (*joinedEntry, error) {
	if m.moved {
		m.moved = false
		if top := m.iters[0]; top.iter.Next() {
			heap.Fix(m, 0)
		} else {
			m.err = errors.Join(m.err, top.iter.Error(), top.iter.Close())
			heap.Pop(m)
		}
	}
	if m.err != nil || len(m.iters) == 0 {
		return nil, m.err
	}
	top := m.iters[0]
	m.moved = true
	searchTime, id, err := top.at.decodeJoined(top.iter.Key())
	if err != nil {
		return nil, err
	}
	value, err := top.iter.ValueAndErr()
	if err != nil {
		return nil, err
	}
	return &joinedEntry{tracestore.Position{Time: searchTime, TraceID: id}, value}, nil
}

func (m *merged) close() error {
	err := m.err
	for _, p := range m.iters {
		err = errors.Join(err, p.iter.Close())
	}
	m.iters = nil
	return err
}
