package neo4jmap

// One transaction at a time changes what belongs to a tenant: it takes the tenant's lock before anything else but its call's id. Two that
// change relationships of the same services would wait for one another otherwise, whatever the order of their rows: where Neo4j links
// a new relationship into those of its nodes, it locks some of these too, by an order of its own.
const lockTenants = `
UNWIND $tenants AS tenant
MERGE (t:Tenant {name: tenant})
SET t.locked = timestamp()`

// lock waits for the tenants, which are sorted. They are free again when the transaction ends.
func lock(tx *transaction, tenants ...string) error {
	if len(tenants) == 0 {
		return nil
	}
	return tx.run(lockTenants, map[string]any{"tenants": tenants}, nil)
}
