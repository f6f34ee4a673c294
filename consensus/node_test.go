package consensus

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"cairn/accounts"
	"cairn/history"
	"cairn/internal/naive"
	"cairn/types"
)

// node is a chain in memory that sequences the pure parts in the order in which
// package chain does. It has no fork choice: its tip is the last valid block
// that it was given. The tests of the rules and the comparison with the naive
// twin both drive it.
type node struct {
	rules    *Rules
	balances Balances // of the accounts that exist, after the tip
	tree     accounts.Tree
	tip      types.Hash
	blocks   map[types.Hash]*nodeBlock
}

// nodeBlock is a valid block and what it left behind.
type nodeBlock struct {
	block   *types.Block
	state   State
	changes []Change
	history history.Range // of the blocks up to and with this one
}

func newNode(t testing.TB, rules *Rules) *node {
	t.Helper()
	genesis := rules.GenesisState()
	after, _ := history.Range{}.Append(genesis.HistoryLeaf().Sum())
	n := &node{rules: rules, balances: Balances{}, tip: genesis.Hash}
	n.blocks = map[types.Hash]*nodeBlock{
		genesis.Hash: {block: rules.Genesis(), state: genesis, changes: rules.GenesisBalances(), history: after},
	}
	n.tree = accounts.New(n)
	if err := n.write(rules.GenesisBalances(), Change.after); err != nil {
		t.Fatal(err)
	}
	return n
}

func (c Change) before() int64 { return c.Before }
func (c Change) after() int64  { return c.After }

// add validates an encoded block and makes it the tip. On an error the tip is
// the block's parent if that is known, and else is what it was.
func (n *node) add(raw []byte, now uint64) error {
	block, err := types.DecodeBlock(raw)
	if err != nil {
		return err
	}
	if !bytes.Equal(block.Encode(), raw) {
		panic("a block was decoded that has another encoding")
	}
	parent, ok := n.blocks[block.Header.Previous]
	if !ok {
		// The parent that the block was made for: only tests of that rule get here.
		parent = n.blocks[n.tip]
	}
	state, err := n.rules.ValidateHeader(parent.state, block.Header, now)
	if err != nil {
		return err
	}
	body, err := n.rules.CheckBody(state.Height, block)
	if err != nil {
		return err
	}
	if err := n.rules.VerifySignatures(block.Transfers, nil); err != nil {
		return err
	}
	if err := n.moveTo(parent.state.Hash); err != nil {
		return err
	}
	return n.apply(parent, state, body)
}

// apply is the part of add that needs balances and earlier blocks.
func (n *node) apply(parent *nodeBlock, state State, body *Body) error {
	if err := n.checkReplays(parent, body); err != nil {
		return err
	}
	balances := make([]int64, len(body.Parties))
	for i, p := range body.Parties {
		balances[i] = n.balances[p.Account]
	}
	changes, err := n.rules.ApplyBody(balances, body)
	if err != nil {
		return err
	}
	tree, err := n.tree.Update(LeavesAfter(changes))
	if err != nil {
		return err
	}
	if err := n.rules.CheckCommitment(body, tree.Root(), parent.history.Root()); err != nil {
		return err
	}
	if err := n.write(changes, Change.after); err != nil {
		return err
	}
	after, _ := parent.history.Append(state.HistoryLeaf().Sum())
	n.blocks[state.Hash] = &nodeBlock{body.Block, state, changes, after}
	n.tip = state.Hash
	return nil
}

