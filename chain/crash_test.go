package chain_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/store"
	"cairn/types"
)

// TestCrashAnywhere runs a node through blocks, reorganisations and transfers,
// and pulls the plug after every step, in three ways: all that was written is
// there, or only what was synced, or a part of the rest. The node that comes up
// is at the tip that was answered last, with every transfer that was answered.
func TestCrashAnywhere(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { crashAnywhere(t, seed) })
	}
}

func crashAnywhere(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	f := newFixture(t, nil)
	var answered []types.Transfer
	tips := []string{chaintest.Genesis}
	for step := range 40 {
		if rng.IntN(3) == 0 {
			p := pay("x", "y", uint64(1+rng.IntN(9)), uint64(step))
			f.submit(p)
			answered = append(answered, p)
		} else {
			parent := tips[rng.IntN(len(tips))]
			if rng.IntN(2) == 0 {
				parent = tips[len(tips)-1]
			}
			name := fmt.Sprint("s", step)
			spec := chaintest.Spec{Instant: rng.IntN(2) == 0}
			if len(answered) > 0 && rng.IntN(2) == 0 {
				spec.Transfers = f.unused(parent, answered[rng.IntN(len(answered)):])
			}
			f.Add(name, parent, spec)
			f.mustAdd(name)
			tips = append(tips, name)
		}
		tip := f.Name(f.Tip().Hash)
		f.checkStored(tip)
		clone := f.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[rng.IntN(3)], RNG: rng})
		f.checkRecovered(clone, tip, answered)
	}
}

// unused leaves out what the branch up to name holds already.
func (f *fixture) unused(name string, ts []types.Transfer) (left []types.Transfer) {
	held := make(map[types.Hash]bool)
	for b := f.Block(name); b.Reward.Height > 0; b = f.Block(f.Name(b.Header.Previous)) {
		for i := range b.Transfers {
			held[b.Transfers[i].ID()] = true
		}
	}
	for _, t := range ts {
		if !held[t.ID()] && len(left) < 3 {
			left = append(left, t)
		}
	}
	return left
}

// checkRecovered opens a crashed copy of the node.
func (f *fixture) checkRecovered(fs *vfs.MemFS, tip string, answered []types.Transfer) {
	f.t.Helper()
	r := &fixture{Builder: f.Builder, t: f.t, now: f.now, rules: f.rules}
	r.reopen(fs)
	defer r.stop()
	if got := r.Name(r.Tip().Hash); got != tip {
		f.t.Fatalf("after a crash the tip is %s, want %s", got, tip)
	}
	r.checkStored(tip)
	snapshot, err := r.Snapshot()
	if err != nil {
		f.t.Fatal(err)
	}
	defer snapshot.Close()
	for _, a := range answered {
		_, mined, err := snapshot.TransferLoc(a.ID())
		if err != nil {
			f.t.Fatal(err)
		}
		if _, pending := r.Pending(a.ID()); !mined && !pending {
			f.t.Errorf("transfer with salt %d was answered and is lost", a.Salt)
		}
		if _, pending := r.Pending(a.ID()); mined && pending {
			f.t.Errorf("transfer with salt %d is mined and pending", a.Salt)
		}
	}
}

// TestStopInReorganisation closes the node, or lets it crash, at every boundary
// of a reorganisation that takes several batches. What comes up goes on to the
// end of it.
//
//	genesis ── a1 ── … ── a8
//	   └────── b1 ── … ── b9
func TestStopInReorganisation(t *testing.T) {
	chain.SetCommitBytes(t, 1) // a batch for each block
	f := newFixture(t, nil)
	paid := pay("x", "y", 1, 1)
	f.submit(paid)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{paid}})
	for i := 2; i <= 8; i++ {
		f.Add(fmt.Sprint("a", i), fmt.Sprint("a", i-1), chaintest.Spec{})
	}
	f.Chain("b", chaintest.Genesis, 9, chaintest.Spec{})
	f.mustAdd(names("a", 1, 8)...)
	f.mustAdd(names("b", 1, 8)...)
	clones := chain.OnCommit(t, func() *vfs.MemFS {
		return f.fs.CrashClone(vfs.CrashCloneCfg{})
	})
	f.mustAdd("b9")
	f.wantTip("b9")
	f.wantPending(paid)
	if n := len(*clones); n < 17 {
		t.Fatalf("only %d commits; the reorganisation was to take one for each block", n)
	}
	for i, clone := range *clones {
		t.Run(fmt.Sprint("crash after commit ", i), func(t *testing.T) {
			r := &fixture{Builder: f.Builder, t: t, now: f.now, rules: f.rules}
			r.reopen(clone)
			defer r.stop()
			r.wantTip("b9")
			r.wantPending(paid)
		})
	}
}

// TestInvalidAfterSeveralBatches: the branch turns out invalid when batches of
// the reorganisation are on disk already; all of it is taken back, and readers
// never see it.
func TestInvalidAfterSeveralBatches(t *testing.T) {
	chain.SetCommitBytes(t, 1)
	f := newFixture(t, nil)
	f.Chain("a", chaintest.Genesis, 4, chaintest.Spec{})
	f.Chain("b", chaintest.Genesis, 3, chaintest.Spec{})
	f.Add("b4", "b3", chaintest.Spec{Spoil: func(b *types.Block) { b.Reward.Amount++ }})
	b5 := child(t, f.rules, f.Block("b4"), f.State("b3"))
	f.mustAdd(names("a", 1, 4)...)
	f.mustAdd(names("b", 1, 3)...)
	chain.OnCommit(t, func() *vfs.MemFS {
		s, err := f.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if name := f.Name(s.Tip.Hash); name != "a4" {
			t.Errorf("a reader sees %s", name)
		}
		if balance, err := s.Account(chaintest.Miner); err != nil || balance != f.Balance("a4", chaintest.Miner) {
			t.Errorf("a reader sees %d %v", balance, err)
		}
		return nil
	})
	if err := f.AddBlocks(t.Context(), append(f.Blocks("b4"), b5)); err == nil {
		t.Fatal("accepted")
	}
	f.wantTip("a4")
	f.restart()
	f.wantTip("a4")
}

// TestClosed: after Close everything that changes the chain is refused.
func TestClosed(t *testing.T) {
	f := newFixture(t, nil)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{})
	if err := f.Manager.Close(); err != nil {
		f.t.Error(err)
	}
	if err := f.add("a1"); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("AddBlocks: %v", err)
	}
	if _, err := f.AddTransfer(t.Context(), pay("x", "y", 1, 1)); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("AddTransfer: %v", err)
	}
	if _, err := f.Template(chaintest.Miner, nil); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("Template: %v", err)
	}
	if _, _, err := f.Manager.State(f.Hash("a1")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("State: %v", err)
	}
}
