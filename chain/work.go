package chain

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/mempool"
	"cairn/store"
	"cairn/types"
)

// work is a change of the best chain in the making: blocks undone and applied on
// a copy of the ledger, and the batch that will make the same true on disk.
// Dropping it leaves no trace. It is the writer's alone.
type work struct {
	m      *Manager
	ledger ledger
	batch  *store.Batch
	stored *store.Seeker // in what is committed
	goal   types.Hash    // where this is to end
	undone bool          // blocks were taken off: readers see nothing before the end

	// salts overlays the salt index with what the batch has not committed yet.
	salts   map[saltKey]savedSalt
	nextSeq uint64 // of the first transfer of the next block that is undone
	effects
}

// effects are what a change of the best chain means for the pool, once readers
// see it.
type effects struct {
	// returned are the transfers of undone blocks that no applied block holds:
	// they go back to the pool.
	returned map[saltKey]mempool.Entry
	// mined are the ids of pending transfers that applied blocks hold, or whose
	// salt they hold; spent the balances that fell, which the pool has to cover.
	mined []types.Hash
	spent map[types.Account]int64
}

func newEffects() effects {
	return effects{returned: make(map[saltKey]mempool.Entry), spent: make(map[types.Account]int64)}
}

// saltKey is what may not repeat within the lifetime of a transfer.
type saltKey struct {
	sender types.Account
	salt   uint64
}

// savedSalt is what the index says of a salt, or that it is deleted from there.
type savedSalt struct {
	loc     store.Loc
	deleted bool
}

func keyOf(t *types.Transfer) saltKey { return saltKey{t.Sender, t.Salt} }

// committed is called after each commit of a change of the best chain. Tests
// crash there.
var committed = func() {}

// newWork starts from the ledger that is on disk. The writer lock is held until
// endWork.
func (m *Manager) newWork() *work {
	m.mu.Lock()
	if m.arrivals == nil {
		m.arrivals = []mempool.Entry{}
	}
	m.mu.Unlock()
	w := &work{
		m:       m,
		ledger:  m.ledger,
		batch:   m.store.NewBatch(),
		stored:  m.store.Seeker(),
		undone:  m.midway,
		salts:   make(map[saltKey]savedSalt),
		effects: newEffects(),
	}
	if m.midway && m.unseen.returned != nil {
		w.effects = m.unseen // goes on where another piece of work ended
	}
	return w
}

// endWork drops what has not been committed.
func (m *Manager) endWork(w *work) {
	_ = w.stored.Close() // an error of reading, which the store has noted
	w.batch.Close()
	m.mu.Lock()
	m.arrivals = nil
	m.mu.Unlock()
}

// undoTo takes blocks off until fork is the tip.
func (w *work) undoTo(fork consensus.State) error {
	depth := uint64(w.ledger.tip.Height - fork.Height)
	if depth == 0 {
		return nil
	}
	w.undone = true
	// Blocks come off last first, but their transfers go back in the order in
	// which they stood.
	w.nextSeq = w.m.reserveSeq(depth*maxPerBlock) + (depth-1)*maxPerBlock
	for w.ledger.tip.Hash != fork.Hash {
		if err := w.undo(); err != nil {
			return err
		}
		if err := w.boundary(); err != nil {
			return err
		}
	}
	return nil
}

// advance applies the next block, whose body p has checked. The errors are those
// of apply, and of boundary.
func (w *work) advance(c *candidate, p *pipeline) error {
	lap := w.m.times.lap()
	body, err := p.take(c)
	if err != nil {
		return err
	}
	lap(Waiting)
	if err := w.apply(c, body); err != nil {
		return err
	}
	return w.boundary()
}

// boundary commits a batch that has grown large. Between two blocks of a long
// reorganisation is also where a node that is stopping may leave it.
func (w *work) boundary() error {
	if w.undone && w.m.closing() {
		if err := w.commit(false); err != nil {
			return err
		}
		return ErrClosed
	}
	if w.batch.Len() < commitBytes {
		return nil
	}
	return w.commit(!w.undone)
}

// commit makes the work true on disk. With publish, readers then see it.
// Otherwise they go on seeing the chain as it was before the first batch, and
// the goal is stored, for New to go on after a crash.
func (w *work) commit(publish bool) error {
	m := w.m
	if publish {
		w.batch.ClearGoal()
	} else {
		m.freeze()
		w.batch.PutGoal([]types.Hash{m.Tip().Hash, w.goal})
	}
	m.deleteStale(w.batch)
	w.batch.PutTip(w.ledger.tip.Hash)
	lap := m.times.lap()
	if err := w.batch.Commit(); err != nil {
		return err
	}
	lap(Commit)
	w.ledger.tree = w.ledger.tree.Trim(m.treeLeaves)
	m.ledger, m.midway, m.unseen = w.ledger, !publish, w.effects
	if publish {
		m.publish(w)
		w.effects, m.unseen = newEffects(), effects{}
	}
	committed()
	w.batch.Close()
	w.batch = m.store.NewBatch()
	clear(w.salts)
	_ = w.stored.Close()
	w.stored = m.store.Seeker()
	return nil
}

