package neo4jmap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
)

// kinds of relationships that count in buckets. Their columns are the names of the two numbers that they count.
const (
	relCalls    = "CALLS"
	relAnswered = "ANSWERED"
	relEnters   = "ENTERS"
	relPasses   = "PASSES"
)

// bucketed describes them, in the order in which they are written.
var bucketed = []struct {
	rel           string
	from          string // label of where they begin
	first, second string
}{
	{relCalls, "Service", "calls", "errors"},
	{relAnswered, "Service", "calls", "errors"},
	{relEnters, "Entry", "traces", "errors"},
	{relPasses, "Entry", "at_least", "at_most"},
}

// Schema are the statements that make constraints and indexes where they are missing.
func Schema() []string {
	unique := func(name, pattern, property string) string {
		return fmt.Sprintf("CREATE CONSTRAINT tracewright_%s IF NOT EXISTS FOR %s REQUIRE x.%s IS UNIQUE", name, pattern, property)
	}
	index := func(name, pattern, properties string) string {
		return fmt.Sprintf("CREATE INDEX tracewright_%s IF NOT EXISTS FOR %s ON (%s)", name, pattern, properties)
	}
	statements := []string{
		unique("service_key", "(x:Service)", "key"),
		unique("entry_key", "(x:Entry)", "key"),
		unique("batch_id", "(x:Batch)", "id"),
		unique("tenant_name", "(x:Tenant)", "name"),
		unique("maintenance_name", "(x:Maintenance)", "name"),
		unique("depends_on_key", "()-[x:DEPENDS_ON]-()", "key"),
		index("service_kind", "(x:Service)", "x.tenant, x.kind"),
		index("entry_tenant", "(x:Entry)", "x.tenant"),
		index("batch_expires", "(x:Batch)", "x.expires"),
	}
	for _, b := range bucketed {
		pattern, name := "()-[x:"+b.rel+"]-()", strings.ToLower(b.rel)
		statements = append(statements, unique(name+"_key", pattern, "key"), index(name+"_bucket", pattern, "x.tenant, x.width, x.bucket"))
	}
	return append(statements,
		index("calls_pair", "()-[x:CALLS]-()", "x.pair, x.bucket"),
		index("passes_pair", "()-[x:PASSES]-()", "x.pair, x.bucket"))
}

// schema makes sure that the schema is there, once until it is to be forgotten.
type schema struct {
	mu    sync.Mutex // guards there, and that only one asks
	there bool
}

func (s *schema) ensure(ctx context.Context, c *client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.there {
		return nil
	}
	err := makeSchema(ctx, c)
	s.there = err == nil
	return err
}

// renew makes sure of it again, while calls are written: a server that comes back empty while nothing is written lets no call fail.
func (s *schema) renew(ctx context.Context, c *client) error {
	err := makeSchema(ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there = err == nil
	return err
}

// forget has it made sure again: the server may come back empty.
func (s *schema) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there = false
}

// makeSchema makes what is missing.
func makeSchema(ctx context.Context, c *client) error {
	for _, statement := range Schema() {
		// A change of the schema is a transaction of its own. IF NOT EXISTS looks before the lock is there, so that of two who make the same
		// at once the second may be told that it exists.
		err := c.transaction(ctx, neo4j.AccessModeWrite, func(tx *transaction) error { return tx.run(statement, nil, nil) })
		var refused *neo4j.Neo4jError
		if errors.As(err, &refused) && refused.Code == "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists" {
			continue
		}
		if err != nil {
			return fmt.Errorf("make the schema: %w", err)
		}
	}
	return nil
}
