package neo4jmap

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
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
	// Now is the clock of this process; nil for the system's. What is old is told by the server's.
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
	turn    chan struct{} // holds one while a call is written; those that wait for a tenant in Neo4j keep a processor busy there

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
	return &Writer{client: c, options: options, turn: make(chan struct{}, 1)}, nil
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
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return w.client.explain(ctx, ctx.Err())
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
ON CREATE SET b.attempt = $attempt, b.expires = timestamp() / 1000 + $retention
RETURN b.attempt = $attempt AS new`

func (w *Writer) write(tx *transaction, c *call) (outcome written, err error) {
	fresh := false
	err = tx.run(mergeBatch, map[string]any{
		"id": c.id, "attempt": rand.Text(), "retention": int64(w.options.CallIDRetention / time.Second),
	}, func(r record) { fresh = r.is("new") })
	if err != nil || !fresh {
		outcome.repeated = true
		return outcome, err
	}
	if err := lock(tx, c.tenants()...); err != nil {
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
	countVirtual = `
MATCH (s:Service) WHERE s.tenant = $tenant AND s.kind IN ['database', 'queue', 'external']
RETURN count(s) AS nodes`
)

// beyond are the keys of the call's virtual peers for which there is no room. Those that are there stay; which ones come first is decided
// by the order in the call. The tenants are locked.
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
