package neo4jmap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/tracewright/tracewright/internal/servicemap"
)

const (
	// maintenanceInterval is how often somebody looks after what is stored, however many writers there are.
	maintenanceInterval = time.Minute
	// changeTimeout bounds a transaction of the upkeep, also for the server: nobody writes to a tenant that the transaction of a gateway that
	// is gone has locked.
	changeTimeout = time.Minute
)

// ErrClocks says that nothing is folded or deleted, because the clocks of this process and of the server are too far apart to tell what is
// old. The error that wraps it says how far.
var ErrClocks = errors.New("clocks differ")

const (
	// Time is the server's, the same for all writers. Whoever finds that the upkeep is due does it; the others find that it is done. What is
	// further ahead than the interval was set by a clock that was wrong.
	due = ` coalesce(m.next, 0) <= timestamp() / 1000 OR m.next > timestamp() / 1000 + $interval`

	readMaintenance = `
OPTIONAL MATCH (m:Maintenance {name: 'service_map'})
RETURN timestamp() AS now,` + due + ` AS due`

	// A statement of its own, so that the one that follows knows what the time is when the lock is there.
	lockMaintenance = `
MERGE (m:Maintenance {name: 'service_map'})
SET m.locked = timestamp()`

	takeMaintenance = `
MATCH (m:Maintenance {name: 'service_map'}) WHERE` + due + `
SET m.next = timestamp() / 1000 + $interval
RETURN true AS mine`

	// Whoever does it goes on doing it, however long it takes.
	renewMaintenance = `
MATCH (m:Maintenance {name: 'service_map'})
SET m.next = timestamp() / 1000 + $interval`

	readTenants = `MATCH (t:Tenant) RETURN t.name AS tenant`
)

// What is to be done, by patterns of x. $TENANT stands for how the tenant is called, $REL, $LABEL and $WIDTH for names and a number.
const (
	oldBatches = `
MATCH (x:Batch) WHERE x.expires < timestamp() / 1000`

	oldCounted = `
MATCH ()-[x:$REL]->() USING INDEX SEEK x:$REL(tenant, width, bucket)
WHERE x.tenant = $TENANT AND x.width = $WIDTH AND x.bucket < $before - $WIDTH + 1`

	oldPairs = `
MATCH (a:Service)-[x:DEPENDS_ON]->() USING INDEX a:Service(tenant, kind)
WHERE a.tenant = $TENANT AND a.kind IS NOT NULL AND x.last_seen < $seen`

	loneServices = `
MATCH (x:Service) USING INDEX x:Service(tenant, kind)
WHERE x.tenant = $TENANT AND x.kind IS NOT NULL AND $seen IS NOT NULL AND NOT (x)--()`

	loneEntries = `
MATCH (x:Entry) USING INDEX x:Entry(tenant)
WHERE x.tenant = $TENANT AND $seen IS NOT NULL AND NOT (x)--()`

	oldMinutes = `
MATCH (a)-[x:$REL]->(b) USING INDEX SEEK x:$REL(tenant, width, bucket)
WHERE x.tenant = $TENANT AND x.width = 1 AND x.bucket < $fold`
)

const (
	deleteSome = `
WITH x LIMIT $limit
DELETE x
RETURN count(*) AS deleted`

	readMinutes = oldMinutes + `
WITH a, x, b LIMIT $limit
RETURN x.key AS key, a.key AS from, b.key AS to, x.pair AS pair, x.environment AS environment, x.kind AS kind, x.protocol AS protocol,
  x.bucket AS bucket, x.$FIRST AS first, x.$SECOND AS second`
	deleteMinutes = `
UNWIND $keys AS key
MATCH ()-[r:$REL {key: key}]->()
DELETE r`
)

// expired are the patterns of what is deleted, in this order: nodes when nothing holds them any more.
func expired() (patterns []string) {
	for _, b := range bucketed {
		for _, width := range []string{"1", "60"} {
			patterns = append(patterns, strings.NewReplacer("$REL", b.rel, "$WIDTH", width).Replace(oldCounted))
		}
	}
	return append(patterns, oldPairs, loneEntries, loneServices)
}

// findDue are statements that answer those of $tenants for whom something is to be done: nothing is locked for the others.
func findDue() []string {
	patterns := expired()
	for _, b := range bucketed {
		patterns = append(patterns, strings.ReplaceAll(oldMinutes, "$REL", b.rel))
	}
	for i := range patterns {
		patterns[i] = "UNWIND $tenants AS tenant WITH tenant WHERE EXISTS {" + strings.ReplaceAll(patterns[i], "$TENANT", "tenant") + " } RETURN tenant"
	}
	return patterns
}

