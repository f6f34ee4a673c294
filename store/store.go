// Package store keeps a node's data in one directory: the chain with its
// accounts and indexes, the pending transfers, the neighbours. It knows records
// and no rules. Reads are methods of View, writes of Batch; keys.go lists every
// record.
//
// Beneath is Pebble, a log-structured tree of sorted tables. Every commit is
// synced before it returns, so that whatever was answered survives the process,
// the kernel and the power supply. The directory:
//
//	cairn.txt    what this is: format, network, chain ID
//	cairn.lock   empty, and locked while the directory is open
//	db/          Pebble's files
//	sums.txt     SHA-256 of the files that carry no checksums of their own
//
// # When a write fails
//
// After a failed write (the disk is full, most often) nobody can know what the
// disk holds, so nothing is tried again: Options.Fatal is called once, with an
// error for the operator, and every commit returns ErrFailed. What was committed
// before is safe, and the next Open finds a state between two commits.
package store

import (
	"errors"
	"io"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/consensus"
	"cairn/types"
)

// Options says where and how to keep the data. The zero value is ready for use.
type Options struct {
	FS         vfs.FS       // where the directory is; the disk by default
	CacheBytes int64        // for blocks of tables that were read; default 32 MiB. What writes leave free of theirs is used, too
	Log        *slog.Logger // nothing is logged by default

	// Fatal is called at most once, when the database can no longer be written, or
	// turns out to be damaged, with an error that says why and what to do. The process should soon end, and
	// Fatal may end it; it must not use the Store, whose locks may be held. By
	// default the error is only logged. Errors of Open and Close are not reported
	// here.
	Fatal func(error)
}

// Store is an open data directory. It is a View of the present, and makes
// batches. It may be used by many goroutines at once, except Close.
type Store struct {
	View
	dir     directory
	lock    io.Closer
	db      *pebble.DB
	rules   *consensus.Rules
	log     *slog.Logger
	failure *failure
}

// Create makes a data directory for the network that rules describe, holding its
// genesis block, and opens it. dir may be missing or empty; otherwise ErrExists,
// ErrNotCairn, or what Open says. If Create is interrupted, Open returns
// ErrNoData and Create may be called again.
func Create(dir string, rules *consensus.Rules, o Options) (*Store, error) {
	d, err := newDirectory(dir, o)
	if err != nil {
		return nil, err
	}
	if err := d.vacant(); err != nil {
		return nil, err
	}
	if err := d.make(); err != nil {
		return nil, err
	}
	return d.locked(func() (*Store, error) {
		if err := d.vacant(); err != nil {
			return nil, err
		}
		return d.create(rules, o)
	})
}

// Network reads which network a data directory is for, its name and its chain ID,
// without opening or changing anything. Its errors are ErrNoData, ErrNotCairn,
// ErrNewer, ErrOlder, ErrDamaged, or of the operating system.
func Network(dir string, o Options) (name string, chain types.Hash, err error) {
	d, err := newDirectory(dir, o)
	if err != nil {
		return "", types.Hash{}, err
	}
	m, err := d.marker()
	return m.network, m.chain, d.advise(err)
}

// Open opens a data directory. Its errors are ErrNoData, ErrNotCairn, ErrNewer,
// ErrOlder, ErrBusy, ErrDamaged, or of the operating system; on any of the six,
// nothing in the directory has been changed.
func Open(dir string, o Options) (*Store, error) {
	d, err := newDirectory(dir, o)
	if err != nil {
		return nil, err
	}
	mark, err := d.marker()
	if err != nil {
		return nil, d.advise(err)
	}
	return d.locked(func() (*Store, error) {
		rules, err := d.inspect(mark)
		if err != nil {
			return nil, d.advise(err)
		}
		return d.open(rules, o)
	})
}

// Close ends the use of the directory: the Store must not be used any more. After
// a failed write, also in Close itself, it returns ErrFailed; what the database
// holds in memory is then not released.
func (s *Store) Close() error {
	s.failure.open.Store(false)
	// What is in a table need not be read from the log, twice, by the next Open.
	err := s.failure.run(s.db.Flush)
	if err == nil {
		err = s.closePebble()
	}
	if err == nil {
		err = s.dir.writeSums(closedFiles)
	}
	return errors.Join(err, s.lock.Close())
}

// Rules returns the rules of the network whose data this is.
func (s *Store) Rules() *consensus.Rules { return s.rules }

// Dir returns the directory.
func (s *Store) Dir() string { return s.dir.path }

// Disk is the room that a directory takes and has, in bytes.
type Disk struct {
	Used int64
	Free int64 // -1 where that cannot be told
}

// Disk returns how much of the disk the database takes, and what is left of it.
func (s *Store) Disk() Disk {
	d := Disk{Used: int64(s.db.Metrics().DiskSpaceUsage()), Free: -1}
	if usage, err := s.dir.fs.GetDiskUsage(s.dir.path); err == nil {
		d.Free = int64(usage.AvailBytes)
	}
	return d
}

// Snapshot returns a view of the records as they are now. It must be closed
// before the Store.
func (s *Store) Snapshot() *View {
	snapshot := s.db.NewSnapshot()
	return &View{reader: snapshot, close: snapshot.Close, note: s.note, cache: s.cache}
}
