package types

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// Every place of every small tree, and of some large ones, leads to the root; the
// places that only a doubled node has do not.
func TestBranchesLeadToTheRoot(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	counts := []int{100, 127, 128, 129, 1000 + rng.IntN(1000)}
	for n := 1; n <= 40; n++ {
		counts = append(counts, n)
	}
	for _, n := range counts {
		ids := randomIDs(rng, n)
		kept := slices.Clone(ids)
		root, _ := MerkleRoot(ids)
		height := 0
		for i := range n {
			branch := MerkleBranch(ids, i)
			height = len(branch)
			if got, err := RootOfBranch(ids[i], i, branch); err != nil || got != root {
				t.Fatalf("id %d of %d leads to %v, %v, want %v", i, n, got, err, root)
			}
			checkOtherPlaces(t, ids, i, branch, root)
		}
		if 1<<height < n || n > 1 && 1<<(height-1) >= n {
			t.Errorf("the branches of %d ids have %d nodes", n, height)
		}
		if !slices.Equal(ids, kept) {
			t.Errorf("MerkleBranch changed its %d ids", n)
		}
	}
}

// checkOtherPlaces shows an id with its branch at every other index.
func checkOtherPlaces(t *testing.T, ids []Hash, i int, branch []Hash, root Hash) {
	t.Helper()
	for other := range min(1<<len(branch), 200) {
		got, err := RootOfBranch(ids[i], other, branch)
		if other != i && err == nil && got == root {
			t.Fatalf("id %d of %d is also shown at %d", i, len(ids), other)
		}
	}
	for _, beyond := range []int{-1, 1 << len(branch), 1<<len(branch) + i, 1 << 30} {
		if _, err := RootOfBranch(ids[i], beyond, branch); !errors.Is(err, ErrBranch) {
			t.Fatalf("index %d with %d nodes: error %v, want ErrBranch", beyond, len(branch), err)
		}
	}
}

// The last of five ids fills the places up to eight: they lead to the root too, but
// nothing stands there.
func TestDoubledPlacesAreRefused(t *testing.T) {
	ids := numbered(5)
	root, _ := MerkleRoot(ids)
	for _, i := range []int{5, 6, 7} {
		branch := MerkleBranch(append(slices.Clone(ids), ids[4], ids[4], ids[4]), i)
		if got, _ := MerkleRoot(append(slices.Clone(ids), ids[4], ids[4], ids[4])); got != root {
			t.Fatal("the test is wrong")
		}
		if _, err := RootOfBranch(ids[4], i, branch); !errors.Is(err, ErrBranch) {
			t.Errorf("index %d: error %v, want ErrBranch", i, err)
		}
	}
}

func TestChangedBranchesLeadElsewhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{2, 3, 7, 20} {
		ids := randomIDs(rng, n)
		root, _ := MerkleRoot(ids)
		i := rng.IntN(n)
		branch := MerkleBranch(ids, i)
		for bit := range 256 * len(branch) {
			changed := slices.Clone(branch)
			changed[bit/256][bit/8%32] ^= 1 << (bit % 8)
			if got, err := RootOfBranch(ids[i], i, changed); err == nil && got == root {
				t.Fatalf("id %d of %d, bit %d of the branch changed: the root is the same", i, n, bit)
			}
		}
		for _, other := range [][]Hash{branch[1:], append(slices.Clone(branch), root), nil} {
			if got, err := RootOfBranch(ids[i], i, other); err == nil && got == root {
				t.Fatalf("id %d of %d: a branch of %d nodes leads to the same root", i, n, len(other))
			}
		}
	}
}

func TestBranchOfNothingPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("there is a branch of an id that is not there")
		}
	}()
	MerkleBranch(numbered(3), 3)
}

func randomIDs(rng *rand.Rand, n int) []Hash {
	ids := make([]Hash, n)
	for i := range ids {
		for j := range ids[i] {
			ids[i][j] = byte(rng.Uint32())
		}
	}
	return ids
}