// Maintain makes what is missing of the schema, folds minutes that are old enough into hours, and deletes what need not be kept any more. It only
// looks after the schema while another writer of the same database has done the rest in the last minute. What fails for one tenant is
// done for the others. The error is ErrClocks where nobody knows what is old.
func (w *Writer) Maintain(ctx context.Context) error {
	if err := w.renewSchema(ctx); err != nil {
		return err
	}
	now, mine, err := w.takeMaintenance(ctx)
	if err != nil || !mine {
		return err
	}
	var errs []error
	if err := w.delete(ctx, oldBatches, map[string]any{}); err != nil {
		errs = append(errs, fmt.Errorf("delete call ids: %w", err))
	}
	// What is null is older than nothing.
	parameters := map[string]any{"before": nil, "seen": nil, "fold": nil}
	if w.options.Retention > 0 {
		before := now.Add(-w.options.Retention)
		parameters["before"] = minutes(before)
		parameters["seen"] = before.Add(-time.Hour).UTC() // an hour that is kept may have seen them in its first minute
	}
	if w.options.Minutes > 0 {
		before := minutes(now.Add(-w.options.Minutes))
		parameters["fold"] = before - before%hour
	}
	tenants, err := w.due(ctx, parameters)
	errs = append(errs, err)
	for _, tenant := range tenants {
		err := w.maintain(ctx, tenant, parameters)
		errs = append(errs, err)
		if ctx.Err() != nil || errors.Is(err, servicemap.ErrUnavailable) {
			break
		}
	}
	return errors.Join(errs...)
}

// takeMaintenance says whether the upkeep is this writer's, and what the time is.
func (w *Writer) takeMaintenance(ctx context.Context) (now time.Time, mine bool, err error) {
	interval := map[string]any{"interval": int64(maintenanceInterval / time.Second)}
	isDue := false
	if err := w.look(ctx, func(tx *transaction) error {
		return tx.run(readMaintenance, interval, func(r record) { now, isDue = time.UnixMilli(r.number("now")).UTC(), r.is("due") })
	}); err != nil {
		return now, false, err
	}
	if ahead := w.options.Now().Sub(now).Round(time.Minute); ahead.Abs() > maxAhead {
		return now, false, fmt.Errorf("%w: this gateway's is ahead of that of Neo4j at %s by %s; set the one that is wrong, for until then this gateway "+
			"folds and deletes nothing", ErrClocks, w.client.config.URI, ahead)
	}
	if !isDue {
		return now, false, nil
	}
	err = w.change(ctx, func(tx *transaction) error {
		mine = false
		if err := tx.run(lockMaintenance, nil, nil); err != nil {
			return err
		}
		return tx.run(takeMaintenance, interval, func(r record) { mine = r.is("mine") })
	})
	return now, mine, err
}

// due are the tenants for whom something is to be done, sorted.
func (w *Writer) due(ctx context.Context, parameters map[string]any) ([]string, error) {
	var all []string
	if err := w.look(ctx, func(tx *transaction) error {
		all = nil
		return tx.run(readTenants, nil, func(r record) { all = append(all, r.text("tenant")) })
	}); err != nil {
		return nil, fmt.Errorf("read the tenants: %w", err)
	}
	parameters = maps.Clone(parameters)
	found := make(map[string]bool)
	for part := range slices.Chunk(all, chunk) {
		parameters["tenants"] = part
		for _, statement := range findDue() {
			if err := w.look(ctx, func(tx *transaction) error {
				return tx.run(statement, parameters, func(r record) { found[r.text("tenant")] = true })
			}); err != nil {
				return nil, fmt.Errorf("look what is to be done: %w", err)
			}
		}
	}
	return sortedKeys(found), nil
}

func (w *Writer) renewSchema(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return w.schema.renew(ctx, w.client)
}

func (w *Writer) change(ctx context.Context, work func(tx *transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return w.client.transaction(ctx, neo4j.AccessModeWrite, work)
}

// look reads.
func (w *Writer) look(ctx context.Context, work func(tx *transaction) error) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return w.client.transaction(ctx, neo4j.AccessModeRead, work)
}

// upkeep changes what belongs to the tenants, whom it locks.
func (w *Writer) upkeep(ctx context.Context, work func(tx *transaction) error, tenants ...string) error {
	return w.change(ctx, func(tx *transaction) error {
		if err := tx.run(renewMaintenance, map[string]any{"interval": int64(maintenanceInterval / time.Second)}, nil); err != nil {
			return err
		}
		if err := lock(tx, tenants...); err != nil {
			return err
		}
		return work(tx)
	})
}

