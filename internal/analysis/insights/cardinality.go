package insights

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

const (
	// minNames is how many operations of a service must differ in one word only to be names with ids in them.
	minNames = 50
	// maxWords is how many words of a name are looked at.
	maxWords = 16
	// minOther is which share of the spans must have been counted without a name.
	minOther = 0.001
)

// template is the name of an operation of a service with one word left open.
type template struct{ service, name string }

// filled is the operations that fill it.
type filled struct {
	names map[string]bool
	calls int64
	first string
}

// templates are those that many operations fill. There may be 100,000 operations of several words each, nearly all of which fill none: those are only
// counted, by a hash.
func templates(sums []OperationSum) map[template]*filled {
	calls := make(map[Operation]int64) // all versions together
	for i := range sums {
		calls[sums[i].Operation] += sums[i].Calls
	}
	seed := maphash.MakeSeed()
	counts := make(map[uint64]uint32)
	for o := range calls {
		for _, name := range templatesOf(o.Operation) {
			counts[maphash.Comparable(seed, template{o.Service, name})]++
		}
	}
	many := make(map[template]*filled)
	for o, n := range calls {
		for _, name := range templatesOf(o.Operation) {
			t := template{o.Service, name}
			if counts[maphash.Comparable(seed, t)] < minNames {
				continue
			}
			f := many[t]
			if f == nil {
				f = &filled{names: make(map[string]bool), first: o.Operation}
				many[t] = f
			}
			f.names[o.Operation] = true
			f.calls += n
			f.first = min(f.first, o.Operation)
		}
	}
	return many
}

// Cardinality tells of services that put ids into the names of their operations, so that no sum over an operation means anything, and of names beyond the
// number that is kept.
func Cardinality(now, _ *Window) []Insight {
	templates := templates(now.Operations)
	order := make([]template, 0)
	for t, c := range templates {
		if len(c.names) >= minNames {
			order = append(order, t)
		}
	}
	slices.SortFunc(order, func(a, b template) int {
		return cmp.Or(cmp.Compare(len(templates[b].names), len(templates[a].names)), cmp.Compare(a.service, b.service), cmp.Compare(a.name, b.name))
	})
	var found []Insight
	told := make(map[string]map[string]bool) // by service
	for _, t := range order {
		c := templates[t]
		if told[t.service] == nil {
			told[t.service] = make(map[string]bool)
		}
		fresh := 0
		for name := range c.names {
			fresh += one(!told[t.service][name])
			told[t.service][name] = true
		}
		if fresh < minNames { // another word of the same names
			continue
		}
		const sure = 0.8
		found = append(found, Insight{
			Kind: KindCardinality, Urgency: UrgencyVisibility, Service: t.service, Operation: c.first, Confidence: sure,
			Requests: min(c.calls, max(now.Traces, 0)),
			Title:    fmt.Sprintf("%s has %d operations that differ in one word: %q, such as %q", t.service, len(c.names), t.name, c.first),
			Advice: fmt.Sprintf("Name spans of %s after the route, not the path: http.route, or the statement without its values. Figures of single operations mean "+
				"nothing until then.", t.service),
			Evidence: []Figure{
				{"operations with the same words but one", UnitCount, float64(len(c.names)), nil},
				{"calls of one of them", UnitFactor, float64(c.calls) / float64(len(c.names)), nil},
			},
		})
	}
	if now.OtherShare >= minOther {
		found = append(found, Insight{
			Kind: KindCardinality, Urgency: UrgencyVisibility, Confidence: 1, Requests: int64(now.OtherShare * float64(max(now.Traces, 0))),
			Title:    fmt.Sprintf("%s of the spans were counted under \"other\": there were more names in a minute than are kept", percent(now.OtherShare)),
			Advice:   "Figures of single operations lack these spans. Find the services with the most operations (GET /traces/operations) and mend the names of their spans.",
			Evidence: []Figure{{"spans counted under \"other\"", UnitShare, now.OtherShare, nil}},
		})
	}
	return found
}

// templatesOf are the name with each of its words in turn left open, unless that leaves nothing.
func templatesOf(name string) (templates []string) {
	words := 0
	for from := 0; from < len(name) && words < maxWords; {
		to := from
		for to < len(name) && !strings.ContainsRune(" /.:,;?&=-_()", rune(name[to])) {
			to++
		}
		if word := name[from:to]; word != "" && !strings.HasPrefix(word, "{") && word != "*" && word != "?" {
			words++
			if to-from < len(name) {
				templates = append(templates, name[:from]+"*"+name[to:])
			}
		}
		from = to + 1
	}
	if words == 1 { // a single word: a verb or a function, or nothing but an id
		return append(templates, "*")
	}
	return templates
}
