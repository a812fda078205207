package clickhousestore

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// A Variant is a way to make the tables.
type Variant string

const (
	// VariantPlain is for one server.
	VariantPlain Variant = "plain"
	// VariantOnCluster makes the tables on all servers of a cluster, each with what is inserted there.
	VariantOnCluster Variant = "on_cluster"
	// VariantReplicated makes them on all servers of a cluster, and the replicas of a shard have the same in them.
	VariantReplicated Variant = "replicated"
)

// Variants are all there are.
var Variants = []Variant{VariantPlain, VariantOnCluster, VariantReplicated}

// IsVariant says whether it is one of them.
func IsVariant(v Variant) bool { return slices.Contains(Variants, v) }

// Schema says how the tables are made.
type Schema struct {
	Database string
	Variant  Variant
	// Cluster is the name of the cluster in the servers' configuration; empty for VariantPlain.
	Cluster string
	// Retention is how long rows are kept. 0 keeps them for ever.
	Retention time.Duration

	// upTo, where above 0, is the last migration. Tests that do without the later ones save their time.
	upTo int
}

// Check says what is wrong with the schema's description.
func (s *Schema) Check() error {
	switch s.Variant {
	case VariantPlain:
		if s.Cluster != "" {
			return errors.New("the plain variant is of no cluster; choose another, or name no cluster")
		}
	case VariantOnCluster, VariantReplicated:
		if s.Cluster == "" {
			return fmt.Errorf("the variant %s wants the name of a cluster", s.Variant)
		}
	default:
		return fmt.Errorf("%q is no variant; use one of %q", s.Variant, Variants)
	}
	if s.Database == "" {
		return errors.New("name a database")
	}
	if s.Retention < 0 || s.Retention > 0 && s.Retention < time.Second { // the server counts seconds: less would drop all at once
		return fmt.Errorf("a retention of %s keeps nothing; use a duration such as 168h, or 0 to keep traces for ever", s.Retention)
	}
	return nil
}

// deduplicationBlocks is how many inserts a table remembers by their content, to drop those that are repeated. A server that
// is down holds up all calls, so the window need not hold those of an outage, but those that other gateways send until this one repeats
// what it had sent. deduplicationTime is the same in time, which only replicated tables have: tracestore's retention of call ids.
const (
	deduplicationBlocks = 100_000
	deduplicationTime   = 24 * time.Hour
)

// A migration is a numbered file of statements. Each statement may be run again.
type migration struct {
	number     uint32
	name       string
	text       string // with its comments
	statements []string
	// kept are the tables that the retention bounds.
	kept []keptTable
}

type keptTable struct {
	name   string
	column string // by whose time rows are kept
}

//go:embed sql/*.sql
var sqlFiles embed.FS

// migrations lists all in their order.
func (s *Schema) migrations() ([]migration, error) {
	files, err := fs.Glob(sqlFiles, "sql/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	if s.upTo > 0 {
		files = files[:s.upTo]
	}
	list := make([]migration, 0, len(files))
	repeatable := newRepeatable()
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".sql")
		digits, _, _ := strings.Cut(name, "_")
		number, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || int(number) != len(list)+1 {
			return nil, fmt.Errorf("migration %s: its number is not %d", file, len(list)+1)
		}
		text, err := sqlFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m := migration{number: uint32(number), name: name}
		sql := string(text)
		if s.repeats() {
			sql = repeatable.add(sql)
		}
		if err := s.render(&m, sql, list); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// SQL is what an administrator runs where nobody else makes the schema. It may be run again, and then makes what is new since, and where changeRetention
// changes for how long the tables that are there keep rows.
func (s *Schema) SQL(changeRetention bool) (string, error) {
	if err := s.Check(); err != nil {
		return "", err
	}
	migrations, err := s.migrations()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, statement := range s.beginning() {
		out.WriteString(statement + ";\n\n")
	}
	for _, m := range migrations {
		fmt.Fprintf(&out, "-- %s\n\n%s\n", m.name, trailingSpace.ReplaceAllString(m.text, ""))
		fmt.Fprintf(&out, "INSERT INTO %s.%s (Number, Name) VALUES (%d, '%s');\n\n", quoted(s.Database), quoted(migrationsTable), m.number, m.name)
	}
	s.printRetention(&out, migrations, changeRetention)
	return strings.TrimSpace(out.String()) + "\n", nil
}

