package chain_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/types"
)

// solve finds a nonce.
func solve(block *types.Block) bool {
	target, err := consensus.CompactToTarget(block.Header.Bits)
	if err != nil {
		return false
	}
	for !target.Meets(block.Header.Hash()) {
		block.Header.Nonce++
	}
	return true
}

// Blocks that are made together share one commit, and by the time that they are
// returned they are on disk. What one holds, the next does not.
func TestExtend(t *testing.T) {
	f := newFixture(t, nil)
	f.submit(pay("x", "y", 1, 1), pay("x", "y", 1, 2))
	commits := chain.OnCommit(t, func() *vfs.MemFS { return f.fs.CrashClone(vfs.CrashCloneCfg{}) })
	extras, searched := [][]byte{{1}, {2}, {3}, {4}, {5}}, 0
	mined, err := f.Extend(chaintest.Miner, extras, func(block *types.Block) bool {
		if searched++; searched == 2 {
			f.submit(pay("y", "z", 2, 3)) // of what the block before brings
		}
		return searched < 5 && solve(block)
	})
	if err != nil || len(mined) != 4 || len(*commits) != 1 {
		t.Fatalf("%d blocks in %d commits, %v; want 4 in 1", len(mined), len(*commits), err)
	}
	for i, want := range []int{2, 0, 1, 0} {
		b := mined[i]
		if len(b.Block.Transfers) != want || b.State.Hash != b.Block.Header.Hash() || int(b.State.Height) != i+1 {
			t.Errorf("block %d has %d transfers, want %d, and the state %v", i+1, len(b.Block.Transfers), want, b.State)
		}
	}
	if f.Tip() != mined[3].State {
		t.Errorf("the tip is %v", f.Tip())
	}
	f.wantPending()
	f.stop()
	f.reopen((*commits)[0])
	if f.Tip() != mined[3].State {
		t.Errorf("after a crash the tip is %v", f.Tip())
	}
	f.wantPending()
}

// A search that finds nothing leaves no trace.
func TestExtendWithoutABlock(t *testing.T) {
	f := newFixture(t, nil)
	f.submit(pay("x", "y", 1, 1))
	mined, err := f.Extend(chaintest.Miner, [][]byte{nil}, func(*types.Block) bool { return false })
	if err != nil || len(mined) != 0 {
		t.Errorf("%v, %v", mined, err)
	}
	f.wantTip(chaintest.Genesis)
	f.wantPending(pay("x", "y", 1, 1))
	if _, err := f.Extend(types.System, [][]byte{nil}, solve); err == nil {
		t.Error("the system was paid")
	}
	f.mine()
}
