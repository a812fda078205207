// Package neo4jmap keeps the map of services in Neo4j, and answers from it.
//
//	(:Service {key, tenant, name, kind})           services and virtual peers
//	(:Entry {key, tenant, service, operation})     operations by which requests enter
//
//	(:Service)-[:CALLS {calls, errors, kind, protocol}]->(:Service)
//	(:Service)-[:ANSWERED {calls, errors}]->(itself)          its server and consumer spans
//	(:Entry)-[:ENTERS {traces, errors}]->(:Service)           its service
//	(:Entry)-[:PASSES {at_least, at_most}]->(:Service)        traces of the entry that pass through the service
//	(:Service)-[:DEPENDS_ON {key, tenant, first_seen, last_seen}]->(:Service)   one for each pair, for traversals
//
// The first four count, in buckets of time, and have besides
//
//	key            made of all that follows and of both ends; unique
//	tenant
//	pair           whom they are looked up by: of CALLS both ends, as DEPENDS_ON.key; of the others the service
//	environment
//	bucket, width  the first minute, since 1970-01-01 UTC, and how many minutes: 1, or 60 once they are folded
//
// (:Batch {id, expires}) are the calls that were written, (:Tenant {name}) and (:Maintenance {name, next}) are there to be locked. A tenant
// says with folds, folding and folded that its minutes are folded (beginFold).
//
// Keys are hashes of fixed length: names may be long, and an index holds keys of limited length. Every key begins with the tenant.
//
// A call is written in one transaction together with its id. All numbers are sums, so that calls are written in any order, by any number
// of writers; no writer remembers anything from one call to the next. Transactions that change what belongs to one tenant take turns.
package neo4jmap
