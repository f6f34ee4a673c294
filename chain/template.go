package chain

import (
	"errors"
	"fmt"
	"math"

	"cairn/consensus"
	"cairn/mempool"
	"cairn/types"
)

// versionForm is the version of the blocks that are made here: none of the bits
// that are the miner's is set.
const versionForm = 0x20000000

// Template returns a block on the present tip that is valid but for its nonce,
// with what the pool pays best for. The reward goes to recipient, and extra, at
// most types.MaxExtra bytes, is put into it. A search that runs out of nonces may
// roll the time forward within the limit, or ask again with another extra.
//
// consensus.ErrAccount and the like say that the recipient is none.
func (m *Manager) Template(recipient types.Account, extra []byte) (*types.Block, error) {
	if err := m.lockWriter(); err != nil {
		return nil, err
	}
	defer m.writer.Unlock()
	if err := m.repair(); err != nil {
		return nil, err
	}
	w := &work{m: m, ledger: m.ledger, stored: m.store.Seeker()} // nothing is written
	defer w.stored.Close()
	block, err := w.template(recipient, extra)
	m.ledger.tree = w.ledger.tree // what was read will be needed again when the block comes back
	return block, err
}

// template makes a block for the ledger of a piece of work. The tree that it
// leaves there is the same one, with what was read.
func (w *work) template(recipient types.Account, extra []byte) (*types.Block, error) {
	if len(extra) > types.MaxExtra {
		return nil, fmt.Errorf("%d bytes of the miner's own; the most is %d", len(extra), types.MaxExtra)
	}
	rules, tip := w.m.rules, w.ledger.tip
	if err := rules.CheckAccount(recipient); err != nil {
		return nil, err
	}
	if tip.Height == math.MaxUint32 {
		return nil, consensus.ErrHeightLimit
	}
	time := uint32(min(max(w.m.unixNow(), uint64(tip.Time)), math.MaxUint32))
	block := &types.Block{
		Header: types.Header{
			Version:  versionForm,
			Previous: tip.Hash,
			Time:     time,
			Bits:     rules.AllowedBits(tip, time),
		},
		Reward: types.Reward{Height: tip.Height + 1, Extra: extra, Recipient: recipient},
	}
	body := &consensus.Body{Block: block, Height: tip.Height + 1, IDs: []types.Hash{{}}}
	if err := w.fill(body); err != nil {
		return nil, err
	}
	return block, w.seal(body)
}

// fill chooses transfers for a block by the rules that will be applied to it.
func (w *work) fill(body *consensus.Body) error {
	const largestCount = 5
	m := w.m
	block, reward := body.Block, m.rules.Subsidy(body.Height)
	room := int(m.rules.MaxBlockSize) - types.HeaderSize - largestCount - block.Reward.Size()
	balances := make(consensus.Balances)
	var failure error
	m.mu.Lock()
	pool := m.pool.Snapshot()
	m.mu.Unlock()
	for _, e := range pool.Select(room, func(e *mempool.Entry) error {
		t := e.Transfer
		sum, err := consensus.AddFee(reward, t.Fee)
		if failure != nil || err != nil {
			return errUnfit
		}
		ok, err := w.fits(body.Height, t, balances)
		if err != nil {
			failure = err
		}
		if !ok {
			return errUnfit
		}
		reward = sum
		return nil
	}) {
		block.Transfers = append(block.Transfers, *e.Transfer)
		body.IDs = append(body.IDs, e.ID)
	}
	block.Reward.Amount = reward
	return failure
}

// errUnfit passes over a transfer for this block; why does not matter.
var errUnfit = errors.New("does not fit into this block")

// fits tries a transfer on the balances of a block in the making. An error is
// ours.
func (w *work) fits(height uint32, t *types.Transfer, balances consensus.Balances) (bool, error) {
	rules := w.m.rules
	if rules.CheckTransfer(t, height) != nil {
		return false, nil
	}
	loc, used, err := w.saltLoc(keyOf(t))
	if err != nil || used && consensus.CheckReplay(t, rules.TxLifetime, height, loc.Height) != nil {
		return false, err
	}
	if err := w.ledger.supply(balances, t); err != nil {
		return false, err
	}
	return rules.ApplyTransfer(balances, t) == nil, nil
}

// seal computes what a block in the making commits to.
func (w *work) seal(body *consensus.Body) error {
	block := body.Block
	body.Layout = consensus.LayOut(block)
	tree, balances, err := body.Balances(w.ledger.tree)
	if err != nil {
		return err
	}
	w.ledger.tree = tree
	changes, err := w.m.rules.ApplyBody(balances, body)
	if err != nil {
		return fmt.Errorf("a block made here breaks a rule: %w", err)
	}
	if tree, err = tree.Update(consensus.LeavesAfter(changes)); err != nil {
		return err
	}
	block.Reward.Commitment = consensus.Commitment(tree.Root(), w.ledger.history.Root())
	body.IDs[0] = block.Reward.ID()
	block.Header.MerkleRoot, _ = types.MerkleRoot(body.IDs)
	return nil
}
