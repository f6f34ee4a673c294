package chain_test

import (
	"sync"
	"testing"

	"cairn/chain/chaintest"
	"cairn/store"
	"cairn/types"
)

// The same blocks come from several at once, as from gossip and a sync. Whoever looked
// before another one's were stored must not store them once more, as a side branch.
func TestStatusOfSameBlocks(t *testing.T) {
	f := newFixture(t, nil)
	for round := range 100 {
		name, parent := string(rune('A'+round)), chaintest.Genesis
		if round > 0 {
			parent = string(rune('A'+round-1)) + "2"
		}
		blocks := f.Chain(name, parent, 2, chaintest.Spec{})
		var callers sync.WaitGroup
		for i := range 6 {
			callers.Go(func() {
				if err := f.AddBlocks(t.Context(), append([]*types.Block(nil), blocks[:1+i%2]...)); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		for _, b := range blocks {
			if _, status, err := f.store.State(b.Header.Hash()); err != nil || status != store.HaveBody|store.Applied {
				t.Fatalf("round %d: status %#x, %v", round, status, err)
			}
		}
	}
}
