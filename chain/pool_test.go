package chain_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/store"
	"cairn/types"
)

func TestTransferIsAnsweredAlike(t *testing.T) {
	f := newFixture(t, nil)
	p := pay("x", "y", 3, 1)
	want := chain.Receipt{ID: p.ID(), NextHeight: 1}
	check := func(when string) {
		t.Helper()
		if got, err := f.AddTransfer(t.Context(), p); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", when, got, err, want)
		}
	}
	check("at first")
	check("again")
	f.restart()
	check("after a restart")
	f.Add("a1", chaintest.Genesis, chaintest.Spec{})
	f.mustAdd("a1")
	check("a block later")
	f.mine()
	f.wantPending()
	want.Mined = true
	check("mined")
	f.restart()
	check("mined, after a restart")
}

func TestTransferRefused(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.CreditLimit = 0 })
	f.Chain("a", chaintest.Genesis, 2, chaintest.Spec{})
	f.mustAdd("a1", "a2")
	spent := pay(chaintest.Miner, "y", 60, 1)
	f.submit(spent)
	cases := []struct {
		name string
		t    types.Transfer
		want error
	}{
		{"more than there is", pay(chaintest.Miner, "y", 101, 2), consensus.ErrInsufficient},
		{"more than is left", pay(chaintest.Miner, "y", 41, 2), consensus.ErrInsufficient},
		{"the salt of a pending one", pay(chaintest.Miner, "z", 1, 1), mempool.ErrConflict},
		{"expired", types.Transfer{Sender: chaintest.Miner, Recipient: "y", Expiry: 2, Salt: 2}, consensus.ErrExpired},
		{"too far ahead", types.Transfer{Sender: chaintest.Miner, Recipient: "y", Expiry: 104, Salt: 2}, consensus.ErrExpiryTooFar},
		{"from the system", pay(types.System, "y", 1, 2), consensus.ErrSystemAccount},
		{"signed", types.Transfer{Sender: chaintest.Miner, Recipient: "y", Expiry: 50, Salt: 2, Signature: [64]byte{1}}, consensus.ErrUnexpectedSignature},
	}
	for _, c := range cases {
		if _, err := f.AddTransfer(t.Context(), c.t); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	f.wantPending(spent)
	f.mine()
	if _, err := f.AddTransfer(t.Context(), pay(chaintest.Miner, "z", 1, 1)); !errors.Is(err, consensus.ErrReplay) {
		t.Errorf("the salt of a mined one: %v", err)
	}
	f.wantPending()
}

// The pool forgets what a block makes impossible.
func TestPoolFollowsTheTip(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.CreditLimit = 0 })
	f.Add("a1", chaintest.Genesis, chaintest.Spec{})
	f.mustAdd("a1")
	early := pay(chaintest.Miner, "y", 10, 1)
	early.Expiry = 2
	replaced, dear := pay(chaintest.Miner, "y", 5, 2), pay(chaintest.Miner, "y", 30, 3)
	f.submit(early, replaced, dear)
	// Another node mined other transfers: one with the salt of a pending one,
	// which leaves too little for the dear one.
	f.Add("a2", "a1", chaintest.Spec{Miner: "other", Transfers: []types.Transfer{pay(chaintest.Miner, "z", 25, 2)}})
	f.mustAdd("a2")
	f.wantPending()
	f.restart()
	f.wantPending()
	f.wantTip("a2")
}

// What an earlier transfer pays in can be spent in the same block.
func TestTemplateOrdersIncome(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.CreditLimit = 0 })
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Miner: "x"})
	f.mustAdd("a1")
	fund := pay("x", "y", 20, 1)
	f.submit(fund)
	f.Add("a2", "a1", chaintest.Spec{Transfers: []types.Transfer{fund}})
	f.mustAdd("a2")
	onward := pay("y", "z", 15, 1)
	onward.Fee = 5
	f.submit(onward)
	// A longer branch without fund: both are pending, and the better paying one
	// needs the other first.
	f.Chain("b", "a1", 2, chaintest.Spec{})
	f.mustAdd("b1", "b2")
	f.wantPending(fund, onward)
	block := f.mine()
	if len(block.Transfers) != 2 || block.Transfers[0] != fund || block.Transfers[1] != onward {
		t.Errorf("mined %v", block.Transfers)
	}
	if block.Reward.Amount != 55 {
		t.Errorf("the reward is %d", block.Reward.Amount)
	}
}

// A block holds no more than fits, and what is left follows in order.
func TestTemplateIsBounded(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.MaxBlockSize = 1000 })
	var all []types.Transfer
	for i := range 20 {
		all = append(all, pay("sender", "recipient", uint64(i), uint64(i)))
	}
	f.submit(all...)
	var mined []types.Transfer
	for len(mined) < len(all) {
		block := f.mine()
		if len(block.Transfers) == 0 || block.Size() > 1000 {
			t.Fatalf("a block of %d bytes with %d transfers", block.Size(), len(block.Transfers))
		}
		mined = append(mined, block.Transfers...)
	}
	for i := range all {
		if mined[i] != all[i] {
			t.Fatalf("transfer %d came out of order", i)
		}
	}
}

// Many callers at once, and blocks meanwhile: every transfer that is answered is
// mined exactly once, and watchers hear of the end.
func TestConcurrentUse(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.HalfLife = 0; r.TxLifetime = 1_000_000 })
	heard := make(chan struct{}, 1)
	defer f.OnChange(func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	})()
	const callers, each = 8, 50
	var wait sync.WaitGroup
	for c := range callers {
		wait.Go(func() {
			for i := range each {
				p := pay("x", "y", 1, uint64(c*each+i))
				p.Expiry = 1_000_000
				for range 2 { // the second is the same payment
					if _, err := f.AddTransfer(context.Background(), p); err != nil {
						t.Error(err)
					}
				}
				_ = f.Tip()
				_ = f.Pool()
			}
		})
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	mined := 0
	for running := true; running || f.Pool().Transfers > 0; {
		select {
		case <-done:
			running = false
		default:
		}
		mined += len(f.mine().Transfers)
	}
	if mined != callers*each {
		t.Errorf("%d transfers mined, want %d", mined, callers*each)
	}
	<-heard
	f.restart()
	f.wantPending()
	s, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if balance, err := s.Account("y"); err != nil || balance != callers*each {
		t.Errorf("y holds %d %v", balance, err)
	}
}

// The same blocks from many callers at once, as from many neighbours.
func TestSameBlocksAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	f.Chain("a", chaintest.Genesis, 20, chaintest.Spec{})
	f.Chain("b", chaintest.Genesis, 21, chaintest.Spec{})
	var wait sync.WaitGroup
	for range 4 {
		for _, run := range [][]*types.Block{f.Blocks(names("a", 1, 20)...), f.Blocks(names("b", 1, 21)...)} {
			wait.Go(func() {
				if err := f.AddBlocks(context.Background(), run); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	f.wantTip("b21")
	for _, name := range append(names("a", 1, 20), names("b", 1, 21)...) {
		if _, status, err := f.Manager.State(f.Hash(name)); err != nil || status&store.Invalid != 0 || status&store.HaveBody == 0 {
			t.Errorf("block %s has status %v %v", name, status, err)
		}
	}
}
