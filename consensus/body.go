package consensus

import (
	"fmt"

	"cairn/types"
)

// Body is a block that keeps every rule which needs neither balances, nor other
// blocks, nor signatures. CheckBody makes it.
type Body struct {
	Block  *types.Block
	Height uint32
	IDs    []types.Hash // of the transactions, the reward's first
	Size   int          // of the block's encoding, in bytes
	Layout
}

// saltKey is what no two transfers within a lifetime may share.
type saltKey struct {
	sender types.Account
	salt   uint64
}

// CheckBody checks a block that is to stand at height, as far as Body says. The
// errors are those of a block and of a transfer by itself in this package, with
// the index of the transfer. What MayBeMangled comes first, so that any other
// error is the fault of whoever made the header.
func (r *Rules) CheckBody(height uint32, b *types.Block) (*Body, error) {
	body, err := r.CheckContents(height, b)
	if err == nil {
		body.Layout = LayOut(b)
	}
	return body, err
}

// CheckContents is CheckBody without the Layout of the Body that it returns, for a
// caller that has more than one core and makes it meanwhile.
func (r *Rules) CheckContents(height uint32, b *types.Block) (*Body, error) {
	body := &Body{Block: b, Height: height, Size: b.Size()}
	if body.Size > int(r.MaxBlockSize) {
		return nil, fmt.Errorf("%w: %d bytes, not %d", ErrBlockSize, body.Size, r.MaxBlockSize)
	}
	body.IDs = b.IDs()
	if err := checkMerkle(&b.Header, body.IDs); err != nil {
		return nil, err
	}
	if err := r.checkReward(height, &b.Reward); err != nil {
		return nil, err
	}
	seen := make(map[saltKey]int, len(b.Transfers))
	for i := range b.Transfers {
		t := &b.Transfers[i]
		if err := r.CheckTransfer(t, height); err != nil {
			return nil, fmt.Errorf("transfer %d: %w", i, err)
		}
		key := saltKey{t.Sender, t.Salt}
		if first, ok := seen[key]; ok {
			return nil, fmt.Errorf("transfer %d: %w: salt %d, as transfer %d", i, ErrDuplicateSalt, t.Salt, first)
		}
		seen[key] = i
	}
	return body, nil
}

func checkMerkle(h *types.Header, ids []types.Hash) error {
	root, mutated := types.MerkleRoot(ids)
	if mutated {
		return fmt.Errorf("%w: another list of transactions has the root %v too", ErrMerkleMutated, root)
	}
	if root != h.MerkleRoot {
		return fmt.Errorf("%w: the header has %v, the transactions %v", ErrMerkleRoot, h.MerkleRoot, root)
	}
	return nil
}

func (r *Rules) checkReward(height uint32, reward *types.Reward) error {
	if reward.Height != height {
		return fmt.Errorf("%w: %d in a block at %d", ErrRewardHeight, reward.Height, height)
	}
	if err := r.CheckAccount(reward.Recipient); err != nil {
		return fmt.Errorf("%w: %w", ErrRewardRecipient, err)
	}
	return nil
}

// CheckTransfer checks a transfer by itself for a block at height: accounts,
// amount, fee and lifetime. Neither signature nor balances.
func (r *Rules) CheckTransfer(t *types.Transfer, height uint32) error {
	if err := r.CheckAccount(t.Sender); err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	if err := r.CheckAccount(t.Recipient); err != nil {
		return fmt.Errorf("recipient: %w", err)
	}
	switch {
	case t.Amount > types.MaxAmount:
		return fmt.Errorf("%w: %s", ErrAmount, r.FormatAmount(t.Amount))
	case t.Fee > types.MaxAmount:
		return fmt.Errorf("%w: %s", ErrFee, r.FormatAmount(t.Fee))
	case t.Amount+t.Fee > types.MaxAmount:
		return fmt.Errorf("%w: %s and %s", ErrSum, r.FormatAmount(t.Amount), r.FormatAmount(t.Fee))
	case t.Expiry < height:
		return fmt.Errorf("%w: at height %d, the block is at %d", ErrExpired, t.Expiry, height)
	case uint64(t.Expiry) > uint64(height)+uint64(r.TxLifetime):
		// Last, since it says "not yet": what is wrong for ever was found before.
		return fmt.Errorf("%w: at height %d, a block at %d allows up to %d",
			ErrExpiryTooFar, t.Expiry, height, uint64(height)+uint64(r.TxLifetime))
	}
	return nil
}
