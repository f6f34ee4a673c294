package chain_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/types"
)

// runsOf yields each list of named blocks as a run, in the three forms in turn
// that an incoming block may have.
func (f *fixture) runsOf(runs ...[]string) iter.Seq[[]chain.Incoming] {
	form := 0
	return func(yield func([]chain.Incoming) bool) {
		for _, names := range runs {
			var run []chain.Incoming
			for _, b := range f.Blocks(names...) {
				switch form++; form % 3 {
				case 0:
					run = append(run, chain.Incoming{Block: b})
				case 1:
					run = append(run, chain.Incoming{Encoding: b.Encode()})
				case 2:
					body, err := f.rules.CheckBody(b.Reward.Height, b)
					if err != nil {
						f.t.Error(err)
						return
					}
					run = append(run, chain.Incoming{Body: body})
				}
			}
			if !yield(run) {
				return
			}
		}
	}
}

// addRuns hands the named blocks over run by run, and returns how many runs were
// added.
func (f *fixture) addRuns(runs ...[]string) (added int, err error) {
	err = f.AddRuns(context.Background(), f.runsOf(runs...), func() { added++ })
	return added, err
}

// Runs that follow each other are added whatever they are to the best chain:
// known, an extension, a branch that wins on the way.
func TestAddRuns(t *testing.T) {
	f := newFixture(t, nil)
	names := func(prefix string, from, to int) (out []string) {
		for i := from; i <= to; i++ {
			out = append(out, fmt.Sprint(prefix, i))
		}
		return out
	}
	f.Chain("a", chaintest.Genesis, 30, chaintest.Spec{})
	f.Chain("b", "a10", 30, chaintest.Spec{})
	f.mustAdd(names("a", 1, 5)...)
	if n, err := f.addRuns(names("a", 1, 3), names("a", 4, 8), nil, names("a", 9, 20), names("a", 21, 30)); n != 5 || err != nil {
		t.Fatalf("%d runs, %v", n, err)
	}
	f.wantTip("a30")
	if n, err := f.addRuns(names("a", 5, 10), names("b", 1, 15), names("b", 16, 30)); n != 3 || err != nil {
		t.Fatalf("%d runs, %v", n, err)
	}
	f.wantTip("b30")
	f.restart()
	f.wantTip("b30")
}

// The runs before a faulty one are kept, and none after it is looked at.
func TestAddRunsEndsAtAFault(t *testing.T) {
	for _, spoil := range []bool{false, true} {
		f := newFixture(t, nil)
		f.Chain("a", chaintest.Genesis, 4, chaintest.Spec{})
		want := consensus.ErrRewardAmount
		f.Add("bad", "a4", chaintest.Spec{Spoil: func(b *types.Block) { b.Reward.Amount++ }})
		if !spoil {
			f.Chain("lost", chaintest.Genesis, 1, chaintest.Spec{})
			f.Chain("orphan", "lost1", 1, chaintest.Spec{})
			want = chain.ErrUnknownParent
		}
		last := map[bool]string{false: "orphan1", true: "bad"}[spoil]
		n, err := f.addRuns([]string{"a1", "a2"}, []string{"a3", "a4"}, []string{last}, []string{"a1"})
		if n != 2 || !errors.Is(err, want) {
			t.Errorf("%d runs, %v", n, err)
		}
		f.wantTip("a4")
	}
}

func TestAddRunsIsCancelled(t *testing.T) {
	f := newFixture(t, nil)
	f.Chain("a", chaintest.Genesis, 6, chaintest.Spec{})
	ctx, cancel := context.WithCancel(t.Context())
	endless := func(yield func([]chain.Incoming) bool) {
		for run := range f.runsOf([]string{"a1", "a2"}) {
			for yield(run) {
			}
		}
	}
	n := 0
	err := f.AddRuns(ctx, endless, func() {
		if n++; n == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after %d runs: %v", n, err)
	}
	f.wantTip("a2")
}

// Small blocks are checked in groups, with all their signatures in one batch: a
// bad one is the fault of its block alone.
func TestBadSignatureAmongSmallBlocks(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	owner := accountOf(key)
	f := newFixture(t, func(r *consensus.Rules) {
		r.Signatures, r.CreditLimit = true, 0
		r.Allocations = []consensus.Allocation{{Account: owner, Amount: 1_000_000}}
	})
	parent, names := chaintest.Genesis, []string(nil)
	for i := range 100 {
		p := pay(owner, owner, 1, uint64(i))
		f.rules.Sign(&p, key)
		spec := chaintest.Spec{Miner: owner, Transfers: []types.Transfer{p}}
		if i == 70 {
			bad := spec
			bad.Spoil = func(b *types.Block) {
				b.Transfers = slices.Clone(b.Transfers)
				b.Transfers[0].Signature[3] ^= 1
			}
			f.Add("bad", parent, bad)
		}
		names = append(names, fmt.Sprint("s", i))
		f.Add(names[i], parent, spec)
		parent = names[i]
	}
	n, err := f.addRuns(names[:20], append(slices.Clone(names[20:70]), "bad"))
	f.wantError(err, consensus.ErrSignature, "bad")
	if n != 1 {
		t.Errorf("%d runs", n)
	}
	f.wantTip("s69")
	f.mustAdd(names...)
	f.wantTip("s99")
}

func accountOf(key ed25519.PrivateKey) types.Account {
	return types.Account(key.Public().(ed25519.PublicKey))
}
