package clickhousestore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/rollup"
)

// Store reads traces from a ClickHouse. It is safe for concurrent use.
type Store struct {
	rollup.Reader // answers aggregates; it is rollups

	options  Options
	schema   Schema
	db       driver.Conn
	followed followed
	begun    begun

	ready chan struct{} // closed when the schema has been there once

	ctx    context.Context // ends when the store closes
	cancel context.CancelFunc
	keeper sync.WaitGroup // the goroutines that look after the schema and the connection, and that tell tails
}

var _ tracestore.Backend = (*Store)(nil)

// Open makes a store whose server need not answer yet: the schema is made, or looked for, as soon as it does (Ready), and Options.OnHealth
// is told of how it goes.
func Open(options Options) (*Store, error) {
	options = options.withDefaults()
	s := &Store{
		options: options,
		schema: Schema{
			Database: options.Database, Variant: options.Variant, Cluster: options.Cluster, Retention: options.Retention,
			upTo: options.upTo,
		},
		ready:    make(chan struct{}),
		followed: followed{turn: make(chan struct{}, 1)},
	}
	if err := s.schema.Check(); err != nil {
		return nil, err
	}
	var err error
	if s.db, err = options.connect(); err != nil {
		return nil, err
	}
	s.Reader = s.rollups
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.keeper.Go(s.keep)
	return s, nil
}

// CheckSchema fails where the server cannot be asked, or a migration of this version of the package was not run to its end there. Who inserts
// asks once before: the tables are made one after the other, and what comes to the first ones does not reach those that come later.
func CheckSchema(ctx context.Context, options Options) (err error) {
	options = options.withDefaults()
	s := &Store{options: options, schema: Schema{Database: options.Database, Variant: options.Variant, Cluster: options.Cluster}}
	if s.db, err = options.connect(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	return s.checkVersion(ctx)
}

// Close ends queries that run, and tails, and closes the connections.
func (s *Store) Close() error {
	s.cancel()
	s.endTails()
	s.keeper.Wait()
	return s.db.Close()
}

// Ready waits until the schema is there.
func (s *Store) Ready(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return tracestore.ErrClosed
	}
}

const (
	// checkInterval is how often the server is asked how it does.
	checkInterval = 15 * time.Second
	// firstRetry is how soon it is asked again after a failure; the time doubles up to checkInterval.
	firstRetry = time.Second
	// checkTimeout bounds one look at the server. A migration may take longer.
	checkTimeout   = 10 * time.Second
	migrateTimeout = 10 * time.Minute
)

// errLostSchema says that the schema was there and is no more: the server has come back without its data, or somebody dropped it.
var errLostSchema = errors.New("the schema is lost")

// keep makes the schema, and then looks from time to time whether the server answers and has it still; where not, it is made again.
func (s *Store) keep() {
	step, timeout := s.prepare, migrateTimeout
	var failing error
	wait, retry := time.Duration(0), firstRetry
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(wait):
		}
		ctx, cancel := context.WithTimeout(s.ctx, timeout)
		err := step(ctx)
		cancel()
		switch {
		case s.ctx.Err() != nil:
			return
		case err != nil:
			if failing == nil {
				s.options.Logger.Warn("ClickHouse fails", zap.Error(err))
			}
			failing = err
			s.options.OnHealth(err)
			if errors.Is(err, errLostSchema) {
				step, timeout = s.prepare, migrateTimeout
			}
			wait, retry = min(retry, s.options.checkInterval), min(2*retry, s.options.checkInterval)
			continue
		case failing != nil:
			s.options.Logger.Info("ClickHouse works again")
		}
		select {
		case <-s.ready:
		default:
			close(s.ready)
		}
		step, timeout = s.ping, checkTimeout
		failing = nil
		s.options.OnHealth(nil)
		wait, retry = s.options.checkInterval, firstRetry
	}
}

// prepare makes the schema, or says what of it is missing.
func (s *Store) prepare(ctx context.Context) error {
	if s.options.CreateSchema {
		return s.migrate(ctx)
	}
	return s.checkVersion(ctx)
}

// checkVersion says what of the schema is missing.
func (s *Store) checkVersion(ctx context.Context) error {
	migrations, err := s.schema.migrations()
	if err != nil {
		return err
	}
	version, err := s.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if want := migrations[len(migrations)-1].number; version < want {
		return fmt.Errorf("%w of database %q is of version %d, and %d is wanted: run what `tracewrightctl schema` prints, or set trace_store's create_schema",
			errOldSchema, s.schema.Database, version, want)
	}
	return nil
}

// errOldSchema begins what is said of a schema that lacks something.
var errOldSchema = errors.New("the schema")

// ping says whether the server answers, and has the schema. On a cluster the notes of migrations may stand on another server, or come to this one
// later: there it is lost only where a table is.
func (s *Store) ping(ctx context.Context) error {
	err := s.checkVersion(ctx)
	switch {
	case errors.Is(err, errOldSchema) && s.schema.Variant != VariantPlain:
		return nil
	case errors.Is(err, errOldSchema), IsLost(err):
		return fmt.Errorf("%w: %w", errLostSchema, err)
	}
	return err
}

// IsLost says whether the server lacks a table, or the database.
func IsLost(err error) bool { return hasCode(err, codeUnknownTable, codeUnknownDatabase) }

// table is the name of one of the store's tables in a statement.
func (s *Store) table(name string) string { return quoted(s.schema.Database) + "." + quoted(name) }