// printRetention writes what changes the retention of tables that are there: to be run only where change says so, for a shorter one drops rows at once.
func (s *Schema) printRetention(out *strings.Builder, migrations []migration, change bool) {
	begin, changes := "", s.changeTTL
	switch {
	case s.Retention <= 0:
		out.WriteString("-- Rows are kept for ever. Where the tables were made to keep them for a time, run this too; a table that keeps them for ever refuses it.\n")
		begin, changes = "-- ", s.removeTTL
	case !change:
		out.WriteString("-- Tables that are there keep rows for as long as they did. To keep them for as long as new ones, run this too; what is older goes at once.\n")
		begin = "-- "
	default:
		out.WriteString("-- For how long rows are kept, where the tables were made with another retention.\n")
	}
	printed := make(map[string]bool)
	for _, m := range migrations {
		for _, kept := range m.kept {
			if !printed[kept.name] {
				printed[kept.name] = true
				for _, change := range changes(&kept) {
					out.WriteString(begin + change + ";\n")
				}
			}
		}
	}
}

var trailingSpace = regexp.MustCompile(`(?m) +$`)

var commentLine = regexp.MustCompile(`(?m)^ *--.*\n`)

// render fills the file's template, which may name views of those before it, and splits it into statements.
func (s *Schema) render(m *migration, text string, before []migration) error {
	parsed, err := template.New(m.name).Funcs(template.FuncMap{
		"table":  func(name string) string { return quoted(s.Database) + "." + quoted(name) },
		"engine": s.engine,
		"ttl": func(table, column string) string {
			m.kept = append(m.kept, keptTable{table, column})
			if s.Retention <= 0 {
				return ""
			}
			return "TTL " + s.ttl(column)
		},
		"span":            func(key string) string { return lookedUp("SpanAttributes", key) },
		"resource":        func(key string) string { return lookedUp("ResourceAttributes", key) },
		"searched":        searchedKey,
		"operation_names": func() string { return operationNames },
		"operation_pairs": func() string { return operationPairs },
		"entry": func(key string) string {
			return fmt.Sprintf("if(has(SpanKeys, '%[1]s'), SpanValues[indexOf(SpanKeys, '%[1]s')], ResourceValues[indexOf(ResourceKeys, '%[1]s')])", key)
		},
		"on_cluster":               s.onCluster,
		"deduplication":            s.deduplication,
		"replicated_deduplication": s.replicatedDeduplication,
		"repeats":                  s.repeats,
		"inserts":                  s.inserts,
		"query":                    func(view string) (string, error) { return s.viewQuery(before, view) },
		"list":                     func(names ...string) []string { return names },
	}).Parse(text)
	if err != nil {
		return err
	}
	var out strings.Builder
	if err := parsed.Execute(&out, nil); err != nil {
		return err
	}
	m.text = out.String()
	for statement := range strings.SplitSeq(commentLine.ReplaceAllString(m.text, ""), ";\n") {
		if statement = strings.TrimSpace(statement); statement != "" {
			m.statements = append(m.statements, statement)
		}
	}
	return nil
}

// viewQuery is what a view of the migrations asks.
func (s *Schema) viewQuery(migrations []migration, view string) (string, error) {
	begin := "CREATE MATERIALIZED VIEW IF NOT EXISTS " + quoted(s.Database) + "." + quoted(view) + " "
	for _, m := range migrations {
		for _, statement := range m.statements {
			if _, query, ok := strings.Cut(statement, " AS\n"); ok && strings.HasPrefix(statement, begin) {
				return query, nil
			}
		}
	}
	return "", fmt.Errorf("no migration makes the view %s", view)
}

func (s *Schema) engine(name string) string {
	if s.Variant == VariantReplicated {
		return "Replicated" + name
	}
	return name
}

func (s *Schema) onCluster() string {
	if s.Variant == VariantPlain {
		return ""
	}
	return "ON CLUSTER " + quoted(s.Cluster)
}

// lookedUp is an attribute's value, empty where it is not there. By place it costs a quarter of what it costs in the Map.
func lookedUp(attributes, key string) string {
	return fmt.Sprintf("mapValues(%s)[indexOf(mapKeys(%s), '%s')]", attributes, attributes, key)
}

// ttl is when a row is over.
func (s *Schema) ttl(column string) string {
	return fmt.Sprintf("toDateTime(%s) + toIntervalSecond(%d)", column, int64(s.Retention.Seconds()))
}

// deduplication are the settings by which a table drops what is inserted again.
func (s *Schema) deduplication() string {
	if s.Variant == VariantReplicated {
		return fmt.Sprintf("replicated_deduplication_window = %d, replicated_deduplication_window_seconds = %d",
			deduplicationBlocks, int64(deduplicationTime.Seconds()))
	}
	return fmt.Sprintf("non_replicated_deduplication_window = %d", deduplicationBlocks)
}

// replicatedDeduplication are those of the tables of traces, behind other settings; what the others do is in repeats.go.
func (s *Schema) replicatedDeduplication() string {
	if s.repeats() {
		return ""
	}
	return ", " + s.deduplication()
}

// quoted is the name as an identifier.
func quoted(name string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}
