package store

import (
	"math"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/accounts"
	"cairn/consensus"
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

func TestMentions(t *testing.T) {
	s := memoryStore(t)
	ann, bob := accounts.KeyOf("ann"), accounts.KeyOf("bob")
	commit(t, s, func(b *Batch) {
		for _, height := range []uint32{0, 1, 7, math.MaxUint32} {
			b.PutMention(ann, height, []uint32{height / 2})
		}
		b.PutMention(bob, 2, []uint32{5, consensus.RewardPosition})
		b.PutMention(bob, 3, []uint32{5})
		b.DeleteMention(bob, 3)
	})
	for _, c := range []struct {
		key  accounts.Key
		from uint32
		want []uint32
	}{
		{ann, math.MaxUint32, []uint32{math.MaxUint32, 7, 1, 0}},
		{ann, math.MaxUint32 - 1, []uint32{7, 1, 0}},
		{ann, 7, []uint32{7, 1, 0}},
		{ann, 6, []uint32{1, 0}},
		{ann, 0, []uint32{0}},
		{bob, 9, []uint32{2}},
		{bob, 1, nil},
		{accounts.KeyOf("cid"), 9, nil},
	} {
		var got []uint32
		for m, err := range s.Mentions(c.key, c.from) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m.Height)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("from %d (-want +got):\n%s", c.from, diff)
		}
	}
}
