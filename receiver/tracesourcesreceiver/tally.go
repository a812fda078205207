package tracesourcesreceiver

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tracewright/tracewright/internal/tracesources"
)

// maxSenders is how many services, and how many SDKs, are remembered of a source.
const maxSenders = 100

// tally is what a source has taken, whatever receivers it had.
type tally struct {
	mu       sync.Mutex // guards the fields below
	spans    int64
	rate     rate
	refused  map[tracesources.Reason]int64
	lastSeen time.Time
	services senders[string]
	sdks     senders[tracesources.SDK]
}

func newTally() *tally {
	return &tally{refused: make(map[tracesources.Reason]int64), services: make(senders[string]), sdks: make(senders[tracesources.SDK])}
}

func (t *tally) accepted(now time.Time, spans int, services []string, sdks []tracesources.SDK) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans += int64(spans)
	t.rate.add(now, spans)
	t.lastSeen = now
	for _, service := range services {
		t.services.note(service, now)
	}
	for _, sdk := range sdks {
		t.sdks.note(sdk, now)
	}
}

func (t *tally) rejected(reason tracesources.Reason, spans int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused[reason] += int64(spans)
}

// state is what it says now.
func (t *tally) state(now time.Time) tracesources.Intake {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := tracesources.Intake{
		Spans: t.spans, SpansPerSecond: t.rate.perSecond(now), LastSeen: t.lastSeen,
		Rejected: maps.Clone(t.refused), Services: t.services.list(), SDKs: t.sdks.list(),
	}
	slices.Sort(s.Services)
	slices.SortFunc(s.SDKs, func(a, b tracesources.SDK) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Language, b.Language), strings.Compare(a.Version, b.Version))
	})
	return s
}

// senders are the latest of those that were seen, with when they were seen last.
type senders[K comparable] map[K]time.Time

func (s senders[K]) note(sender K, now time.Time) {
	if _, known := s[sender]; !known && len(s) >= maxSenders {
		var oldest K
		first := true
		for other, at := range s {
			if first || at.Before(s[oldest]) {
				oldest, first = other, false
			}
		}
		delete(s, oldest)
	}
	s[sender] = now
}

func (s senders[K]) list() []K {
	list := make([]K, 0, len(s))
	for sender := range s {
		list = append(list, sender)
	}
	return list
}
