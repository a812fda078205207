package clickhousestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tracewright/tracewright/internal/tracestore"
)

var _ tracestore.SourceKeeper = (*Store)(nil)

// maxLostChanges is how many numbers of changes are tried, each but the last lost by a kill.
const maxLostChanges = 16

// sourcesTimeout bounds what is done about sources, which is little.
const sourcesTimeout = 10 * time.Second

// Sources implements tracestore.SourceKeeper.
func (s *Store) Sources(ctx context.Context) (records []tracestore.SourceRecord, err error) {
	ctx, cancel := context.WithTimeout(ctx, sourcesTimeout)
	defer cancel()
	var sql statement
	sql.add("SELECT Name, Version, Value FROM (SELECT * FROM " + s.table("trace_sources") +
		" ORDER BY Name, Change DESC LIMIT 1 BY Name) WHERE Version > 0")
	err = s.read(ctx, &sql, func(rows driver.Rows) error {
		var record tracestore.SourceRecord
		var value string
		err := rows.Scan(&record.Name, &record.Version, &value)
		record.Value = []byte(value)
		records = append(records, record)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sources: %w", err)
	}
	return records, nil
}

// PutSource implements tracestore.SourceKeeper.
func (s *Store) PutSource(ctx context.Context, record tracestore.SourceRecord) error {
	return s.changeSource(ctx, record.Version-1, &record)
}

// DeleteSource implements tracestore.SourceKeeper.
func (s *Store) DeleteSource(ctx context.Context, name string, version int64) error {
	if version < 1 {
		return tracestore.ErrSourceVersion
	}
	return s.changeSource(ctx, version, &tracestore.SourceRecord{Name: name})
}

// changeSource puts a record in the place of the version, where that is what stands under the name.
//
// ClickHouse has nothing that compares and sets, but a table drops an insert under a token that it knows, on all its replicas. So of those who make a
// change at the same time the first has made it, and the row says who that is.
//
// A server that was killed between token and row has the one without the other. A single server writes both under one lock, so that nobody else can
// be the reason, and the next number is taken.
func (s *Store) changeSource(ctx context.Context, version int64, record *tracestore.SourceRecord) error {
	ctx, cancel := context.WithTimeout(ctx, sourcesTimeout)
	defer cancel()
	last, stored, err := s.lastSourceChange(ctx, record.Name)
	if err == nil && stored != version {
		return tracestore.ErrSourceVersion
	}
	var writers []string
	writer := rand.Text()
	for change := last + 1; err == nil && len(writers) == 0 && change <= last+maxLostChanges; change++ {
		err = s.insert(ctx, clickhouse.Settings{
			"insert_deduplicate": 1, "insert_deduplication_token": fmt.Sprintf("%d %x", change, record.Name),
		}, "trace_sources", "Name, Change, Writer, Version, Value", record.Name, change, writer, record.Version, string(record.Value))
		if err == nil {
			writers, err = s.sourceWriters(ctx, record.Name, change)
		}
		if s.schema.Variant != VariantPlain {
			break // another server may have it
		}
	}
	switch {
	case err == nil && len(writers) == 0:
		err = errors.New("the change cannot be read back; another replica may have it")
		fallthrough
	case err != nil:
		return fmt.Errorf("change source %q: %w", record.Name, err)
	case !slices.Contains(writers, writer):
		return tracestore.ErrSourceVersion
	}
	return nil
}

// lastSourceChange is the number of a name's last change, 0 where there is none, and the version that stands there since.
func (s *Store) lastSourceChange(ctx context.Context, name string) (change, version int64, err error) {
	var sql statement
	sql.add("SELECT Change, Version FROM "+s.table("trace_sources")+" WHERE Name = ? ORDER BY Change DESC LIMIT 1", name)
	err = s.read(ctx, &sql, func(rows driver.Rows) error { return rows.Scan(&change, &version) })
	return change, version, err
}

// sourceWriters says who made a change: one.
func (s *Store) sourceWriters(ctx context.Context, name string, change int64) (writers []string, err error) {
	var sql statement
	sql.add("SELECT Writer FROM "+s.table("trace_sources")+" WHERE Name = ? AND Change = ?", name, change)
	err = s.read(ctx, &sql, func(rows driver.Rows) error {
		var writer string
		err := rows.Scan(&writer)
		writers = append(writers, writer)
		return err
	})
	return writers, err
}

// PutSourceReport implements tracestore.SourceKeeper.
func (s *Store) PutSourceReport(ctx context.Context, report tracestore.SourceReport) error {
	ctx, cancel := context.WithTimeout(ctx, sourcesTimeout)
	defer cancel()
	err := s.insert(ctx, clickhouse.Settings{}, "trace_source_reports", "Instance, At, Value", report.Instance, report.At, string(report.Value))
	if err != nil {
		return fmt.Errorf("store report of sources: %w", err)
	}
	return nil
}

// SourceReports implements tracestore.SourceKeeper.
func (s *Store) SourceReports(ctx context.Context) (reports []tracestore.SourceReport, err error) {
	ctx, cancel := context.WithTimeout(ctx, sourcesTimeout)
	defer cancel()
	var sql statement
	sql.add("SELECT Instance, max(r.At), argMax(Value, r.At) FROM " + s.table("trace_source_reports") +
		" AS r WHERE r.At > now() - toIntervalHour(1) GROUP BY Instance")
	err = s.read(ctx, &sql, func(rows driver.Rows) error {
		var report tracestore.SourceReport
		var value string
		err := rows.Scan(&report.Instance, &report.At, &value)
		report.Value = []byte(value)
		reports = append(reports, report)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list reports of sources: %w", err)
	}
	return reports, nil
}

// insert inserts a row, which is there when it returns.
func (s *Store) insert(ctx context.Context, settings clickhouse.Settings, table, columns string, row ...any) error {
	settings["async_insert"] = 0
	batch, err := s.db.PrepareBatch(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), "INSERT INTO "+s.table(table)+" ("+columns+")")
	if err != nil {
		return s.failed(ctx, err)
	}
	if err := batch.Append(row...); err != nil {
		return errors.Join(err, batch.Abort())
	}
	return s.failed(ctx, batch.Send())
}
