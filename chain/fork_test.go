package chain_test

import (
	"errors"
	"testing"
	"time"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

var fast = chaintest.Spec{Instant: true} // raises the work of the blocks after it

// genesis ── a1 ── a2
//
//	└── b1 ── b2 ── b3
func TestMostWorkWins(t *testing.T) {
	f := newFixture(t, nil)
	f.Chain("a", chaintest.Genesis, 2, chaintest.Spec{})
	f.Chain("b", chaintest.Genesis, 3, chaintest.Spec{})
	f.wantTip(chaintest.Genesis)
	f.mustAdd("a1", "a2")
	f.wantTip("a2")
	f.mustAdd("b1")
	f.wantTip("a2")
	f.mustAdd("b2") // a tie: the first stays
	f.wantTip("a2")
	f.restart()
	f.wantTip("a2") // across restarts too
	f.mustAdd("b3")
	f.wantTip("b3")
	f.mustAdd("a1", "a2") // known, all of them
	f.mustAdd("b1", "b2", "b3")
	f.wantTip("b3")
}

// A chain of fewer blocks has more work when they came faster.
//
//	genesis ── slow1 ── … ── slow30
//	   └────── quick1 ── … ── quick24
func TestShorterHeavierWins(t *testing.T) {
	f := newFixture(t, nil)
	f.Chain("slow", chaintest.Genesis, 30, chaintest.Spec{})
	f.Chain("quick", chaintest.Genesis, 24, fast)
	if f.State("quick24").Work.Cmp(f.State("slow30").Work) <= 0 {
		t.Fatal("the blocks do not show what they should")
	}
	f.mustAdd(names("slow", 1, 30)...)
	f.mustAdd(names("quick", 1, 24)...)
	f.wantTip("quick24")
}

// genesis ── a1 ── a2 ── a3
//
//	└── b1 ── b2(spends what is not there) ── b3 ── b4
func TestInvalidHalfWay(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.CreditLimit = 0 })
	f.Chain("a", chaintest.Genesis, 3, chaintest.Spec{})
	f.Add("b1", chaintest.Genesis, chaintest.Spec{})
	bad := f.poor("b2", "b1")
	f.mustAdd("a1", "a2", "a3")
	f.mustAdd("b1")
	// The blocks after b2 are not built on a valid state, so they are made by
	// hand: their headers are good.
	b3 := child(t, f.rules, bad, f.State("b1"))
	b4 := child(t, f.rules, b3, next(t, f.rules, f.State("b1"), bad))
	err := f.AddBlocks(t.Context(), []*types.Block{bad, b3, b4})
	f.wantError(err, consensus.ErrInsufficient, "b2")
	f.wantTip("a3")
	// It is remembered, with what follows it.
	f.wantError(f.AddBlocks(t.Context(), []*types.Block{bad}), chain.ErrInvalid, "b2")
	if err := f.AddBlocks(t.Context(), []*types.Block{b4}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("a descendant of an invalid block: %v", err)
	}
	f.restart()
	f.wantError(f.AddBlocks(t.Context(), []*types.Block{bad}), chain.ErrInvalid, "b2")
	f.wantTip("a3")
}

// Of a branch that turns out invalid, the part before that is kept if it has the
// most work.
//
//	genesis ── a1
//	   └────── b1 ── b2 ── b3(invalid)
func TestValidPartOfInvalidBranch(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.CreditLimit = 0 })
	f.Add("a1", chaintest.Genesis, chaintest.Spec{})
	f.Chain("b", chaintest.Genesis, 2, chaintest.Spec{})
	f.poor("b3", "b2")
	f.mustAdd("a1")
	f.wantError(f.add("b1", "b2", "b3"), consensus.ErrInsufficient, "b3")
	f.wantTip("b2")
}

// The same on the tip: what comes before the bad block in one run is kept.
func TestValidPartOfInvalidRun(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.CreditLimit = 0 })
	f.Chain("a", chaintest.Genesis, 2, chaintest.Spec{})
	f.poor("a3", "a2")
	f.wantError(f.add("a1", "a2", "a3"), consensus.ErrInsufficient, "a3")
	f.wantTip("a2")
	f.wantError(f.add("a3"), chain.ErrInvalid, "a3")
}

