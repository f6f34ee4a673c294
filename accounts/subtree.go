package accounts

import (
	"crypto/sha256"
	"encoding/binary"
)

// What is hashed begins with one byte that tells a leaf from an inner node, so
// that neither can pose as the other.
const (
	leafDomain  = 0x00
	innerDomain = 0x01
)

// maxStub is the most leaves that a stub stands for: few enough to be read and
// hashed again in microseconds, enough to make the rest of the tree small.
const maxStub = 16

// subtree is what a parent knows of a child: enough to hash its own sum again
// without touching those children that did not change. What leaf and halves point
// to is shared between trees and never changed. One of four kinds:
//
//	empty   count 0
//	leaf    leaf is set, count 1, at whatever depth
//	inner   halves is set, count above 1
//	stub    neither is set, count 1 to maxStub, nothing of it in memory
type subtree struct {
	sum        [32]byte
	count      uint64 // leaves
	loaded     uint32 // leaves in memory
	generation uint32 // the update that made it
	leaf       *Leaf
	halves     *[2]subtree
}

// A stub is made only when all of the tree is stored, and is opened by the first
// change below it; so it stands for the same leaves in the tree and in storage
// although the tree may be ahead elsewhere.
func (s *subtree) isStub() bool { return s.leaf == nil && s.halves == nil && s.count > 0 }

// stub returns the subtree with nothing of it in memory; it has at most maxStub
// leaves.
func (s *subtree) stub() subtree { return subtree{sum: s.sum, count: s.count} }

// newLeaf returns the subtree of one leaf; the empty one when it has no balance.
func newLeaf(l *Leaf, generation uint32) subtree {
	if l.Balance == 0 {
		return subtree{}
	}
	kept := *l
	return subtree{sum: leafSum(l), count: 1, loaded: 1, generation: generation, leaf: &kept}
}

// join returns the subtree over two halves, which it keeps. One leaf is its own
// subtree at every depth.
func join(halves *[2]subtree, generation uint32) subtree {
	left, right := &halves[0], &halves[1]
	switch {
	case left.count == 0 && right.count <= 1:
		return *right
	case right.count == 0 && left.count == 1:
		return *left
	}
	return subtree{
		sum:        innerSum(&left.sum, &right.sum),
		count:      left.count + right.count,
		loaded:     left.loaded + right.loaded,
		generation: generation,
		halves:     halves,
	}
}

func leafSum(l *Leaf) [32]byte {
	var b [41]byte
	b[0] = leafDomain
	copy(b[1:], l.Key[:])
	binary.LittleEndian.PutUint64(b[33:], uint64(l.Balance)) // two's complement
	return sha256.Sum256(b[:])
}

func innerSum(left, right *[32]byte) [32]byte {
	var b [65]byte
	b[0] = innerDomain
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}
