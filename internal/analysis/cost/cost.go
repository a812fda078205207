// Package cost shares out what services cost over the entry operations that they work for, by the time that they are busy.
package cost

import (
	"cmp"
	"math"
	"slices"
)

// Entry is an operation by which requests enter.
type Entry struct{ Service, Operation string }

// Row is how long a service was busy for the requests of an entry: its self time, nanoseconds. Rows of the same entry and service add up.
type Row struct {
	Entry    Entry
	Service  string
	BusyTime int64
}

// Prices are by service: what one second in which it is busy costs, in any currency. A negative price, or one that is no number, is none.
type Prices map[string]float64

func (p Prices) of(service string) (price float64, ok bool) {
	price, ok = p[service]
	return price, ok && price >= 0 && !math.IsInf(price, 0)
}

// Bill is what the requests of an entry cost.
type Bill struct {
	Entry  Entry
	Traces int64
	Cost   float64
	// PerTrace is Cost by trace, 0 without traces.
	PerTrace float64
	// Services are by cost, the dearest first, of equals by name.
	Services []ServiceCost
	// UnpricedTime is how long services without a price were busy, nanoseconds.
	UnpricedTime int64
}

// ServiceCost is a service's part of a bill.
type ServiceCost struct {
	Service  string
	BusyTime int64
	Cost     float64
}

// Bills are by entry, the dearest first, of equals by name. traces counts the requests of each entry in the same window; negative times count as 0.
func Bills(rows []Row, traces map[Entry]int64, prices Prices) []Bill {
	type key struct {
		entry   Entry
		service string
	}
	busy := make(map[key]int64)
	for _, r := range rows {
		k := key{r.Entry, r.Service}
		busy[k] += min(max(0, r.BusyTime), math.MaxInt64-busy[k])
	}
	bills := make(map[Entry]*Bill)
	for k, t := range busy {
		b := bills[k.entry]
		if b == nil {
			b = &Bill{Entry: k.entry, Traces: max(0, traces[k.entry])}
			bills[k.entry] = b
		}
		price, ok := prices.of(k.service)
		if !ok {
			b.UnpricedTime += min(t, math.MaxInt64-b.UnpricedTime)
			continue
		}
		b.Services = append(b.Services, ServiceCost{k.service, t, min(float64(t)/1e9*price, math.MaxFloat64)})
	}
	sorted := make([]Bill, 0, len(bills))
	for _, b := range bills {
		slices.SortFunc(b.Services, func(x, y ServiceCost) int {
			return cmp.Or(cmp.Compare(y.Cost, x.Cost), cmp.Compare(x.Service, y.Service))
		})
		for _, s := range b.Services { // in their order, so that the sum is the same each time
			b.Cost = min(b.Cost+s.Cost, math.MaxFloat64)
		}
		if b.Traces > 0 {
			b.PerTrace = b.Cost / float64(b.Traces)
		}
		sorted = append(sorted, *b)
	}
	slices.SortFunc(sorted, func(x, y Bill) int {
		return cmp.Or(
			cmp.Compare(y.Cost, x.Cost), cmp.Compare(x.Entry.Service, y.Entry.Service), cmp.Compare(x.Entry.Operation, y.Entry.Operation),
		)
	})
	return sorted
}
