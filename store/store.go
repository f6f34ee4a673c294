// Package store keeps a node's data in one directory: the chain with its
// accounts and indexes, the pending transfers, the neighbours. It knows records
// and no rules. Reads are methods of View, writes of Batch; keys.go lists every
// record.
//
// Beneath is Pebble, a log-structured tree of sorted tables. Every commit is
// synced before it returns, so that whatever was answered survives the process,
// the kernel and the power supply. The directory:
//
//	cairn.txt   what this is: format, network, chain ID
//	db/         Pebble's files
//	sums.txt    SHA-256 of the files that carry no checksums of their own
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
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"cairn/consensus"
	"cairn/history"
)

// Options says where and how to keep the data. The zero value is ready for use.
type Options struct {
	FS         vfs.FS       // where the directory is; the disk by default
	CacheBytes int64        // for blocks of tables that were read; default 32 MiB
	Log        *slog.Logger // nothing is logged by default

	// Fatal is called at most once, when the database can no longer be written,
	// with an error that says why and what to do. It may be called while locks of
	// the database are held, so it must not use the Store; it may end the
	// process. By default the error is only logged.
	Fatal func(error)
}

// Store is an open data directory. It is a View of the present, and makes
// batches. It may be used by many goroutines at once, except Close.
type Store struct {
	View
	dir   directory
	db    *pebble.DB
	lock  *pebble.Lock
	rules *consensus.Rules

	log    *slog.Logger
	fatal  func(error)
	failed atomic.Pointer[error]
	once   sync.Once
}

// Create makes a data directory for the network that rules describe, holding its
// genesis block, and opens it. dir may be missing or empty; otherwise ErrExists
// or ErrNotCairn. If it is interrupted, Open returns ErrNoData and Create may be
// called again.
func Create(dir string, rules *consensus.Rules, o Options) (*Store, error) {
	d, err := newDirectory(dir, o)
	if err != nil {
		return nil, err
	}
	if err := d.prepare(rules); err != nil {
		return nil, err
	}
	if err := d.writeGenesis(rules, o); err != nil {
		return nil, fmt.Errorf("create %s: %w", d.path, err)
	}
	return Open(dir, o)
}

// Open opens a data directory. Its errors are ErrNoData, ErrNotCairn, ErrNewer,
// ErrBusy, ErrDamaged, or of the operating system; on any of the five, nothing
// in the directory has been changed.
func Open(dir string, o Options) (*Store, error) {
	d, err := newDirectory(dir, o)
	if err != nil {
		return nil, err
	}
	if _, err := d.marker(); err != nil {
		return nil, err
	}
	lock, err := d.lock()
	if err != nil {
		return nil, err
	}
	s, err := d.open(lock, o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// Rules returns the rules of the network whose data this is.
func (s *Store) Rules() *consensus.Rules { return s.rules }

// Dir returns the directory.
func (s *Store) Dir() string { return s.dir.path }

// Snapshot returns a view of the records as they are now. It must be closed
// before the Store.
func (s *Store) Snapshot() *View {
	snapshot := s.db.NewSnapshot()
	return &View{reader: snapshot, close: snapshot.Close}
}

// writeGenesis builds the database aside and moves it into its place when it is
// complete, so that an interrupted Create leaves no database.
func (d directory) writeGenesis(rules *consensus.Rules, o Options) error {
	aside := d.file(newDB)
	if err := d.fs.RemoveAll(aside); err != nil {
		return err
	}
	if err := d.fs.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	cache := pebble.NewCache(minCache)
	defer cache.Unref()
	s := &Store{dir: d, log: o.logger(), fatal: o.Fatal}
	db, err := pebble.Open(aside, s.pebbleOptions(cache))
	if err != nil {
		return err
	}
	s.db = db
	b := s.NewBatch()
	defer b.Close()
	b.putGenesis(rules)
	if err := errors.Join(b.Commit(), db.Close()); err != nil {
		return err
	}
	if err := d.fs.Rename(aside, d.file(dbName)); err != nil {
		return err
	}
	return d.sync()
}

func (b *Batch) putGenesis(rules *consensus.Rules) {
	state := rules.GenesisState()
	b.set([]byte(genesisKey), rules.JSON())
	b.set([]byte(nodeKey), newNodeID())
	b.PutState(state, HaveBody|Applied)
	b.PutBlock(0, state.Hash, rules.Genesis().Encode())
	b.PutBest(0, state.Hash)
	b.PutTip(state.Hash)
	for _, c := range rules.GenesisBalances() {
		b.PutAccount(c.Account, c.After)
	}
	_, nodes := history.Range{}.Append(state.HistoryLeaf().Sum())
	for _, n := range nodes {
		b.PutHistoryNode(n)
	}
}

func newNodeID() []byte {
	id := uuid.New()
	return fmt.Appendf(nil, "%x", id[:])
}

// fail records the first failed write and reports it.
func (s *Store) fail(err error) {
	s.once.Do(func() {
		err = fmt.Errorf("%w: %w", ErrFailed, s.dir.explain(err))
		s.failed.Store(&err)
		s.log.Error("Stopped writing to the database", "error", err)
		if s.fatal != nil {
			s.fatal(err)
		}
	})
}

// failure returns what fail recorded.
func (s *Store) failure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

