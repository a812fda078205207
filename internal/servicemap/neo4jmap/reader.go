package neo4jmap

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/tracewright/tracewright/internal/analysis/blastradius"
	"github.com/tracewright/tracewright/internal/analysis/servicegraph"
	"github.com/tracewright/tracewright/internal/servicemap"
)

// Reader implements servicemap.Reader over what Writers wrote.
type Reader struct{ client *client }

var _ servicemap.Reader = (*Reader)(nil)

// NewReader makes a reader, which connects when it is asked. The caller closes it.
func NewReader(ctx context.Context, config *ClientConfig) (*Reader, error) {
	c, err := connect(ctx, config)
	if err != nil {
		return nil, err
	}
	return &Reader{c}, nil
}

// Close closes the connections.
func (r *Reader) Close(ctx context.Context) error { return r.client.close(ctx) }

// Relationships of a window are found by their buckets: minutes, and hours that the window touches. $environments is null for all.
const (
	matchWindow = `
WHERE r.tenant = $tenant AND r.width = w.width AND r.bucket >= w.first AND r.bucket < $end
  AND ($environment IS NULL OR r.environment = $environment)`

	readServices = `
UNWIND $widths AS w
MATCH (s:Service)-[r:ANSWERED]->()` + matchWindow + `
WITH s, sum(r.calls) AS calls, sum(r.errors) AS errors, min(r.bucket) AS first, max(r.bucket + r.width) AS last
RETURN s.name AS name, calls, errors, first, last`

	readEdges = `
UNWIND $widths AS w
MATCH (a:Service)-[r:CALLS]->(b:Service)` + matchWindow + `
WITH a, b, r.kind AS kind, r.protocol AS protocol, sum(r.calls) AS calls, sum(r.errors) AS errors,
  min(r.bucket) AS first, max(r.bucket + r.width) AS last
RETURN a.name AS parent, b.name AS child, kind, protocol, calls, errors, first, last`

	readEntries = `
UNWIND $widths AS w
MATCH (e:Entry)-[r:ENTERS]->(:Service)` + matchWindow + `
WITH e, sum(r.traces) AS traces
RETURN e.service AS service, e.operation AS operation, traces`

	// Relationships of one pair are few: those of both widths are found at once.
	ofPair = ` AND r.bucket > $first - 60 AND r.bucket < $end AND r.bucket + r.width > $first
    AND ($environment IS NULL OR r.environment = $environment)`

	readPasses = `
MATCH (e:Entry)-[r:PASSES]->() WHERE r.pair = $service` + ofPair + `
RETURN e.service AS service, e.operation AS operation, sum(r.at_least) AS at_least, sum(r.at_most) AS at_most`

	// One step from each of $keys, over pairs that really called in the window.
	stepTo   = `UNWIND $keys AS key MATCH (:Service {key: key})-[d:DEPENDS_ON]->(next:Service)`
	stepFrom = `UNWIND $keys AS key MATCH (:Service {key: key})<-[d:DEPENDS_ON]-(next:Service)`
	called   = `
WHERE d.first_seen < $until AND d.last_seen >= $since
CALL (d) {
  MATCH ()-[r:CALLS]->() WHERE r.pair = d.key` + ofPair + `
  WITH r.kind AS kind, r.protocol AS protocol, sum(r.calls) AS calls WHERE calls > 0
  RETURN count(*) AS edges
}
WITH next, edges WHERE edges > 0
RETURN DISTINCT next.key AS key, next.name AS name`
)

// span is a window as parameters.
func span(tenant string, window *servicemap.Window) (parameters map[string]any, first, end int64) {
	if window.Start.Before(window.End) {
		first, end = minutes(window.Start), minutes(window.End.Add(time.Minute-1))
	}
	parameters = map[string]any{
		"tenant": valid(tenant), "first": first, "end": end,
		"since": minuteStart(first - first%hour), "until": minuteStart(end),
		"widths": []map[string]any{{"width": minute, "first": first}, {"width": hour, "first": first - first%hour}},
	}
	if window.Environment != nil {
		parameters["environment"] = valid(*window.Environment)
	} else {
		parameters["environment"] = nil
	}
	return parameters, first, end
}

func minutes(t time.Time) int64 { return max(0, t.Unix()) / 60 }

// read runs work in one reading transaction.
func (r *Reader) read(ctx context.Context, work func(tx *transaction) error) error {
	if err := r.client.transaction(ctx, neo4j.AccessModeRead, work); err != nil {
		return err
	}
	return ctx.Err()
}

