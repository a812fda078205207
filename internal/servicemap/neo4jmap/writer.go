package neo4jmap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/servicemap"
)

// Options say what a Writer keeps.
type Options struct {
	// MaxVirtualNodes is how many virtual peers of a tenant are told apart; what calls go to others is one more, "other".
	MaxVirtualNodes int
	// Minutes is how long the minutes are kept before they are folded into hours, Retention how long the hours are; 0 for ever.
	Minutes, Retention time.Duration
	// CallIDRetention is how long a call that comes again is recognised.
	CallIDRetention time.Duration
	// Now is the clock; nil for the system's.
	Now func() time.Time
}

// Stats are what a Writer has done since it was made.
type Stats struct {
	// Calls were written, RepeatedCalls were there already.
	Calls, RepeatedCalls int64
	// Updates are relationships that were made or added to.
	Updates int64
	// OtherPeers are virtual peers, counted anew with each call, whose calls went to "other".
	OtherPeers int64
}

// Writer writes calls and looks after what is stored. It is safe for concurrent use, also beside other Writers in other processes.
type Writer struct {
	client  *client
	options Options
	schema  schema

	calls, repeated, updates, others atomic.Int64
}

// NewWriter makes a writer, which connects when it is used. The caller closes it.
func NewWriter(ctx context.Context, config *ClientConfig, options Options) (*Writer, error) {
	c, err := connect(ctx, config)
	if err != nil {
		return nil, err
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Writer{client: c, options: options}, nil
}

// Close closes the connections.
func (w *Writer) Close(ctx context.Context) error { return w.client.close(ctx) }

// Stats counts.
func (w *Writer) Stats() Stats {
	return Stats{w.calls.Load(), w.repeated.Load(), w.updates.Load(), w.others.Load()}
}

// WriteCall adds the releases of one call (see tracetree.Releases), once however often it is repeated within CallIDRetention. It
// returns when they are durable. After an error the call is written or not; repeating it is always harmless. The error is
// servicemap.ErrUnavailable where Neo4j does not answer or refuses the user. td stays the caller's and is not changed.
func (w *Writer) WriteCall(ctx context.Context, td ptrace.Traces) error {
	c := newCall(td, w.options.Now())
	if len(c.deltas) == 0 {
		return nil
	}
	if err := w.schema.ensure(ctx, w.client); err != nil {
		return err
	}
	var outcome written
	err := w.client.transaction(ctx, neo4j.AccessModeWrite, func(tx *transaction) (err error) {
		outcome, err = w.write(tx, c)
		return err
	})
	if err != nil {
		if errors.Is(err, servicemap.ErrUnavailable) {
			w.schema.forget()
		}
		return err
	}
	if outcome.repeated {
		w.repeated.Add(1)
		return nil
	}
	w.calls.Add(1)
	w.updates.Add(int64(outcome.updates))
	w.others.Add(int64(outcome.others))
	return nil
}

// written is what a transaction did.
type written struct {
	repeated        bool
	updates, others int
}

// The call's id is unique: of two transactions with the same one, the second waits for the first, and then finds that it is not the one
// that made it.
const mergeBatch = `
MERGE (b:Batch {id: $id})
ON CREATE SET b.attempt = $attempt, b.expires = $expires
RETURN b.attempt = $attempt AS new`

func (w *Writer) write(tx *transaction, c *call) (outcome written, err error) {
	fresh := false
	err = tx.run(mergeBatch, map[string]any{
		"id": c.id, "attempt": rand.Text(), "expires": w.options.Now().Add(w.options.CallIDRetention).Unix(),
	}, func(r record) { fresh = r.is("new") })
	if err != nil || !fresh {
		outcome.repeated = true
		return outcome, err
	}
	beyond, err := w.beyond(tx, c)
	if err != nil {
		return outcome, err
	}
	r := c.rows(beyond)
	outcome.updates, outcome.others = r.len(), len(beyond)
	return outcome, r.write(tx)
}

const (
	missingServices = `
UNWIND $keys AS key
OPTIONAL MATCH (s:Service {key: key})
WITH key, s WHERE s IS NULL
RETURN key`
	lockTenant = `
MERGE (t:Tenant {name: $tenant})
SET t.locked = timestamp()`
	countVirtual = `
MATCH (s:Service) WHERE s.tenant = $tenant AND s.kind IN ['database', 'queue', 'external']
RETURN count(s) AS nodes`
)

// beyond are the keys of the call's virtual peers for which there is no room. Those that are there stay; which ones come first is decided
// by the order in the call.
func (w *Writer) beyond(tx *transaction, c *call) (map[string]bool, error) {
	beyond := make(map[string]bool)
	peers := c.virtual()
	for _, tenant := range sortedKeys(peers) {
		missing, err := findMissing(tx, peers[tenant])
		if err != nil {
			return nil, err
		}
		if len(missing) == 0 {
			continue
		}
		// Whoever makes virtual nodes waits here for others that do.
		if err := tx.run(lockTenant, map[string]any{"tenant": tenant}, nil); err != nil {
			return nil, err
		}
		if missing, err = findMissing(tx, peers[tenant]); err != nil {
			return nil, err
		}
		room := w.options.MaxVirtualNodes
		if err := tx.run(countVirtual, map[string]any{"tenant": tenant}, func(r record) { room -= int(r.number("nodes")) }); err != nil {
			return nil, err
		}
		for _, peer := range peers[tenant] {
			if missing[peer.key] {
				if room--; room < 0 {
					beyond[peer.key] = true
				}
			}
		}
	}
	return beyond, nil
}

// findMissing are the keys of the nodes that are not there.
func findMissing(tx *transaction, nodes []node) (map[string]bool, error) {
	keys := make([]string, len(nodes))
	for i := range nodes {
		keys[i] = nodes[i].key
	}
	found := make(map[string]bool)
	for part := range slices.Chunk(keys, chunk) {
		if err := tx.run(missingServices, map[string]any{"keys": part}, func(r record) { found[r.text("key")] = true }); err != nil {
			return nil, err
		}
	}
	return found, nil
}

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
	// Most relationships of a call are there, since an earlier call of the same minute. The property that is set is read under its lock,
	// because the same expression reads it.
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
var addStatements, mergeStatements = make(map[string]string), make(map[string]string)

func init() {
	for _, b := range bucketed {
		isNew, pair := "", ""
		if b.rel == relCalls {
			isNew, pair = ", r.new = true", mergePair
		}
		of := strings.NewReplacer(
			"$FROM", b.from, "$REL", b.rel, "$FIRST", b.first, "$SECOND", b.second, "$NEW", isNew, "$PAIR", pair,
		)
		addStatements[b.rel], mergeStatements[b.rel] = of.Replace(addCounted), of.Replace(mergeCounted)
	}
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
	// Whoever makes nodes and relationships waits here for others that do: they would lock each other's nodes out.
	for _, tenant := range r.tenants() {
		if err := tx.run(lockTenant, map[string]any{"tenant": tenant}, nil); err != nil {
			return err
		}
	}
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

func (r *rows) tenants() []string {
	tenants := make(map[string]bool)
	for _, list := range r.counted {
		for i := range list {
			tenants[list[i].tenant] = true
		}
	}
	return sortedKeys(tenants)
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
			return fmt.Errorf("%d of %d rows found their nodes; others are removed at the moment", done, len(part))
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
