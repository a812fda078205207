package pebblestore

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
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
	// Traces are those that can be found. Blocks hold their releases and spans; what was deleted counts there until its block is
	// written again.
	Traces, Blocks, Releases, Spans int64
	// Bytes is about what it takes on disk.
	Bytes int64
}

// ReadStats reads what is in the folder of a store that no process uses. Errors are those of Check.
func ReadStats(ctx context.Context, path string) (stats FolderStats, err error) {
	f, err := openFolder(ctx, path)
	if err != nil {
		return FolderStats{}, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	stats = FolderStats{Format: f.format, DiskBytes: int64(f.db.Metrics().DiskSpaceUsage())}
	partitions, err := listPartitions(f.db)
	if err != nil {
		return FolderStats{}, err
	}
	for _, at := range partitions {
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
	lower, upper = at.span(kindBlock)
	err = scan(f.db, lower, upper, func(_ []byte, value func() ([]byte, error)) error {
		encoded, err := value()
		if err != nil {
			return err
		}
		part.Blocks++
		if v, err := decodeBlockValue(encoded); err == nil { // else it is Check's to tell
			part.Releases += int64(v.releases)
			part.Spans += int64(v.spans)
		}
		return ctx.Err()
	})
	if err != nil {
		return part, err
	}
	var last pcommon.TraceID
	lower, upper = at.span(kindID)
	err = scan(f.db, lower, upper, func(key []byte, _ func() ([]byte, error)) error {
		id, _, err := at.decodeID(key)
		if err == nil && (id != last || part.Traces == 0) {
			last = id
			part.Traces++
		}
		return ctx.Err()
	})
	return part, err
}
