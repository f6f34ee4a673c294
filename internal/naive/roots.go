package naive

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"cairn/types"
)

// Commitment is that of a block with these balances after it, which follows
// branch.
func Commitment(after Balances, branch []*types.Block, r Rules) [32]byte {
	accounts, history := AccountRoot(after), HistoryRoot(branch, r)
	return sum([]byte{2}, accounts[:], history[:])
}

func sum(parts ...[]byte) [32]byte { return sha256.Sum256(slices.Concat(parts...)) }

// AccountRoot builds the whole account tree.
func AccountRoot(balances Balances) [32]byte {
	leaves := map[[32]byte]int64{}
	for a, balance := range balances {
		leaves[sha256.Sum256([]byte(a))] = balance
	}
	return subtree(leaves, 0)
}

// subtree returns the root of the leaves, whose keys agree in the first depth
// bits.
func subtree(leaves map[[32]byte]int64, depth int) [32]byte {
	if len(leaves) == 0 {
		return [32]byte{}
	}
	halves := [2]map[[32]byte]int64{{}, {}}
	for key, balance := range leaves {
		if len(leaves) == 1 {
			return sum([]byte{0}, key[:], binary.LittleEndian.AppendUint64(nil, uint64(balance)))
		}
		bit := key[depth/8] >> (7 - depth%8) & 1
		halves[bit][key] = balance
	}
	left, right := subtree(halves[0], depth+1), subtree(halves[1], depth+1)
	return sum([]byte{1}, left[:], right[:])
}

// HistoryRoot builds the whole history of the blocks of a branch.
func HistoryRoot(branch []*types.Block, r Rules) [32]byte {
	if len(branch) == 0 {
		return [32]byte{}
	}
	var leaves [][32]byte
	base, work := bases(r, branch), works(branch)
	for height, b := range branch {
		hash := b.Header.Hash()
		leaf := append([]byte{0}, hash[:]...)
		leaf = binary.LittleEndian.AppendUint32(leaf, uint32(height))
		leaf = binary.LittleEndian.AppendUint32(leaf, b.Header.Time)
		leaf = binary.LittleEndian.AppendUint32(leaf, base[height])
		workBytes := work[height].FillBytes(make([]byte, 32))
		slices.Reverse(workBytes)
		leaves = append(leaves, sum(leaf, workBytes))
	}
	return mountains(leaves)
}

// mountains puts the largest perfect tree to the left of the rest; in a perfect
// tree that is half.
func mountains(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	size := 1
	for 2*size < len(leaves) {
		size *= 2
	}
	left, right := mountains(leaves[:size]), mountains(leaves[size:])
	return sum([]byte{1}, left[:], right[:])
}

// merkleRoot is Bitcoin's; not ok when two nodes side by side are equal before
// an odd one is doubled.
func merkleRoot(ids []types.Hash) (root types.Hash, ok bool) {
	if len(ids) == 1 {
		return ids[0], true
	}
	var above []types.Hash
	for i := 0; i < len(ids); i += 2 {
		if i+1 == len(ids) {
			ids = append(slices.Clone(ids), ids[i])
		} else if ids[i] == ids[i+1] {
			return root, false
		}
		above = append(above, types.Sum(slices.Concat(ids[i][:], ids[i+1][:])))
	}
	return merkleRoot(above)
}
