package types

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func decodeBlock(b []byte) error { _, err := DecodeBlock(b); return err }

func TestBlockVectors(t *testing.T) {
	v := readVectors(t)
	var borrowed Block
	for i, c := range v.Blocks {
		b := v.block(i)
		if got := b.Encode(); !bytes.Equal(got, c.Encoding) {
			t.Errorf("block %d encodes to\n%x, want\n%x", i, got, []byte(c.Encoding))
		}
		if b.Size() != len(c.Encoding) {
			t.Errorf("block %d has size %d, want %d", i, b.Size(), len(c.Encoding))
		}
		if got := b.IDs(); !slices.Equal(got, c.IDs) {
			t.Errorf("block %d has the ids %v, want %v", i, got, c.IDs)
		}
		if b.Header.Hash() != c.Hash {
			t.Errorf("block %d has the hash %v, want %v", i, b.Header.Hash(), c.Hash)
		}
		if got, err := DecodeBlock(c.Encoding); err != nil || !cmp.Equal(got, b) {
			t.Errorf("block %d decodes to %+v, %v", i, got, err)
		}
		if err := borrowed.Borrow(c.Encoding); err != nil || !bytes.Equal(borrowed.Encode(), c.Encoding) {
			t.Errorf("block %d is borrowed as %+v, %v", i, borrowed, err)
		}
		checkTruncated(t, c.Encoding, decodeBlock)
		if i > 1 {
			continue // each bit of the others would take long
		}
		checkChangedBits(t, c.Encoding, func(b []byte) ([]byte, error) {
			block, err := DecodeBlock(b)
			if err != nil {
				return nil, err
			}
			return block.Encode(), nil
		}, func(offset int) bool { return offset >= HeaderSize && offset < HeaderSize+6 })
	}
}

// What a decoded block holds is its own: the buffer may be used again.
func TestDecodedBlockKeepsNothingOfItsInput(t *testing.T) {
	v := readVectors(t)
	input := bytes.Clone(v.Blocks[2].Encoding)
	b, err := DecodeBlock(input)
	if err != nil {
		t.Fatal(err)
	}
	clear(input)
	if !bytes.Equal(b.Encode(), v.Blocks[2].Encoding) {
		t.Error("the block changed with its input")
	}
}

