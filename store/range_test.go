package store

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/types"
)

func TestBestBlocks(t *testing.T) {
	s := memoryStore(t)
	want := []*types.Block{s.Rules().Genesis()}
	commit(t, s, func(b *Batch) {
		for height := uint32(1); height < 5; height++ {
			block := &types.Block{Reward: types.Reward{Height: height, Extra: []byte{}, Recipient: types.Account("miner " + strconv.Itoa(int(height)))}}
			for i := range 5 - height { // fewer each time: none of those before may show
				tr := sampleTransfer
				tr.Salt = uint64(height*10 + i)
				block.Transfers = append(block.Transfers, tr)
			}
			hash := types.Hash{byte(height)}
			b.PutBlock(height, hash, block.Encode())
			b.PutBest(height, hash)
			want = append(want, block)
		}
	})
	next := 0
	for got, err := range s.BestBlocks(0, 4) {
		if err != nil || !cmp.Equal(got.Encode(), want[next].Encode()) {
			t.Errorf("block %d: %+v, %v", next, got, err)
		}
		next++
	}
	if next != len(want) {
		t.Errorf("%d blocks, want %d", next, len(want))
	}
}