func (w *Writer) maintain(ctx context.Context, tenant string, parameters map[string]any) error {
	if w.options.Retention > 0 {
		for _, pattern := range expired() {
			if err := w.delete(ctx, pattern, map[string]any{"tenant": tenant, "before": parameters["before"], "seen": parameters["seen"]}, tenant); err != nil {
				return fmt.Errorf("delete what is older than the retention, of tenant %q: %w", tenant, err)
			}
		}
	}
	if before, folds := parameters["fold"].(int64); folds {
		if err := w.fold(ctx, tenant, before); err != nil {
			return fmt.Errorf("fold minutes of tenant %q: %w", tenant, err)
		}
	}
	return nil
}

// delete deletes what the pattern finds, until it finds nothing any more, a transaction each. What it finds is the tenants'.
func (w *Writer) delete(ctx context.Context, pattern string, parameters map[string]any, tenants ...string) error {
	statement := strings.ReplaceAll(pattern, "$TENANT", "$tenant") + deleteSome
	parameters["limit"] = chunk
	for {
		deleted := int64(0)
		if err := w.upkeep(ctx, func(tx *transaction) error {
			return tx.run(statement, parameters, func(r record) { deleted = r.number("deleted") })
		}, tenants...); err != nil {
			return err
		}
		if deleted < chunk {
			return nil
		}
	}
}

// Readers see what is committed while they read. So a fold says that it begins, in a transaction before it changes anything, and that it
// has ended, in one after: folds is odd meanwhile. One that never says so is over when its last transaction, begun at folding, is.
const (
	beginFold = `
MATCH (t:Tenant {name: $tenant})
WITH t, coalesce(t.folds, 0) AS folds
SET t.folds = folds + 1 + folds % 2, t.folding = timestamp(),
  t.folded = CASE WHEN coalesce(t.folded, 0) < $fold THEN $fold ELSE t.folded END`
	goOnFolding = `
MATCH (t:Tenant {name: $tenant})
SET t.folding = timestamp()`
	endFold = `
MATCH (t:Tenant {name: $tenant})
SET t.folds = t.folds + t.folds % 2`
)

// fold adds the minutes before to their hours, some of them in each transaction.
func (w *Writer) fold(ctx context.Context, tenant string, before int64) error {
	parameters := map[string]any{"tenant": tenant, "fold": before, "limit": chunk}
	say := func(statement string) error {
		return w.upkeep(ctx, func(tx *transaction) error { return tx.run(statement, parameters, nil) }, tenant)
	}
	if err := say(beginFold); err != nil {
		return err
	}
	var errs []error
	for _, b := range bucketed {
		of := strings.NewReplacer("$REL", b.rel, "$FIRST", b.first, "$SECOND", b.second, "$TENANT", "$tenant")
		folded := chunk
		for folded == chunk {
			if err := w.upkeep(ctx, func(tx *transaction) (err error) {
				folded, err = foldSome(tx, tenant, b.rel, of, parameters)
				return err
			}, tenant); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", b.rel, err))
				break
			}
		}
	}
	return errors.Join(append(errs, say(endFold))...)
}

// foldSome says how many minutes it folded.
func foldSome(tx *transaction, tenant, rel string, of *strings.Replacer, parameters map[string]any) (int, error) {
	if err := tx.run(goOnFolding, parameters, nil); err != nil {
		return 0, err
	}
	var keys []string
	hours := make(map[string]*row)
	if err := tx.run(of.Replace(readMinutes), parameters, func(r record) {
		keys = append(keys, r.text("key"))
		addToHour(hours, tenant, rel, r)
	}); err != nil || len(keys) == 0 {
		return 0, err
	}
	if err := tx.run(of.Replace(deleteMinutes), map[string]any{"keys": keys}, nil); err != nil {
		return 0, err
	}
	return len(keys), merge(tx, rel, sortedRows(hours))
}

func addToHour(hours map[string]*row, tenant, rel string, r record) {
	bucket := r.number("bucket")
	one := row{
		from: r.text("from"), to: r.text("to"), pair: r.text("pair"), tenant: tenant, environment: r.text("environment"),
		childKind: r.text("kind"), protocol: r.text("protocol"), bucket: bucket - bucket%hour, width: hour,
		first: r.number("first"), second: r.number("second"),
	}
	one.key = one.bucketKey(rel)
	if known := hours[one.key]; known != nil {
		known.first, known.second = known.first+one.first, known.second+one.second
		return
	}
	hours[one.key] = &one
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
