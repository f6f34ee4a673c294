package mempool

import (
	"cmp"
	"iter"
	"math"
	"math/bits"
	"strings"

	"github.com/google/btree"

	"cairn/types"
)

// degree of the trees: nodes of up to 63 pointers, about 500 bytes.
const degree = 32

// rate compares what a and b pay for each byte. Fees are below 2^53 and
// encodings below 2^9 bytes, so the cross products are exact in 64 bits.
func rate(a, b *Entry) int {
	return cmp.Compare(a.Transfer.Fee*uint64(b.Size), b.Transfer.Fee*uint64(a.Size))
}

// better is the order of the pool: fee per byte, then arrival. The id decides
// between entries to which the caller gave the same number.
func better(a, b *Entry) bool {
	if c := rate(a, b); c != 0 {
		return c > 0
	}
	if a.Seq != b.Seq {
		return a.Seq < b.Seq
	}
	return string(a.ID[:]) < string(b.ID[:])
}

// outbids tells whether a may take the place of b. A higher fee alone would let
// a long transfer be announced at a lower rate again and again; a higher rate
// alone would let it take fees away.
func outbids(a, b *Entry) bool {
	return a.Transfer.Fee > b.Transfer.Fee && rate(a, b) > 0
}

func bySender(a, b *Entry) bool {
	if c := strings.Compare(string(a.Transfer.Sender), string(b.Transfer.Sender)); c != 0 {
		return c < 0
	}
	return better(a, b)
}

// firstOf returns a key before all of a sender's entries in bySender: no
// transfer pays more for each byte than one of one byte that pays the most.
func firstOf(sender types.Account) *Entry {
	return &Entry{Transfer: &types.Transfer{Sender: sender, Fee: types.MaxAmount}, Size: 1}
}

func byExpiry(a, b *Entry) bool {
	if a.Transfer.Expiry != b.Transfer.Expiry {
		return a.Transfer.Expiry < b.Transfer.Expiry
	}
	if a.Seq != b.Seq {
		return a.Seq < b.Seq
	}
	return string(a.ID[:]) < string(b.ID[:])
}

func ascend(t *btree.BTreeG[*Entry]) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) { t.Ascend(yield) }
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
// entry, three places in maps and three in trees, measured with every transfer
// from another sender. TestMemory holds it to what the heap says.
const overhead = 520

// memory estimates the bytes that a transfer occupies in the pool. Strings are
// allocated in steps of up to 16 bytes.
func memory(t *types.Transfer) int64 {
	n := int64(overhead)
	for _, s := range []int{len(t.Sender), len(t.Recipient), len(t.Memo)} {
		n += int64(s+15) &^ 15
	}
	return n
}