// Of a block whose commitment turns out wrong nothing is left, though its records
// were put together beside the tree, and the block before it, in the same batch,
// is kept.
func TestNothingOfAWrongCommitment(t *testing.T) {
	for _, transfers := range []uint64{1, 300} { // one after another, and side by side
		f := newFixture(t, nil)
		f.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{pay("x", "y", 1, 0)}})
		var spec chaintest.Spec
		for salt := range transfers {
			spec.Transfers = append(spec.Transfers, pay("x", "z", 1, salt+1))
		}
		f.Add("a2", "a1", spec)
		bad := *f.Block("a2")
		bad.Reward.Commitment[0] ^= 1
		bad.Header.MerkleRoot, _ = types.MerkleRoot(bad.IDs())
		target, err := consensus.CompactToTarget(bad.Header.Bits)
		if err != nil {
			t.Fatal(err)
		}
		for !target.Meets(bad.Header.Hash()) {
			bad.Header.Nonce++
		}
		if err := f.AddBlocks(t.Context(), []*types.Block{f.Block("a1"), &bad}); !errors.Is(err, consensus.ErrCommitment) {
			t.Fatalf("got %v", err)
		}
		f.wantTip("a1")
		if balance, err := f.store.Account("z"); balance != 0 || err != nil {
			t.Errorf("z has %d, %v", balance, err)
		}
		for i := range bad.Transfers {
			p := &bad.Transfers[i]
			if _, found, err := f.store.SaltLoc(p.Sender, p.Salt); found || err != nil {
				t.Errorf("salt %d is taken, %v", p.Salt, err)
			}
			if _, found, err := f.store.TransferLoc(p.ID()); found || err != nil {
				t.Errorf("transfer %d is on the chain, %v", i, err)
			}
		}
		if hash, err := f.store.BestHash(2); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("block 2 is %v, %v", hash, err)
		}
		f.mustAdd("a2")
		f.wantTip("a2")
	}
}

// A body that somebody damaged says nothing about the block: the good body is
// still accepted.
func TestMangledBodyIsNotRemembered(t *testing.T) {
	f := newFixture(t, nil)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{pay("x", "y", 1, 1), pay("x", "y", 1, 2)}})
	good := f.Block("a1")
	mangled := *good
	mangled.Transfers = good.Transfers[:1]
	err := f.AddBlocks(t.Context(), []*types.Block{&mangled})
	if !errors.Is(err, consensus.ErrMerkleRoot) {
		t.Fatalf("got %v", err)
	}
	f.mustAdd("a1")
	f.wantTip("a1")
}

func TestUnknownParent(t *testing.T) {
	f := newFixture(t, nil)
	f.Chain("a", chaintest.Genesis, 3, chaintest.Spec{})
	f.wantError(f.add("a3"), chain.ErrUnknownParent, "")
	f.mustAdd("a1", "a2", "a3")
	f.wantTip("a3")
	if err := f.AddBlocks(t.Context(), []*types.Block{f.rules.Genesis()}); err != nil {
		t.Errorf("genesis is known everywhere: %v", err)
	}
}

// genesis ── a1 ── … ── a1000
//
//	└── b1 ── … ── b1001
func TestReorganisationOfThousandBlocks(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.HalfLife = 0; r.TxLifetime = 5000 })
	for _, branch := range []string{"a", "b"} {
		parent := chaintest.Genesis
		for i, name := range names(branch, 1, 1001) {
			spec := chaintest.Spec{}
			if i%10 == 0 {
				p := pay("x", types.Account(branch), 1, uint64(i))
				p.Expiry = 5000
				spec.Transfers = []types.Transfer{p}
			}
			f.Add(name, parent, spec)
			parent = name
		}
	}
	f.mustAdd(names("a", 1, 1000)...)
	f.wantTip("a1000")
	f.mustAdd(names("b", 1, 1001)...)
	f.wantTip("b1001")
	if got := f.Pool().Transfers; got != 0 {
		// The salts of both branches are the same, so none can come back.
		t.Errorf("%d transfers came back", got)
	}
	f.restart()
	f.wantTip("b1001")
}

// A block whose time is too far ahead is no good yet, and nobody's fault.
func TestTooNew(t *testing.T) {
	f := newFixture(t, nil)
	f.now = time.Unix(int64(f.rules.Time), 0)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Interval: 21})
	f.Add("a2", "a1", chaintest.Spec{Instant: true})
	f.Add("far", chaintest.Genesis, chaintest.Spec{Interval: 300})
	f.wantError(f.add("far"), consensus.ErrTooNew, "far")
	f.wantError(f.add("a1", "a2"), consensus.ErrTooNew, "a1")
	f.wantTip(chaintest.Genesis)
	f.now = f.now.Add(time.Second)
	f.RetryHeld(t.Context())
	f.wantTip("a1") // a2 did not come alone, so it has to be sent again
	f.now = f.now.Add(280 * time.Second)
	f.RetryHeld(t.Context())
	f.wantTip("a1") // far was too far ahead to be held
}