// apply adds a checked block on top. A *BlockError says which rule it breaks;
// then nothing has changed. Any other error is ours, and the work is to be
// dropped.
func (w *work) apply(c *candidate, body *consensus.Body) error {
	state := c.state
	var overwritten []store.OverwrittenSalt
	var changes []consensus.Change
	var tree accounts.Tree
	err := sideBySide(len(body.Block.Transfers), func() (err error) {
		overwritten, err = w.checkSalts(state, body)
		return err
	}, func() (err error) {
		changes, tree, err = w.applyToTree(state, body)
		return err
	})
	if err != nil {
		return err
	}

	lap := w.m.times.lap()
	w.indexTransfers(body)
	if !c.known {
		w.batch.PutBlock(state.Height, state.Hash, c.encoding)
		c.encoding = nil
	}
	w.batch.PutState(state, store.HaveBody|store.Applied)
	w.batch.PutUndo(state.Height, state.Hash, store.Undo{Changes: changes, Salts: overwritten})
	w.batch.PutBest(state.Height, state.Hash)
	for _, change := range changes {
		w.batch.PutAccount(change.Party, change.After)
		if _, noted := w.spent[change.Account]; noted || change.After < change.Before {
			w.spent[change.Account] = change.After
		}
	}
	past, nodes := w.ledger.history.Append(state.HistoryLeaf().Sum())
	for _, n := range nodes {
		w.batch.PutHistoryNode(n)
	}
	w.ledger = ledger{state, tree, past}
	lap(Index)
	return nil
}

// sideBySide does two parts of the work on n transfers, at the same time where
// that is worth it. The first one's error counts before the second's.
func sideBySide(n int, first, second func() error) error {
	if n < 256 {
		if err := first(); err != nil {
			return err
		}
		return second()
	}
	done := make(chan error, 1)
	go func() { done <- second() }()
	return cmp.Or(first(), <-done)
}

// applyToTree applies a body to the balances after the tip. It returns what that
// changes, and the tree with it, after the commitment was compared.
func (w *work) applyToTree(state consensus.State, body *consensus.Body) ([]consensus.Change, accounts.Tree, error) {
	lap := w.m.times.lap()
	tree, balances, err := body.Balances(w.ledger.tree)
	if err != nil {
		return nil, tree, err
	}
	lap(Balances)
	changes, err := w.m.rules.ApplyBody(balances, body)
	if err != nil {
		return nil, tree, blockError(state, err)
	}
	lap(Transfers)
	if tree, err = tree.Update(consensus.LeavesAfter(changes)); err != nil {
		return nil, tree, err
	}
	if err := w.m.rules.CheckCommitment(body, tree.Root(), w.ledger.history.Root()); err != nil {
		return nil, tree, blockError(state, err)
	}
	lap(Tree)
	return changes, tree, nil
}

// checkSalts refuses a transfer whose sender and salt an earlier block of this
// branch holds, within the lifetime. It returns the entries from before that,
// which the block's own will write over.
func (w *work) checkSalts(s consensus.State, body *consensus.Body) (overwritten []store.OverwrittenSalt, err error) {
	lap := w.m.times.lap()
	defer func() { lap(Salts) }()
	for i := range body.Block.Transfers {
		t := &body.Block.Transfers[i]
		loc, found, err := w.saltLoc(keyOf(t))
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		if err := consensus.CheckReplay(t, w.m.rules.TxLifetime, s.Height, loc.Height); err != nil {
			return nil, blockError(s, fmt.Errorf("transfer %d: %w", i, err))
		}
		overwritten = append(overwritten, store.OverwrittenSalt{Sender: t.Sender, Salt: t.Salt, Loc: loc})
	}
	return overwritten, nil
}

func (w *work) saltLoc(k saltKey) (store.Loc, bool, error) {
	if salt, ok := w.salts[k]; ok {
		return salt.loc, !salt.deleted, nil
	}
	return w.stored.SaltLoc(k.sender, k.salt)
}

