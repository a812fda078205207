package pebblestore

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// partitions lists the days of which each tenant has data. It is read from the keys at open and kept up to date by the
// writer; days are few.
type partitions struct {
	mu   sync.RWMutex        // guards days
	days map[string][]uint32 // by tenant prefix, newest first; slices are replaced, never changed
}

// of returns the tenant's partitions, newest first.
func (p *partitions) of(tenant string) []partition {
	p.mu.RLock()
	days := p.days[tenant]
	p.mu.RUnlock()
	list := make([]partition, len(days))
	for i, day := range days {
		list[i] = partition{tenant, day}
	}
	return list
}

func (p *partitions) add(at partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	days := p.days[at.tenant]
	if i, found := slices.BinarySearchFunc(days, at.day, newerFirst); !found {
		p.days[at.tenant] = slices.Insert(slices.Clone(days), i, at.day)
	}
}

func (p *partitions) remove(at partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	days := slices.DeleteFunc(slices.Clone(p.days[at.tenant]), func(day uint32) bool { return day == at.day })
	if len(days) == 0 {
		delete(p.days, at.tenant)
		return
	}
	p.days[at.tenant] = days
}

// all lists the partitions of all tenants.
func (p *partitions) all() []partition { return p.before(math.MaxUint32) }

// before lists the partitions of all tenants older than the day.
func (p *partitions) before(day uint32) []partition {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var list []partition
	for tenant, days := range p.days {
		for _, d := range days {
			if d < day {
				list = append(list, partition{tenant, d})
			}
		}
	}
	return list
}

func newerFirst(a, b uint32) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// loadPartitions finds all partitions by jumping from one to the next, and the highest sequence in use.
func loadPartitions(db *pebble.DB) (*partitions, uint64, error) {
	found := &partitions{days: make(map[string][]uint32)}
	var highest uint64
	iter, err := db.NewIter(&pebble.IterOptions{UpperBound: []byte{systemByte}})
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = iter.Close() }() // its error is read below
	for valid := iter.First(); valid; {
		at, err := decodePartition(iter.Key())
		if err != nil {
			return nil, 0, err
		}
		found.add(at)
		_, end := at.span(kindSpans)
		if iter.SeekLT(end) {
			if sequence, err := at.decodeSpans(iter.Key()); err == nil {
				highest = max(highest, sequence)
			}
		}
		_, end = at.span(0)
		valid = iter.SeekGE(end)
	}
	return found, highest, iter.Error()
}

// sorted lists the partitions of all tenants, by tenant and day.
func (p *partitions) sorted() []partition {
	list := p.all()
	slices.SortFunc(list, func(a, b partition) int {
		return cmp.Or(cmp.Compare(tenantName(a.tenant), tenantName(b.tenant)), cmp.Compare(a.day, b.day))
	})
	return list
}
