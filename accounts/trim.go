package accounts

import (
	"maps"
	"slices"
)

// Trim returns the same tree with at most max leaves in memory: when there are
// more, subtrees of up to 16 leaves become stubs until seven eighths of max are
// left, so that not every update calls for another walk through the tree. Those
// go first that no update changed for longest. It may be called only when all of
// t is stored, so that the Reader can give back what is forgotten.
func (t Tree) Trim(max int) Tree {
	if t.Loaded() <= max {
		return t
	}
	ages := map[uint32]int{}
	survey(&t.root, ages)
	f := forgetter{excess: t.Loaded() - (max - max/8)}
	for _, f.generation = range slices.Sorted(maps.Keys(ages)) {
		if f.excess <= ages[f.generation] {
			break
		}
		f.excess -= ages[f.generation]
	}
	t.root = f.trim(&t.root)
	return t
}

// survey adds up the leaves in memory by the generation of the small subtree
// that they are in.
func survey(s *subtree, ages map[uint32]int) {
	switch {
	case s.loaded == 0:
	case s.count <= maxStub:
		ages[s.generation] += int(s.loaded)
	default:
		survey(&s.halves[0], ages)
		survey(&s.halves[1], ages)
	}
}

// forgetter turns small subtrees into stubs: all that are older than a
// generation, and of that one, from left to right, until the excess is gone.
type forgetter struct {
	generation uint32
	excess     int
}

func (f *forgetter) trim(s *subtree) subtree {
	switch {
	case s.count <= maxStub && f.forgets(s):
		return s.stub()
	case s.count <= maxStub || s.loaded == 0:
		return *s
	}
	left, right := f.trim(&s.halves[0]), f.trim(&s.halves[1])
	trimmed := *s
	trimmed.loaded = left.loaded + right.loaded
	if trimmed.loaded < s.loaded {
		trimmed.halves = &[2]subtree{left, right}
	}
	return trimmed
}

// forgets decides on a small subtree.
func (f *forgetter) forgets(s *subtree) bool {
	if s.loaded == 0 {
		return true
	}
	if s.generation != f.generation {
		return s.generation < f.generation
	}
	if f.excess <= 0 {
		return false
	}
	f.excess -= int(s.loaded)
	return true
}
