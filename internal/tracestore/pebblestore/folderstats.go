package pebblestore

import (
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// FolderStats says what is in the folder of a store.
type FolderStats struct {
	// Format is the version of the storage format.
	Format uint32
	// DiskBytes is the size of all files.
	DiskBytes int64
	// Partitions are sorted by tenant and day.
	Partitions []PartitionStats
}

// PartitionStats is what a tenant has of one day (UTC), by time of release.
type PartitionStats struct {
	// Tenant is empty for the default one, and a hash of a name above 127 bytes.
	Tenant string
	Day    time.Time
	// Traces and Spans are those that can be found, spans of repeated releases included.
	Traces, Spans int64
	// Bytes is about what it takes on disk.
	Bytes int64
}

// ReadStats reads what is in the folder of a store that no process uses. Errors are those of Check.
func ReadStats(ctx context.Context, path string) (stats FolderStats, err error) {
	f, err := openFolder(path)
	if err != nil {
		return FolderStats{}, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	stats = FolderStats{Format: f.format, DiskBytes: int64(f.db.Metrics().DiskSpaceUsage())}
	partitions, _, err := loadPartitions(f.db)
	if err != nil {
		return FolderStats{}, err
	}
	for _, at := range partitions.sorted() {
		part, err := f.readPartition(ctx, at)
		if err != nil {
			return FolderStats{}, err
		}
		stats.Partitions = append(stats.Partitions, part)
	}
	return stats, nil
}

func (f *folder) readPartition(ctx context.Context, at partition) (PartitionStats, error) {
	part := PartitionStats{Tenant: tenantName(at.tenant), Day: dayStart(at.day)}
	lower, upper := at.span(0)
	bytes, err := f.db.EstimateDiskUsage(lower, upper)
	if err != nil {
		return part, err
	}
	part.Bytes = int64(bytes)
	lower, upper = at.span(kindTrace)
	iter, err := f.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return part, err
	}
	for valid := iter.First(); valid && ctx.Err() == nil; valid = iter.Next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return part, errors.Join(err, iter.Close())
		}
		part.Traces++
		if stored, err := decodeTraceValue(value); err == nil { // else it is Check's to tell
			part.Spans += int64(stored.spans)
		}
	}
	return part, errors.Join(ctx.Err(), iter.Error(), iter.Close())
}
