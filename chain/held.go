package chain

import (
	"context"
	"slices"

	"cairn/consensus"
	"cairn/types"
)

// maxHeld bounds the blocks that are kept because they are too new. It is policy,
// not consensus.
const maxHeld = 16

// heldBlock is a block whose time is too far ahead, and the state it will have.
type heldBlock struct {
	block *types.Block
	state consensus.State
}

// hold keeps a block for later: that it is too new is nobody's fault. It returns
// why the block is refused now: tooNew, or what is wrong with the body, since a
// damaged copy must not stand in the way of the good one. Blocks more than ten
// times too far ahead are dropped; of more than maxHeld, the one with the least
// work is.
func (m *Manager) hold(in *Incoming, state consensus.State, tooNew error) error {
	if uint64(state.Time) > m.unixNow()+10*m.rules.FutureLimit() {
		return tooNew
	}
	block, err := in.decoded()
	if err != nil {
		return err
	}
	if _, err := m.rules.CheckBody(state.Height, block); err != nil {
		return err
	}
	h := heldBlock{block, state}
	m.mu.Lock()
	defer m.mu.Unlock()
	known := func(other heldBlock) bool { return other.state.Hash == h.state.Hash }
	if slices.ContainsFunc(m.held, known) {
		return tooNew
	}
	m.held = append(m.held, h)
	slices.SortStableFunc(m.held, func(a, b heldBlock) int { return b.state.Work.Cmp(a.state.Work) })
	m.held = m.held[:min(len(m.held), maxHeld)]
	return tooNew
}

// RetryHeld adds the blocks whose time has come since they were refused as too
// new. It is to be called every second or so.
func (m *Manager) RetryHeld(ctx context.Context) {
	limit := m.unixNow() + m.rules.FutureLimit()
	var due []heldBlock
	m.mu.Lock()
	m.held = slices.DeleteFunc(m.held, func(h heldBlock) bool {
		if uint64(h.state.Time) > limit {
			return false
		}
		due = append(due, h)
		return true
	})
	m.mu.Unlock()
	slices.SortFunc(due, func(a, b heldBlock) int { return a.state.Work.Cmp(b.state.Work) })
	for _, h := range due {
		if err := m.AddBlocks(ctx, []*types.Block{h.block}); err != nil {
			m.log.Debug("a block that was too new is still refused", "hash", h.state.Hash, "error", err)
		}
	}
}
