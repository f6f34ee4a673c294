package chain_test

import (
	"context"
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

// TestStopInReorganisation lets the node crash after every commit of a
// reorganisation that takes several. What comes up goes on to the end of it, and
// no transfer is lost, nor its first answer.
//
//	genesis ── a1{paid} ── a2 ── … ── a8
//	   └────── b1{both} ── b2 ── … ── b9
func TestStopInReorganisation(t *testing.T) {
	chain.SetCommitBytes(t, 1) // a batch for each block
	f, want := severalBatches(t)
	clones := chain.OnCommit(t, func() *vfs.MemFS {
		return f.fs.CrashClone(vfs.CrashCloneCfg{})
	})
	f.mustAdd("b9")
	f.wantTip("b9")
	want(f)
	if n := len(*clones); n < 17 {
		t.Fatalf("only %d commits; the reorganisation was to take one for each block", n)
	}
	for i, clone := range *clones {
		t.Run(fmt.Sprint("crash after commit ", i), func(t *testing.T) {
			r := &fixture{Builder: f.Builder, t: t, now: f.now, rules: f.rules}
			r.reopen(clone)
			r.wantTip("b9")
			want(r)
			r.restart()
			want(r)
			r.stop()
		})
	}
}

// severalBatches builds what TestStopInReorganisation draws, up to b8, and
// returns the check of its transfers at b9.
func severalBatches(t *testing.T) (f *fixture, want func(*fixture)) {
	f = newFixture(t, nil)
	paid, both := pay("x", "y", 1, 1), pay("x", "y", 2, 2)
	waiting, other := pay("x", "y", 3, 3), pay("x", "y", 4, 4)
	f.submit(paid, both, waiting, other)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{paid}})
	f.Add("b1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{both}})
	for i := 2; i <= 8; i++ {
		f.Add(fmt.Sprint("a", i), fmt.Sprint("a", i-1), chaintest.Spec{})
	}
	for i := 2; i <= 9; i++ {
		f.Add(fmt.Sprint("b", i), fmt.Sprint("b", i-1), chaintest.Spec{})
	}
	f.mustAdd(names("a", 1, 8)...)
	f.mustAdd(names("b", 1, 8)...)
	return f, func(f *fixture) {
		f.t.Helper()
		f.wantPending(paid, waiting, other)
		for _, p := range []types.Transfer{paid, both, waiting, other} {
			if got, err := f.AddTransfer(context.Background(), p); err != nil || got.NextHeight != 1 {
				f.t.Errorf("salt %d is answered %+v %v", p.Salt, got, err)
			}
		}
	}
}

// TestCloseInReorganisation closes the node in the middle of a reorganisation.
// It stops at the next block, without a fault, and goes on when it is opened.
func TestCloseInReorganisation(t *testing.T) {
	chain.SetCommitBytes(t, 1)
	f, want := severalBatches(t)
	commits := 0
	closed := make(chan error, 1)
	chain.OnCommit(t, func() *vfs.MemFS {
		if commits++; commits == 5 {
			go func() { closed <- f.Manager.Close() }()
			for f.add("a1") == nil && !errors.Is(f.probe(), chain.ErrClosed) {
			}
		}
		return nil
	})
	if err := f.add("b9"); !errors.Is(err, chain.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	f.reopen(f.fs)
	f.wantTip("b9")
	want(f)
}

// probe submits what is never accepted, to learn whether the node is closing.
func (f *fixture) probe() error {
	_, err := f.AddTransfer(context.Background(), pay(types.System, "y", 1, 1))
	return err
}

// TestInvalidAfterSeveralBatches: the branch turns out invalid when batches of
// the reorganisation are on disk already; all of it is taken back, and readers
// never see it.
func TestInvalidAfterSeveralBatches(t *testing.T) {
	chain.SetCommitBytes(t, 1)
	f := newFixture(t, nil)
	mined, both, pending := pay("x", "y", 1, 1), pay("x", "y", 2, 2), pay("x", "y", 3, 3)
	f.submit(mined, both, pending)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{mined, both}})
	f.Add("b1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{both, pending}})
	for i := 2; i <= 4; i++ {
		f.Add(fmt.Sprint("a", i), fmt.Sprint("a", i-1), chaintest.Spec{})
	}
	f.Chain("c", "b1", 2, chaintest.Spec{})
	f.Add("b4", "c2", chaintest.Spec{Spoil: func(b *types.Block) { b.Reward.Amount++ }})
	b5 := child(t, f.rules, f.Block("b4"), f.State("c2"))
	f.mustAdd(names("a", 1, 4)...)
	f.mustAdd("b1", "c1", "c2")
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
	for range 2 {
		f.wantTip("a4")
		f.wantPending(pending)
		for _, p := range []types.Transfer{mined, both, pending} {
			if got, err := f.AddTransfer(t.Context(), p); err != nil || got.NextHeight != 1 {
				t.Errorf("salt %d is answered %+v %v", p.Salt, got, err)
			}
		}
		chain.OnCommit(t, func() *vfs.MemFS { return nil })
		f.restart()
	}
	f.mine()
	f.wantPending()
	f.restart()
	f.wantPending()
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
