package chain_test

import (
	"errors"
	"fmt"
	"testing"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/proof"
	"cairn/store"
	"cairn/types"
)

// Every transfer, account and block of a chain, short and long, is proven by what
// the Manager makes, after a reorganisation and a restart as well.
func TestProofs(t *testing.T) {
	f := newFixture(t, nil)
	check := func(name string) {
		t.Helper()
		height := f.State(name).Height
		for h := height; h > 0; h-- {
			hash, err := f.store.BestHash(h)
			if err != nil {
				t.Fatal(err)
			}
			block, err := f.store.Block(h, hash)
			if err != nil {
				t.Fatal(err)
			}
			for i := range block.Transfers {
				f.checkTransferProof(&block.Transfers[i], h)
			}
			d, err := f.ProveBlock(h)
			if h == height {
				if !errors.Is(err, chain.ErrTooFresh) {
					t.Errorf("the tip: %v", err)
				}
				continue
			}
			if r := f.verify(d, err); r.BlockHash != hash || r.Height != h {
				t.Errorf("block %d is shown as %d", h, r.Height)
			}
		}
		for _, a := range []types.Account{"a", "b", chaintest.Miner, "nobody"} {
			for _, few := range []bool{false, true} {
				d, err := f.ProveAccount(t.Context(), a, few)
				if r := f.verify(d, err); r.Account != a || r.Balance != f.Balance(name, a) || r.BalanceAt.BlockHash != f.Hash(name) {
					t.Errorf("%s is shown with %d, and has %d", a, r.Balance, f.Balance(name, a))
				}
			}
		}
	}
	if _, err := f.ProveAccount(t.Context(), "a", true); !errors.Is(err, chain.ErrTooFresh) {
		t.Errorf("with genesis alone: %v", err)
	}
	parent := chaintest.Genesis
	for i := range 45 {
		spec := chaintest.Spec{}
		for j := range i % 4 {
			spec.Transfers = append(spec.Transfers, pay("a", "b", uint64(10*i+j), uint64(1000+10*i+j)))
		}
		name := fmt.Sprintf("a%d", i+1)
		f.Add(name, parent, spec)
		f.mustAdd(name)
		parent = name
		if i == 0 || i == 1 || i == 19 || i == 20 || i == 44 {
			check(name)
		}
	}
	f.Chain("b", "a30", 20, chaintest.Spec{})
	f.mustAdd(names("b", 1, 20)...)
	check("b20")
	f.restart()
	check("b20")
	lost := pay("a", "b", 10*43, 1000+10*43)
	if _, err := f.ProveTransfer(lost.ID(), true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a transfer whose block lost: %v", err)
	}
	if _, err := f.ProveBlock(51); !errors.Is(err, chain.ErrNoBlock) {
		t.Errorf("above the tip: %v", err)
	}
}

func (f *fixture) checkTransferProof(want *types.Transfer, height uint32) {
	f.t.Helper()
	for _, few := range []bool{false, true} {
		d, err := f.ProveTransfer(want.ID(), few)
		r := f.verify(d, err)
		if r.Transfer == nil || *r.Transfer != *want || r.Height != height || r.Confirmations != f.Tip().Height-height+1 {
			f.t.Errorf("few %v: shown %+v in block %d, want %+v in %d", few, r.Transfer, r.Height, want, height)
		}
		if r.FromGenesis == (few && f.Tip().Height > 20) {
			f.t.Errorf("few %v at height %d: from genesis %v", few, f.Tip().Height, r.FromGenesis)
		}
	}
}

// verify checks a document after it went through its bytes.
func (f *fixture) verify(d *proof.Document, err error) proof.Result {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
	read, err := proof.Parse(d.Encode())
	if err != nil {
		f.t.Fatal(err)
	}
	r, err := read.Verify(f.rules, uint64(f.now.Unix()))
	if err != nil {
		f.t.Fatal(err)
	}
	if r.Tip.Hash != f.Tip().Hash {
		f.t.Errorf("the proof ends on %s", f.Name(r.Tip.Hash))
	}
	return r
}

// poolEvents returns what became of pending transfers from a change on, as text.
func (f *fixture) poolEvents(from uint64) (events []string) {
	f.t.Helper()
	changes, _, ok := f.PoolChanges(nil, from, 1000)
	if !ok {
		f.t.Fatal("changes are forgotten")
	}
	for _, c := range changes {
		why := "pooled"
		for name, err := range map[string]error{
			"evicted": chain.ErrEvicted, "replaced": chain.ErrReplaced, "uncovered": chain.ErrUncovered,
			"other mined": chain.ErrOtherMined, "expired": consensus.ErrExpired,
		} {
			if errors.Is(c.Dropped, err) {
				why = name
			}
		}
		events = append(events, fmt.Sprintf("%d %s", c.Entry.Transfer.Salt, why))
	}
	return events
}
