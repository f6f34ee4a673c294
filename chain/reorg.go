package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cairn/consensus"
	"cairn/store"
)

// commitBytes is the size at which a batch is committed at the next boundary
// between blocks. Tests make it small.
var commitBytes = 4 << 20

// addRun stores a run and, where it ends on the most work, makes its branch the
// best chain.
func (m *Manager) addRun(ctx context.Context, r *run) error {
	if err := m.lockWriter(); err != nil {
		return err
	}
	defer m.changed()
	defer m.writer.Unlock()
	defer m.runs.Add(1) // at the end: one that is under way may store what another has just not found
	if err := m.repair(); err != nil {
		return err
	}
	others := m.runs.Load() != r.linkedAt
	path := r.candidates
	if path[0].known {
		// A crash may come between storing a branch and switching to it.
		if heavier(path[0].state, m.ledger.tip) {
			return m.switchToBranch(path[0].state)
		}
		return nil
	}
	if others {
		var err error
		if path, err = m.stillNew(path, r.pipeline); len(path) == 0 || err != nil {
			return err
		}
	}
	if path[0].state.Previous == m.ledger.tip.Hash {
		return m.switchTo(ctx, m.ledger.tip, path, r.pipeline)
	}
	last, err := m.storeBranch(path, r.pipeline)
	if heavier(last, m.ledger.tip) {
		return errors.Join(err, m.switchToBranch(last))
	}
	return err
}

func heavier(a, b consensus.State) bool { return a.Work.Cmp(b.Work) > 0 }

// stillNew leaves out the front of a run that another caller brought while this
// one waited for the writer lock.
func (m *Manager) stillNew(path []*candidate, p *pipeline) ([]*candidate, error) {
	for ; len(path) > 0; path = path[1:] {
		if fresh, err := m.isNew(path[0].state); fresh || err != nil {
			return path, err
		}
		_, _ = p.take(path[0]) // keeps the pipeline going
	}
	return nil, nil
}

// storeBranch stores blocks beside the best chain and returns the last one that
// it stored. A faulty body ends the run.
func (m *Manager) storeBranch(run []*candidate, p *pipeline) (last consensus.State, err error) {
	batch := m.store.NewBatch()
	defer func() { batch.Close() }()
	for _, c := range run {
		if _, err = p.take(c); err != nil {
			m.condemn(batch, []*candidate{c}, err)
			break
		}
		batch.PutBlock(c.state.Height, c.state.Hash, c.encoding)
		c.encoding = nil
		batch.PutState(c.state, store.HaveBody)
		last = c.state
		if batch.Len() >= commitBytes {
			if err := batch.Commit(); err != nil {
				return consensus.State{}, err
			}
			batch.Close()
			batch = m.store.NewBatch()
		}
	}
	if commitErr := batch.Commit(); commitErr != nil {
		return consensus.State{}, commitErr
	}
	m.mu.Lock()
	m.thaw() // the view that readers share does not have the branch
	m.mu.Unlock()
	return last, err
}

// switchToBranch makes a stored branch the best chain. Nothing but the end of
// the process stops it half-way: a stored chain with more work than the tip
// must not be left aside.
func (m *Manager) switchToBranch(target consensus.State) error {
	fork, path, err := m.pathTo(target)
	if err != nil {
		return err
	}
	p := m.prepare(context.Background(), path)
	defer p.stop()
	return m.switchTo(context.Background(), fork, path, p)
}

// pathTo walks back from a stored block to the best chain on disk. It returns
// the block that they share, and the blocks after it in order.
func (m *Manager) pathTo(target consensus.State) (fork consensus.State, path []*candidate, err error) {
	at := target
	for {
		best, err := m.store.BestHash(at.Height)
		if err == nil && best == at.Hash {
			slices.Reverse(path)
			return at, path, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return at, nil, err
		}
		path = append(path, &candidate{state: at, known: true})
		parent, status, err := m.store.State(at.Previous)
		if err != nil {
			return at, nil, err
		}
		if status&store.Invalid != 0 {
			err := blockError(parent, ErrInvalid)
			return at, nil, errors.Join(err, m.commitCondemned(path, err))
		}
		at = parent
	}
}

