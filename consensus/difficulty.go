package consensus

import (
	"fmt"
	"math/bits"
)

// The difficulty rule of docs/protocol.md, section 7. A chain carries a base
// target that moves with the pace of its blocks. A block that comes very late
// may be easier than the base, in steps, without moving it further: so a network
// whose strongest machines went to sleep goes on, and finds its difficulty again
// when they wake.
const (
	// reliefIntervals is how many block intervals each step of relief takes.
	reliefIntervals = 24
	// reliefBits is how much easier a step is: a factor of 2^4.
	reliefBits = 4
	// slowestIntervals is the longest spacing that the base reacts to. Above
	// it relief does the work, and a pause counts no more than this.
	slowestIntervals = 12
)

// AllowedBits returns the easiest bits that a block at time may have on parent,
// which are those that miners take. time is not before the parent's.
func (r *Rules) AllowedBits(parent State, time uint32) uint32 {
	base, err := CompactToTarget(parent.Base)
	if err != nil {
		return parent.Base
	}
	for range r.relief(parent, time) {
		if base == r.easiest {
			break
		}
		base = r.relieve(base)
	}
	return TargetToCompact(base)
}

// CheckBits returns ErrBits unless a block at time may have these bits on
// parent: those of the base, or of any step of relief that its time has reached.
// Fewer steps than that are allowed so that a job stays valid while a miner
// rolls its time forward.
func (r *Rules) CheckBits(parent State, time, compact uint32) error {
	if compact == parent.Base {
		return nil
	}
	steps := r.relief(parent, time)
	base, err := CompactToTarget(parent.Base)
	for range steps {
		if err != nil || base == r.easiest {
			break
		}
		base = r.relieve(base)
		if compact == TargetToCompact(base) {
			return nil
		}
	}
	return fmt.Errorf("%w: %08x; the base is %08x, with at most %d steps of relief", ErrBits, compact, parent.Base, steps)
}

// NextBase returns the base that a block at time on parent leaves to its own
// children, in compact form. The block's bits do not matter to it. time is not
// before the parent's.
func (r *Rules) NextBase(parent State, time uint32) uint32 {
	if r.HalfLife == 0 {
		return parent.Base
	}
	base, err := CompactToTarget(parent.Base)
	if err != nil {
		return parent.Base
	}
	interval := int64(r.BlockInterval)
	spacing := min(elapsed(parent, time), slowestIntervals*interval)
	return TargetToCompact(scale(base, spacing-interval, r.HalfLife, r.easiest))
}

// relief returns how many steps of relief a block at time has on parent. At a
// fixed difficulty they lead nowhere, since the base is the easiest.
func (r *Rules) relief(parent State, time uint32) int64 {
	return elapsed(parent, time) / (reliefIntervals * int64(r.BlockInterval))
}

// relieve returns t made easier by one step.
func (r *Rules) relieve(t Target) Target {
	if bitLen(t[:])+reliefBits > 256 {
		return r.easiest
	}
	shiftLeft(t[:], reliefBits)
	return r.atMostEasiest(t)
}

func (r *Rules) atMostEasiest(t Target) Target {
	if compare(t, r.easiest) > 0 {
		return r.easiest
	}
	return t
}

// elapsed returns the seconds from the parent to time, 0 when time is earlier.
func elapsed(parent State, time uint32) int64 {
	return max(0, int64(time)-int64(parent.Time))
}

// scale returns t × 2^(seconds/halfLife), in the integers of Bitcoin Cash's
// aserti3-2d, so that its published vectors hold: the exponent in 16.16 fixed
// point, rounded towards zero; 2^fraction by a cubic; the result rounded down.
// It is at least 1 and at most easiest.
func scale(t Target, seconds int64, halfLife uint32, easiest Target) Target {
	// Anything beyond this shifts by thousands of bits whatever halfLife is,
	// and would overflow the fixed point.
	const most = 1 << 46
	exponent := max(-most, min(seconds, most)) * 65536 / int64(halfLife)
	shift := int(exponent>>16) - 16 // rounds down, and the factor is 2^16 too large
	fraction := uint64(exponent & 0xffff)
	factor := 65536 + (195766423245049*fraction+971821376*fraction*fraction+
		5127*fraction*fraction*fraction+1<<47)>>48

	product := timesWord(t, factor)
	if shift > 0 {
		if bitLen(product[:])+shift > 256 {
			return easiest
		}
		shiftLeft(product[:], shift)
	} else {
		shiftRight(product[:], -shift)
	}
	scaled := Target(product[:4])
	switch {
	case product[4] != 0 || compare(scaled, easiest) > 0:
		return easiest
	case scaled == (Target{}):
		return Target{1}
	}
	return scaled
}

// timesWord returns t × factor, which needs a fifth word.
func timesWord(t Target, factor uint64) (product [5]uint64) {
	var carry uint64
	for i, word := range t {
		high, low := bits.Mul64(word, factor)
		var c uint64
		product[i], c = bits.Add64(low, carry, 0)
		carry = high + c
	}
	product[4] = carry
	return product
}
