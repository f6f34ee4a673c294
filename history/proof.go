package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// ErrProof says that a proof is malformed, or does not show what it should.
var ErrProof = errors.New("history proof does not hold")

// maxSiblings is the length of the longest path: 2^32-1 leaves fold into a tree
// that is 32 high.
const maxSiblings = 32

// Proof shows that a leaf is at its place in a range. A root alone does not say
// how many leaves are under it, and a path may look the same in ranges of two
// lengths, so a proof names the length that it is for.
type Proof struct {
	Len      uint32     // leaves in the range
	Siblings [][32]byte // from the leaf up: inside its mountain, the fold of the peaks to the right if there are any, the peaks to the left
}

// Prove returns the proof of leaf i in the range of the first n leaves. It fails
// when i is not below n, or with read's error.
func Prove(n, i uint32, read ReadNode) (Proof, error) {
	if i >= n {
		return Proof{}, fmt.Errorf("the history of %d blocks has no leaf %d", n, i)
	}
	p := Proof{Len: n}
	mountain := mountainOf(n, i)
	for level := range mountain {
		sum, err := readNode(read, level, i>>level^1)
		if err != nil {
			return Proof{}, err
		}
		p.Siblings = append(p.Siblings, sum)
	}
	right, err := readPeaks(n, 0, mountain, read)
	if err != nil {
		return Proof{}, err
	}
	if len(right) > 0 {
		p.Siblings = append(p.Siblings, fold(right))
	}
	left, err := readPeaks(n, mountain+1, 32, read)
	if err != nil {
		return Proof{}, err
	}
	slices.Reverse(left)
	p.Siblings = append(p.Siblings, left...)
	return p, nil
}

// Verify returns nil when the proof shows that the range of n leaves with this
// root has this leaf at place i; otherwise ErrProof. The caller knows n as surely
// as the root: it is the height of the block whose reward commits to the root.
func (p Proof) Verify(root [32]byte, n, i uint32, leaf [32]byte) error {
	if p.Len != n {
		return fmt.Errorf("%w: it is for %d leaves, not %d", ErrProof, p.Len, n)
	}
	if i >= n {
		return fmt.Errorf("%w: there is no leaf %d of %d", ErrProof, i, n)
	}
	mountain := mountainOf(n, i)
	inside, right, left := mountain, 0, bits.OnesCount32(n>>mountain)-1
	if n&(1<<mountain-1) != 0 {
		right = 1
	}
	if len(p.Siblings) != inside+right+left {
		return fmt.Errorf("%w: it has %d siblings, not %d", ErrProof, len(p.Siblings), inside+right+left)
	}
	sum := leaf
	for level, sibling := range p.Siblings {
		onTheLeft := level >= inside+right || level < inside && i>>level&1 == 1
		if onTheLeft {
			sum = inner(sibling, sum)
		} else {
			sum = inner(sum, sibling)
		}
	}
	if sum != root {
		return fmt.Errorf("%w: leaf %d of %d leads to the root %x, not %x", ErrProof, i, n, sum, root)
	}
	return nil
}

// mountainOf returns the level of the peak over leaf i of n, with i < n: the
// highest bit in which they differ, because above it i runs along the peaks.
func mountainOf(n, i uint32) int { return bits.Len32(n^i) - 1 }

// Append appends the encoding to b: the length of the range as u32, the number
// of siblings in one byte, the siblings.
func (p Proof) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, p.Len)
	b = append(b, byte(len(p.Siblings)))
	for _, s := range p.Siblings {
		b = append(b, s[:]...)
	}
	return b
}

// DecodeProof reads one proof that fills b; otherwise ErrProof.
func DecodeProof(b []byte) (Proof, error) {
	const front = 4 + 1
	if len(b) < front || b[4] > maxSiblings || len(b) != front+32*int(b[4]) {
		return Proof{}, fmt.Errorf("%w: %d bytes are not the encoding of one", ErrProof, len(b))
	}
	p := Proof{Len: binary.LittleEndian.Uint32(b)}
	for s := range slices.Chunk(b[front:], 32) {
		p.Siblings = append(p.Siblings, [32]byte(s))
	}
	return p, nil
}
