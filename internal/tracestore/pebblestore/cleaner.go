package pebblestore

import "github.com/cockroachdb/pebble/v2"

// cleaner removes files that Pebble does not need any more. Left alone, Pebble keeps up to five logs to write over them, each as
// large as a memtable: more than all data of a small store. It does not where its cleaner wants the files' contents, as the one does
// that archives them.
type cleaner struct {
	pebble.DeleteCleaner
	wantsContents
}

// wantsContents lends its unexported method; those of DeleteCleaner stand before its others.
type wantsContents struct{ pebble.ArchiveCleaner }
