// Package history authenticates the earlier blocks of a branch: a Merkle
// mountain range with one leaf for each block, genesis first. Its root stands in
// the commitment of the next block, so that one header with enough work on it
// vouches for every block before it, for their work and for their difficulty. A
// block that follows costs a few hashes and a proof has at most 32 of them. The
// package is pure: complete nodes are kept by whoever owns storage and come in
// through a function. The format is section 5 of docs/protocol.md.
package history

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"cairn/types"
)

// What is hashed begins with one byte that tells a leaf from an inner node, so
// that neither can pose as the other.
const (
	leafDomain  = 0x00
	innerDomain = 0x01
)

// Leaf is what the range says about one block.
type Leaf struct {
	Hash     types.Hash
	Height   uint32
	Time     uint32   // Unix seconds
	NextBase uint32   // base target of the block's children, in compact form
	Work     [32]byte // cumulative work up to and with the block, little-endian
}

// Sum returns the hash of the leaf, as Range.Append takes it.
func (l Leaf) Sum() [32]byte {
	b := make([]byte, 0, 1+32+4+4+4+32)
	b = append(b, leafDomain)
	b = append(b, l.Hash[:]...)
	b = binary.LittleEndian.AppendUint32(b, l.Height)
	b = binary.LittleEndian.AppendUint32(b, l.Time)
	b = binary.LittleEndian.AppendUint32(b, l.NextBase)
	b = append(b, l.Work[:]...)
	return sha256.Sum256(b)
}

// Node is the root of a complete subtree: the one over the leaves from
// Index<<Level up to, but without, (Index+1)<<Level. A node never changes as the
// range grows.
type Node struct {
	Level uint8 // 0 is a leaf; at most 31
	Index uint32
	Sum   [32]byte
}

// ReadNode returns the sum of the complete node at a level and index, as Append
// gave it out. Its errors are passed on.
type ReadNode func(level uint8, index uint32) ([32]byte, error)

// Range is a Merkle mountain range: its number of leaves and its peaks, which
// are the roots of the largest complete subtrees from left to right. It is an
// immutable value, and the zero Range is the empty one.
type Range struct {
	n     uint32
	peaks [][32]byte // one for each set bit of n, highest first
}

// Load returns the range of the first n leaves, of which read knows at least the
// peaks.
func Load(n uint32, read ReadNode) (Range, error) {
	peaks, err := readPeaks(n, 0, 32, read)
	return Range{n: n, peaks: peaks}, err
}

// Len returns the number of leaves.
func (r Range) Len() uint32 { return r.n }

// Root returns the hash over all leaves: the peaks folded from the right. It is
// zero for the empty range.
func (r Range) Root() [32]byte { return fold(r.peaks) }

// Append returns the range with one more leaf, whose hash is sum, and the nodes
// that became complete with it: the leaf's own first, then upwards. It panics at
// 2^32-1 leaves, which no valid chain goes beyond.
func (r Range) Append(sum [32]byte) (Range, []Node) {
	if r.n == math.MaxUint32 {
		panic("history: the range is full")
	}
	merges := bits.TrailingZeros32(^r.n)
	nodes := make([]Node, 0, merges+1)
	nodes = append(nodes, Node{Level: 0, Index: r.n, Sum: sum})
	peaks := r.peaks
	for level := 1; level <= merges; level++ {
		last := len(peaks) - 1
		sum = inner(peaks[last], sum)
		peaks = peaks[:last]
		nodes = append(nodes, Node{Level: uint8(level), Index: r.n >> level, Sum: sum})
	}
	return Range{n: r.n + 1, peaks: slices.Concat(peaks, [][32]byte{sum})}, nodes
}

// readPeaks returns those peaks over n leaves whose level is at least low and
// below high, from left to right. The peak at a level stands behind as many
// leaves as n has above that bit.
func readPeaks(n uint32, low, high int, read ReadNode) ([][32]byte, error) {
	var peaks [][32]byte
	for level := high - 1; level >= low; level-- {
		if n>>level&1 == 0 {
			continue
		}
		peak, err := readNode(read, level, n>>level-1)
		if err != nil {
			return nil, err
		}
		peaks = append(peaks, peak)
	}
	return peaks, nil
}

func fold(peaks [][32]byte) (sum [32]byte) {
	for i, peak := range slices.Backward(peaks) {
		if i == len(peaks)-1 {
			sum = peak
		} else {
			sum = inner(peak, sum)
		}
	}
	return sum
}

func inner(left, right [32]byte) [32]byte {
	var b [65]byte
	b[0] = innerDomain
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

func readNode(read ReadNode, level int, index uint32) ([32]byte, error) {
	sum, err := read(uint8(level), index)
	if err != nil {
		return sum, fmt.Errorf("history node %d of level %d: %w", index, level, err)
	}
	return sum, nil
}
