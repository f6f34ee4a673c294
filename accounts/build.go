package accounts

import (
	"bytes"
	"fmt"
	"iter"
	"math/bits"
)

// Build returns the tree over all stored leaves, which come in ascending order of
// key. Their subtrees of up to 16 leaves become stubs as it goes, so that memory
// grows only with what a tree holds. Its errors are those of the sequence, and a
// leaf that is out of order or has no balance: ErrStale.
func Build(r Reader, leaves iter.Seq2[Leaf, error]) (Tree, error) {
	var b builder
	for l, err := range leaves {
		if err == nil {
			err = b.add(l)
		}
		if err != nil {
			return Tree{}, err
		}
	}
	return Tree{reader: r, root: b.finish()}, nil
}

// builder holds the right edge of a tree that grows leaf by leaf: the subtree
// that the last leaf is in so far, and the left halves that wait for it, from the
// top down. A subtree that waits is complete: what comes later is right of it.
type builder struct {
	waiting []half
	last    Key     // key of the last leaf
	current subtree // at depth, with the last leaf in it; empty before the first
	depth   int
}

// half is the left child of the node at a depth.
type half struct {
	subtree subtree
	depth   int
}

func (b *builder) add(l Leaf) error {
	if l.Balance == 0 {
		return fmt.Errorf("%w: key %x has no balance", ErrStale, l.Key)
	}
	if b.current.count > 0 {
		if bytes.Compare(b.last[:], l.Key[:]) >= 0 {
			return fmt.Errorf("%w: key %x comes after %x", ErrStale, l.Key, b.last)
		}
		parting := commonBits(&b.last, &l.Key)
		b.close(parting + 1)
		b.waiting = append(b.waiting, half{b.current, parting})
	}
	b.last, b.current, b.depth = l.Key, subtree{sum: leafSum(&l), count: 1}, keyBits
	return nil
}

func (b *builder) finish() subtree {
	if b.current.count > 0 {
		b.close(0)
	}
	return b.current
}

// close grows the current subtree upwards to a depth, with the halves that wait
// on the way.
func (b *builder) close(depth int) {
	for len(b.waiting) > 0 && b.waiting[len(b.waiting)-1].depth >= depth {
		half := b.waiting[len(b.waiting)-1]
		b.waiting = b.waiting[:len(b.waiting)-1]
		b.lift(half.depth + 1)
		b.join([2]subtree{half.subtree, b.current})
		b.depth = half.depth
	}
	b.lift(depth)
}

// lift grows the current subtree upwards to a depth where it is alone.
func (b *builder) lift(depth int) {
	for b.current.count > 1 && b.depth > depth {
		b.depth--
		var halves [2]subtree
		halves[b.last.bit(b.depth)] = b.current
		b.join(halves)
	}
	b.depth = depth
}

func (b *builder) join(halves [2]subtree) {
	b.current = join(&halves, 0)
	if b.current.count <= maxStub {
		b.current = b.current.stub()
	}
}

// commonBits returns the number of leading bits in which two keys agree.
func commonBits(a, b *Key) int {
	for i := range a {
		if differ := a[i] ^ b[i]; differ != 0 {
			return 8*i + bits.LeadingZeros8(differ)
		}
	}
	return 8 * len(a)
}
