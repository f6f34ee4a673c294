package consensus

import (
	"fmt"
	"math"

	"cairn/types"
)

// The form of a version: these bits are fixed, the other 16 are the miner's
// (BIP 310 and BIP 320).
const (
	versionMask = 0xe0001fff
	versionForm = 0x20000000
)

// FutureLimit returns how many seconds ahead of the clock a block's time may be.
func (r *Rules) FutureLimit() uint64 { return max(20, 2*uint64(r.BlockInterval)) }

// ValidateHeader checks a header that is to follow parent, a valid block's
// state, by a clock that shows now in Unix seconds. It returns the state after
// it. The errors are those of a header in this package. ErrTooNew is tested
// last, so that a header with that error is valid but for the time, and comes
// with its state: then the block may be held and tried again.
func (r *Rules) ValidateHeader(parent State, h types.Header, now uint64) (State, error) {
	if err := r.checkPlace(parent, &h); err != nil {
		return State{}, err
	}
	target, err := CompactToTarget(h.Bits)
	if err != nil {
		return State{}, err
	}
	if err := r.CheckBits(parent, h.Time, h.Bits); err != nil {
		return State{}, err
	}
	hash := h.Hash()
	if !target.Meets(hash) {
		return State{}, fmt.Errorf("%w: %v is above %v", ErrProofOfWork, hash, target)
	}
	state := State{
		Hash:     hash,
		Previous: h.Previous,
		Height:   parent.Height + 1,
		Time:     h.Time,
		Bits:     h.Bits,
		Base:     r.NextBase(parent, h.Time),
		Work:     parent.Work.Add(WorkOf(h.Bits)),
	}
	if limit := now + r.FutureLimit(); uint64(h.Time) > limit {
		return state, fmt.Errorf("%w: %d, the clock allows up to %d", ErrTooNew, h.Time, limit)
	}
	return state, nil
}

// checkPlace checks what costs nothing. That a time is at most 2^32-1 is in its
// type.
func (r *Rules) checkPlace(parent State, h *types.Header) error {
	switch {
	case h.Version&versionMask != versionForm:
		return fmt.Errorf("%w: %08x", ErrVersion, h.Version)
	case h.Previous != parent.Hash:
		return fmt.Errorf("%w: %v, not %v", ErrPrevious, h.Previous, parent.Hash)
	case h.Time < parent.Time:
		return fmt.Errorf("%w: %d, the parent's is %d", ErrTimeBeforeParent, h.Time, parent.Time)
	case parent.Height == math.MaxUint32:
		return fmt.Errorf("%w: parent %v", ErrHeightLimit, parent.Hash)
	}
	return nil
}
