package consensus

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"

	"cairn/types"
)

// Work is an expected number of hashes, an unsigned integer of 256 bits: the
// first of its four words is the least significant.
type Work [4]uint64

// Target is the largest hash that satisfies a proof of work, an unsigned integer
// of 256 bits: the first of its four words is the least significant.
type Target [4]uint64

// Cmp returns -1, 0 or 1 as w is less than v, equal to it or more.
func (w Work) Cmp(v Work) int { return compare(w, v) }

// Add returns the sum of w and v. What is above 2^256-1 stays there: more hashes
// than that are never computed, but an order that turned round would be worse
// than one that stops.
func (w Work) Add(v Work) Work {
	var carry uint64
	for i := range w {
		w[i], carry = bits.Add64(w[i], v[i], carry)
	}
	if carry != 0 {
		return Work{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	}
	return w
}

// String returns the number in decimal digits.
func (w Work) String() string {
	var b [32]byte
	for i, word := range w {
		binary.BigEndian.PutUint64(b[24-8*i:], word)
	}
	return new(big.Int).SetBytes(b[:]).String()
}

// LittleEndian returns the number's 32 bytes, least significant first.
func (w Work) LittleEndian() (b [32]byte) {
	for i, word := range w {
		binary.LittleEndian.PutUint64(b[8*i:], word)
	}
	return b
}

// WorkFromLittleEndian reads what LittleEndian returns.
func WorkFromLittleEndian(b [32]byte) Work { return wordsOf(b) }

// WorkOf returns the work of a block with these bits: 2^256 / (target + 1),
// rounded down. Bits that are not a valid compact target have no work.
func WorkOf(compact uint32) Work {
	t, err := CompactToTarget(compact)
	if err != nil {
		return Work{}
	}
	// 2^256 has one bit too many, so t+1 is taken from it once before; that
	// leaves ^t. Compact targets are below 2^256-1, so nothing overflows.
	rest := Work{^t[0], ^t[1], ^t[2], ^t[3]}
	return quotient(rest, Work(t).Add(Work{1})).Add(Work{1})
}

// quotient returns n / d, rounded down, bit by bit: there are few of them where
// targets are easy, and no divisor is 0.
func quotient(n, d Work) (q Work) {
	bit := bitLen(n[:]) - bitLen(d[:])
	shiftLeft(d[:], max(0, bit))
	for ; bit >= 0; bit-- {
		if compare(n, d) >= 0 {
			var borrow uint64
			for i := range n {
				n[i], borrow = bits.Sub64(n[i], d[i], borrow)
			}
			q[bit/64] |= 1 << (bit % 64)
		}
		for i := range 3 {
			d[i] = d[i]>>1 | d[i+1]<<63
		}
		d[3] >>= 1
	}
	return q
}

// Meets tells whether hash, read as a little-endian integer, is at most t.
func (t Target) Meets(hash types.Hash) bool { return compare(wordsOf(hash), t) <= 0 }

// String returns the target as 64 hex digits, most significant first, which is
// how hashes are written that it is compared with.
func (t Target) String() string { return fmt.Sprintf("%016x%016x%016x%016x", t[3], t[2], t[1], t[0]) }

// CompactToTarget returns the target that bits stand for in Bitcoin's compact
// form: the first byte is a length in bytes, the other three are the leading
// bytes. It returns ErrCompact where they stand for a number that is negative,
// zero or over 256 bits, or for one that has a shorter form.
func CompactToTarget(compact uint32) (Target, error) {
	size := int(compact >> 24)
	t := Target{uint64(compact & 0xffffff)}
	if size > 3 {
		shiftLeft(t[:], 8*(size-3))
	} else {
		shiftRight(t[:], 8*(3-size))
	}
	// The shortest form has no sign, and is that of another number where the
	// shift lost something.
	if t == (Target{}) || TargetToCompact(t) != compact {
		return Target{}, fmt.Errorf("%w: %08x", ErrCompact, compact)
	}
	return t, nil
}

// TargetToCompact returns the compact form of t, cut off after its leading 15 to
// 23 bits.
func TargetToCompact(t Target) uint32 {
	size := (bitLen(t[:]) + 7) / 8
	if size > 3 {
		shiftRight(t[:], 8*(size-3))
	} else {
		shiftLeft(t[:], 8*(3-size))
	}
	mantissa := uint32(t[0])
	if mantissa&0x800000 != 0 { // would be read as a sign
		mantissa >>= 8
		size++
	}
	return uint32(size)<<24 | mantissa
}

// compare returns -1, 0 or 1 as a is less than b, equal to it or more.
func compare(a, b [4]uint64) int {
	for i := 3; i > 0; i-- {
		if a[i] != b[i] {
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(a[0], b[0])
}

// wordsOf reads a little-endian integer.
func wordsOf(b [32]byte) (words [4]uint64) {
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return words
}

// bitLen returns the number of bits of x without leading zeros.
func bitLen(x []uint64) int {
	for i := len(x) - 1; i >= 0; i-- {
		if x[i] != 0 {
			return 64*i + bits.Len64(x[i])
		}
	}
	return 0
}

// shiftRight divides x by 2^n, rounding down; n is not negative.
func shiftRight(x []uint64, n int) {
	words, n := n/64, n%64
	for i := range x {
		var low, high uint64
		if i+words < len(x) {
			low = x[i+words]
		}
		if i+words+1 < len(x) {
			high = x[i+words+1]
		}
		x[i] = low>>n | high<<(64-n) // a shift by 64 gives 0
	}
}

// shiftLeft multiplies x by 2^n and drops what does not fit; n is not negative.
func shiftLeft(x []uint64, n int) {
	words, n := n/64, n%64
	for i := len(x) - 1; i >= 0; i-- {
		var low, high uint64
		if i >= words {
			high = x[i-words]
		}
		if i > words {
			low = x[i-words-1]
		}
		x[i] = high<<n | low>>(64-n)
	}
}