// Transfers of a block that lost come back, in their order, with their first
// answer.
//
//	genesis ── a1{1,2} ── a2{3}
//	   └────── b1{2} ── b2 ── b3
func TestTransfersComeBack(t *testing.T) {
	f := newFixture(t, nil)
	one, two, three := pay("x", "y", 1, 1), pay("x", "y", 2, 2), pay("x", "y", 3, 3)
	f.submit(one, two)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{one, two}})
	f.Add("a2", "a1", chaintest.Spec{Transfers: []types.Transfer{three}})
	f.Add("b1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{two}})
	f.Chain("c", "b1", 2, chaintest.Spec{})
	f.mustAdd("a1")
	f.submit(three)
	f.mustAdd("a2")
	f.wantPending()
	f.mustAdd("b1", "c1", "c2")
	f.wantTip("c2")
	f.wantPending(one, three)
	f.restart()
	f.wantPending(one, three)
	for _, c := range []struct {
		transfer types.Transfer
		height   uint32
	}{{one, 1}, {two, 1}, {three, 2}} {
		receipt, err := f.AddTransfer(t.Context(), c.transfer)
		if err != nil || receipt.NextHeight != c.height || receipt.ID != c.transfer.ID() {
			t.Errorf("salt %d: %+v %v, want height %d", c.transfer.Salt, receipt, err, c.height)
		}
	}
	block := f.mine()
	if len(block.Transfers) != 2 || block.Transfers[0] != one || block.Transfers[1] != three {
		t.Errorf("mined %v", block.Transfers)
	}
	f.wantPending()
}

// A heavier branch may be shorter, and then the expiry of a transfer is too far
// ahead again: it waits, it is not lost.
//
//	genesis ── slow1 ── … ── slow30{p}
//	   └────── quick1 ── … ── quick24
func TestTransfersWaitOnShorterChain(t *testing.T) {
	f := newFixture(t, nil)
	f.Chain("slow", chaintest.Genesis, 29, chaintest.Spec{})
	f.Chain("quick", chaintest.Genesis, 24, fast)
	mined, waiting := pay("x", "y", 1, 1), pay("x", "y", 2, 2)
	mined.Expiry, waiting.Expiry = 130, 130
	f.Add("slow30", "slow29", chaintest.Spec{Transfers: []types.Transfer{mined}})
	f.mustAdd(names("slow", 1, 30)...)
	f.submit(waiting)
	f.mustAdd(names("quick", 1, 24)...)
	f.wantTip("quick24")
	f.wantPending(mined, waiting)
	f.restart()
	f.wantPending(mined, waiting)
	for range 5 {
		if block := f.mine(); len(block.Transfers) > 0 {
			t.Fatal("mined too early")
		}
	}
	f.mine()
	f.wantPending()
}

// A damaged copy of a block that is too new does not keep out the good one.
func TestMangledTooNew(t *testing.T) {
	f := newFixture(t, nil)
	f.now = time.Unix(int64(f.rules.Time), 0)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Interval: 21, Transfers: []types.Transfer{pay("x", "y", 1, 1)}})
	mangled := *f.Block("a1")
	mangled.Transfers = nil
	f.wantError(f.AddBlocks(t.Context(), []*types.Block{&mangled}), consensus.ErrMerkleRoot, "a1")
	f.wantError(f.add("a1"), consensus.ErrTooNew, "a1")
	f.now = f.now.Add(time.Second)
	f.RetryHeld(t.Context())
	f.wantTip("a1")
}

// poor makes a block that is invalid only when it is applied: somebody spends
// what is not there.
func (f *fixture) poor(name, parent string) *types.Block {
	return f.Add(name, parent, chaintest.Spec{Spoil: func(b *types.Block) {
		b.Transfers = []types.Transfer{pay("nobody", "y", 1, 7)}
	}})
}

// child returns an empty block with a good header on one that is not valid.
func child(t *testing.T, rules *consensus.Rules, parent *types.Block, grandparent consensus.State) *types.Block {
	t.Helper()
	state := next(t, rules, grandparent, parent)
	b := &types.Block{
		Header: types.Header{Version: 0x20000000, Previous: state.Hash, Time: state.Time + 10, Bits: rules.AllowedBits(state, state.Time+10)},
		Reward: types.Reward{Height: state.Height + 1, Amount: rules.Subsidy(state.Height + 1), Recipient: chaintest.Miner},
	}
	b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
	target, err := consensus.CompactToTarget(b.Header.Bits)
	if err != nil {
		t.Fatal(err)
	}
	for !target.Meets(b.Header.Hash()) {
		b.Header.Nonce++
	}
	return b
}

func next(t *testing.T, rules *consensus.Rules, parent consensus.State, b *types.Block) consensus.State {
	t.Helper()
	state, err := rules.ValidateHeader(parent, b.Header, uint64(b.Header.Time))
	if err != nil {
		t.Fatal(err)
	}
	return state
}
