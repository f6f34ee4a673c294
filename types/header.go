package types

import "encoding/binary"

// HeaderSize is the length of an encoded header in bytes.
const HeaderSize = 80

// Header is Bitcoin's block header, field by field, so that hardware and
// software that mine Bitcoin mine this too.
type Header struct {
	Version    uint32
	Previous   Hash   // hash of the parent's header; zero in genesis
	MerkleRoot Hash   // over the ids of the block's transactions
	Time       uint32 // Unix seconds
	Bits       uint32 // target in compact form
	Nonce      uint32
}

// Encode returns the 80 bytes that miners hash.
func (h *Header) Encode() (b [HeaderSize]byte) {
	binary.LittleEndian.PutUint32(b[0:], h.Version)
	copy(b[4:], h.Previous[:])
	copy(b[36:], h.MerkleRoot[:])
	binary.LittleEndian.PutUint32(b[68:], h.Time)
	binary.LittleEndian.PutUint32(b[72:], h.Bits)
	binary.LittleEndian.PutUint32(b[76:], h.Nonce)
	return b
}

// Hash returns the double SHA-256 of the encoding: the name of the block, and
// its proof of work.
func (h *Header) Hash() Hash {
	b := h.Encode()
	return Sum(b[:])
}

// DecodeHeader reads exactly 80 bytes; otherwise ErrMalformed. Every 80 bytes
// are some header: whether it is a valid one is for consensus to say.
func DecodeHeader(b []byte) (Header, error) {
	d := decoder{b: b}
	h := d.header()
	return h, d.end()
}

func (d *decoder) header() (h Header) {
	h.Version = d.u32()
	copy(h.Previous[:], d.take(32))
	copy(h.MerkleRoot[:], d.take(32))
	h.Time = d.u32()
	h.Bits = d.u32()
	h.Nonce = d.u32()
	return h
}
