package mempool

import (
	"cmp"
	"hash/maphash"
	"math"
	"math/bits"

	"github.com/google/btree"

	"cairn/types"
)

// The pool keeps four trees over its entries. Each item carries its own key:
// comparing through pointers would miss the processor's caches dozens of times
// for each transfer.
type (
	tree = btree.BTreeG[item]
	item struct {
		key, tie uint64
		entry    *Entry
	}
)

// degree of the trees: nodes of up to 63 items, 1.5 kB.
const degree = 32

// sizeBits hold the length of any valid transfer's encoding: at most 490 bytes.
const sizeBits = 9

// rated is the key of an entry in the order of the pool. Fees are below 2^53, so
// fee and size fit into one word.
func rated(e *Entry) item {
	return item{e.Transfer.Fee<<sizeBits | uint64(e.Size), e.Seq, e}
}

// rate compares what a and b pay for each byte. The cross products are below
// 2^62, so they are exact.
func rate(a, b item) int {
	const mask = 1<<sizeBits - 1
	return cmp.Compare((a.key>>sizeBits)*(b.key&mask), (b.key>>sizeBits)*(a.key&mask))
}

// better is the order of the pool: fee per byte, then arrival.
func better(a, b item) bool {
	if c := rate(a, b); c != 0 {
		return c > 0
	}
	return earlier(a, b)
}

// earlier is the order of arrival. The id decides between entries to which the
// caller gave the same number, so that no entry displaces another.
func earlier(a, b item) bool {
	if a.tie != b.tie {
		return a.tie < b.tie
	}
	return string(a.entry.ID[:]) < string(b.entry.ID[:])
}

// outbids tells whether a may take the place of b. A higher fee alone would let
// a long transfer be announced at a lower rate again and again; a higher rate
// alone would let it take fees away.
func outbids(a, b *Entry) bool {
	return a.Transfer.Fee > b.Transfer.Fee && rate(rated(a), rated(b)) > 0
}

func lower(a, b item) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	return earlier(a, b)
}

// expiring is the key of an entry in the order of expiry.
func expiring(e *Entry) item { return item{uint64(e.Transfer.Expiry), e.Seq, e} }

// salted is the key of an entry among those of its sender.
func (p *Pool) salted(e *Entry) item {
	return item{maphash.String(p.seed, string(e.Transfer.Sender)), e.Transfer.Salt, e}
}

// received is the key of an entry among those of its recipient.
func (p *Pool) received(e *Entry) item {
	return item{maphash.String(p.seed, string(e.Transfer.Recipient)), e.Seq, e}
}

// together puts the entries of a sender side by side, in the order of their
// salts. Senders come in the order of a hash that nobody outside can predict;
// those of equal hashes, if there ever are two, lie among each other, so that
// names need not be fetched from memory to compare.
func together(a, b item) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	if a.tie != b.tie {
		return a.tie < b.tie
	}
	return a.entry.Transfer.Sender < b.entry.Transfer.Sender
}

// cost is what a transfer takes from its sender: at most types.MaxAmount.
func cost(t *types.Transfer) uint64 { return t.Amount + t.Fee }

// amount is a sum of costs. Restored transfers are not held against a balance,
// so half a million of the largest may come together: 2^72.
type amount struct{ hi, lo uint64 }

func (a amount) add(v uint64) amount {
	lo, carry := bits.Add64(a.lo, v, 0)
	return amount{a.hi + carry, lo}
}

func (a amount) sub(v uint64) amount {
	lo, borrow := bits.Sub64(a.lo, v, 0)
	return amount{a.hi - borrow, lo}
}

func (a amount) less(b amount) bool {
	return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo
}

// int64 returns the sum, or the largest value below it.
func (a amount) int64() int64 {
	if a.hi > 0 || a.lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(a.lo)
}

// overhead is the memory of one entry without its strings: the transfer and the
// entry, its places in four trees and in maps, measured with every transfer
// from another sender to another recipient. TestMemory holds it to what the heap says.
const overhead = 575

// memory estimates the bytes that a transfer occupies in the pool. Strings are
// allocated in steps of up to 16 bytes.
func memory(t *types.Transfer) int64 {
	n := int64(overhead)
	for _, s := range []int{len(t.Sender), len(t.Recipient), len(t.Memo)} {
		n += int64(s+15) &^ 15
	}
	return n
}