// checkReplays looks each sender and salt up in the blocks of the branch, the
// latest first.
func (n *node) checkReplays(parent *nodeBlock, body *Body) error {
	for i := range body.Block.Transfers {
		t := &body.Block.Transfers[i]
		for b := parent; b != nil; b = n.blocks[b.state.Previous] {
			used := slices.ContainsFunc(b.block.Transfers, func(u types.Transfer) bool {
				return u.Sender == t.Sender && u.Salt == t.Salt
			})
			if !used {
				continue
			}
			if err := CheckReplay(t, n.rules.TxLifetime, body.Height, b.state.Height); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// moveTo undoes and applies stored changes until the tip is a known block.
func (n *node) moveTo(hash types.Hash) error {
	var forth []*nodeBlock
	from, to := n.blocks[n.tip], n.blocks[hash]
	for from != to {
		if from.state.Height >= to.state.Height {
			if err := n.write(from.changes, Change.before); err != nil {
				return err
			}
			from = n.blocks[from.state.Previous]
		} else {
			forth = append(forth, to)
			to = n.blocks[to.state.Previous]
		}
	}
	for _, b := range slices.Backward(forth) {
		if err := n.write(b.changes, Change.after); err != nil {
			return err
		}
	}
	n.tip = hash
	return nil
}

// write brings one side of changes into the tree, then into the balances, which
// the tree reads from.
func (n *node) write(changes []Change, side func(Change) int64) error {
	leaves := LeavesAfter(changes)
	for i, c := range changes {
		leaves[i].Balance = side(c)
	}
	tree, err := n.tree.Update(leaves)
	if err != nil {
		return err
	}
	n.tree = tree
	for _, c := range changes {
		n.balances[c.Account] = side(c)
		if side(c) == 0 {
			delete(n.balances, c.Account)
		}
	}
	return nil
}

// Leaves makes the balances an accounts.Reader.
func (n *node) Leaves(prefix accounts.Key, bits int) ([]accounts.Leaf, error) {
	var list []accounts.Leaf
	for a, balance := range n.balances {
		if key := accounts.KeyOf(a); samePrefix(key, prefix, bits) {
			list = append(list, accounts.Leaf{Key: key, Balance: balance})
		}
	}
	slices.SortFunc(list, func(a, b accounts.Leaf) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return list, nil
}

func samePrefix(a, b accounts.Key, bits int) bool {
	for i := range bits {
		if (a[i/8]^b[i/8])>>(7-i%8)&1 != 0 {
			return false
		}
	}
	return true
}

// rebuild replaces the tree by one that is made from all balances, as at a
// start.
func (n *node) rebuild() error {
	var all iter.Seq2[accounts.Leaf, error] = func(yield func(accounts.Leaf, error) bool) {
		list, _ := n.Leaves(accounts.Key{}, 0)
		for _, l := range list {
			if !yield(l, nil) {
				return
			}
		}
	}
	tree, err := accounts.Build(n, all)
	if err == nil && tree.Root() != n.tree.Root() {
		err = fmt.Errorf("the tree has the root %x, rebuilt %x", n.tree.Root(), tree.Root())
	}
	n.tree = tree
	return err
}

// branch lists the blocks from genesis to the tip.
func (n *node) branch() (list []*types.Block) {
	for b := n.blocks[n.tip]; b != nil; b = n.blocks[b.state.Previous] {
		list = append(list, b.block)
	}
	slices.Reverse(list)
	return list
}

// twin returns the naive twin of a network's rules.
func twin(r *Rules) naive.Rules {
	rules := naive.Rules{
		Bits: r.Bits, BlockInterval: int64(r.BlockInterval), HalfLife: int64(r.HalfLife),
		Reward: r.Reward, HalvingInterval: int(r.HalvingInterval), MaxBlockSize: int(r.MaxBlockSize),
		TxLifetime: int(r.TxLifetime), MinBalance: int64(r.MinBalance), Signatures: r.Signatures,
		CreditLimit: int64(r.CreditLimit), Allocations: map[types.Account]int64{},
	}
	for _, a := range r.Allocations {
		rules.Allocations[a.Account] = int64(a.Amount)
	}
	return rules
}

// applyLeniently returns the balances after some transfers and a reward as they
// would be if there were no rules about them.
func applyLeniently[M ~map[types.Account]int64](before M, ts []types.Transfer, reward *types.Reward) naive.Balances {
	after := naive.Balances{}
	maps.Copy(after, before)
	for i := range ts {
		after[ts[i].Sender] -= int64(ts[i].Amount + ts[i].Fee)
		after[ts[i].Recipient] += int64(ts[i].Amount)
	}
	after[reward.Recipient] = min(after[reward.Recipient]+int64(reward.Amount), types.MaxAmount)
	maps.DeleteFunc(after, func(_ types.Account, balance int64) bool { return balance == 0 })
	return after
}

// mine gives the block its Merkle root and searches for a nonce. A block whose
// bits are no target, or one too hard for a test, is left without.
func mine(b *types.Block) {
	b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
	target, err := CompactToTarget(b.Header.Bits)
	for err == nil && b.Header.Nonce < 1<<16 && !target.Meets(b.Header.Hash()) {
		b.Header.Nonce++
	}
}
