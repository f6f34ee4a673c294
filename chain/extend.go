package chain

import (
	"context"

	"cairn/consensus"
	"cairn/types"
)

// Mined is a block that was made by Extend, and its state.
type Mined struct {
	Block *types.Block
	State consensus.State
}

// extendBytes is how large a batch of blocks that are made here may grow before
// it is committed, so that nobody waits long for the first of them.
const extendBytes = 256 << 10

// Extend makes blocks on the best chain, one on the other, and commits them
// together: where a block is found at once, its own commit would take longer than
// all else. Templates are as from Template, one for each of extras. search finds
// the nonce of one, or tells that it did not, which ends the run; others that want
// to add blocks wait meanwhile. Extend returns the blocks that it made, which are
// durable and the end of the best chain by then; fewer than were asked for when
// search ended the run, when they have become large, or with an error.
func (m *Manager) Extend(recipient types.Account, extras [][]byte, search func(template *types.Block) bool) ([]Mined, error) {
	if err := m.lockWriter(); err != nil {
		return nil, err
	}
	defer m.changed()
	defer m.writer.Unlock()
	if err := m.repair(); err != nil {
		return nil, err
	}
	m.runs.Add(1)
	w := m.newWork()
	defer func() { m.endWork(w) }()
	var mined []Mined
	var failure error
	for _, extra := range extras {
		block, err := w.template(recipient, extra)
		if failure = err; err != nil || !search(block) {
			break
		}
		state, err := w.extend(block)
		if failure = err; err != nil {
			break
		}
		mined = append(mined, Mined{block, state})
		if w.batch.Len() > extendBytes {
			break
		}
	}
	if len(mined) == 0 {
		return nil, failure
	}
	if err := w.commit(true); err != nil {
		return nil, err
	}
	return mined, failure
}

// extend adds a block that was made here on top, with the checks of a block from
// elsewhere.
func (w *work) extend(block *types.Block) (consensus.State, error) {
	state, err := w.m.rules.ValidateHeader(w.ledger.tip, block.Header, w.m.unixNow())
	if err != nil {
		return state, err
	}
	c := &candidate{state: state, block: block}
	if err := w.m.checkBody(c); err != nil {
		return state, err
	}
	if err := w.m.verifyAlone(context.Background(), c); err != nil {
		return state, err
	}
	return state, w.apply(c, c.body)
}
