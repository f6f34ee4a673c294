package accounts

import "errors"

// Load fills in the balance of each leaf of want, 0 where there is no account. It
// returns the same tree with the way to each of them in memory, so that an Update
// of these accounts reads nothing. The leaves ascend by key, no key twice; the
// errors are that they do not, the Reader's, and ErrStale.
func (t Tree) Load(want []Leaf) (Tree, error) {
	if !ascending(want) {
		return Tree{}, errors.New("the accounts to load do not ascend by key")
	}
	root, err := t.loadAlone(&t.root, 0, want)
	if err != nil {
		return Tree{}, err
	}
	t.root = *root
	return t, nil
}

// loadAlone is load in a goroutine of its own.
func (t *Tree) loadAlone(s *subtree, depth int, want []Leaf) (*subtree, error) {
	reading, end := t.session()
	s, err := reading.load(s, depth, want)
	return s, errors.Join(err, end())
}

// load fills in the balances of want, all below the subtree s at a depth. It
// returns s, or where that opens a stub, the subtree with it open.
func (t *Tree) load(s *subtree, depth int, want []Leaf) (*subtree, error) {
	if len(want) == 0 {
		return s, nil
	}
	if s.isStub() {
		expanded, err := t.expand(s, want[0].Key, depth)
		if err != nil {
			return nil, err
		}
		return t.load(&expanded, depth, want)
	}
	if s.halves == nil {
		for i := range want {
			want[i].Balance = 0
			if s.leaf != nil && s.leaf.Key == want[i].Key {
				want[i].Balance = s.leaf.Balance
			}
		}
		return s, nil
	}
	left, right, err := t.loadHalves(s.halves, depth, want)
	if err != nil || left == &s.halves[0] && right == &s.halves[1] {
		return s, err
	}
	opened := *s
	opened.halves = &[2]subtree{*left, *right}
	opened.loaded = left.loaded + right.loaded
	return &opened, nil
}

func (t *Tree) loadHalves(halves *[2]subtree, depth int, want []Leaf) (left, right *subtree, err error) {
	n := firstRight(want, depth)
	if depth < forkDepth && len(want) >= forkLeaves {
		return t.loadBoth(halves, depth, want[:n], want[n:])
	}
	if left, err = t.load(&halves[0], depth+1, want[:n]); err != nil {
		return nil, nil, err
	}
	right, err = t.load(&halves[1], depth+1, want[n:])
	return left, right, err
}

// loadBoth loads from the two halves at the same time.
func (t *Tree) loadBoth(halves *[2]subtree, depth int, fromLeft, fromRight []Leaf) (left, right *subtree, err error) {
	err = together(
		func() (err error) { left, err = t.loadAlone(&halves[0], depth+1, fromLeft); return err },
		func() (err error) { right, err = t.loadAlone(&halves[1], depth+1, fromRight); return err })
	return left, right, err
}
