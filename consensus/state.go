package consensus

import (
	"encoding/binary"
	"fmt"

	"cairn/history"
	"cairn/types"
)

// StateSize is the length of an encoded State in bytes.
const StateSize = 32 + 32 + 4*4 + 32

// State is what a chain knows after a block: everything that the rules of a
// header need of its parent, so that headers are checked without a look-up. It
// is small, and kept for each block.
type State struct {
	Hash     types.Hash // of the block
	Previous types.Hash // of its parent; zero in genesis
	Height   uint32     // 0 is genesis
	Time     uint32     // of the block, in Unix seconds
	Bits     uint32     // the block's own target, in compact form
	Base     uint32     // base target that its children start from, in compact form
	Work     Work       // of all blocks up to and with this one; genesis counts 0
}

// Encode returns the state's bytes: the fields in order, integers
// little-endian. They are stored but never hashed, and no part of the protocol.
func (s State) Encode() (b [StateSize]byte) {
	copy(b[0:], s.Hash[:])
	copy(b[32:], s.Previous[:])
	binary.LittleEndian.PutUint32(b[64:], s.Height)
	binary.LittleEndian.PutUint32(b[68:], s.Time)
	binary.LittleEndian.PutUint32(b[72:], s.Bits)
	binary.LittleEndian.PutUint32(b[76:], s.Base)
	work := s.Work.LittleEndian()
	copy(b[80:], work[:])
	return b
}

// DecodeState reads what Encode returns, exactly StateSize bytes; otherwise
// types.ErrMalformed.
func DecodeState(b []byte) (State, error) {
	if len(b) != StateSize {
		return State{}, fmt.Errorf("%w: a state has %d bytes, not %d", types.ErrMalformed, StateSize, len(b))
	}
	return State{
		Hash:     types.Hash(b[0:32]),
		Previous: types.Hash(b[32:64]),
		Height:   binary.LittleEndian.Uint32(b[64:]),
		Time:     binary.LittleEndian.Uint32(b[68:]),
		Bits:     binary.LittleEndian.Uint32(b[72:]),
		Base:     binary.LittleEndian.Uint32(b[76:]),
		Work:     WorkFromLittleEndian([32]byte(b[80:])),
	}, nil
}

// HistoryLeaf returns the block's leaf in the history that its descendants
// commit to.
func (s State) HistoryLeaf() history.Leaf {
	return history.Leaf{
		Hash:     s.Hash,
		Height:   s.Height,
		Time:     s.Time,
		NextBase: s.Base,
		Work:     s.Work.LittleEndian(),
	}
}
