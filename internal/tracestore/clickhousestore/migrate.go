package clickhousestore

import (
	"context"
	"fmt"
	"strings"
)

// migrate brings the schema to what this version of the package has: it runs the migrations that nobody has run to their end. Several
// may do so at once, because each statement may be run again and the tables do not depend on who runs it; of two that meet in one
// statement, one may be told so, and the next attempt goes on. A schema that a later version has made is left as it is: migrations only
// add, so it can be read.
func (s *Store) migrate(ctx context.Context) error {
	migrations, err := s.schema.migrations()
	if err != nil {
		return err
	}
	for _, statement := range s.schema.beginning() {
		if err := s.db.Exec(ctx, statement); err != nil {
			return fmt.Errorf("create schema: %w", err)
		}
	}
	version, err := s.schemaVersion(ctx)
	if err != nil {
		return err
	}
	for _, m := range migrations {
		if m.number <= version {
			continue
		}
		for _, statement := range m.statements {
			if err := s.db.Exec(ctx, statement); err != nil {
				return fmt.Errorf("migrate schema to %s: %w", m.name, err)
			}
		}
		if err := s.db.Exec(ctx, "INSERT INTO "+s.table(migrationsTable)+" (Number, Name) VALUES (?, ?)", m.number, m.name); err != nil {
			return fmt.Errorf("note migration %s: %w", m.name, err)
		}
	}
	return s.setRetention(ctx, migrations)
}

const migrationsTable = "tracewright_migrations"

// beginning makes what migrations stand on.
func (s *Schema) beginning() []string {
	return []string{
		strings.TrimSpace("CREATE DATABASE IF NOT EXISTS " + quoted(s.Database) + " " + s.onCluster()),
		fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s.%s %s (
    Number UInt32,
    Name String,
    AppliedAt DateTime DEFAULT now()
) ENGINE = %s
ORDER BY Number`, quoted(s.Database), quoted(migrationsTable), s.onCluster(), s.engine("ReplacingMergeTree")),
	}
}

// schemaVersion is the number of the last migration that was run to its end.
func (s *Store) schemaVersion(ctx context.Context) (version uint32, err error) {
	if err := s.db.QueryRow(ctx, "SELECT max(Number) FROM "+s.table(migrationsTable)).Scan(&version); err != nil {
		return 0, fmt.Errorf("read version of schema: %w", err)
	}
	return version, nil
}

// setRetention changes those tables that keep rows for another time than is wanted. A part knows when it is over since it was written, so the server
// works that out anew of all of them, behind this: it reads the one column that says it and rewrites nothing. That it does so is of the same
// statement as the change, so it is not forgotten where somebody dies in between.
func (s *Store) setRetention(ctx context.Context, migrations []migration) error {
	for _, m := range migrations {
		for _, kept := range m.kept {
			var engine string
			err := s.db.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = ? AND name = ?", s.schema.Database, kept.name).Scan(&engine)
			if err != nil {
				return fmt.Errorf("read retention of %s: %w", kept.name, err)
			}
			var changes []string
			switch {
			case s.schema.Retention > 0 && !strings.Contains(engine, s.schema.ttl(kept.column)):
				changes = s.schema.changeTTL(&kept)
			case s.schema.Retention <= 0 && strings.Contains(engine, " TTL "):
				changes = s.schema.removeTTL(&kept)
			}
			for _, change := range changes {
				if err := s.db.Exec(ctx, change); err != nil {
					return fmt.Errorf("change retention of %s: %w", kept.name, err)
				}
			}
		}
	}
	return nil
}

// changeTTL has a table keep rows for the retention, removeTTL for ever. The server refuses the latter where a table has none.
func (s *Schema) changeTTL(kept *keptTable) []string {
	return []string{
		s.alter(kept, "MODIFY SETTING materialize_ttl_recalculate_only = 1"),
		s.alter(kept, "MODIFY TTL "+s.ttl(kept.column)+" SETTINGS alter_sync = 0, materialize_ttl_after_modify = 1"),
	}
}

func (s *Schema) removeTTL(kept *keptTable) []string { return []string{s.alter(kept, "REMOVE TTL")} }

func (s *Schema) alter(kept *keptTable, change string) string {
	return fmt.Sprintf("ALTER TABLE %s.%s %s %s", quoted(s.Database), quoted(kept.name), s.onCluster(), change)
}