// supply adds the balances of a transfer's accounts to b, where it lacks them.
// They come from the tree, which knows of blocks that are not committed yet.
func (l *ledger) supply(b consensus.Balances, t *types.Transfer) error {
	for _, a := range []types.Account{t.Sender, t.Recipient} {
		if _, known := b[a]; known {
			continue
		}
		balance, err := l.tree.Get(accounts.KeyOf(a))
		if err != nil {
			return err
		}
		b[a] = balance
	}
	return nil
}

// indexTransfers enters a block's transfers into the indexes and takes them, and
// what has their senders and salts, out of the pending ones.
func (w *work) indexTransfers(body *consensus.Body) {
	pending := w.m.pendingOf(body)
	for i := range body.Block.Transfers {
		t := &body.Block.Transfers[i]
		key, id := keyOf(t), body.IDs[i+1]
		record := store.TransferRecord{Loc: store.Loc{Height: body.Height, Position: uint32(i)}}
		for _, e := range []mempool.Entry{w.returned[key], pending[key]} {
			if e.Transfer == nil {
				continue
			}
			w.batch.DeletePending(e.Seq)
			if e.ID == id {
				record.Answered = e.Answered
			}
			w.mined = append(w.mined, e.ID)
		}
		delete(w.returned, key)
		w.salts[key] = savedSalt{loc: record.Loc}
		w.batch.PutSalt(t.Sender, t.Salt, record.Loc)
		w.batch.PutTransfer(id, record)
	}
}

// pendingOf returns the pool's entries with the senders and salts of a body.
func (m *Manager) pendingOf(body *consensus.Body) map[saltKey]mempool.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pool.Len() == 0 {
		return nil
	}
	pending := make(map[saltKey]mempool.Entry)
	for i := range body.Block.Transfers {
		t := &body.Block.Transfers[i]
		if e, ok := m.pool.BySalt(t.Sender, t.Salt); ok {
			pending[keyOf(t)] = e
		}
	}
	return pending
}

// undo takes the tip off: it writes back what was there before. Its transfers
// become pending again, in the same batch, so that no crash loses one.
func (w *work) undo() error {
	tip := w.ledger.tip
	block, err := w.m.store.Block(tip.Height, tip.Hash)
	if err != nil {
		return err
	}
	undo, err := w.m.store.Undo(tip.Height, tip.Hash)
	if err != nil {
		return err
	}
	parent, _, err := w.m.store.State(tip.Previous)
	if err != nil {
		return err
	}
	tree, err := w.ledger.tree.Update(consensus.LeavesBefore(undo.Changes))
	if err != nil {
		return err
	}
	past, err := history.Load(tip.Height, w.m.store.HistoryNode)
	if err != nil {
		return err
	}
	if err := w.returnTransfers(block); err != nil {
		return err
	}
	for _, s := range undo.Salts {
		w.salts[saltKey{s.Sender, s.Salt}] = savedSalt{loc: s.Loc}
		w.batch.PutSalt(s.Sender, s.Salt, s.Loc)
	}
	for _, change := range undo.Changes {
		w.batch.PutAccount(change.Party, change.Before)
	}
	w.batch.DeleteUndo(tip.Height, tip.Hash)
	w.batch.DeleteBest(tip.Height)
	for level := range bits.TrailingZeros32(tip.Height+1) + 1 {
		w.batch.DeleteHistoryNode(uint8(level), tip.Height>>level)
	}
	w.ledger = ledger{parent, tree, past}
	return nil
}

// returnTransfers takes an undone block's transfers out of the indexes and makes
// them pending.
func (w *work) returnTransfers(block *types.Block) error {
	for i := range block.Transfers {
		t := &block.Transfers[i]
		key, id := keyOf(t), t.ID()
		record, _, err := w.m.store.TransferLoc(id)
		if err != nil {
			return err
		}
		if record.Answered == 0 { // it came with a block: see Receipt
			record.Answered = record.Height
		}
		w.salts[key] = savedSalt{deleted: true}
		w.batch.DeleteSalt(t.Sender, t.Salt)
		w.batch.DeleteTransfer(id)
		if len(w.returned) >= w.m.maxPool {
			continue // more than the pool would take
		}
		e := mempool.Entry{ID: id, Transfer: t, Size: t.Size(), Seq: w.nextSeq + uint64(i), Answered: record.Answered}
		w.returned[key] = e
		w.batch.PutPending(e.Seq, e.Answered, t)
	}
	w.nextSeq -= maxPerBlock
	return nil
}

// maxPerBlock is above the number of transfers that fit into any block.
const maxPerBlock = 1 << 20

// isRule tells a block that breaks a rule from a failure of ours.
func isRule(err error) bool {
	var block *BlockError
	return errors.As(err, &block)
}
