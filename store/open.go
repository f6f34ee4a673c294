package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
	"github.com/google/uuid"

	"cairn/consensus"
	"cairn/history"
)

// vacant says whether Create may make the directory its own.
func (d directory) vacant() error {
	_, err := d.marker()
	switch {
	case errors.Is(err, ErrNoData):
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s", ErrExists, d.path)
	}
	return d.advise(err)
}

// locked runs open under the directory's lock, which a Store keeps.
func (d directory) locked(open func() (*Store, error)) (*Store, error) {
	lock, err := d.lock()
	if err != nil {
		return nil, err
	}
	s, err := open()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.lock = lock
	return s, nil
}

// create makes the database. The marker's last step into its place is what
// completes it, so that an interrupted Create leaves no data directory.
func (d directory) create(rules *consensus.Rules, o Options) (*Store, error) {
	if err := d.prepare(markerName, []byte(markerFor(rules).text())); err != nil {
		return nil, err
	}
	if err := d.fs.RemoveAll(d.file(dbName)); err != nil { // of an earlier attempt
		return nil, err
	}
	s := newStore(d, o)
	s.rules = rules
	if err := s.beginNewest(); err != nil {
		return nil, err
	}
	if err := s.openPebble(o.cacheBytes(), false); err != nil {
		return nil, err
	}
	b := s.NewBatch()
	defer b.Close()
	b.putGenesis(rules)
	err := b.Commit()
	if err == nil {
		err = d.rename(aside(markerName), markerName)
	}
	return s.begin(err)
}

// beginNewest makes the database's directory, and says in it that the database has
// Pebble's newest format. Pebble would begin with the oldest that it knows and rise
// to the newest one by one, with a file and a sync of the disk for each.
func (s *Store) beginNewest() error {
	fs, dir := guardedFS{s.dir.fs, s.failure}, s.dir.file(dbName)
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return s.failure.run(func() error {
		marker, _, err := atomicfs.LocateMarker(fs, dir, "format-version")
		if err != nil {
			return err
		}
		return errors.Join(marker.Move(pebble.FormatNewest.String()), marker.Close())
	})
}

// begin ends the opening of a database, or undoes it where that failed with err.
func (s *Store) begin(err error) (*Store, error) {
	if err == nil {
		err = s.dir.writeSums(fixedFiles)
	}
	if err != nil {
		return nil, errors.Join(err, s.closePebble())
	}
	s.failure.open.Store(true)
	return s, nil
}

func (b *Batch) putGenesis(rules *consensus.Rules) {
	state := rules.GenesisState()
	id := uuid.New()
	b.set([]byte(genesisKey), rules.JSON())
	b.set([]byte(nodeKey), fmt.Appendf(nil, "%x", id[:]))
	b.PutState(state, HaveBody|Applied)
	b.PutBlock(0, state.Hash, rules.Genesis().Encode())
	b.PutBest(0, state.Hash)
	b.PutTip(state.Hash)
	for _, c := range rules.GenesisBalances() {
		b.PutAccount(c.Party, c.After)
	}
	_, nodes := history.Range{}.Append(state.HistoryLeaf().Sum())
	for _, n := range nodes {
		b.PutHistoryNode(n)
	}
}

// inspect looks for damage, changes nothing, and returns the rules of the network
// whose data this is. Opening for use would find most
// of it too, but only after it has removed files and made others. What goes wrong
// is ErrDamaged, unless the operating system refuses something.
func (d directory) inspect(mark marker) (*consensus.Rules, error) {
	sums, err := d.readSums()
	if err != nil {
		return nil, err
	}
	for _, s := range sums {
		if err := d.check(s); err != nil {
			return nil, err
		}
	}
	s := newStore(d, Options{})
	if err = s.openPebble(minCache, true); err == nil {
		err = errors.Join(s.load(mark), s.closePebble())
	}
	var system syscall.Errno
	if refused := errors.As(err, &system) && !errors.Is(err, fs.ErrNotExist); err == nil || refused {
		return s.rules, err
	}
	fault := FileFault{File: dbName, Reason: firstLine(err)}
	errors.As(err, &fault)
	return nil, fault
}

// open opens the database for use, which was inspected.
func (d directory) open(rules *consensus.Rules, o Options) (*Store, error) {
	// First, because it will not be true from the first write on.
	if err := d.remove(sumsName); err != nil {
		return nil, err
	}
	s := newStore(d, o)
	s.rules = rules
	if err := s.openPebble(o.cacheBytes(), false); err != nil {
		return nil, err
	}
	return s.begin(nil)
}

func newStore(d directory, o Options) *Store {
	s := &Store{dir: d, log: o.logger()}
	s.failure = &failure{done: make(chan struct{}), explain: d.explain, report: func(err error) {
		s.log.Error("The database can no longer be written", "error", err)
		if o.Fatal != nil {
			o.Fatal(err)
		}
	}}
	s.note = s.failure.noteRead
	return s
}

// openPebble opens the database.
func (s *Store) openPebble(cacheBytes int64, readOnly bool) error {
	if !readOnly {
		cacheBytes += writing
	}
	blocks := pebble.NewCache(cacheBytes)
	defer blocks.Unref() // the database holds its own reference
	options := s.pebbleOptions()
	options.Cache = blocks
	options.ReadOnly = readOnly
	return s.failure.run(func() (err error) {
		s.db, err = pebble.Open(s.dir.file(dbName), options)
		s.reader, s.cache = s.db, &cache{Cache: blocks, db: s.db}
		return err
	})
}

func (s *Store) closePebble() error { return s.failure.run(s.db.Close) }

// load reads the rules, and checks that they are those of the marker and that
// there is a chain.
func (s *Store) load(mark marker) (err error) {
	s.rules, err = must(&s.View, []byte(genesisKey), Record.rules)
	if err != nil {
		return err
	}
	if markerFor(s.rules) != mark {
		return FileFault{File: markerName, Reason: fmt.Sprintf("it does not name network %s, chain %s, which is what the database holds",
			s.rules.Name, s.rules.ChainID())}
	}
	tip, err := s.Tip()
	if err == nil {
		_, _, err = s.State(tip)
	}
	return err
}

// advise adds to ErrDamaged what the operator can do.
func (d directory) advise(err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w in %s: %w (\"cairn verify\" says more; put back a copy, or use a new directory, "+
		"which fills from the neighbours or by \"cairn import\")", ErrDamaged, d.path, err)
}
