package accounts

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
)

// Where it is worth another goroutine: at the top of the tree, where keys part
// evenly, when there is much to do.
const (
	forkDepth  = 2
	forkLeaves = 256
)

// Update returns the tree with the changes made, in any order; it is quicker when
// they ascend by key. Keys must be unique, and deleting what is absent changes
// nothing. Each node that changes is hashed once. Its errors are the Reader's,
// ErrStale, and a key that comes twice.
func (t Tree) Update(changes []Leaf) (Tree, error) {
	if !ascending(changes) {
		changes = slices.SortedFunc(slices.Values(changes), compareKeys)
	}
	for i := 1; i < len(changes); i++ {
		if changes[i].Key == changes[i-1].Key {
			return Tree{}, fmt.Errorf("account key %x comes twice", changes[i].Key)
		}
	}
	updated := Tree{reader: t.reader, generation: t.generation + 1}
	if err := updated.update(&updated.root, &t.root, 0, changes); err != nil {
		return Tree{}, err
	}
	return updated, nil
}

func compareKeys(a, b Leaf) int { return bytes.Compare(a.Key[:], b.Key[:]) }

// ascending tells whether leaves are sorted by key, no key twice.
func ascending(leaves []Leaf) bool {
	for i := 1; i < len(leaves); i++ {
		if compareKeys(leaves[i-1], leaves[i]) >= 0 {
			return false
		}
	}
	return true
}

// update puts into out the subtree s at a depth with the changes made, which all
// belong below it and ascend by key.
func (t *Tree) update(out, s *subtree, depth int, changes []Leaf) error {
	switch {
	case len(changes) == 0:
		*out = *s
		return nil
	case len(changes) == 1 && (s.count == 0 || s.leaf != nil && s.leaf.Key == changes[0].Key):
		*out = newLeaf(&changes[0], t.generation)
		return nil
	case s.isStub():
		expanded, err := t.expand(s, changes[0].Key, depth)
		if err != nil {
			return err
		}
		s = &expanded
	}
	old, halves := s.split(depth), new([2]subtree)
	if err := t.updateHalves(halves, old, depth, changes); err != nil {
		return err
	}
	if halves[0].sum == old[0].sum && halves[1].sum == old[1].sum {
		*out = *s
		return nil
	}
	if err := t.openAlone(halves, depth, changes[0].Key); err != nil {
		return err
	}
	*out = join(halves, t.generation)
	return nil
}

// openAlone opens a stub of one leaf whose sibling at a depth on the path of key
// is gone. The leaf is about to move up, and a stub could not: storage, while it
// is behind, still has other leaves there.
func (t *Tree) openAlone(halves *[2]subtree, depth int, key Key) error {
	for side := range halves {
		alone := &halves[side]
		if halves[1-side].count > 0 || alone.count != 1 || !alone.isStub() {
			continue
		}
		if key.bit(depth) != side {
			key[depth/8] ^= 0x80 >> (depth % 8)
		}
		opened, err := t.expand(alone, key, depth+1)
		if err != nil {
			return err
		}
		*alone = opened
	}
	return nil
}

// split returns the halves of a subtree at a depth that is no stub: of one leaf,
// the half on its side is the leaf again.
func (s *subtree) split(depth int) *[2]subtree {
	if s.halves != nil {
		return s.halves
	}
	halves := new([2]subtree)
	if s.leaf != nil {
		halves[s.leaf.Key.bit(depth)] = *s
	}
	return halves
}

// updateHalves makes the changes below the two halves of a subtree at a depth.
func (t *Tree) updateHalves(out, old *[2]subtree, depth int, changes []Leaf) error {
	n := firstRight(changes, depth)
	if depth < forkDepth && len(changes) >= forkLeaves {
		return together(
			func() error { return t.update(&out[0], &old[0], depth+1, changes[:n]) },
			func() error { return t.update(&out[1], &old[1], depth+1, changes[n:]) })
	}
	if err := t.update(&out[0], &old[0], depth+1, changes[:n]); err != nil {
		return err
	}
	return t.update(&out[1], &old[1], depth+1, changes[n:])
}

// together runs two functions at the same time.
func together(left, right func() error) error {
	var wg sync.WaitGroup
	var rightErr error
	wg.Go(func() { rightErr = right() })
	err := left()
	wg.Wait()
	if err == nil {
		err = rightErr
	}
	return err
}

// firstRight returns how many leaves below a subtree at a depth belong into its
// left half; they ascend by key, so the others follow.
func firstRight(leaves []Leaf, depth int) int {
	low, high := 0, len(leaves)
	for low < high {
		if mid := (low + high) / 2; leaves[mid].Key.bit(depth) == 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
