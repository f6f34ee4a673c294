// Package naive is a second reading of docs/protocol.md, deliberately dumb: a
// list of blocks, a map of balances, big integers, and everything recomputed
// from genesis for every question. Tests compare the real code with it, so it
// shares nothing with that code but package types, and is never made faster.
package naive

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"

	"cairn/types"
)

// Rules are the numbers of a network, as in section 2 of the protocol; amounts
// are base units.
type Rules struct {
	Bits            uint32
	BlockInterval   int64
	HalfLife        int64
	Reward          uint64
	HalvingInterval int
	MaxBlockSize    int
	TxLifetime      int
	MinBalance      int64
	Signatures      bool
	CreditLimit     int64
	Allocations     map[types.Account]int64
}

// Balances has an entry for every account that exists.
type Balances map[types.Account]int64

// Chain is every valid block that it was given, parents before children.
type Chain struct {
	Rules  Rules
	Blocks []*types.Block
}

// New returns the chain that has only a genesis block. It checks of that block
// what is known here: the commitment to the allocations.
func New(r Rules, genesis *types.Block) (*Chain, error) {
	c := &Chain{Rules: r, Blocks: []*types.Block{genesis}}
	if want := Commitment(c.Balances(nil), nil, r); genesis.Reward.Commitment != want {
		return nil, fmt.Errorf("genesis commits to %x, not %x", genesis.Reward.Commitment, want)
	}
	return c, nil
}

// Branch lists the blocks from genesis to the one whose hash is tip; nil when
// there is no such block.
func (c *Chain) Branch(tip types.Hash) []*types.Block {
	for _, b := range c.Blocks {
		if b.Header.Hash() == tip {
			return append(c.Branch(b.Header.Previous), b)
		}
	}
	return nil
}

// Add takes a block if it is valid at the time now, in Unix seconds.
func (c *Chain) Add(b *types.Block, now int64) error {
	branch := c.Branch(b.Header.Previous)
	if branch == nil {
		return errors.New("unknown parent")
	}
	if err := c.check(branch, b, now); err != nil {
		return err
	}
	c.Blocks = append(c.Blocks, b)
	return nil
}

// Balances replays a branch that starts with genesis; an empty one has the
// allocations alone.
func (c *Chain) Balances(branch []*types.Block) Balances {
	balances := Balances{}
	for a, amount := range c.Rules.Allocations {
		balances[a] = amount
	}
	for height, b := range branch {
		if height == 0 {
			continue
		}
		for i := range b.Transfers {
			if err := c.Rules.Move(balances, &b.Transfers[i]); err != nil {
				panic(fmt.Sprintf("a block was taken that is not valid: %v", err))
			}
		}
		balances.pay(b.Reward.Recipient, b.Reward.Amount)
	}
	return balances
}

// check says whether b may follow branch.
func (c *Chain) check(branch []*types.Block, b *types.Block, now int64) error {
	if err := checkHeader(c.Rules, branch, &b.Header, now); err != nil {
		return err
	}
	if len(b.Encode()) > c.Rules.MaxBlockSize {
		return errors.New("too large")
	}
	if root, ok := merkleRoot(b.IDs()); !ok || root != b.Header.MerkleRoot {
		return errors.New("wrong Merkle root")
	}
	balances := c.Balances(branch)
	for i := range b.Transfers {
		t := &b.Transfers[i]
		if err := c.CheckTransfer(branch, b.Transfers[:i], t); err != nil {
			return fmt.Errorf("transfer %d: %w", i, err)
		}
		if err := c.Rules.Move(balances, t); err != nil {
			return fmt.Errorf("transfer %d: %w", i, err)
		}
	}
	if b.Reward.Height != uint32(len(branch)) {
		return errors.New("reward height")
	}
	if !c.Rules.wellFormed(b.Reward.Recipient) {
		return errors.New("reward recipient")
	}
	owed := c.RewardFor(len(branch), b.Transfers)
	if owed.Cmp(new(big.Int).SetUint64(b.Reward.Amount)) != 0 || owed.Cmp(big.NewInt(types.MaxAmount)) > 0 {
		return fmt.Errorf("reward is %d, not %d", b.Reward.Amount, owed)
	}
	balances.pay(b.Reward.Recipient, b.Reward.Amount)
	if b.Reward.Commitment != Commitment(balances, branch, c.Rules) {
		return errors.New("commitment")
	}
	return nil
}

