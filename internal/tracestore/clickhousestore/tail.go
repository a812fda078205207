package clickhousestore

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/tracewright/tracewright/internal/tracestore"
	"github.com/tracewright/tracewright/internal/tracestore/tracerow"
	"github.com/tracewright/tracewright/internal/tracetree"
)

var _ tracestore.Tailer = (*Store)(nil)

const (
	// tailInterval is how often the server is asked for what was written, while somebody follows.
	tailInterval = time.Second
	// tailTimeout bounds one look, which goes on with the next one.
	tailTimeout = 30 * time.Second
)

// followed is how far the store has told its tails what is written: by others, in otel_traces. It knows the numbers of the blocks whose releases
// were told, so that each is told once, whenever it becomes visible, whatever its times are, and however parts are merged. With many servers
// the numbers are those of the one that is asked.
type followed struct {
	tails tracestore.Tails

	// turn is held, by a value in it, by who uses the fields below. It is a channel so that waiting for it ends with the caller's context.
	turn    chan struct{}
	running bool
	// told are the blocks by partition that were told, or were there before; nil while nobody follows.
	told map[string]blockSet
	// within is how many releases of the block behind those were told already.
	within int
}

// Tail implements tracestore.Tailer.
func (s *Store) Tail(ctx context.Context, tenant string, where *tracestore.Conditions, size int) (*tracestore.Tail, error) {
	f := &s.followed
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-f.turn }()
	if s.ctx.Err() == nil {
		// What is there now is for those alone who follow already.
		if err := s.tellTails(ctx); err != nil {
			return nil, fmt.Errorf("find out what is stored: %w", err)
		}
		if !f.running {
			f.running = true
			s.keeper.Go(s.keepTelling)
		}
	}
	return f.tails.Tail(tenant, where, size), nil
}

// endTails ends the tails of a store that is closing, after which nobody begins to follow.
func (s *Store) endTails() {
	s.followed.turn <- struct{}{}
	s.followed.tails.Close()
	<-s.followed.turn
}

// keepTelling tells the tails until there are none.
func (s *Store) keepTelling() {
	failing := false
	for {
		select {
		case <-time.After(s.options.tailInterval):
		case <-s.ctx.Done():
			return
		}
		more, err := s.tellMore()
		switch {
		case !more:
			return
		case err != nil && !failing && s.ctx.Err() == nil:
			s.options.Logger.Warn("ClickHouse does not say what is written; who follows waits", zap.Error(err))
		}
		failing = err != nil
	}
}

// tellMore tells the tails what was written meanwhile; more is false where there are none, and then it is not to be called again.
func (s *Store) tellMore() (more bool, err error) {
	f := &s.followed
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	if len(f.tails.Tenants()) == 0 {
		f.running, f.told = false, nil
		return false, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, tailTimeout)
	defer cancel()
	return true, s.tellTails(ctx)
}

// tellTails tells the tails of blocks that they were not told of. turn is held.
func (s *Store) tellTails(ctx context.Context) error {
	f := &s.followed
	blocks, err := s.blocks(ctx)
	if err != nil {
		return err
	}
	tenants := f.tails.Tenants()
	if f.told == nil || len(tenants) == 0 {
		f.told, f.within = blocks, 0
		return nil
	}
	for _, partition := range slices.Sorted(maps.Keys(blocks)) {
		for _, r := range blocks[partition].without(f.told[partition]) {
			if err := f.tell(partition, r, s.releasesIn(ctx, tenants, partition, r)); err != nil {
				return err
			}
		}
	}
	maps.DeleteFunc(f.told, func(partition string, _ blockSet) bool { return blocks[partition] == nil }) // their time is over
	return nil
}

// blocks are those that can be read, by partition.
func (s *Store) blocks(ctx context.Context) (map[string]blockSet, error) {
	var sql statement
	sql.add("SELECT partition_id, groupArray(min_block_number), groupArray(max_block_number) FROM system.parts"+
		" WHERE active AND database = ? AND table = 'otel_traces' GROUP BY partition_id", s.schema.Database)
	blocks := make(map[string]blockSet)
	err := s.read(ctx, &sql, func(rows driver.Rows) error {
		var partition string
		var first, last []int64
		if err := rows.Scan(&partition, &first, &last); err != nil {
			return err
		}
		ranges := make([]blockRange, len(first))
		for i := range ranges {
			ranges[i] = blockRange{first[i], last[i]}
		}
		var set blockSet
		set.add(ranges...)
		blocks[partition] = set
		return nil
	})
	return blocks, err
}

// releasesIn yields the releases of the tenants in a range of blocks, block by block.
func (s *Store) releasesIn(ctx context.Context, tenants []string, partition string, blocks blockRange) iter.Seq2[*storedRelease, error] {
	values := parameters{}
	return s.releases(ctx, inBlocks(values, tenants, partition, blocks), "_block_number, Tenant, Id, _block_offset", values)
}

// inBlocks is the condition that a row of otel_traces is a tenant's and stands in the blocks.
func inBlocks(values parameters, tenants []string, partition string, blocks blockRange) string {
	names := make([]string, len(tenants))
	for i, tenant := range tenants {
		names[i] = values.text(tenant)
	}
	first, last := values.int(blocks.first), values.int(blocks.last)
	// A part's name says which blocks it holds: partition, first, last. Others are not opened.
	return "Tenant IN (" + strings.Join(names, ", ") + ") AND _partition_id = " + values.text(partition) +
		" AND toInt64(splitByChar('_', _part)[2]) <= " + last + " AND toInt64(splitByChar('_', _part)[3]) >= " + first +
		" AND _block_number BETWEEN " + first + " AND " + last
}

// tell tells the tails of the releases in a range of blocks. Where it fails it goes on from there the next time.
func (f *followed) tell(partition string, blocks blockRange, releases iter.Seq2[*storedRelease, error]) error {
	done := func(last int64) {
		set := f.told[partition]
		set.add(blockRange{blocks.first, last})
		f.told[partition], f.within = set, 0
	}
	block, n := blocks.first, 0
	for release, err := range releases {
		if err != nil {
			return err
		}
		if at := int64(release.call); at != block {
			done(at - 1)
			block, n = at, 0
		}
		if n++; n > f.within {
			f.tails.Tell(tracetree.Releases(release.td), tracerow.Told)
			f.within = n
		}
	}
	done(blocks.last)
	return nil
}
