// Package testservers starts real database servers without containers, for tests and for trying the production configuration: ClickHouse,
// Neo4j and Kafka come from the package registries of npm and Maven, pinned, and are kept in the user's cache folder.
//
// Servers listen on free ports of the loopback interface, keep their data in a folder that the caller names, and end with the process that
// started them. They are what the vendors publish, made small: none is tuned, and none is safe to be reached from elsewhere.
package testservers
