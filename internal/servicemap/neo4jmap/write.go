package neo4jmap

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// A service that was called before it sent spans was taken for a virtual peer.
	mergeServices = `
UNWIND $rows AS row
MERGE (s:Service {key: row.key})
ON CREATE SET s.tenant = row.tenant, s.name = row.name, s.kind = row.kind
FOREACH (_ IN CASE WHEN row.kind = 'service' AND s.kind <> 'service' THEN [1] ELSE [] END | SET s.kind = row.kind)`
	mergeEntries = `
UNWIND $rows AS row
MERGE (e:Entry {key: row.key})
ON CREATE SET e.tenant = row.tenant, e.service = row.name, e.operation = row.operation`
	// Most relationships of a call are there, since an earlier call of the same minute.
	addCounted = `
UNWIND $rows AS row
MATCH ()-[r:$REL {key: row.key}]->()
SET r.$FIRST = r.$FIRST + row.first, r.$SECOND = r.$SECOND + row.second
RETURN row.key AS key`
	// The names of the relationship, of the label and of the two numbers stand for $REL, $FROM, $FIRST and $SECOND, what is done with a
	// new relationship for $NEW. What is null is not set. The answer is compared with the number of rows: none is lost silently.
	mergeCounted = `
UNWIND $rows AS row
MATCH (a:$FROM {key: row.from})
MATCH (b:Service {key: row.to})
MERGE (a)-[r:$REL {key: row.key}]->(b)
ON CREATE SET r.tenant = row.tenant, r.pair = row.pair, r.environment = row.environment, r.kind = row.kind, r.protocol = row.protocol,
  r.bucket = row.bucket, r.width = row.width, r.$FIRST = row.first, r.$SECOND = row.second$NEW
ON MATCH SET r.$FIRST = r.$FIRST + row.first, r.$SECOND = r.$SECOND + row.second
$PAIR
RETURN count(*) AS rows`
	// A pair is known as long as its buckets: only a new one can say anything new of it.
	mergePair = `
FOREACH (_ IN CASE WHEN r.new THEN [1] ELSE [] END |
  MERGE (a)-[d:DEPENDS_ON {key: row.pair}]->(b)
  ON CREATE SET d.tenant = row.tenant, d.first_seen = row.seen, d.last_seen = row.seen
  ON MATCH SET d.first_seen = CASE WHEN row.seen < d.first_seen THEN row.seen ELSE d.first_seen END,
    d.last_seen = CASE WHEN row.seen > d.last_seen THEN row.seen ELSE d.last_seen END
  REMOVE r.new)`
)

// addStatements and mergeStatements are addCounted and mergeCounted by relationship.
var addStatements, mergeStatements = byRelationship(addCounted), byRelationship(mergeCounted)

func byRelationship(statement string) map[string]string {
	statements := make(map[string]string)
	for _, b := range bucketed {
		isNew, pair := "", ""
		if b.rel == relCalls {
			isNew, pair = ", r.new = true", mergePair
		}
		statements[b.rel] = strings.NewReplacer(
			"$FROM", b.from, "$REL", b.rel, "$FIRST", b.first, "$SECOND", b.second, "$NEW", isNew, "$PAIR", pair,
		).Replace(statement)
	}
	return statements
}

// write writes the rows.
func (r *rows) write(tx *transaction) error {
	absent := &rows{counted: make(map[string][]row)}
	for _, b := range bucketed {
		var err error
		if absent.counted[b.rel], err = add(tx, b.rel, r.counted[b.rel]); err != nil {
			return err
		}
	}
	if absent.len() == 0 {
		return nil
	}
	r.narrow(absent)
	return absent.merge(tx)
}

// narrow gives to the nodes that its relationships need, and those that have none.
func (r *rows) narrow(to *rows) {
	needed := make(map[string]bool)
	for _, list := range to.counted {
		for i := range list {
			needed[list[i].from], needed[list[i].to] = true, true
		}
	}
	only := func(nodes []node) []node {
		return slices.DeleteFunc(slices.Clone(nodes), func(n node) bool { return !needed[n.key] })
	}
	to.services, to.entries = only(r.services), only(r.entries)
}

// add adds to the relationships that are there, and returns the rows of the others.
func add(tx *transaction, rel string, list []row) (absent []row, err error) {
	for part := range slices.Chunk(list, chunk) {
		done := make(map[string]bool, len(part))
		parameters := make([]map[string]any, len(part))
		for i := range part {
			parameters[i] = map[string]any{"key": part[i].key, "first": part[i].first, "second": part[i].second}
		}
		if err := tx.run(addStatements[rel], map[string]any{"rows": parameters}, func(r record) { done[r.text("key")] = true }); err != nil {
			return nil, err
		}
		for i := range part {
			if !done[part[i].key] {
				absent = append(absent, part[i])
			}
		}
	}
	return absent, nil
}

// merge makes what is not there, and adds to what is.
func (r *rows) merge(tx *transaction) error {
	for _, nodes := range []struct {
		statement string
		list      []node
	}{{mergeServices, r.services}, {mergeEntries, r.entries}} {
		for part := range slices.Chunk(nodes.list, chunk) {
			parameters := make([]map[string]any, len(part))
			for i, n := range part {
				parameters[i] = map[string]any{"key": n.key, "tenant": n.tenant, "name": n.name, "kind": n.kind, "operation": n.operation}
			}
			if err := tx.run(nodes.statement, map[string]any{"rows": parameters}, nil); err != nil {
				return err
			}
		}
	}
	for _, b := range bucketed {
		if err := merge(tx, b.rel, r.counted[b.rel]); err != nil {
			return err
		}
	}
	return nil
}

func merge(tx *transaction, rel string, list []row) error {
	for part := range slices.Chunk(list, chunk) {
		all := make([]map[string]any, len(part))
		for i := range part {
			all[i] = part[i].parameters()
		}
		done := int64(0)
		if err := tx.run(mergeStatements[rel], map[string]any{"rows": all}, func(r record) { done = r.number("rows") }); err != nil {
			return err
		}
		if done != int64(len(part)) {
			return fmt.Errorf("%d of %d rows found their nodes; somebody else removes them", done, len(part))
		}
	}
	return nil
}

func (r *row) parameters() map[string]any {
	p := map[string]any{
		"key": r.key, "from": r.from, "to": r.to, "pair": r.pair, "tenant": r.tenant, "environment": r.environment,
		"bucket": r.bucket, "width": r.width, "first": r.first, "second": r.second, "kind": nil, "protocol": nil,
	}
	if r.childKind != "" {
		p["kind"], p["protocol"], p["seen"] = r.childKind, r.protocol, minuteStart(r.bucket)
	}
	return p
}

// minuteStart is when a minute begins.
func minuteStart(minutes int64) time.Time { return time.Unix(minutes*60, 0).UTC() }
