package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// Sizes of memory in bytes.
const (
	defaultCache = 32 << 20
	minCache     = 1 << 20 // also of a database that is only looked into
	memTable     = 4 << 20
	// writing is what changes take on their way to the disk. Pebble takes it out of
	// the cache, which would be empty just when a node that catches up reads most.
	writing = 32 << 20
)

func (o Options) logger() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

func (o Options) cacheBytes() int64 {
	if o.CacheBytes == 0 {
		return defaultCache
	}
	return max(o.CacheBytes, minCache)
}

// pebbleOptions are the options of every database here.
func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                 guardedFS{s.dir.fs, s.failure},
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             pebbleLog{s},
		// The first memory tables of a process are small, and grow to this. A batch
		// of more than half of it, as that of a full block of a megabyte, becomes a
		// table of its own: it is sorted, and need not be sorted in again.
		MemTableSize:                memTable,
		MemTableStopWritesThreshold: 4,
		// A node that catches up writes much in a short time. Compactions that would
		// follow each of its commits can wait until it has: filters keep reads quick
		// with more tables in level 0.
		L0CompactionThreshold: 8,
		L0StopWritesThreshold: 24,
		LBaseMaxBytes:         256 << 20,
		EventListener: &pebble.EventListener{
			BackgroundError: s.failure.note,
			// Whoever reads gets the error too, and a compaction reports it as its own.
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				s.log.Error("A file of the database is damaged", "file", i.Path, "error", i.Details)
			},
			LowDiskSpace: func(i pebble.LowDiskSpaceInfo) {
				s.log.Warn("The disk is nearly full", "free_bytes", i.AvailBytes, "dir", s.dir.path)
			},
		},
	}
	for i := range o.Levels {
		// Larger blocks are fewer calls for whoever reads in order. Nearly all salts
		// that are looked up are not there. Compression is Snappy at every level: keys,
		// hashes and signatures gain nothing from a better one.
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	return o
}

// pebbleLog passes on what Pebble says.
type pebbleLog struct{ s *Store }

// Infof implements pebble.Logger.
func (l pebbleLog) Infof(format string, args ...any) { l.log(slog.LevelDebug, format, args) }

// Errorf implements pebble.Logger.
func (l pebbleLog) Errorf(format string, args ...any) { l.log(slog.LevelError, format, args) }

// Fatalf implements pebble.Logger. Pebble calls it where it cannot go on.
func (l pebbleLog) Fatalf(format string, args ...any) {
	l.s.failure.note(fmt.Errorf(format, args...))
}

func (l pebbleLog) log(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if l.s.log.Enabled(ctx, level) {
		l.s.log.Log(ctx, level, "Pebble: "+fmt.Sprintf(format, args...))
	}
}