// Going through many blocks makes no garbage for each.
func TestBorrowAllocatesNothing(t *testing.T) {
	v := readVectors(t)
	var b Block
	borrow := func() {
		if err := b.Borrow(v.Blocks[2].Encoding); err != nil {
			t.Fatal(err)
		}
	}
	borrow()
	if n := testing.AllocsPerRun(10, borrow); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A count of two lengths: the longer form starts at 253 transactions.
func TestBlockSizeAtCountBoundary(t *testing.T) {
	for _, n := range []int{251, 252, 253, 65533, 65534, 65535} {
		b := &Block{Transfers: make([]Transfer, n)}
		encoded := b.Encode()
		if b.Size() != len(encoded) || cap(encoded) != len(encoded) {
			t.Errorf("%d transfers: size %d, encoded to %d bytes of %d", n, b.Size(), len(encoded), cap(encoded))
		}
		decoded, err := DecodeBlock(encoded)
		if err != nil || len(decoded.Transfers) != n {
			t.Errorf("%d transfers: %v", n, err)
		}
	}
}

func TestBlockRewardPosition(t *testing.T) {
	v := readVectors(t)
	header := v.Headers[0].Encoding
	r, tr := v.Rewards[0].Encoding, v.Transfers[0].Encoding
	for _, c := range []struct {
		name  string
		parts [][]byte
	}{
		{"nothing", [][]byte{{0}}},
		{"a reward that is not counted", [][]byte{{0}, r}},
		{"a transfer alone", [][]byte{{1}, tr}},
		{"a transfer first", [][]byte{{2}, tr, r}},
		{"a reward more", [][]byte{{2}, r, r}},
		{"a reward at the end", [][]byte{{3}, r, tr, r}},
		{"a reward in between", [][]byte{{4}, r, tr, r, tr}},
	} {
		err := decodeBlock(slices.Concat(append([][]byte{header}, c.parts...)...))
		if !errors.Is(err, ErrMalformed) || !errors.Is(err, ErrRewardPosition) {
			t.Errorf("%s: error %v, want ErrMalformed and ErrRewardPosition", c.name, err)
		}
	}
}

func TestBlockRefuses(t *testing.T) {
	v := readVectors(t)
	header := v.Headers[0].Encoding
	r, tr := v.Rewards[0].Encoding, v.Transfers[0].Encoding
	unknown := slices.Concat([]byte{3, 0, 0, 0}, tr[4:])
	for _, c := range []struct {
		name  string
		parts [][]byte
	}{
		{"count of 3 bytes for 2", [][]byte{{0xfd, 2, 0}, r, tr}},
		{"count of 5 bytes for 2", [][]byte{{0xfe, 2, 0, 0, 0}, r, tr}},
		{"count of 9 bytes for 2", [][]byte{{0xff, 2, 0, 0, 0, 0, 0, 0, 0}, r, tr}},
		{"one counted too many", [][]byte{{3}, r, tr}},
		{"one counted too few", [][]byte{{1}, r, tr}},
		{"a damaged reward", [][]byte{{2}, r[:4], {9}, r[5:], tr}},
		{"an unknown version", [][]byte{{2}, r, unknown}},
		{"an unknown version first", [][]byte{{2}, unknown, r}},
	} {
		if err := decodeBlock(slices.Concat(append([][]byte{header}, c.parts...)...)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", c.name, err)
		}
	}
}

// Memory follows what is there, not what a count promises.
func TestBlockAllocationsAreBounded(t *testing.T) {
	v := readVectors(t)
	header, r := v.Headers[0].Encoding, v.Rewards[0].Encoding
	honest := (&Block{Reward: v.reward(0), Transfers: make([]Transfer, 10_000)}).Encode()
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"honest", honest},
		{"2^64 - 1 counted", slices.Concat(header, AppendCount(nil, 1<<64-1), r)},
		{"2^40 counted", slices.Concat(header, AppendCount(nil, 1<<40), r)},
		{"2^31 counted", slices.Concat(header, AppendCount(nil, 1<<31), r, make([]byte, 1000))},
		{"as many counted as there are bytes", slices.Concat(header, AppendCount(nil, 100_000), r, make([]byte, 100_000))},
		{"as many counted as Merkle nodes would fit", slices.Concat(header, AppendCount(nil, 1+100_000/64), r, make([]byte, 100_000))},
		{"most that could fit", slices.Concat(header, AppendCount(nil, 1+100_000/MinTransferSize), r, make([]byte, 100_000))},
	} {
		var err error
		n := allocated(func() { _, err = DecodeBlock(c.b) })
		if limit := uint64(2*len(c.b) + 10_000); n > limit {
			t.Errorf("%s: %d bytes allocated for %d, want at most %d", c.name, n, len(c.b), limit)
		}
		if (err == nil) != (c.name == "honest") {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

func FuzzDecodeBlock(f *testing.F) {
	for _, c := range readVectors(f).Blocks {
		f.Add([]byte(c.Encoding))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBlock(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || b != nil {
				t.Errorf("%v, error %v, want nil, ErrMalformed", b, err)
			}
			return
		}
		if again := b.Encode(); !bytes.Equal(again, data) {
			t.Errorf("%x encodes to %x", data, again)
		}
		if b.Size() != len(data) {
			t.Errorf("Size is %d, want %d", b.Size(), len(data))
		}
		ids := b.IDs()
		if len(ids) != 1+len(b.Transfers) || ids[0] != b.Reward.ID() {
			t.Error("IDs are not those of the transactions")
		}
	})
}

func TestDecodeTransferIn(t *testing.T) {
	block := &Block{Reward: Reward{Height: 1, Recipient: "miner"}}
	for i := range 300 {
		block.Transfers = append(block.Transfers, Transfer{Sender: "a", Recipient: "bob", Amount: uint64(i), Memo: strings.Repeat("m", i%256)})
	}
	encoding := block.Encode()
	for i, want := range block.Transfers {
		if got, err := DecodeTransferIn(encoding, uint32(i)); err != nil || got != want {
			t.Fatalf("transfer %d: %+v, %v", i, got, err)
		}
	}
	for _, c := range []struct {
		block []byte
		i     uint32
	}{{encoding, 300}, {encoding, math.MaxUint32}, {encoding[:len(encoding)-1], 299}, {nil, 0}, {encoding[:100], 0}} {
		if _, err := DecodeTransferIn(c.block, c.i); !errors.Is(err, ErrMalformed) {
			t.Errorf("transfer %d of %d bytes: %v", c.i, len(c.block), err)
		}
	}
}

func TestDecodeRewardIn(t *testing.T) {
	block := &Block{Header: Header{Nonce: 7}, Reward: Reward{Height: 3, Extra: []byte{9}, Amount: 5, Recipient: "miner"}}
	for n := range 4 {
		header, reward, transfers, err := DecodeRewardIn(block.Encode())
		if err != nil || header != block.Header || transfers != n || !cmp.Equal(reward, block.Reward) {
			t.Errorf("with %d: %+v, %+v, %d, %v", n, header, reward, transfers, err)
		}
		block.Transfers = append(block.Transfers, Transfer{Sender: "a", Recipient: "b", Salt: uint64(n)})
	}
	encoding := block.Encode()
	for _, b := range [][]byte{nil, encoding[:HeaderSize], encoding[:HeaderSize+60], encoding[:len(encoding)-300]} {
		if _, _, _, err := DecodeRewardIn(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}
