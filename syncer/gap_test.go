package syncer

import (
	"testing"

	"cairn/accounts"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// emptyBlocks makes count empty blocks on genesis, and hands them over a few at
// a time: a chaintest.Builder would hold all of them.
func emptyBlocks(t testing.TB, rules *consensus.Rules, count int, take func([]*types.Block)) {
	t.Helper()
	state := rules.GenesisState()
	tree, err := accounts.New(nil), error(nil)
	past, _ := history.Range{}.Append(state.HistoryLeaf().Sum())
	var blocks []*types.Block
	for height := uint32(1); height <= uint32(count); height++ {
		balance := rules.Subsidy(height) * uint64(height)
		tree, err = tree.Update([]accounts.Leaf{{Key: accounts.KeyOf(chaintest.Miner), Balance: int64(balance)}})
		if err != nil {
			t.Fatal(err)
		}
		b := &types.Block{
			Header: types.Header{Version: 0x20000000, Previous: state.Hash, Time: state.Time + rules.BlockInterval},
			Reward: types.Reward{
				Height: height, Amount: rules.Subsidy(height), Recipient: chaintest.Miner,
				Commitment: consensus.Commitment(tree.Root(), past.Root()),
			},
		}
		b.Header.Bits = rules.AllowedBits(state, b.Header.Time)
		b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
		next, err := rules.ValidateHeader(state, b.Header, uint64(b.Header.Time))
		for ; err != nil; next, err = rules.ValidateHeader(state, b.Header, uint64(b.Header.Time)) {
			b.Header.Nonce++
		}
		state = next
		past, _ = past.Append(state.HistoryLeaf().Sum())
		if blocks = append(blocks, b); len(blocks) == 5000 || height == uint32(count) {
			take(blocks)
			blocks = nil
		}
	}
}

// A node that slept through 100,000 blocks and a few more catches up, in two
// rounds, from two neighbours. (Rounds are smaller under the race detector.)
func TestLongGap(t *testing.T) {
	round := maxHeaders
	if raceDetector {
		round = 5000
	}
	count := round + 1000
	n := newNetwork(t, nil)
	full, node := n.node(), n.node()
	node.limits.round = round
	emptyBlocks(t, n.rules, count, func(blocks []*types.Block) {
		if err := full.chain.AddBlocks(t.Context(), blocks); err != nil {
			t.Fatal(err)
		}
	})
	one, two := &counter{Handler: full.Handler()}, &counter{Handler: full.Handler()}
	node.register(n.host("one", one), n.host("two", two))
	node.wantSync(true, Adopted, Adopted)
	if tip := node.chain.Tip(); tip != full.chain.Tip() || tip.Height != uint32(count) {
		t.Errorf("the tip is %v at height %d", tip.Hash, tip.Height)
	}
	if headers := one.asked(headersPath) + two.asked(headersPath); headers != 2 {
		t.Errorf("headers were asked for %d times", headers)
	}
	if one.asked(blocksPath) == 0 || two.asked(blocksPath) == 0 {
		t.Error("one neighbour brought everything")
	}
	if peak := node.peak.Load(); peak > node.limits.held {
		t.Errorf("%d bytes were held", peak)
	}
}