// CheckTransfer says whether t may stand after the transfers before it in a
// block that follows branch, balances aside.
func (c *Chain) CheckTransfer(branch []*types.Block, before []types.Transfer, t *types.Transfer) error {
	height := len(branch)
	if !c.Rules.wellFormed(t.Sender) || !c.Rules.wellFormed(t.Recipient) {
		return errors.New("account")
	}
	sum := new(big.Int).Add(new(big.Int).SetUint64(t.Amount), new(big.Int).SetUint64(t.Fee))
	if t.Amount > types.MaxAmount || t.Fee > types.MaxAmount || sum.Cmp(big.NewInt(types.MaxAmount)) > 0 {
		return errors.New("amount")
	}
	if int(t.Expiry) < height || int(t.Expiry) > height+c.Rules.TxLifetime {
		return errors.New("lifetime")
	}
	for h, b := range branch {
		if h >= height-c.Rules.TxLifetime && contains(b.Transfers, t) {
			return errors.New("sender and salt were used before")
		}
	}
	if contains(before, t) {
		return errors.New("sender and salt are used twice")
	}
	if c.Rules.Signatures {
		chain := c.Blocks[0].Header.Hash()
		message := append([]byte("cairn transfer\n"), chain[:]...)
		message = append(message, t.AppendUnsigned(nil)...)
		if !ed25519.Verify(ed25519.PublicKey(t.Sender), message, t.Signature[:]) {
			return errors.New("signature")
		}
	} else if t.Signature != [64]byte{} {
		return errors.New("signature where there is none")
	}
	return nil
}

func contains(list []types.Transfer, t *types.Transfer) bool {
	for i := range list {
		if list[i].Sender == t.Sender && list[i].Salt == t.Salt {
			return true
		}
	}
	return false
}

// Move applies a checked transfer to the balances, or does nothing.
func (r Rules) Move(balances Balances, t *types.Transfer) error {
	after := Balances{}
	for a, balance := range balances {
		after[a] = balance
	}
	after[t.Sender] -= int64(t.Amount)
	after[t.Sender] -= int64(t.Fee)
	if after[t.Sender] < -r.CreditLimit {
		return errors.New("insufficient")
	}
	after[t.Recipient] += int64(t.Amount)
	if after[t.Recipient] > types.MaxAmount {
		return errors.New("balance limit")
	}
	for _, a := range []types.Account{t.Sender, t.Recipient} {
		if after[a] > 0 && after[a] < r.MinBalance {
			return errors.New("min_balance")
		}
	}
	for _, a := range []types.Account{t.Sender, t.Recipient} {
		balances.set(a, after[a])
	}
	return nil
}

func (b Balances) set(a types.Account, balance int64) {
	b[a] = balance
	if balance == 0 {
		delete(b, a)
	}
}

// pay credits a reward; what is above the largest balance is lost.
func (b Balances) pay(a types.Account, amount uint64) {
	b.set(a, min(b[a]+int64(amount), types.MaxAmount))
}

// RewardFor returns the subsidy at height and the fees of the transfers.
func (c *Chain) RewardFor(height int, transfers []types.Transfer) *big.Int {
	issued := new(big.Int)
	for _, amount := range c.Rules.Allocations {
		issued.Add(issued, big.NewInt(amount))
	}
	subsidy := new(big.Int)
	for h := 1; h <= height; h++ {
		subsidy.SetUint64(c.Rules.Reward)
		if c.Rules.HalvingInterval > 0 {
			subsidy.Rsh(subsidy, uint(h/c.Rules.HalvingInterval))
		}
		left := new(big.Int).Sub(big.NewInt(types.MaxAmount), issued)
		if subsidy.Cmp(left) > 0 {
			subsidy.Set(left)
		}
		issued.Add(issued, subsidy)
	}
	total := new(big.Int).Set(subsidy)
	for i := range transfers {
		total.Add(total, new(big.Int).SetUint64(transfers[i].Fee))
	}
	return total
}

func (r Rules) wellFormed(a types.Account) bool {
	if r.Signatures {
		return len(a) == 32 && !smallOrder(a)
	}
	if len(a) < 1 || len(a) > 64 || a == "0" || !utf8.ValidString(string(a)) {
		return false
	}
	for _, c := range string(a) {
		if c < 0x20 || (0x7f <= c && c <= 0x9f) {
			return false
		}
	}
	return strings.Trim(string(a), " ") == string(a)
}

// smallOrder knows the 14 encodings by their y: 0, 1, -1 and two that are no
// such simple numbers, some with p added, each with either sign.
func smallOrder(a types.Account) bool {
	y := []byte(a)
	y[31] &= 0x7f
	for _, known := range []string{
		"\x00" + strings.Repeat("\x00", 31),
		"\x01" + strings.Repeat("\x00", 31),
		"\xec" + strings.Repeat("\xff", 30) + "\x7f",
		"\xed" + strings.Repeat("\xff", 30) + "\x7f",
		"\xee" + strings.Repeat("\xff", 30) + "\x7f",
		"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
		"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
	} {
		if bytes.Equal(y, []byte(known)) {
			return true
		}
	}
	return false
}
