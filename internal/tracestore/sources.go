package tracestore

import (
	"context"
	"errors"
	"time"
)

// ErrSourceVersion says that a source is stored in another version than was asked for, or not at all.
var ErrSourceVersion = errors.New("the source was changed meanwhile")

// SourceRecord is a source of traces that was added at run time, as a storage keeps it.
type SourceRecord struct {
	// Name is the key.
	Name string
	// Version counts the changes of what stands under the name, from 1.
	Version int64
	// Value is not looked into.
	Value []byte
}

// SourceReport is what one instance says of the sources that it runs.
type SourceReport struct {
	// Instance is the key.
	Instance string
	At       time.Time
	// Value is not looked into.
	Value []byte
}

// SourceKeeper is implemented by a storage that keeps sources of traces for all instances that use it. They are few, and read every few
// seconds. It is safe for concurrent use.
type SourceKeeper interface {
	// Sources lists all, in no particular order. What was put or deleted before is seen, by other instances within seconds.
	Sources(ctx context.Context) ([]SourceRecord, error)

	// PutSource stores a record in place of the version before it and returns when it is durable: version 1 where nothing stands under
	// the name, n + 1 in place of n. The error is ErrSourceVersion where something else stands there, and then nothing is changed. After another
	// error it is stored or not.
	PutSource(ctx context.Context, record SourceRecord) error

	// DeleteSource removes the version of the name, durably. The error is ErrSourceVersion where something else stands there, or nothing.
	DeleteSource(ctx context.Context, name string, version int64) error

	// PutSourceReport stores a report in place of the instance's last. It need not be durable, nor seen at once.
	PutSourceReport(ctx context.Context, report SourceReport) error

	// SourceReports lists the last report of each instance, those that are older than an hour possibly left out.
	SourceReports(ctx context.Context) ([]SourceReport, error)
}