// switchTo undoes the best chain down to fork and applies path on it. Where a
// block turns out to be invalid, it and what follows it are remembered as such;
// what comes before becomes the best chain if that still has the most work, and
// otherwise everything is as it was. The error then is that block's.
func (m *Manager) switchTo(ctx context.Context, fork consensus.State, path []*candidate, p *pipeline) error {
	w := m.newWork()
	defer func() { m.endWork(w) }()
	if len(path) > 0 {
		w.goal = path[len(path)-1].state.Hash
	}
	if err := w.undoTo(fork); err != nil {
		return err
	}
	for i, c := range path {
		if err := w.advance(c, p); err != nil {
			if errors.Is(err, ErrClosed) {
				return err // New carries on from here
			}
			return m.giveUp(w, path[i:], err)
		}
		if ctx.Err() != nil {
			return m.giveUp(w, nil, ctx.Err())
		}
	}
	return m.settle(w)
}

// giveUp settles a piece of work that ended with err before its goal. If the
// first of rest is at fault, they are remembered as invalid, after what comes
// before them is on disk. A failure of ours on the way weighs more than err.
func (m *Manager) giveUp(w *work, rest []*candidate, err error) error {
	if failure := m.settle(w); failure != nil {
		return fmt.Errorf("%v; then: %w", err, failure)
	}
	if failure := m.commitCondemned(rest, err); failure != nil {
		return fmt.Errorf("%v; then: %w", err, failure)
	}
	return err
}

// condemn marks blocks as invalid, the first of which failed with err and the
// rest of which follow it. A failure of ours condemns nothing, nor does a body
// that whoever passed it on may have damaged.
func (m *Manager) condemn(batch *store.Batch, blocks []*candidate, err error) {
	if len(blocks) == 0 || !isRule(err) || consensus.MayBeMangled(err) {
		return
	}
	m.log.Warn("Refused a block", "height", blocks[0].state.Height, "hash", blocks[0].state.Hash, "error", err)
	for i, c := range blocks {
		switch {
		case c.known:
			batch.PutState(c.state, store.HaveBody|store.Invalid)
		case i == 0:
			batch.PutState(c.state, store.Invalid)
		}
	}
}

func (m *Manager) commitCondemned(blocks []*candidate, err error) error {
	batch := m.store.NewBatch()
	defer batch.Close()
	m.condemn(batch, blocks, err)
	return batch.Commit()
}

// settle ends a piece of work. If it leads to more work than readers know of, or
// back to what they know, it is committed and published. Otherwise it is dropped;
// but where batches of it are on disk already, the rest is committed too, so that
// disk and memory agree, and then all of it is undone.
func (m *Manager) settle(w *work) error {
	known := m.Tip()
	if w.ledger.tip.Hash == known.Hash || w.ledger.tip.Work.Cmp(known.Work) > 0 {
		return w.commit(true)
	}
	if !m.midway {
		return nil
	}
	if err := w.commit(false); err != nil {
		return err
	}
	if err := m.switchToBranch(known); err != nil {
		// That chain was valid before: it is the disk that is at fault.
		return fmt.Errorf("going back to block %d: %v", known.Height, err)
	}
	return nil
}

// repair ends a reorganisation that a failure of the disk left half done.
func (m *Manager) repair() error {
	if !m.midway {
		return nil
	}
	return m.switchToBranch(m.Tip())
}

// resume ends a long reorganisation that the last process left half done: it
// goes on to the goal, or back to where readers were if the goal is no good.
func (m *Manager) resume() error {
	goal, err := m.store.Goal()
	if err != nil || len(goal) == 0 {
		return err
	}
	from, _, err := m.store.State(goal[0])
	if err != nil {
		return err
	}
	target, status, err := m.store.State(goal[1])
	if err != nil {
		return err
	}
	m.tip, m.midway = from, true
	if status&store.Invalid != 0 {
		target = from
	}
	err = m.switchToBranch(target)
	if !m.midway {
		return nil // at the goal, or back where readers were
	}
	return err
}
