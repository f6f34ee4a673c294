// Package sha256d searches nonces: it hashes a block header twice with SHA-256
// for each, as Bitcoin's miners do, until the hash meets a target.
//
// A header is 80 bytes, so its first hash takes two blocks of 64, and the hash of
// that hash takes one. The nonce is in the second block: what the first one leads
// to, the midstate, is computed once for a whole search. The compression function
// itself is crypto/sha256's, which uses the processor's SHA instructions; it is
// reached through the digest's binary form, which is the way to load a midstate
// and, more than that, to read a state without the cost of finishing a hash: the
// padding of both hashes is always the same and is laid out here.
package sha256d

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"

	"cairn/types"
)

const blockSize = 64

// The binary form of a digest begins with four bytes of magic; then comes the
// state, as eight big-endian words. TestKernel fails if that ever changes.
const (
	stateStart = 4
	stateEnd   = stateStart + 32
)

// digest is what crypto/sha256 returns.
type digest interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// Search tries count nonces for an encoded header, beginning at start and going
// on at 0 after the largest, and returns the first whose hash, read as a
// little-endian integer, is at most target: 256 bits, whose first word is the
// least significant. The nonce that is in the header does not matter. One call keeps one core busy and cannot be interrupted: a count of
// a few thousand takes about a millisecond.
func Search(header *[types.HeaderSize]byte, target [4]uint64, start, count uint32) (nonce uint32, found bool) {
	k := newKernel(header)
	top := uint32(target[3] >> 32)
	for i := range count {
		nonce := start + i
		// Nearly always the most significant word decides.
		if sum := k.hash(nonce); binary.LittleEndian.Uint32(sum[28:]) <= top && meets(sum, target) {
			return nonce, true
		}
	}
	return 0, false
}

func meets(sum []byte, target [4]uint64) bool {
	for i := 3; i >= 0; i-- {
		if word := binary.LittleEndian.Uint64(sum[8*i:]); word != target[i] {
			return word < target[i]
		}
	}
	return true
}

// kernel hashes one header with one nonce after another.
type kernel struct {
	digest   digest
	midstate []byte // digest's form after the header's first 64 bytes
	state    []byte // digest's form, for reading

	second [blockSize]byte // the rest of the header and the padding of 80 bytes
	outer  [blockSize]byte // the first hash and the padding of 32 bytes
}

// nonceAt is where the nonce is in the second block.
const nonceAt = types.HeaderSize - 4 - blockSize

func newKernel(header *[types.HeaderSize]byte) *kernel {
	k := &kernel{digest: sha256.New().(digest)}
	k.digest.Write(header[:blockSize])
	k.midstate = k.read(nil)
	pad(&k.second, copy(k.second[:], header[blockSize:]), types.HeaderSize)
	pad(&k.outer, sha256.Size, sha256.Size)
	return k
}

// pad ends a hash of length bytes in its last block, of which used bytes are
// taken: a bit, zeros, and the length in bits.
func pad(block *[blockSize]byte, used, length int) {
	block[used] = 0x80
	binary.BigEndian.PutUint64(block[blockSize-8:], uint64(length)*8)
}

// hash returns the double hash of the header with a nonce; the slice is valid
// until the next call.
func (k *kernel) hash(nonce uint32) []byte {
	binary.LittleEndian.PutUint32(k.second[nonceAt:], nonce)
	if err := k.digest.UnmarshalBinary(k.midstate); err != nil {
		panic(err) // it is the digest's own form
	}
	copy(k.outer[:], k.compress(&k.second))
	k.digest.Reset()
	return k.compress(&k.outer)
}

// compress takes one block into the digest and returns the state after it.
func (k *kernel) compress(block *[blockSize]byte) []byte {
	k.digest.Write(block[:])
	k.state = k.read(k.state[:0])
	return k.state[stateStart:stateEnd]
}

// read appends the digest's form to b.
func (k *kernel) read(b []byte) []byte {
	b, err := k.digest.AppendBinary(b)
	if err != nil {
		panic(err) // crypto/sha256 has no reason to fail
	}
	return b
}
