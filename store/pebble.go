package store

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

const (
	defaultCache = 32 << 20
	minCache     = 1 << 20
	memTable     = 16 << 20
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
func (s *Store) pebbleOptions(cache *pebble.Cache) *pebble.Options {
	o := &pebble.Options{
		FS:                          s.dir.fs,
		Cache:                       cache,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                memTable,
		MemTableStopWritesThreshold: 4,
		Logger:                      pebbleLog{s},
		EventListener: &pebble.EventListener{
			BackgroundError: s.fail,
			DataCorruption:  func(i pebble.DataCorruptionInfo) { s.fail(fmt.Errorf("%w: %s", ErrDamaged, i)) },
			LowDiskSpace: func(i pebble.LowDiskSpaceInfo) {
				s.log.Warn("The disk is nearly full", "free_bytes", i.AvailBytes, "dir", s.dir.path)
			},
		},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// pebbleLog passes what Pebble says on to the log.
type pebbleLog struct{ s *Store }

func (l pebbleLog) Infof(format string, args ...any) {
	l.s.log.Debug("Pebble: " + fmt.Sprintf(format, args...))
}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.s.log.Error("Pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf is called where Pebble does not know how to go on.
func (l pebbleLog) Fatalf(format string, args ...any) {
	l.s.fail(fmt.Errorf(format, args...))
}

// open opens the database under a lock that the caller holds and, after success,
// leaves to Close.
func (d directory) open(lock *pebble.Lock, o Options) (*Store, error) {
	cache := pebble.NewCache(o.cacheBytes())
	defer cache.Unref()
	s := &Store{dir: d, lock: lock, log: o.logger(), fatal: o.Fatal}
	options := s.pebbleOptions(cache)
	options.Lock = lock
	db, err := pebble.Open(d.file(dbName), options)
	if err != nil {
		return nil, err
	}
	s.db, s.View.reader = db, db
	if err := s.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// load reads what a Store keeps in memory.
func (s *Store) load() error {
	value, done, err := s.get([]byte(genesisKey))
	if err != nil {
		return err
	}
	defer done.Close()
	s.rules, err = Record{[]byte(genesisKey), value}.rules()
	return err
}

// Close ends the use of the directory.
func (s *Store) Close() error {
	if err := s.failure(); err != nil {
		return err
	}
	return errors.Join(s.db.Close(), s.lock.Close())
}
