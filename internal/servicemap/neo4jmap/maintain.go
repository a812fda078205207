package neo4jmap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
)

const (
	// maintenanceInterval is how often somebody looks after what is stored, however many writers there are.
	maintenanceInterval = time.Minute
	// changeTimeout bounds a transaction of the upkeep, also for the server: nobody writes to a tenant that the transaction of a gateway that
	// is gone has locked.
	changeTimeout = time.Minute
)

const (
	// Whoever comes first does it; the others find that it is done.
	takeMaintenance = `
MERGE (m:Maintenance {name: 'service_map'})
SET m.locked = timestamp()
WITH m WHERE coalesce(m.next, 0) <= $now
SET m.next = $next
RETURN true AS mine`

	deleteBatches = `
MATCH (b:Batch) WHERE b.expires < $now WITH b LIMIT $limit
DELETE b
RETURN count(*) AS deleted`

	readTenants = `MATCH (s:Service) RETURN DISTINCT s.tenant AS tenant`

	deleteCounted = `
MATCH ()-[r:$REL]->() USING INDEX SEEK r:$REL(tenant, width, bucket) WHERE r.tenant = $tenant AND r.width = $width AND r.bucket < $before WITH r LIMIT $limit
DELETE r
RETURN count(*) AS deleted`

	deletePairs = `
MATCH (:Service {tenant: $tenant})-[d:DEPENDS_ON]->() WHERE d.last_seen < $seen WITH d LIMIT $limit
DELETE d
RETURN count(*) AS deleted`

	deleteNodes = `
MATCH (n:$LABEL {tenant: $tenant}) WHERE NOT (n)--() WITH n LIMIT $limit
DELETE n
RETURN count(*) AS deleted`

	readMinutes = `
MATCH (a)-[r:$REL]->(b) USING INDEX SEEK r:$REL(tenant, width, bucket) WHERE r.tenant = $tenant AND r.width = 1 AND r.bucket < $before
WITH a, r, b LIMIT $limit
RETURN r.key AS key, a.key AS from, b.key AS to, r.pair AS pair, r.environment AS environment, r.kind AS kind, r.protocol AS protocol,
  r.bucket AS bucket, r.$FIRST AS first, r.$SECOND AS second`
	deleteMinutes = `
UNWIND $keys AS key
MATCH ()-[r:$REL {key: key}]->()
DELETE r`
)

// Maintain makes what is missing of the schema, folds minutes that are old enough into hours, and deletes what need not be kept any more. It only
// looks after the schema while another writer of the same database has done the rest in the last minute.
func (w *Writer) Maintain(ctx context.Context) error {
	if err := w.renewSchema(ctx); err != nil {
		return err
	}
	now := w.options.Now()
	mine := false
	err := w.change(ctx, func(tx *transaction) error {
		mine = false
		return tx.run(takeMaintenance, map[string]any{"now": now.Unix(), "next": now.Add(maintenanceInterval).Unix()},
			func(r record) { mine = r.is("mine") })
	})
	if err != nil || !mine {
		return err
	}
	if err := w.delete(ctx, deleteBatches, map[string]any{"now": now.Unix()}); err != nil {
		return fmt.Errorf("delete call ids: %w", err)
	}
	var tenants []string
	if err := w.client.transaction(ctx, neo4j.AccessModeRead, func(tx *transaction) error {
		tenants = nil
		return tx.run(readTenants, nil, func(r record) { tenants = append(tenants, r.text("tenant")) })
	}); err != nil {
		return err
	}
	slices.Sort(tenants)
	for _, tenant := range tenants {
		if err := w.maintain(ctx, tenant, now); err != nil {
			return err
		}
	}
	return nil
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

func (w *Writer) maintain(ctx context.Context, tenant string, now time.Time) error {
	if w.options.Retention > 0 {
		if err := w.expire(ctx, tenant, now.Add(-w.options.Retention)); err != nil {
			return fmt.Errorf("delete what is older than the retention: %w", err)
		}
	}
	if w.options.Minutes > 0 {
		before := minutes(now.Add(-w.options.Minutes))
		for _, b := range bucketed {
			if err := w.fold(ctx, tenant, b.rel, before-before%hour); err != nil {
				return fmt.Errorf("fold minutes of %s: %w", b.rel, err)
			}
		}
	}
	return nil
}

// expire deletes what ended before.
func (w *Writer) expire(ctx context.Context, tenant string, before time.Time) error {
	for _, b := range bucketed {
		for _, width := range []int64{minute, hour} {
			statement := strings.ReplaceAll(deleteCounted, "$REL", b.rel)
			if err := w.delete(ctx, statement, map[string]any{"tenant": tenant, "width": width, "before": minutes(before) - width + 1}, tenant); err != nil {
				return err
			}
		}
	}
	if err := w.delete(ctx, deletePairs, map[string]any{"tenant": tenant, "seen": before.UTC()}, tenant); err != nil {
		return err
	}
	for _, label := range []string{"Entry", "Service"} {
		if err := w.delete(ctx, strings.ReplaceAll(deleteNodes, "$LABEL", label), map[string]any{"tenant": tenant}, tenant); err != nil {
			return err
		}
	}
	return nil
}

// delete repeats a statement until it deletes nothing any more, a transaction each. What it deletes is the tenants'.
func (w *Writer) delete(ctx context.Context, statement string, parameters map[string]any, tenants ...string) error {
	parameters["limit"] = chunk
	for {
		deleted := int64(0)
		if err := w.change(ctx, func(tx *transaction) error {
			if err := lock(tx, tenants...); err != nil {
				return err
			}
			return tx.run(statement, parameters, func(r record) { deleted = r.number("deleted") })
		}); err != nil {
			return err
		}
		if deleted < chunk {
			return nil
		}
	}
}

// fold adds minutes to their hours, some of them in each transaction. Windows of time answer the same meanwhile.
func (w *Writer) fold(ctx context.Context, tenant, rel string, before int64) error {
	var first, second string
	for _, b := range bucketed {
		if b.rel == rel {
			first, second = b.first, b.second
		}
	}
	of := strings.NewReplacer("$REL", rel, "$FIRST", first, "$SECOND", second)
	for {
		folded := 0
		if err := w.change(ctx, func(tx *transaction) error {
			var keys []string
			hours := make(map[string]*row)
			if err := lock(tx, tenant); err != nil {
				return err
			}
			if err := tx.run(of.Replace(readMinutes), map[string]any{"tenant": tenant, "before": before, "limit": chunk}, func(r record) {
				keys = append(keys, r.text("key"))
				addToHour(hours, tenant, rel, r)
			}); err != nil {
				return err
			}
			if folded = len(keys); folded == 0 {
				return nil
			}
			if err := tx.run(of.Replace(deleteMinutes), map[string]any{"keys": keys}, nil); err != nil {
				return err
			}
			return merge(tx, rel, sortedRows(hours))
		}); err != nil {
			return err
		}
		if folded < chunk {
			return nil
		}
	}
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
