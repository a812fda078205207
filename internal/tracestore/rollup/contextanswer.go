package rollup

import (
	"iter"
	"slices"

	"github.com/tracewright/tracewright/internal/tracestore"
)

// learnedShare is the share of the calls with a peer's name that a service has to have answered to be that peer.
const learnedShare = 0.9

// link is a parent and a child.
type link struct{ parent, child uint32 }

// contextMinute is what a minute says of contexts.
type contextMinute struct {
	answer  *Answer
	sending map[uint32]bool // the services
	calls   map[link]*[3]uint64
	learned map[uint32]map[uint32]uint64 // calls by the peer's name and the service that answered
}

func newContextMinute(a *Answer) *contextMinute {
	return &contextMinute{
		answer: a, sending: make(map[uint32]bool), calls: make(map[link]*[3]uint64), learned: make(map[uint32]map[uint32]uint64),
	}
}

// mergeContexts adds a minute. Which service a peer is is decided by that minute alone: a service that sent no spans in it may not
// have been there, and hosts change hands.
func (a *Answer) mergeContexts(v *value, filter *filter, names *translator) {
	m := newContextMinute(a)
	matches := func(k *key) bool { return k != nil && filter.match(k) }
	v.visit(Of(Contexts), matches, func(t Table, k *key, r *row) {
		own := names.key(t, k)
		m.add(&own, r)
	}, nil)
	m.finish()
}

func (m *contextMinute) add(k *key, r *row) {
	parent, child := k[contextParent], k[contextChild]
	switch {
	case k[contextViolation] != 0:
		m.row(link{parent, child}, k[contextViolation]).merge(r)
	case k[contextPeer] != 0:
		services := m.learned[k[contextPeer]]
		if services == nil {
			services = make(map[uint32]uint64)
			m.learned[k[contextPeer]] = services
		}
		services[child] = sum(services[child], r.numbers[numCount])
	case parent == 0:
		m.sending[child] = true
	default:
		to := m.calls[link{parent, child}]
		if to == nil {
			to = new([3]uint64)
			m.calls[link{parent, child}] = to
		}
		for i, n := range r.numbers[:len(to)] {
			to[i] = sum(to[i], n)
		}
	}
}

func (m *contextMinute) row(of link, violation uint32) *row {
	return m.answer.sums.at(Contexts, &key{contextParent: of.parent, contextChild: of.child, contextViolation: violation})
}

// finish adds the calls to services to the answer.
func (m *contextMinute) finish() {
	for of, calls := range m.calls {
		if calls[numCount] > 0 {
			r := m.row(of, 0)
			r.numbers[numCount] = sum(r.numbers[numCount], calls[numCount])
		}
		if calls[numUnanswered] == 0 && calls[numTakenBack] == 0 {
			continue
		}
		service, found := m.resolve(of.child)
		if !found || service == of.parent { // a service that calls itself is answered by its own spans, which are no edge
			continue
		}
		to := link{of.parent, service}
		r := m.row(to, 0)
		r.numbers[numUnanswered] = sum(r.numbers[numUnanswered], calls[numUnanswered])
		r.numbers[numTakenBack] = sum(r.numbers[numTakenBack], calls[numTakenBack])
		if m.answer.peers == nil {
			m.answer.peers = make(map[link]map[uint32]bool)
		}
		if m.answer.peers[to] == nil {
			m.answer.peers[to] = make(map[uint32]bool)
		}
		m.answer.peers[to][of.child] = true
	}
}

// resolve finds the service that a peer is: the one of its name; the one that its host names; or the one that answered nearly all
// calls of the minute that named it. The service sends spans in the minute.
func (m *contextMinute) resolve(peer uint32) (service uint32, found bool) {
	if m.sending[peer] {
		return peer, true
	}
	strings := &m.answer.sums.strings
	if service, found = strings.ids[hostService(strings.text(peer))]; found && m.sending[service] {
		return service, true
	}
	total, most := uint64(0), uint64(0)
	for answering, calls := range m.learned[peer] {
		if total = sum(total, calls); calls > most {
			service, most = answering, calls
		}
	}
	return service, most > 0 && float64(most) >= learnedShare*float64(total) && m.sending[service]
}

// Contexts yields what is known of each caller and service.
func (a *Answer) Contexts() iter.Seq[tracestore.ContextAggregate] {
	t := &a.sums.tables[Contexts]
	var order []link
	found := make(map[link]*tracestore.ContextAggregate)
	for i := range t.keys {
		k, r := &t.keys[i], &t.rows[i]
		of := link{k[contextParent], k[contextChild]}
		to := found[of]
		if to == nil {
			to = &tracestore.ContextAggregate{Parent: a.text(k, contextParent), Child: a.text(k, contextChild)}
			found[of], order = to, append(order, of)
		}
		if k[contextViolation] == 0 {
			to.Calls, to.Unanswered = signed(r.numbers[numCount]), difference(r.numbers[numUnanswered], r.numbers[numTakenBack])
			continue
		}
		if to.Violations == nil {
			to.Violations = make(map[string]int64)
		}
		to.Violations[a.text(k, contextViolation)] = signed(r.numbers[numCount])
	}
	return func(yield func(tracestore.ContextAggregate) bool) {
		for _, of := range order {
			to := found[of]
			for peer := range a.peers[of] {
				to.Peers = append(to.Peers, a.sums.strings.text(peer))
			}
			slices.Sort(to.Peers)
			wanted := a.query.Service == "" || a.query.Service == to.Parent || a.query.Service == to.Child
			if wanted && (to.Calls > 0 || to.Unanswered > 0 || to.Violations != nil) && !yield(*to) {
				return
			}
		}
	}
}
