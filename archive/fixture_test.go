package archive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shortRules are those of a network where anyone may spend, blocks are found at
// once, and a salt may be used again after three blocks.
func shortRules(t testing.TB) *consensus.Rules {
	t.Helper()
	rules, err := consensus.NewRules(consensus.Rules{
		Name: "short", Symbol: "S", AddressPrefix: "short",
		Time: 1_767_225_600, Bits: 0x207fffff, BlockInterval: 10, HalfLife: 120,
		Reward: 50, HalvingInterval: 4, MaxBlockSize: 100_000, TxLifetime: 3, CreditLimit: types.MaxAmount,
		Allocations: []consensus.Allocation{{Account: "early", Amount: 1000}, {Account: "idle", Amount: 7}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// node is a chain on disk, beside a builder of blocks.
type node struct {
	*chain.Manager
	*chaintest.Builder
	t     testing.TB
	store *store.Store
}

func create(t testing.TB, dir string, rules *consensus.Rules) *node {
	t.Helper()
	s, err := store.Create(dir, rules, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := chain.New(chain.Config{Store: s, Now: func() time.Time { return time.Unix(int64(rules.Time)+1_000_000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return &node{Manager: m, Builder: chaintest.New(rules), t: t, store: s}
}

func (n *node) close() {
	n.t.Helper()
	n.Manager.Close()
	if err := n.store.Close(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) mustAdd(names ...string) {
	n.t.Helper()
	if err := n.AddBlocks(context.Background(), n.Blocks(names...)); err != nil {
		n.t.Fatal(err)
	}
}

// names returns prefix1, prefix2 and so on.
func names(prefix string, count int) (all []string) {
	for i := range count {
		all = append(all, fmt.Sprint(prefix, i+1))
	}
	return all
}

// pay makes a transfer that is valid in the block at height and the one after.
func pay(height uint32, from, to types.Account, amount, salt uint64) types.Transfer {
	return types.Transfer{Sender: from, Recipient: to, Amount: amount, Fee: 1, Expiry: height + 1, Salt: salt}
}

// sample makes a directory that has something of everything: a best chain with
// transfers whose salts are used again, branches that were best once, that never
// were and that are invalid, pending transfers and neighbours.
func sample(t testing.TB) (dir string, n *node) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	n = create(t, dir, shortRules(t))

	// a1 ... a4, and b2 ... b9 from a1 on, which takes over.
	n.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{pay(1, "early", "bob", 100, 1), pay(1, "early", "carol", 5, 2)}})
	n.Add("a2", "a1", chaintest.Spec{Transfers: []types.Transfer{pay(2, "bob", "early", 99, 1)}})
	n.Chain("aa", "a2", 2, chaintest.Spec{})
	n.mustAdd("a1", "a2", "aa1", "aa2")
	parent := "a1"
	for h := uint32(2); h <= 9; h++ {
		spec := chaintest.Spec{}
		switch h {
		case 5, 9: // four blocks after the one before
			spec.Transfers = []types.Transfer{pay(h, "early", "bob", uint64(h), 1), pay(h, "dave", "dave", 0, uint64(h))}
		case 6:
			spec.Transfers = []types.Transfer{pay(h, "carol", "bob", 4, 6)} // leaves carol nothing
		case 7:
			spec.Transfers = []types.Transfer{pay(h, "bob", "erin", 50, 1)}
		}
		name := fmt.Sprint("b", h)
		n.Add(name, parent, spec)
		parent = name
	}
	for h := 2; h <= 9; h++ {
		n.mustAdd(fmt.Sprint("b", h))
	}

	// A branch that never had the most work, with a salt that the best chain has
	// used further up.
	n.Add("c7", "b6", chaintest.Spec{Transfers: []types.Transfer{pay(7, "bob", "carol", 1, 1)}})
	n.Add("c8", "c7", chaintest.Spec{})
	n.mustAdd("c7", "c8")

	// A branch with more work whose third block is invalid, and a block that was
	// refused before it was stored.
	n.Add("d8", "b7", chaintest.Spec{})
	n.Add("d9", "d8", chaintest.Spec{})
	n.Add("d10", "d9", chaintest.Spec{Spoil: func(b *types.Block) { b.Reward.Amount++ }})
	n.mustRefuse(consensus.ErrRewardAmount, "d8", "d9", "d10")
	n.Add("e10", "b9", chaintest.Spec{Spoil: func(b *types.Block) { b.Reward.Height++ }})
	n.mustRefuse(consensus.ErrRewardHeight, "e10")

	for _, transfer := range []types.Transfer{pay(10, "idle", "bob", 1, 1), pay(10, "early", "idle", 1, 77)} {
		if _, err := n.AddTransfer(t.Context(), transfer); err != nil {
			t.Fatal(err)
		}
	}
	b := n.store.NewBatch()
	defer b.Close()
	b.PutNeighbour("http://127.0.0.1:5001")
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	return dir, n
}

func (n *node) mustRefuse(want error, names ...string) {
	n.t.Helper()
	if err := n.AddBlocks(context.Background(), n.Blocks(names...)); !errors.Is(err, want) {
		n.t.Fatalf("got error %v, want %v", err, want)
	}
}
