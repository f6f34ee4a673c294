package syncer

import (
	"testing"

	"cairn/types"
)

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
	full.grow(count, func(int) []types.Transfer { return nil })
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
