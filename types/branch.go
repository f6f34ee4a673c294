package types

import (
	"errors"
	"fmt"
)

// ErrBranch says that a branch leads from no such place to a Merkle root.
var ErrBranch = errors.New("not a branch of a Merkle tree")

// MerkleBranch returns the nodes beside the way from ids[i] up to MerkleRoot, the
// lowest first; where an odd last node is paired with itself, that node. Nothing
// is beside a single id. It panics where there is no ids[i].
func MerkleBranch(ids []Hash, i int) []Hash {
	_ = ids[i]
	var branch []Hash
	for level := ids; len(level) > 1; level = parents(level) {
		branch = append(branch, level[min(i^1, len(level)-1)])
		i /= 2
	}
	return branch
}

// parents returns the next level of the Merkle tree, above one of two or more.
func parents(level []Hash) []Hash {
	above := make([]Hash, 0, (len(level)+1)/2)
	for i := 0; i < len(level); i += 2 {
		above = append(above, parent(level[i], level[min(i+1, len(level)-1)]))
	}
	return above
}

// RootOfBranch returns the Merkle root that a branch leads to from id at index i;
// otherwise ErrBranch. It refuses an index that the branch is too short for, and
// one in the part of the tree that only doubles an odd last node, where nothing
// stands. What was hashed to id must be longer than 64 bytes, as transactions are:
// otherwise it could be an inner node.
func RootOfBranch(id Hash, i int, branch []Hash) (Hash, error) {
	if i < 0 || i>>len(branch) != 0 {
		return Hash{}, fmt.Errorf("%w: index %d with %d nodes", ErrBranch, i, len(branch))
	}
	for level, beside := range branch {
		left, right := id, beside
		if i>>level&1 == 1 {
			left, right = beside, id
			if left == right {
				return Hash{}, fmt.Errorf("%w: index %d is in the double of %v", ErrBranch, i, left)
			}
		}
		id = parent(left, right)
	}
	return id, nil
}

func parent(left, right Hash) Hash {
	var pair [64]byte
	copy(pair[:32], left[:])
	copy(pair[32:], right[:])
	return Sum(pair[:])
}
