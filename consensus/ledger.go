package consensus

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"cairn/types"
)

// Balances is the part of the ledger that some transfers need: the balance in
// base units of every account that they touch, 0 where the account does not
// exist. An account that is missing is a bug of the caller's and panics, since
// to take it for an empty one would split the network.
type Balances map[types.Account]int64

func (b Balances) of(a types.Account) int64 {
	balance, ok := b[a]
	if !ok {
		panic(fmt.Sprintf("consensus: the balance of account %q was not supplied", a))
	}
	return balance
}

// Change is what a block did to one account, in base units. Writing every After
// applies the block, writing every Before undoes it.
type Change struct {
	Account       types.Account
	Before, After int64
}

// ApplyTransfer moves the amount and takes the fee of t, which has passed
// CheckTransfer. It is the only place where that happens, for blocks, for the
// pool and for templates alike. On an error (ErrInsufficient, ErrBalanceLimit,
// ErrMinBalance) b is unchanged.
func (r *Rules) ApplyTransfer(b Balances, t *types.Transfer) error {
	sender, recipient := b.of(t.Sender), b.of(t.Recipient)
	toItself := t.Sender == t.Recipient // then each step starts from what the one before left
	sender -= int64(t.Amount + t.Fee)
	if sender < -int64(r.CreditLimit) {
		return fmt.Errorf("%w: %d would be left after amount %d and fee %d, the limit is -%d",
			ErrInsufficient, sender, t.Amount, t.Fee, r.CreditLimit)
	}
	if toItself {
		recipient = sender
	}
	recipient += int64(t.Amount)
	if recipient > types.MaxAmount {
		return fmt.Errorf("%w: %d with amount %d", ErrBalanceLimit, recipient, t.Amount)
	}
	if toItself {
		sender = recipient
	}
	if err := r.checkMinBalance("sender", sender); err != nil {
		return err
	}
	if err := r.checkMinBalance("recipient", recipient); err != nil {
		return err
	}
	b[t.Sender], b[t.Recipient] = sender, recipient
	return nil
}

func (r *Rules) checkMinBalance(whose string, balance int64) error {
	if balance > 0 && balance < int64(r.MinBalance) {
		return fmt.Errorf("%w: the %s would have %s, the least is %s",
			ErrMinBalance, whose, r.coins(balance), r.coins(int64(r.MinBalance)))
	}
	return nil
}

// coins writes a balance for the people who read an error.
func (r *Rules) coins(balance int64) string { return r.FormatBalance(balance) + " " + r.Symbol }

// AddFee adds a fee to total, the subsidy and the fees so far of a block. A
// block in which that is above MaxAmount cannot pay its miner: ErrRewardAmount.
func AddFee(total, fee uint64) (uint64, error) {
	if fee > types.MaxAmount || total > types.MaxAmount-fee {
		return 0, fmt.Errorf("%w: %d and a fee of %d are above the largest possible", ErrRewardAmount, total, fee)
	}
	return total + fee, nil
}

// ApplyBody applies the transfers of a checked body in order and then its
// reward to b, which holds all that Touched lists. It returns the accounts whose
// balance changed, sorted by the account's bytes. On an error (those of
// ApplyTransfer, ErrRewardAmount) b is unchanged. Of body it uses Block and
// Height alone, so a template too is applied by this.
func (r *Rules) ApplyBody(b Balances, body *Body) ([]Change, error) {
	touched := Touched(body.Block)
	changes := make([]Change, len(touched))
	for i, a := range touched {
		changes[i] = Change{Account: a, Before: b.of(a)}
	}
	if err := r.applyInOrder(b, body); err != nil {
		for _, c := range changes {
			b[c.Account] = c.Before
		}
		return nil, err
	}
	for i := range changes {
		changes[i].After = b[changes[i].Account]
	}
	return slices.DeleteFunc(changes, func(c Change) bool { return c.Before == c.After }), nil
}

// applyInOrder is ApplyBody, but leaves b half changed on an error.
func (r *Rules) applyInOrder(b Balances, body *Body) error {
	total := r.Subsidy(body.Height)
	for i := range body.Block.Transfers {
		t := &body.Block.Transfers[i]
		if err := r.ApplyTransfer(b, t); err != nil {
			return fmt.Errorf("transfer %d: %w", i, err)
		}
		var err error
		if total, err = AddFee(total, t.Fee); err != nil {
			return fmt.Errorf("transfer %d: %w", i, err)
		}
	}
	reward := &body.Block.Reward
	if reward.Amount != total {
		return fmt.Errorf("%w: %d, not %d", ErrRewardAmount, reward.Amount, total)
	}
	// What the recipient has no room for is destroyed; neither that nor
	// min_balance, which is a rule of transfers, makes a block invalid.
	b[reward.Recipient] = min(b[reward.Recipient]+int64(reward.Amount), types.MaxAmount)
	return nil
}

// Touched lists the accounts that a block's transfers and its reward name, each
// once, sorted by the account's bytes.
func Touched(b *types.Block) []types.Account {
	accounts := make([]types.Account, 0, 2*len(b.Transfers)+1)
	for i := range b.Transfers {
		accounts = append(accounts, b.Transfers[i].Sender, b.Transfers[i].Recipient)
	}
	accounts = append(accounts, b.Reward.Recipient)
	slices.Sort(accounts)
	return slices.Compact(accounts)
}

// Commitment joins the root of the balances after a block and the root of the
// history before it: docs/protocol.md, section 5.
func Commitment(accountRoot, historyRoot [32]byte) [32]byte {
	var b [1 + 32 + 32]byte
	b[0] = 0x02
	copy(b[1:], accountRoot[:])
	copy(b[33:], historyRoot[:])
	return sha256.Sum256(b[:])
}

// CheckCommitment compares the commitment in the block's reward with the two
// roots: that of the balances after this block and that of the history before
// it. A difference is ErrCommitment.
func (r *Rules) CheckCommitment(body *Body, accountRoot, historyRoot [32]byte) error {
	if got, want := body.Block.Reward.Commitment, Commitment(accountRoot, historyRoot); got != want {
		return fmt.Errorf("%w: %x, not %x (accounts %x, history %x)", ErrCommitment, got, want, accountRoot, historyRoot)
	}
	return nil
}

// CheckReplay says whether t may stand in a block at height although a block at
// the height earlier, of the same branch, has a transfer with the same sender
// and salt: it may once more than lifetime blocks lie between, else ErrReplay.
func CheckReplay(t *types.Transfer, lifetime, height, earlier uint32) error {
	if uint64(height) <= uint64(earlier)+uint64(lifetime) {
		return fmt.Errorf("%w: salt %d at height %d and again at %d, the lifetime is %d blocks",
			ErrReplay, t.Salt, earlier, height, lifetime)
	}
	return nil
}
