// Package chain follows the chain with the most work. Its Manager takes blocks
// and transfers from anyone (the API, the miner, a neighbour, a file), decides
// by the rules of package consensus, keeps the result in package store, and
// hands out templates for new blocks. It sequences pure parts and holds no rule
// of its own.
//
// # Locks
//
// Two locks, and each says what it guarantees. Manager.writer is held by
// whoever may change the best chain, or needs it to stand still: one at a time,
// for as long as that takes, disk included. It guards the account tree, the
// history and the blocks that are too new. Manager.mu guards the pair {tip,
// pool} and the little beside it; it is held to look or to swap, never across
// disk, hashing or a callback, so that readers never wait for a block.
//
// Whatever needs neither the balances nor the order of blocks is done before
// either lock: decoding, proof of work, the rules of headers, the Merkle tree,
// signatures. A block is immutable by its hash, so reads by hash take no lock.
//
// # Crashes
//
// A change of the best chain is one synced batch: what was undone, what was
// applied, the indexes, the pending transfers, the tip. Memory follows after the
// batch is on disk. Only a reorganisation too large for memory takes several
// batches; then a goal is stored with the first, and New ends what it finds
// half done.
package chain

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/mempool"
	"cairn/store"
	"cairn/types"
)

// Config is what a Manager is made of. Store is required, the rest has defaults.
type Config struct {
	Store      *store.Store
	Log        *slog.Logger     // nothing is logged by default
	Pool       mempool.Limits   // zero fields: mempool's defaults
	TreeLeaves int              // accounts kept in memory at the most; default 400,000, about 100 MB
	Now        func() time.Time // default time.Now
}

// Manager keeps the best chain, the account tree of its tip and the pool of
// pending transfers. All its methods may be called concurrently.
type Manager struct {
	rules      *consensus.Rules
	store      *store.Store
	log        *slog.Logger
	now        func() time.Time
	treeLeaves int
	maxPool    int // transfers

	writer sync.Mutex
	ledger ledger  // what the disk holds
	midway bool    // the disk is inside a long reorganisation: not what readers see
	unseen effects // of the batches of that reorganisation, for the pool

	mu        sync.Mutex
	tip       consensus.State
	pool      *mempool.Pool
	seq       uint64          // of the next pending transfer
	stale     []uint64        // pending records to delete with the next commit
	held      []heldBlock     // too new yet
	arrivals  []mempool.Entry // pooled since the writer began; nil when none is at work
	changes   poolChanges     // what became of pending transfers lately
	frozen    *sharedView     // what readers see: the view of tip, kept until it moves
	closed    bool            // nothing more may change
	ended     bool            // nor may anything be read
	nextWatch int
	watchers  map[int]func()

	intake     intake
	blockRates blockRates
	states     states
	collector  collector
	limits     mempool.Limits // of the pool
	proving    chan struct{}  // a token for the proof of a balance that is being made

	cores chan struct{} // a token for each core that checks blocks
	runs  atomic.Uint64 // counts the runs of blocks that were added
	times times
}

// ledger is the state that blocks apply to, as a value: a copy is a snapshot.
type ledger struct {
	tip     consensus.State
	tree    accounts.Tree // balances after tip
	history history.Range // every block up to and including tip
}

// New opens the chain that is in cfg.Store, ends a reorganisation that a crash
// interrupted, and takes the pending transfers back into the pool. The store
// stays the caller's, to be closed after the Manager.
func New(cfg Config) (*Manager, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.TreeLeaves == 0 {
		cfg.TreeLeaves = 400_000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &Manager{
		rules:      cfg.Store.Rules(),
		store:      cfg.Store,
		log:        cfg.Log,
		now:        cfg.Now,
		treeLeaves: cfg.TreeLeaves,
		maxPool:    cmp.Or(cfg.Pool.Transfers, mempool.DefaultTransfers),
		pool:       mempool.New(cfg.Store.Rules(), cfg.Pool),
		watchers:   make(map[int]func()),
		seq:        1,
		cores:      make(chan struct{}, runtime.GOMAXPROCS(0)),
		proving:    make(chan struct{}, 1),
	}
	m.limits = m.pool.Limits()
	var err error
	if m.ledger, err = m.load(); err != nil {
		return nil, fmt.Errorf("loading the chain: %w", err)
	}
	m.tip = m.ledger.tip
	if err := m.loadPending(); err != nil {
		return nil, fmt.Errorf("loading pending transfers: %w", err)
	}
	if err := m.resume(); err != nil {
		return nil, fmt.Errorf("ending an interrupted reorganisation: %w", err)
	}
	if err := m.prunePending(); err != nil {
		return nil, fmt.Errorf("looking through pending transfers: %w", err)
	}
	return m, nil
}

// load reads the ledger of the stored tip.
func (m *Manager) load() (ledger, error) {
	hash, err := m.store.Tip()
	if err != nil {
		return ledger{}, err
	}
	tip, _, err := m.store.State(hash)
	if err != nil {
		return ledger{}, err
	}
	tree, err := accounts.Build(m.store, m.store.AllLeaves())
	if err != nil {
		return ledger{}, err
	}
	past, err := history.Load(tip.Height+1, m.store.HistoryNode)
	return ledger{tip, tree, past}, err
}

// Close waits for what is under way and refuses everything after with ErrClosed.
// Its error is one of the disk, and nothing is lost by it.
func (m *Manager) Close() error {
	m.intake.mu.Lock() // so that nothing is submitted between this and the wait
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.intake.mu.Unlock()
	m.intake.running.Wait()
	m.writer.Lock() // whoever held it is done
	defer m.writer.Unlock()
	m.mu.Lock()
	m.ended = true
	m.thaw()
	m.mu.Unlock()
	m.collector.see(m.waiting)
	batch := m.store.NewBatch()
	defer batch.Close()
	m.deleteStale(batch)
	return batch.Commit()
}

// closing tells whether Close has been called.
func (m *Manager) closing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// lockWriter takes the writer lock, unless the Manager is closed.
func (m *Manager) lockWriter() error {
	m.writer.Lock()
	if m.closing() {
		m.writer.Unlock()
		return ErrClosed
	}
	return nil
}

// Rules returns the rules of the network.
func (m *Manager) Rules() *consensus.Rules { return m.rules }

// Tip returns the state of the last block of the best chain.
func (m *Manager) Tip() consensus.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tip
}

// State returns the state of any block that is known here, on whatever branch;
// store.ErrNotFound if there is none of that hash.
func (m *Manager) State(hash types.Hash) (consensus.State, store.Status, error) {
	return m.store.State(hash)
}

// OnChange calls fn whenever the tip or the pool has changed, until cancel. fn
// must return at once: it says that there is something new, and readers pull
// what is new by UpdatesSince or Tip.
func (m *Manager) OnChange(fn func()) (cancel func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := m.nextWatch
	m.nextWatch++
	m.watchers[id] = fn
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, id)
	}
}

// changed calls the watchers, with no lock held.
func (m *Manager) changed() {
	m.mu.Lock()
	fns := make([]func(), 0, len(m.watchers))
	for _, fn := range m.watchers {
		fns = append(fns, fn)
	}
	m.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
	m.collector.see(m.waiting)
}

// waiting is how many bytes of transfers wait to be mined; none once the chain is closed.
func (m *Manager) waiting() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return 0
	}
	return m.pool.Bytes()
}

// unixNow is the clock in the form that the rules take.
func (m *Manager) unixNow() uint64 { return uint64(max(m.now().Unix(), 0)) }
