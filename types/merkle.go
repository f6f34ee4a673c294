package types

// MerkleRoot returns Bitcoin's Merkle root over ids, at least one: an odd last
// node is paired with itself. mutated says that two neighbours of one level are
// equal before that doubling: then another list of ids has the same root, and
// the body must be refused without blaming the header (CVE-2012-2459).
func MerkleRoot(ids []Hash) (root Hash, mutated bool) {
	level := append([]Hash(nil), ids...)
	var pair [64]byte
	for len(level) > 1 {
		next := level[:0]
		for i := 0; i < len(level); i += 2 {
			right := level[i]
			if i+1 < len(level) {
				right = level[i+1]
				mutated = mutated || level[i] == right
			}
			copy(pair[:32], level[i][:])
			copy(pair[32:], right[:])
			next = append(next, Sum(pair[:]))
		}
		level = next
	}
	return level[0], mutated
}
