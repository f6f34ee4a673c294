package chain_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// A reader that follows by UpdatesSince, a few at a time and from wherever it
// stands, always ends where the node is, without a gap or a duplicate.
func TestFollow(t *testing.T) {
	f := newFixture(t, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	followed := []types.Hash{f.rules.ChainID()}
	tips := []string{chaintest.Genesis}
	for step := range 300 {
		name := fmt.Sprint("s", step)
		parent := tips[max(0, len(tips)-1-rng.IntN(6))]
		f.Add(name, parent, chaintest.Spec{Instant: rng.IntN(2) == 0})
		f.mustAdd(name)
		tips = append(tips, name)
		if rng.IntN(4) == 0 {
			followed = f.follow(followed, 1+rng.IntN(3))
			if at := followed[len(followed)-1]; at != f.Tip().Hash {
				t.Fatalf("arrived at %s", f.Name(at))
			}
		}
	}
}

func (f *fixture) follow(followed []types.Hash, limit int) []types.Hash {
	f.t.Helper()
	for {
		u, err := f.UpdatesSince(followed[len(followed)-1], limit)
		if err != nil {
			f.t.Fatal(err)
		}
		if n := len(u.Reverted) + len(u.Applied); n == 0 {
			return followed
		} else if n > limit {
			f.t.Fatalf("%d updates, asked for %d", n, limit)
		}
		for _, s := range u.Reverted {
			if s.Hash != followed[len(followed)-1] {
				f.t.Fatalf("reverts %s, not the last", f.Name(s.Hash))
			}
			followed = followed[:len(followed)-1]
		}
		for _, s := range u.Applied {
			if s.Previous != followed[len(followed)-1] {
				f.t.Fatalf("applies %s, which does not follow", f.Name(s.Hash))
			}
			followed = append(followed, s.Hash)
		}
	}
}

func TestUpdatesSinceUnknown(t *testing.T) {
	f := newFixture(t, nil)
	if _, err := f.UpdatesSince(types.Hash{1}, 10); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestLocator(t *testing.T) {
	f := newFixture(t, func(r *consensus.Rules) { r.HalfLife = 0 })
	f.Chain("a", chaintest.Genesis, 200, chaintest.Spec{})
	f.mustAdd(names("a", 1, 200)...)
	hashes, err := f.Locator()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range hashes {
		got = append(got, f.Name(h))
	}
	want := []string{"a200", "a199", "a198", "a197", "a196", "a195", "a194", "a193", "a192", "a191",
		"a189", "a185", "a177", "a161", "a129", "a65", chaintest.Genesis}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// Readers know a block beside the best chain at once, although the tip stays.
func TestBranchIsKnown(t *testing.T) {
	f := newFixture(t, nil)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{})
	f.Add("b1", chaintest.Genesis, chaintest.Spec{})
	f.mustAdd("a1")
	if u, err := f.UpdatesSince(f.rules.ChainID(), 10); err != nil || len(u.Applied) != 1 {
		t.Fatalf("%+v %v", u, err)
	}
	f.mustAdd("b1")
	u, err := f.UpdatesSince(f.Hash("b1"), 10)
	if err != nil || !slices.Equal(u.Reverted, []consensus.State{f.State("b1")}) || !slices.Equal(u.Applied, []consensus.State{f.State("a1")}) {
		t.Errorf("%+v %v", u, err)
	}
}

// A snapshot shows one moment, whatever comes after it.
func TestSnapshotStandsStill(t *testing.T) {
	f := newFixture(t, nil)
	f.Chain("a", chaintest.Genesis, 3, chaintest.Spec{})
	f.mustAdd("a1")
	s, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f.mustAdd("a2", "a3")
	if s.Tip != f.State("a1") {
		t.Errorf("the tip is %s", f.Name(s.Tip.Hash))
	}
	if _, err := s.BestHash(2); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("height 2: %v", err)
	}
	if balance, err := s.Account(chaintest.Miner); err != nil || balance != 50 {
		t.Errorf("the miner holds %d %v", balance, err)
	}
}
