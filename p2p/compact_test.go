package p2p

import (
	"bytes"
	"errors"
	"iter"
	"math"
	"slices"
	"testing"

	"cairn/mempool"
	"cairn/types"
)

// testBlock is a block of n transfers, with the Merkle root of them.
func testBlock(n int) *types.Block {
	b := &types.Block{
		Header: types.Header{Version: 1, Time: 7},
		Reward: types.Reward{Height: 3, Extra: []byte{1}, Amount: 50, Recipient: "miner"},
	}
	for i := range n {
		b.Transfers = append(b.Transfers, types.Transfer{Sender: "ann", Recipient: "bob", Amount: 5, Salt: uint64(i)})
	}
	b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
	return b
}

func poolOf(transfers []types.Transfer) (pool []*mempool.Entry) {
	for i := range transfers {
		pool = append(pool, &mempool.Entry{ID: transfers[i].ID(), Transfer: &transfers[i]})
	}
	return pool
}

// otherEntries are n transfers of no block.
func otherEntries(n int) []*mempool.Entry {
	transfers := make([]types.Transfer, n)
	for i := range transfers {
		transfers[i] = types.Transfer{Sender: "other", Salt: uint64(i)}
	}
	return poolOf(transfers)
}

// The values were computed by a program that shares nothing with this package; of
// the same program, the id of bytes 00 to 0e is a129ca6149be45e5, as SipHash's
// authors have it.
func TestCompactShortID(t *testing.T) {
	var id types.Hash
	for i := range id {
		id[i] = byte(i)
	}
	key := shortKey(id[:16])
	if got := shortID(key, id); got != 0x7127512f72f27cce {
		t.Errorf("the short id is %x", got)
	}
	var b [types.HeaderSize]byte
	for i := range b {
		b[i] = byte(i)
	}
	h, err := types.DecodeHeader(b[:])
	if err != nil {
		t.Fatal(err)
	}
	key = blockKey(h)
	if want := unhex("c56705fea5b110b8dc63688533ced211"); !bytes.Equal(key[:], want) {
		t.Errorf("the key of a block is %x, want %x", key, want)
	}
	if got := shortID(key, id); got != 0x1fc852d5bc7e5c41 {
		t.Errorf("the short id under a block's key is %x", got)
	}
}

// fetchMissing asks for what is missing as the network does, over the wire, and returns
// how much that was.
func fetchMissing(t *testing.T, p *partial, b *types.Block) int {
	t.Helper()
	positions := p.missing()
	if len(positions) == 0 {
		return 0
	}
	w, err := decodeWants(wants{b.Header.Hash(), positions}.append(nil), 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	transfers, ok := pick(b, w.positions)
	if !ok {
		t.Fatalf("the block has no positions %v", w.positions)
	}
	a, err := decodeTransfersAnswer(transfersAnswer{true, transfers}.append(nil), 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.put(positions, a.transfers); err != nil {
		t.Fatal(err)
	}
	return len(positions)
}

func TestCompactRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 2, 300} {
		b := testBlock(size)
		all := poolOf(b.Transfers)
		for name, c := range map[string]struct {
			pool    []*mempool.Entry
			missing int
		}{
			"all":           {all, 0},
			"all, and more": {slices.Concat(otherEntries(10), all, otherEntries(10)), 0},
			"none":          {nil, size},
			"others":        {otherEntries(10), size},
			"the first":     {all[:min(1, size)], max(size-1, 0)},
			"half":          {slices.Concat(otherEntries(10), all[size/2:]), size / 2},
		} {
			a, err := decodeAnnouncement(announce(b).append(nil), 1_000_000)
			if err != nil {
				t.Fatal(err)
			}
			p := a.fill(slices.Values(c.pool))
			if missing := fetchMissing(t, p, b); missing != c.missing {
				t.Errorf("%d transfers, in the pool %s: %d were missing, want %d", size, name, missing, c.missing)
			}
			got, err := p.block()
			if err != nil || len(p.missing()) > 0 || !bytes.Equal(got.Encode(), b.Encode()) {
				t.Errorf("%d transfers, in the pool %s: %v", size, name, err)
			}
		}
	}
}

// counted counts what is taken of a pool.
func counted(pool []*mempool.Entry, n *int) iter.Seq[*mempool.Entry] {
	return func(yield func(*mempool.Entry) bool) {
		for _, e := range pool {
			if *n++; !yield(e) {
				return
			}
		}
	}
}

func TestCompactFillStopsEarly(t *testing.T) {
	b := testBlock(10)
	all := poolOf(b.Transfers)
	a := announce(b)
	n := 0
	a.fill(counted(slices.Concat(all, otherEntries(100)), &n))
	if n != 10 {
		t.Errorf("%d of the pool were looked at for 10 that come first", n)
	}
	n = 0
	none := testBlock(0)
	announce(none).fill(counted(otherEntries(100), &n))
	if n != 0 {
		t.Errorf("%d of the pool were looked at for a block of no transfers", n)
	}
	// Positions that nothing is taken for do not keep it going.
	n = 0
	a.short[3] = a.short[4]
	a.fill(counted(slices.Concat(all[:3], all[5:], otherEntries(100)), &n))
	if n != 8 {
		t.Errorf("%d of the pool were looked at for 8 that come first", n)
	}
}

