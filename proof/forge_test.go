package proof

import (
	"errors"
	"testing"

	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// forgery is a document that someone made with a block of his own, on a history
// that never was. He needs no more than the work of that one header.
type forgery struct {
	rules  *consensus.Rules
	parent consensus.State             // at height 3
	change func(leaves []history.Leaf) // of the history before height 4
}

// forge puts the document together, in which a block at height 2 is shown as well.
func (f forgery) forge(t *testing.T) *Document {
	t.Helper()
	earlier := child(t, f.rules, f.rules.GenesisState(), []types.Hash{{2}})
	leaf := consensus.State{Hash: earlier.Hash(), Height: 2, Time: earlier.Time, Base: f.rules.Bits}.HistoryLeaf()
	leaves := []history.Leaf{f.rules.GenesisState().HistoryLeaf(), {}, leaf, f.parent.HistoryLeaf()}
	if f.change != nil {
		f.change(leaves)
	}
	nodes := map[nodeAt][32]byte{}
	var ranged history.Range
	for _, l := range leaves {
		var complete []history.Node
		ranged, complete = ranged.Append(l.Sum())
		for _, n := range complete {
			nodes[nodeAt{n.Level, n.Index}] = n.Sum
		}
	}
	read := func(level uint8, index uint32) ([32]byte, error) { return nodes[nodeAt{level, index}], nil }
	start, err := StartAfter(f.parent, read)
	if err != nil {
		t.Fatal(err)
	}
	block, err := BlockBefore(4, earlier, consensus.State{Height: 2}, read)
	if err != nil {
		t.Fatal(err)
	}
	block.Leaf = leaves[2]
	own := &types.Block{Reward: types.Reward{Height: 4, Recipient: person(miner), Commitment: consensus.Commitment([32]byte{}, ranged.Root())}}
	own.Header = child(t, f.rules, f.parent, own.IDs())
	return &Document{
		Rules: f.rules, Start: start, Headers: []types.Header{own.Header}, Block: block,
		Commitments: []Commitment{CommitmentOf(own, [32]byte{}, ranged.Root())},
	}
}

// A start is worth the work of the headers behind it and no more, as the package
// says. What no block of the network can be is refused all the same.
func TestForgedStarts(t *testing.T) {
	rules := signedRules(t, 0x1f7fffff)
	fixed := *rules
	fixed.HalfLife = 0
	steady, err := consensus.NewRules(fixed)
	if err != nil {
		t.Fatal(err)
	}
	parent := consensus.State{Hash: types.Hash{3}, Height: 3, Time: rules.Time + 30, Base: rules.Bits, Work: consensus.Work{0, 0, 0, 1}}
	with := func(change func(*consensus.State)) consensus.State {
		changed := parent
		change(&changed)
		return changed
	}
	for _, x := range []struct {
		name string
		forgery
		want error
	}{
		{"any claim of work", forgery{rules, parent, nil}, nil},
		{"the same with a fixed difficulty", forgery{steady, parent, nil}, nil},
		{"a harder base", forgery{rules, with(func(s *consensus.State) { s.Base = 0x1f7ffffe }), nil}, nil},
		{"a base easier than the easiest", forgery{rules, with(func(s *consensus.State) { s.Base = 0x20008000 }), nil}, ErrHeaders},
		{"a base that differs from a fixed one", forgery{steady, with(func(s *consensus.State) { s.Base = 0x1f7ffffe }), nil}, ErrHeaders},
		{"the time of genesis", forgery{rules, with(func(s *consensus.State) { s.Time = rules.Time }), nil}, nil},
		{"a time before genesis", forgery{rules, with(func(s *consensus.State) { s.Time = rules.Time - 1 }), nil}, ErrHeaders},
		{"another genesis", forgery{rules, parent, func(leaves []history.Leaf) { leaves[0].Hash[0] ^= 1 }}, ErrHeaders},
		{"genesis with work", forgery{rules, parent, func(leaves []history.Leaf) { leaves[0].Work[0] = 1 }}, ErrHeaders},
		{"a parent of another height", forgery{rules, parent, func(leaves []history.Leaf) { leaves[3].Height++ }}, ErrHeaders},
		{"an earlier block of another time", forgery{rules, parent, func(leaves []history.Leaf) { leaves[2].Time++ }}, ErrBlock},
		{"an earlier block of another hash", forgery{rules, parent, func(leaves []history.Leaf) { leaves[2].Hash[0] ^= 1 }}, ErrBlock},
		{"an earlier block of another height", forgery{rules, parent, func(leaves []history.Leaf) { leaves[2].Height-- }}, ErrBlock},
	} {
		r, err := x.forge(t).Verify(x.rules, late)
		if !errors.Is(err, x.want) {
			t.Errorf("%s: error %v, want %v", x.name, err, x.want)
		}
		if err == nil && (r.FromGenesis || r.WorkOnTop != consensus.WorkOf(r.Tip.Bits)) {
			t.Errorf("%s: the forger worked for one header, the result is %+v", x.name, r)
		}
	}
}
