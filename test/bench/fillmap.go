package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/tracewright/tracewright/internal/servicemap/neo4jmap"
)

// rowsOfFill is how many CALLS one transaction makes: no more is in the server's memory.
const rowsOfFill = 20_000

// copyMinute makes the CALLS of a minute those of others too. A key is 32 hex digits, so that none is made twice.
const copyMinute = `
MATCH (a)-[r:CALLS]->(b) USING INDEX SEEK r:CALLS(tenant, width, bucket) WHERE r.tenant = '' AND r.width = 1 AND r.bucket = $of
UNWIND range($first, $last) AS bucket
CREATE (a)-[:CALLS {key: r.key + '-' + bucket, tenant: r.tenant, pair: r.pair, environment: r.environment, kind: r.kind, protocol: r.protocol,
  bucket: bucket, width: r.width, calls: r.calls, errors: r.errors}]->(b)`

// fill writes each pair once in the last minute, and copies that minute to those before it until there are as many CALLS as asked for.
func (o *serviceMapOptions) fill(ctx context.Context, writer *neo4jmap.Writer, pairs []pair, report func(calls int)) error {
	minute := time.Now().Add(-time.Minute)
	if err := writer.WriteCall(ctx, mapCall(rand.New(rand.NewPCG(o.seed, 2)), pairs, len(pairs), minute)); err != nil {
		return err
	}
	driver, err := neo4j.NewDriverWithContext(o.uri, neo4j.BasicAuth(o.username, o.password, ""))
	if err != nil {
		return err
	}
	defer func() { _ = driver.Close(context.WithoutCancel(ctx)) }() // what failed, its statements told
	of := minute.Unix() / 60
	step, minutes := max(1, rowsOfFill/len(pairs)), (o.calls+len(pairs)-1)/len(pairs)
	for done := 1; done < minutes; done += step {
		n := min(step, minutes-done)
		if _, err := neo4j.ExecuteQuery(ctx, driver, copyMinute,
			map[string]any{"of": of, "first": of - int64(done+n) + 1, "last": of - int64(done)}, neo4j.EagerResultTransformer); err != nil {
			return fmt.Errorf("copy minute %d: %w", done, err)
		}
		report((done + n) * len(pairs))
	}
	return nil
}