// Where two have the same short id, neither is taken, and the answer to wants
// settles it.
func TestCompactCollisions(t *testing.T) {
	b := testBlock(6)
	all := poolOf(b.Transfers)
	// A transfer that is not the block's and, to fill, has the short id of one.
	double := func(i int) *mempool.Entry {
		return &mempool.Entry{ID: all[i].ID, Transfer: &types.Transfer{Sender: "double"}}
	}
	for _, c := range []struct {
		name string
		pool []*mempool.Entry
		want []uint32
	}{
		{"two in the pool", slices.Concat(all[:3], []*mempool.Entry{double(1)}, all[3:]), []uint32{1}},
		{"three in the pool", slices.Concat(all[:3], []*mempool.Entry{double(1), double(1)}, all[3:]), []uint32{1}},
		{"two pairs", slices.Concat(all[:4], []*mempool.Entry{double(1), double(3)}, all[4:]), []uint32{1, 3}},
	} {
		p := announce(b).fill(slices.Values(c.pool))
		if got := p.missing(); !slices.Equal(got, c.want) {
			t.Errorf("%s: missing are %v, want %v", c.name, got, c.want)
		}
		fetchMissing(t, p, b)
		if got, err := p.block(); err != nil || !bytes.Equal(got.Encode(), b.Encode()) {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	// One short id twice, and three times, in the announcement.
	a := announce(b)
	a.short[2], a.short[5] = a.short[4], a.short[4]
	p := a.fill(slices.Values(all))
	if got := p.missing(); !slices.Equal(got, []uint32{2, 4, 5}) {
		t.Errorf("missing are %v", got)
	}
	if err := p.put([]uint32{2, 4, 5}, []types.Transfer{b.Transfers[4], b.Transfers[4], b.Transfers[4]}); err != nil {
		t.Error(err)
	}
	if _, err := p.block(); !errors.Is(err, errCollision) {
		t.Errorf("three times the same transfer: %v", err)
	}
}

// A transfer with the announced short id that is not the block's shows in the root.
func TestCompactWrongRoot(t *testing.T) {
	b := testBlock(5)
	a := announce(b)
	other := types.Transfer{Sender: "other"}
	a.short[2] = shortID(blockKey(a.header), other.ID())
	p := a.fill(slices.Values(append(poolOf(b.Transfers), poolOf([]types.Transfer{other})...)))
	if missing := p.missing(); len(missing) > 0 {
		t.Fatalf("missing are %v", missing)
	}
	if _, err := p.block(); !errors.Is(err, errCollision) {
		t.Errorf("another transfer: %v", err)
	}

	// Two of two more have the root of the block that has them once (CVE-2012-2459).
	twice := *b
	twice.Transfers = append(slices.Clone(b.Transfers), b.Transfers[3:]...)
	if root, mutated := types.MerkleRoot(twice.IDs()); !mutated || root != b.Header.MerkleRoot {
		t.Fatal("the test is wrong")
	}
	p = announce(&twice).fill(slices.Values(poolOf(b.Transfers)))
	fetchMissing(t, p, &twice)
	if _, err := p.block(); !errors.Is(err, errCollision) {
		t.Errorf("a mutated list: %v", err)
	}
}

func TestCompactWrongAnswer(t *testing.T) {
	b := testBlock(5)
	one, two, three := b.Transfers[1], b.Transfers[2], b.Transfers[3]
	signed := two
	signed.Signature[0] = 1
	for name, transfers := range map[string][]types.Transfer{
		"nothing":           nil,
		"too few":           {one},
		"too many":          {one, two, three},
		"exchanged":         {two, one},
		"another":           {one, three},
		"another signature": {one, signed},
	} {
		p := announce(b).fill(slices.Values(poolOf(slices.Concat(b.Transfers[:1], b.Transfers[3:]))))
		if err := p.put(p.missing(), transfers); !errors.Is(err, errWrongTransfer) {
			t.Errorf("%s: %v", name, err)
		}
		// Another peer may have them.
		fetchMissing(t, p, b)
		if _, err := p.block(); err != nil {
			t.Errorf("%s, then the right ones: %v", name, err)
		}
	}
}

func TestCompactPick(t *testing.T) {
	b := testBlock(5)
	got, ok := pick(b, []uint32{0, 4})
	if !ok || !slices.Equal(got, []types.Transfer{b.Transfers[0], b.Transfers[4]}) {
		t.Errorf("%v, %v", got, ok)
	}
	for _, p := range []uint32{5, math.MaxUint32} {
		if _, ok := pick(b, []uint32{0, p}); ok {
			t.Errorf("position %d of 5", p)
		}
	}
}

// A block costs 8 bytes for each transfer, and little else.
func TestCompactSize(t *testing.T) {
	b := testBlock(5_000)
	if got, want := len(announce(b).append(nil)), types.HeaderSize+b.Reward.Size()+3+8*5_000; got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

func BenchmarkFill(b *testing.B) {
	block := testBlock(5_000)
	pool := slices.Concat(otherEntries(45_000), poolOf(block.Transfers)) // the worst: all are looked at
	a := announce(block)
	b.ReportAllocs()
	for b.Loop() {
		if p := a.fill(slices.Values(pool)); len(p.missing()) > 0 {
			b.Fatal("not all are found")
		}
	}
}
