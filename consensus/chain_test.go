package consensus

import (
	"encoding/binary"
	"encoding/json"
	"testing"

	"cairn/types"
)

// Whole chains, made from the text of the protocol by a program that shares
// nothing with this one: all of it must be valid here, and lead to the same
// balances, work and difficulty.
func TestChainVectors(t *testing.T) {
	var chains []struct {
		File   json.RawMessage `json:"file"`
		Blocks []struct {
			Block       hexBytes   `json:"block"`
			Hash        types.Hash `json:"hash"`
			NextBase    hexBytes   `json:"next_base"`
			Work        string     `json:"work"`
			AccountRoot hexBytes   `json:"account_root"`
			HistoryRoot hexBytes   `json:"history_root"`
		} `json:"blocks"`
	}
	readJSON(t, "testdata/chain.json", &chains)
	if len(chains) != 2 {
		t.Fatal("vectors are missing")
	}
	for _, c := range chains {
		rules, err := ParseGenesis(c.File)
		if err != nil {
			t.Fatal(err)
		}
		n := newNode(t, rules)
		for i, want := range c.Blocks {
			if got := n.blocks[n.tip].history.Root(); got != [32]byte(want.HistoryRoot) {
				t.Fatalf("%s: the history before block %d is %x, want %v", rules.Name, i+1, got, want.HistoryRoot)
			}
			if err := n.add(want.Block, 1<<32); err != nil {
				t.Fatalf("%s: block %d: %v", rules.Name, i+1, err)
			}
			state := n.blocks[n.tip].state
			if state.Hash != want.Hash || state.Height != uint32(i+1) || state.Work.String() != want.Work ||
				state.Base != binary.BigEndian.Uint32(want.NextBase) {
				t.Fatalf("%s: after block %d the state is %+v, want %+v", rules.Name, i+1, state, want)
			}
			if got := n.tree.Root(); got != [32]byte(want.AccountRoot) {
				t.Fatalf("%s: after block %d the accounts are %x, want %v", rules.Name, i+1, got, want.AccountRoot)
			}
		}
	}
}
