package neo4jmap

import (
	"context"
	"fmt"
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

// Relationships of a window are found by their buckets: minutes, and hours that the window touches. $environment is null for all. The
// hints keep what was planned for an empty graph from scanning a full one.
const (
	matchWindow = `
WHERE r.tenant = $tenant AND r.width = w.width AND r.bucket >= w.first AND r.bucket < $end
  AND ($environment IS NULL OR r.environment = $environment)`

	readServices = `
UNWIND $widths AS w
MATCH (s:Service)-[r:ANSWERED]->()
USING INDEX SEEK r:ANSWERED(tenant, width, bucket)` + matchWindow + `
WITH s, sum(r.calls) AS calls, sum(r.errors) AS errors, min(r.bucket) AS first, max(r.bucket + r.width) AS last
RETURN s.name AS name, calls, errors, first, last`

	readEdges = `
UNWIND $widths AS w
MATCH (a:Service)-[r:CALLS]->(b:Service)
USING INDEX SEEK r:CALLS(tenant, width, bucket)` + matchWindow + `
WITH a, b, r.kind AS kind, r.protocol AS protocol, sum(r.calls) AS calls, sum(r.errors) AS errors,
  min(r.bucket) AS first, max(r.bucket + r.width) AS last
RETURN a.name AS parent, b.name AS child, kind, protocol, calls, errors, first, last`

	readEntries = `
UNWIND $widths AS w
MATCH (e:Entry)-[r:ENTERS]->(:Service)
USING INDEX SEEK r:ENTERS(tenant, width, bucket)` + matchWindow + `
WITH e, sum(r.traces) AS traces, min(r.bucket) AS first, max(r.bucket + r.width) AS last
RETURN e.service AS service, e.operation AS operation, traces, first, last`

	// Relationships of one pair are few: those of both widths are found at once.
	ofPair = ` AND r.bucket > $first - 60 AND r.bucket < $end AND r.bucket + r.width > $first
    AND ($environment IS NULL OR r.environment = $environment)`

	readPasses = `
MATCH (e:Entry)-[r:PASSES]->() USING INDEX SEEK r:PASSES(pair, bucket) WHERE r.pair = $service` + ofPair + `
RETURN e.service AS service, e.operation AS operation, sum(r.at_least) AS at_least, sum(r.at_most) AS at_most,
  min(r.bucket) AS first, max(r.bucket + r.width) AS last`

	// One step from each of $keys, over pairs that really called in the window.
	stepTo   = `UNWIND $keys AS key MATCH (:Service {key: key})-[d:DEPENDS_ON]->(next:Service)`
	stepFrom = `UNWIND $keys AS key MATCH (:Service {key: key})<-[d:DEPENDS_ON]-(next:Service)`
	called   = `
WHERE d.first_seen < $until AND d.last_seen >= $since
CALL (d) {
  MATCH ()-[r:CALLS]->() USING INDEX SEEK r:CALLS(pair, bucket) WHERE r.pair = d.key` + ofPair + `
  WITH r.kind AS kind, r.protocol AS protocol, sum(r.calls) AS calls WHERE calls > 0
  RETURN count(*) AS edges
}
WITH next, edges WHERE edges > 0
RETURN DISTINCT next.key AS key, next.name AS name`
)

// span is a window, in minutes.
type span struct {
	tenant      string
	environment *string
	first, end  int64
}

func spanOf(tenant string, window *servicemap.Window) *span {
	s := &span{tenant: valid(tenant)}
	if window.Start.Before(window.End) {
		s.first, s.end = minutes(window.Start), minutes(window.End.Add(time.Minute-1))
	}
	if window.Environment != nil {
		s.environment = new(valid(*window.Environment))
	}
	return s
}

func (s *span) parameters() map[string]any {
	parameters := map[string]any{
		"tenant": s.tenant, "first": s.first, "end": s.end, "environment": nil,
		"since": minuteStart(s.first - s.first%hour), "until": minuteStart(s.end),
		"widths": []map[string]any{{"width": minute, "first": s.first}, {"width": hour, "first": s.first - s.first%hour}},
	}
	if s.environment != nil {
		parameters["environment"] = *s.environment
	}
	return parameters
}

// wholly has work read the span, and once more where it found hours that are further than the span: then as far as these are, so that
// those of their minutes that are not folded yet are read too. It returns what was read at last. work tells each record that has a first and
// last minute.
func (s *span) wholly(work func(parameters map[string]any, note func(record)) error) (*span, error) {
	for {
		wider := *s
		note := func(found record) {
			wider.first, wider.end = min(wider.first, found.number("first")), max(wider.end, found.number("last"))
		}
		if err := work(s.parameters(), note); err != nil || wider == *s {
			return s, err
		}
		s = &wider
	}
}

func minutes(t time.Time) int64 { return max(0, t.Unix()) / 60 }

const (
	// foldPatience is for how long a question is asked again while minutes of its window are folded, foldPause what lies between.
	foldPatience = 5 * time.Second
	foldPause    = 50 * time.Millisecond

	readFolds = `
OPTIONAL MATCH (t:Tenant {name: $tenant})
RETURN coalesce(t.folds, 0) AS folds, coalesce(t.folded, 0) AS until, t.folds % 2 = 1 AND t.folding > timestamp() - $timeout AS folding`
)

// folds are how often minutes of a tenant were folded, and those before when; see beginFold.
type folds struct {
	count, until int64
	folding      bool
}

// undisturbed says that what was read between the two was not folded meanwhile.
func (s *span) undisturbed(before, after folds) bool {
	return s.first >= after.until || before == after && !after.folding
}

// read runs work in a reading transaction; again, where minutes of the span were folded meanwhile, for work sees what is committed meanwhile.
func (r *Reader) read(ctx context.Context, s *span, work func(tx *transaction) error) error {
	for began := time.Now(); ; {
		var before, after folds
		if err := r.client.transaction(ctx, neo4j.AccessModeRead, func(tx *transaction) error {
			ask := func(f *folds) error {
				return tx.run(readFolds, map[string]any{"tenant": s.tenant, "timeout": (2 * changeTimeout).Milliseconds()}, func(found record) {
					*f = folds{found.number("folds"), found.number("until"), found.is("folding")}
				})
			}
			if err := ask(&before); err != nil {
				return err
			}
			if after = before; !s.undisturbed(before, before) {
				return nil
			}
			if err := work(tx); err != nil {
				return err
			}
			return ask(&after)
		}); err != nil {
			return err
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.undisturbed(before, after):
			return nil
		case time.Since(began) > foldPatience:
			return fmt.Errorf("%w: minutes of the window are being folded into hours; ask again in a minute", servicemap.ErrUnavailable)
		}
		select {
		case <-time.After(foldPause):
		case <-ctx.Done():
		}
	}
}

// Map implements servicemap.Reader.
func (r *Reader) Map(ctx context.Context, tenant string, window *servicemap.Window) (*servicemap.Map, error) {
	asked := spanOf(tenant, window)
	var m *servicemap.Map
	err := r.read(ctx, asked, func(tx *transaction) error {
		read, err := asked.wholly(func(parameters map[string]any, note func(record)) (err error) {
			m, err = readMap(tx, parameters, note)
			return err
		})
		if err == nil {
			m.Start, m.End = minuteStart(read.first), minuteStart(read.end)
		}
		return err
	})
	return m, err
}

func readMap(tx *transaction, parameters map[string]any, note func(record)) (*servicemap.Map, error) {
	services, edges := make(map[string]servicemap.Service), make(map[servicemap.Edge]servicemap.Edge)
	if err := tx.run(readServices, parameters, func(found record) {
		note(found)
		s := services[found.text("name")]
		s.Name, s.Calls, s.Errors = found.text("name"), s.Calls+found.number("calls"), s.Errors+found.number("errors")
		services[s.Name] = s
	}); err != nil {
		return nil, err
	}
	if err := tx.run(readEdges, parameters, func(found record) {
		note(found)
		key := servicemap.Edge{Parent: found.text("parent"), Child: found.text("child"), ChildKind: found.text("kind"), Protocol: found.text("protocol")}
		e := key
		e.Calls, e.Errors = edges[key].Calls+found.number("calls"), edges[key].Errors+found.number("errors")
		edges[key] = e
	}); err != nil {
		return nil, err
	}
	m := &servicemap.Map{Services: slices.Collect(maps.Values(services))}
	for _, e := range edges {
		if e.Calls > 0 { // the others were taken back
			e.Errors = max(0, e.Errors)
			m.Edges = append(m.Edges, e)
		}
	}
	m.Sort()
	return m, nil
}

// Neighbours implements servicemap.Reader. It reads no more of the map than there is around the service.
func (r *Reader) Neighbours(
	ctx context.Context, tenant string, window *servicemap.Window, service string, depth int,
) (*servicemap.Neighbours, error) {
	asked := spanOf(tenant, window)
	parameters := asked.parameters()
	var n *servicemap.Neighbours
	err := r.read(ctx, asked, func(tx *transaction) (err error) {
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
	asked := spanOf(tenant, window)
	err = r.read(ctx, asked, func(tx *transaction) error {
		_, err := asked.wholly(func(parameters map[string]any, note func(record)) (err error) {
			parameters["service"] = serviceKey(asked.tenant, valid(service))
			reached, err = readRadius(tx, parameters, note)
			return err
		})
		return err
	})
	return reached, err
}

func readRadius(tx *transaction, parameters map[string]any, note func(record)) ([]blastradius.Reach, error) {
	traces, passed := make(map[blastradius.Entry]int64), make(map[blastradius.Entry]blastradius.Passed)
	if err := tx.run(readEntries, parameters, func(found record) {
		note(found)
		traces[entryOf(found)] += found.number("traces")
	}); err != nil {
		return nil, err
	}
	if err := tx.run(readPasses, parameters, func(found record) {
		note(found)
		passed[entryOf(found)] = blastradius.Passed{AtLeast: found.number("at_least"), AtMost: found.number("at_most")}
	}); err != nil {
		return nil, err
	}
	return blastradius.Reached(passed, traces), nil
}

func entryOf(found record) blastradius.Entry {
	return blastradius.Entry{Service: found.text("service"), Operation: found.text("operation")}
}
