package proof

import (
	"fmt"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// StartAfter returns the start of a document whose first header is the child of
// parent, a state above genesis; read knows the history of parent's branch, parent
// included. Its errors are those of read.
func StartAfter(parent consensus.State, read history.ReadNode) (*Start, error) {
	n := parent.Height + 1
	own, err := history.Prove(n, parent.Height, read)
	if err != nil {
		return nil, fmt.Errorf("start after %v: %w", parent.Hash, err)
	}
	genesis, err := history.Prove(n, 0, read)
	if err != nil {
		return nil, fmt.Errorf("start after %v: %w", parent.Hash, err)
	}
	return &Start{Leaf: parent.HistoryLeaf(), Proof: own, Genesis: genesis}, nil
}

// CommitmentOf returns the commitment of a block: the root of the balances after
// it and that of the history before it. That they are what its reward commits to
// is for Verify to say.
func CommitmentOf(b *types.Block, accountRoot, historyRoot [32]byte) Commitment {
	return Commitment{
		Height:      b.Reward.Height,
		Reward:      b.Reward,
		Branch:      types.MerkleBranch(b.IDs(), 0),
		AccountRoot: accountRoot,
		HistoryRoot: historyRoot,
	}
}

// BlockBefore returns an earlier block, given by its header and the state after it,
// under the history that the block at height n of the same branch commits to. Its
// errors are those of read, and that n is not above the block.
func BlockBefore(n uint32, header types.Header, state consensus.State, read history.ReadNode) (*Block, error) {
	p, err := history.Prove(n, state.Height, read)
	if err != nil {
		return nil, fmt.Errorf("block %v: %w", state.Hash, err)
	}
	return &Block{Header: header, Leaf: state.HistoryLeaf(), Proof: p}, nil
}

// TransactionOf returns the reward of a block for position 0, and Transfers[i] for
// i + 1. It panics where there is none.
func TransactionOf(b *types.Block, position int) *Transaction {
	t := &Transaction{
		Height:   b.Reward.Height,
		Position: uint32(position),
		Branch:   types.MerkleBranch(b.IDs(), position),
	}
	if position == 0 {
		t.Encoding = b.Reward.Append(nil)
	} else {
		t.Encoding = b.Transfers[position-1].Append(nil)
	}
	return t
}

// AccountIn returns the balance of an account, 0 included, in the tree after the
// block at height. Its errors are those of the tree.
func AccountIn(tree accounts.Tree, account types.Account, height uint32) (*Account, error) {
	key := accounts.KeyOf(account)
	balance, err := tree.Get(key)
	if err != nil {
		return nil, fmt.Errorf("balance at height %d: %w", height, err)
	}
	p, err := tree.Prove(key)
	if err != nil {
		return nil, fmt.Errorf("balance at height %d: %w", height, err)
	}
	return &Account{Account: account, Balance: balance, Proof: p, Height: height}, nil
}
