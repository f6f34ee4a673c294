package consensus

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"cairn/accounts"
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
	Party
	Before, After int64
}

// LeavesAfter returns what applies changes to the account tree.
func LeavesAfter(changes []Change) []accounts.Leaf {
	leaves := make([]accounts.Leaf, len(changes))
	for i, c := range changes {
		leaves[i] = accounts.Leaf{Key: c.Key, Balance: c.After}
	}
	return leaves
}

// LeavesBefore returns what takes changes to the account tree back.
func LeavesBefore(changes []Change) []accounts.Leaf {
	leaves := make([]accounts.Leaf, len(changes))
	for i, c := range changes {
		leaves[i] = accounts.Leaf{Key: c.Key, Balance: c.Before}
	}
	return leaves
}

// ApplyTransfer moves the amount and takes the fee of t, which has passed
// CheckTransfer. On an error (ErrInsufficient, ErrBalanceLimit, ErrMinBalance) b
// is unchanged.
func (r *Rules) ApplyTransfer(b Balances, t *types.Transfer) error {
	sender, recipient := b.of(t.Sender), b.of(t.Recipient)
	to := &recipient
	if t.Sender == t.Recipient {
		to = &sender
	}
	if err := r.move(&sender, to, t); err != nil {
		return err
	}
	b[t.Sender], b[t.Recipient] = sender, *to
	return nil
}

// move is where amount and fee of a transfer change two balances, for blocks, for
// the pool and for templates alike. from and to are the same pointer where the
// recipient is the sender: then each step starts from what the one before left.
// On an error the balances are unchanged.
func (r *Rules) move(from, to *int64, t *types.Transfer) error {
	sender := *from - int64(t.Amount+t.Fee)
	if sender < -int64(r.CreditLimit) {
		return fmt.Errorf("%w: %d would be left after amount %d and fee %d, the limit is -%d",
			ErrInsufficient, sender, t.Amount, t.Fee, r.CreditLimit)
	}
	recipient := *to
	if from == to {
		recipient = sender
	}
	recipient += int64(t.Amount)
	if recipient > types.MaxAmount {
		return fmt.Errorf("%w: %d with amount %d", ErrBalanceLimit, recipient, t.Amount)
	}
	if from == to {
		sender = recipient
	}
	if err := r.checkMinBalance("sender", sender); err != nil {
		return err
	}
	if err := r.checkMinBalance("recipient", recipient); err != nil {
		return err
	}
	*from, *to = sender, recipient
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
// reward. balances holds, for each of body.Parties, its balance in base units
// before; it is left as it is. What ApplyBody returns are the accounts whose
// balance changed, ascending by key. Its errors are those of ApplyTransfer and
// ErrRewardAmount. Of body it uses Block, Height and Layout alone, so a template
// too is applied by this.
func (r *Rules) ApplyBody(balances []int64, body *Body) ([]Change, error) {
	after := slices.Clone(balances)
	if err := r.applyInOrder(after, body); err != nil {
		return nil, err
	}
	changes := make([]Change, 0, len(after))
	for i, party := range body.Parties {
		if after[i] != balances[i] {
			changes = append(changes, Change{party, balances[i], after[i]})
		}
	}
	return changes, nil
}

// applyInOrder is ApplyBody on balances that become those after; on an error,
// some of them.
func (r *Rules) applyInOrder(balances []int64, body *Body) error {
	total := r.Subsidy(body.Height)
	for i := range body.Block.Transfers {
		t := &body.Block.Transfers[i]
		from, to := body.places[2*i], body.places[2*i+1]
		if err := r.move(&balances[from], &balances[to], t); err != nil {
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
	recipient := &balances[body.places[len(body.places)-1]]
	*recipient = min(*recipient+int64(reward.Amount), types.MaxAmount)
	return nil
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