// Map implements servicemap.Reader.
func (r *Reader) Map(ctx context.Context, tenant string, window *servicemap.Window) (*servicemap.Map, error) {
	parameters, first, end := span(tenant, window)
	var m *servicemap.Map
	err := r.read(ctx, func(tx *transaction) error {
		m = &servicemap.Map{}
		from, to := first, end
		note := func(found record) { from, to = min(from, found.number("first")), max(to, found.number("last")) }
		services, edges := make(map[string]servicemap.Service), make(map[servicemap.Edge]servicemap.Edge)
		if err := tx.run(readServices, parameters, func(found record) {
			note(found)
			s := services[found.text("name")]
			s.Name, s.Calls, s.Errors = found.text("name"), s.Calls+found.number("calls"), s.Errors+found.number("errors")
			services[s.Name] = s
		}); err != nil {
			return err
		}
		if err := tx.run(readEdges, parameters, func(found record) {
			note(found)
			key := servicemap.Edge{Parent: found.text("parent"), Child: found.text("child"), ChildKind: found.text("kind"), Protocol: found.text("protocol")}
			e := key
			e.Calls, e.Errors = edges[key].Calls+found.number("calls"), edges[key].Errors+found.number("errors")
			edges[key] = e
		}); err != nil {
			return err
		}
		m.Start, m.End = minuteStart(from), minuteStart(to)
		m.Services = slices.Collect(maps.Values(services))
		for _, e := range edges {
			if e.Calls > 0 { // the others were taken back
				e.Errors = max(0, e.Errors)
				m.Edges = append(m.Edges, e)
			}
		}
		m.Sort()
		return nil
	})
	return m, err
}

// Neighbours implements servicemap.Reader. It reads no more of the map than there is around the service.
func (r *Reader) Neighbours(
	ctx context.Context, tenant string, window *servicemap.Window, service string, depth int,
) (*servicemap.Neighbours, error) {
	parameters, _, _ := span(tenant, window)
	var n *servicemap.Neighbours
	err := r.read(ctx, func(tx *transaction) (err error) {
		n = &servicemap.Neighbours{}
		start := serviceKey(valid(tenant), valid(service))
		if n.Callees, err = walk(tx, stepTo+called, parameters, start, depth); err != nil {
			return err
		}
		n.Callers, err = walk(tx, stepFrom+called, parameters, start, depth)
		return err
	})
	return n, err
}

// walk goes from a service, a step at a time.
func walk(tx *transaction, step string, parameters map[string]any, start string, depth int) ([]servicegraph.Neighbour, error) {
	var found []servicegraph.Neighbour
	seen := map[string]bool{start: true}
	parameters = maps.Clone(parameters)
	for edge, distance := []string{start}, 1; len(edge) > 0 && distance <= depth; distance++ {
		parameters["keys"] = edge
		edge = nil
		if err := tx.run(step, parameters, func(next record) {
			if key := next.text("key"); !seen[key] {
				seen[key] = true
				edge = append(edge, key)
				found = append(found, servicegraph.Neighbour{Service: next.text("name"), Distance: distance})
			}
		}); err != nil {
			return nil, err
		}
	}
	servicegraph.SortNeighbours(found)
	return found, nil
}

// Radius implements servicemap.Reader.
func (r *Reader) Radius(
	ctx context.Context, tenant string, window *servicemap.Window, service string,
) (reached []blastradius.Reach, err error) {
	parameters, _, _ := span(tenant, window)
	parameters["service"] = serviceKey(valid(tenant), valid(service))
	err = r.read(ctx, func(tx *transaction) error {
		traces, passed := make(map[blastradius.Entry]int64), make(map[blastradius.Entry]blastradius.Passed)
		if err := tx.run(readEntries, parameters, func(found record) { traces[entryOf(found)] += found.number("traces") }); err != nil {
			return err
		}
		if err := tx.run(readPasses, parameters, func(found record) {
			passed[entryOf(found)] = blastradius.Passed{AtLeast: found.number("at_least"), AtMost: found.number("at_most")}
		}); err != nil {
			return err
		}
		reached = blastradius.Reached(passed, traces)
		return nil
	})
	return reached, err
}

func entryOf(found record) blastradius.Entry {
	return blastradius.Entry{Service: found.text("service"), Operation: found.text("operation")}
}
