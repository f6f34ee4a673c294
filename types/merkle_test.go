package types

import (
	"slices"
	"testing"
)

func numbered(n int) []Hash {
	ids := make([]Hash, n)
	for i := range ids {
		ids[i] = Sum([]byte{byte(i)})
	}
	return ids
}

func TestMerkleVectors(t *testing.T) {
	for _, c := range readVectors(t).Merkle {
		ids := numbered(c.IDs)
		kept := slices.Clone(ids)
		root, mutated := MerkleRoot(ids)
		if root != c.Root || mutated {
			t.Errorf("%d ids: root %v, mutated %v, want %v, false", c.IDs, root, mutated, c.Root)
		}
		if !slices.Equal(ids, kept) {
			t.Errorf("MerkleRoot changed its %d ids", c.IDs)
		}
	}
}

// Real blocks, of 1, 4 and 9 transactions.
func TestBitcoinMerkleRoots(t *testing.T) {
	counts := map[int]bool{}
	for _, c := range readBitcoin(t) {
		if len(c.IDs) == 0 {
			continue
		}
		h, err := DecodeHeader(c.Header)
		if err != nil {
			t.Fatal(err)
		}
		root, mutated := MerkleRoot(c.IDs)
		if root != h.MerkleRoot || mutated {
			t.Errorf("block %d: root %v, mutated %v, want %v, false", c.Height, root, mutated, h.MerkleRoot)
		}
		counts[len(c.IDs)] = true
	}
	if !counts[1] || !counts[4] || !counts[9] {
		t.Errorf("there are only blocks of %v transactions", counts)
	}
}

// CVE-2012-2459: where the tree doubles a node at the end of a level, a longer
// list with that node's ids twice has the same root. For each number of ids the
// test makes all those lists.
func TestMerkleMutation(t *testing.T) {
	found := map[int]int{}
	for n := 1; n <= 50; n++ {
		ids := numbered(n)
		root, _ := MerkleRoot(ids)
		for level := 0; 1<<level < n; level++ {
			if len(ids)>>level%2 == 0 {
				continue
			}
			ids = append(ids, ids[len(ids)-1<<level:]...)
			got, mutated := MerkleRoot(ids)
			if got != root {
				t.Fatalf("%d ids as %d: the root differs, so the test is wrong", n, len(ids))
			}
			if !mutated {
				t.Errorf("%d ids as %d, the last %d twice: not seen", n, len(ids), 1<<level)
			}
			found[level]++
		}
	}
	for level := range 5 {
		if found[level] == 0 {
			t.Errorf("no case at level %d", level)
		}
	}
}

// Equal neighbours are seen wherever they stand; equal ids that are no pair of
// nodes give no second list.
func TestMerkleEqualIDs(t *testing.T) {
	for _, c := range []struct {
		name    string
		order   []byte
		mutated bool
	}{
		{"first pair", []byte{1, 1}, true},
		{"first pair of many", []byte{1, 1, 2, 3, 4}, true},
		{"middle pair", []byte{1, 2, 3, 3, 4, 5}, true},
		{"last pair", []byte{1, 2, 3, 3}, true},
		{"pair of pairs in the middle", []byte{1, 2, 3, 4, 5, 6, 5, 6, 7, 8, 9, 10}, true},
		{"the last one doubled by the tree", []byte{1, 2, 3}, false},
		{"neighbours of two pairs", []byte{1, 2, 2, 3}, false},
		{"apart", []byte{1, 2, 1, 3}, false},
		{"pairs of two nodes", []byte{1, 2, 3, 4, 3, 4, 5, 6}, false},
	} {
		var ids []Hash
		for _, b := range c.order {
			ids = append(ids, Sum([]byte{b}))
		}
		if _, mutated := MerkleRoot(ids); mutated != c.mutated {
			t.Errorf("%s: mutated %v, want %v", c.name, mutated, c.mutated)
		}
	}
}
