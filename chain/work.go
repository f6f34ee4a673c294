package chain

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"

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
	// mined are pending transfers that applied blocks hold, or whose salt they hold;
	// spent the balances that fell, which the pool has to cover.
	mined []minedEntry
	spent map[types.Account]int64
}

// minedEntry is a pending transfer, and the transfer of its sender and salt that a
// block holds: the same one, or another.
type minedEntry struct {
	mempool.Entry
	by types.Hash
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
	if w.salts == nil {
		w.salts = make(map[saltKey]savedSalt)
	}
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
	state, n, mark := c.state, len(body.Block.Transfers), w.batch.Mark()
	var overwritten []store.OverwrittenSalt
	var pending []mempool.Entry
	var tree accounts.Tree
	var changes []consensus.Change
	err := sideBySide(n, func() (err error) {
		overwritten, err = w.checkSalts(state, body)
		return err
	}, func() (err error) {
		tree, changes, err = w.applyTransfers(state, body)
		return err
	})
	if err == nil {
		err = sideBySide(n, func() error {
			pending = w.m.pendingOf(body)
			w.putBlock(c, body, pending)
			w.putChanges(state, store.Undo{Changes: changes, Salts: overwritten})
			return nil
		}, func() (err error) {
			tree, err = w.updateTree(state, body, tree, changes)
			return err
		})
	}
	if err != nil {
		w.batch.Rollback(mark)
		return err
	}

	lap := w.m.times.lap()
	c.encoding = nil
	w.noteTransfers(body, pending)
	w.noteSpent(changes)
	w.batch.PutRoot(state.Height, tree.Root())
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

// applyTransfers applies a body to the balances after the tip. It returns what
// that changes, and the tree with all that it read in memory.
func (w *work) applyTransfers(state consensus.State, body *consensus.Body) (accounts.Tree, []consensus.Change, error) {
	lap := w.m.times.lap()
	tree, balances, err := body.Balances(w.ledger.tree)
	if err != nil {
		return tree, nil, err
	}
	lap(Balances)
	changes, err := w.m.rules.ApplyBody(balances, body)
	if err != nil {
		return tree, nil, blockError(state, err)
	}
	lap(Transfers)
	return tree, changes, nil
}

// updateTree returns the tree with changes made, after the commitment was compared.
func (w *work) updateTree(state consensus.State, body *consensus.Body, tree accounts.Tree, changes []consensus.Change) (accounts.Tree, error) {
	lap := w.m.times.lap()
	tree, err := tree.Update(consensus.LeavesAfter(changes))
	if err != nil {
		return tree, err
	}
	if err := w.m.rules.CheckCommitment(body, tree.Root(), w.ledger.history.Root()); err != nil {
		return tree, blockError(state, err)
	}
	lap(Tree)
	return tree, nil
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

// putBlock stores a block, enters its transfers into the indexes and takes them,
// and what has their senders and salts, out of the pending ones.
func (w *work) putBlock(c *candidate, body *consensus.Body, pending []mempool.Entry) {
	lap := w.m.times.lap()
	state := c.state
	if !c.known {
		w.batch.PutBlock(state.Height, state.Hash, c.encoding)
	}
	w.batch.PutState(state, store.HaveBody|store.Applied)
	w.batch.PutBest(state.Height, state.Hash)
	for i := range body.Block.Transfers {
		t, id := &body.Block.Transfers[i], body.IDs[i+1]
		record := store.TransferRecord{Loc: locOf(body, i)}
		for _, e := range w.replacedBy(body, i, pending) {
			w.batch.DeletePending(e.Seq)
			if e.ID == id {
				record.Answered = e.Answered
			}
		}
		w.batch.PutSalt(t.Sender, t.Salt, record.Loc)
		w.batch.PutTransfer(id, record)
	}
	for party, positions := range body.Layout.Mentions() {
		w.batch.PutMention(party.Key, state.Height, positions)
	}
	lap(Index)
}

func locOf(body *consensus.Body, i int) store.Loc {
	return store.Loc{Height: body.Height, Position: uint32(i)}
}

// replacedBy returns the transfers with the sender and salt of transfer i of a body
// that wait in the pool, or were returned to it by an undone block.
func (w *work) replacedBy(body *consensus.Body, i int, pending []mempool.Entry) []mempool.Entry {
	var found []mempool.Entry
	if len(pending) > 0 && pending[i].Transfer != nil {
		found = pending[i : i+1]
	}
	if len(w.returned) > 0 {
		if e, ok := w.returned[keyOf(&body.Block.Transfers[i])]; ok {
			found = append([]mempool.Entry{e}, found...)
		}
	}
	return found
}

// putChanges stores the balances after a block, and what takes them back.
func (w *work) putChanges(state consensus.State, undo store.Undo) {
	lap := w.m.times.lap()
	w.batch.PutUndo(state.Height, state.Hash, undo)
	for _, change := range undo.Changes {
		w.batch.PutAccount(change.Party, change.After)
	}
	lap(Index)
}

// noteTransfers remembers the salts of a block that is applied until they are
// committed, and what it means for the pool.
func (w *work) noteTransfers(body *consensus.Body, pending []mempool.Entry) {
	if w.salts == nil {
		w.salts = make(map[saltKey]savedSalt, len(body.Block.Transfers))
	}
	w.mined = slices.Grow(w.mined, len(pending))
	for i := range body.Block.Transfers {
		key := keyOf(&body.Block.Transfers[i])
		for _, e := range w.replacedBy(body, i, pending) {
			w.mined = append(w.mined, minedEntry{e, body.IDs[i+1]})
		}
		delete(w.returned, key)
		w.salts[key] = savedSalt{loc: locOf(body, i)}
	}
}

// noteSpent remembers the balances that fell.
func (w *work) noteSpent(changes []consensus.Change) {
	for _, change := range changes {
		if _, noted := w.spent[change.Account]; noted || change.After < change.Before {
			w.spent[change.Account] = change.After
		}
	}
}

// pendingOf returns the pool's entries with the senders and salts of a body's
// transfers, one for each of them, empty where the pool has none; nil if it has
// nothing at all.
func (m *Manager) pendingOf(body *consensus.Body) []mempool.Entry {
	if m.Pool().Transfers == 0 {
		return nil
	}
	pending := make([]mempool.Entry, len(body.Block.Transfers))
	m.lookUp(len(pending), func(i int) {
		t := &body.Block.Transfers[i]
		pending[i], _ = m.pool.BySalt(t.Sender, t.Salt)
	})
	return pending
}

// lookUp calls look for each number below n with the state lock held, which it
// lets go of now and then, so that readers need not wait for a whole block.
func (m *Manager) lookUp(n int, look func(i int)) {
	const atOnce = 256
	for from := 0; from < n; from += atOnce {
		m.mu.Lock()
		for i := from; i < min(from+atOnce, n); i++ {
			look(i)
		}
		m.mu.Unlock()
	}
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
	layout := consensus.LayOut(block)
	for _, party := range layout.Parties {
		w.batch.DeleteMention(party.Key, tip.Height)
	}
	w.batch.DeleteUndo(tip.Height, tip.Hash)
	w.batch.DeleteBest(tip.Height)
	w.batch.DeleteRoot(tip.Height)
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
