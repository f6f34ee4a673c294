package naive

import (
	"errors"
	"math/big"
	"slices"

	"cairn/types"
)

// checkHeader says whether a header may follow branch.
func checkHeader(r Rules, branch []*types.Block, h *types.Header, now int64) error {
	parent := &branch[len(branch)-1].Header
	switch {
	case h.Version&0xe0001fff != 0x20000000:
		return errors.New("version")
	case h.Previous != parent.Hash():
		return errors.New("previous")
	case h.Time < parent.Time:
		return errors.New("time before the parent's")
	case int64(h.Time) > now+max(20, 2*r.BlockInterval):
		return errors.New("too new")
	case !slices.Contains(allowedBits(r, branch, int64(h.Time)), h.Bits):
		return errors.New("bits")
	case number(h.Hash()).Cmp(expand(h.Bits)) > 0:
		return errors.New("proof of work")
	}
	return nil
}

// NextBits returns the easiest target that a block after branch may have at a
// time: the last of all that are allowed.
func (c *Chain) NextBits(branch []*types.Block, time int64) uint32 {
	all := allowedBits(c.Rules, branch, time)
	return all[len(all)-1]
}

// allowedBits lists the base and each step of relief up to the easiest target.
func allowedBits(r Rules, branch []*types.Block, time int64) []uint32 {
	target := expand(bases(r, branch)[len(branch)-1])
	list := []uint32{compact(target)}
	if r.HalfLife == 0 {
		return list
	}
	easiest := expand(r.Bits)
	steps := (time - int64(branch[len(branch)-1].Header.Time)) / (24 * r.BlockInterval)
	for k := int64(0); k < steps && target.Cmp(easiest) < 0; k++ {
		target.Lsh(target, 4)
		if target.Cmp(easiest) > 0 {
			target.Set(easiest)
		}
		list = append(list, compact(target))
	}
	return list
}

// bases returns the base target in compact form after each block of branch.
func bases(r Rules, branch []*types.Block) []uint32 {
	list := []uint32{r.Bits}
	for i := 1; i < len(branch); i++ {
		next := list[i-1]
		if r.HalfLife > 0 {
			passed := int64(branch[i].Header.Time) - int64(branch[i-1].Header.Time)
			next = compact(scale(r, expand(next), min(passed, 12*r.BlockInterval)-r.BlockInterval))
		}
		list = append(list, next)
	}
	return list
}

// scale is target × 2^(seconds / half_life) as aserti3-2d approximates it.
func scale(r Rules, target *big.Int, seconds int64) *big.Int {
	exponent := seconds * 65536 / r.HalfLife
	shifts, frac := exponent>>16, big.NewInt(exponent&0xffff)
	cubic := func(c int64, power int64) *big.Int {
		x := new(big.Int).Exp(frac, big.NewInt(power), nil)
		return x.Mul(x, big.NewInt(c))
	}
	factor := new(big.Int).Lsh(big.NewInt(1), 47)
	factor.Add(factor, cubic(195766423245049, 1))
	factor.Add(factor, cubic(971821376, 2))
	factor.Add(factor, cubic(5127, 3))
	factor.Rsh(factor, 48)
	factor.Add(factor, big.NewInt(65536))

	result := factor.Mul(factor, target)
	if shifts < 0 {
		result.Rsh(result, uint(-shifts))
	} else {
		result.Lsh(result, uint(shifts))
	}
	result.Rsh(result, 16)
	easiest := expand(r.Bits)
	switch {
	case result.Sign() == 0:
		return big.NewInt(1)
	case result.Cmp(easiest) > 0:
		return easiest
	}
	return result
}

// expand and compact are Bitcoin's compact form: a length in bytes, then the
// first three bytes of the number, of which the first bit is a sign.
func expand(bits uint32) *big.Int {
	n := big.NewInt(int64(bits & 0xffffff))
	size := uint(bits >> 24)
	if size < 3 {
		return n.Rsh(n, 8*(3-size))
	}
	return n.Lsh(n, 8*(size-3))
}

func compact(n *big.Int) uint32 {
	bytes := append([]byte{}, n.Bytes()...)
	if bytes[0] >= 0x80 {
		bytes = append([]byte{0}, bytes...)
	}
	size := uint32(len(bytes))
	bytes = append(bytes, 0, 0)
	return size<<24 | uint32(bytes[0])<<16 | uint32(bytes[1])<<8 | uint32(bytes[2])
}

// number reads a hash as a little-endian integer.
func number(h types.Hash) *big.Int {
	slices.Reverse(h[:])
	return new(big.Int).SetBytes(h[:])
}

// works returns the cumulative work after each block of branch; genesis's counts
// as nothing.
func works(branch []*types.Block) []*big.Int {
	list := []*big.Int{new(big.Int)}
	for i := 1; i < len(branch); i++ {
		all := new(big.Int).Lsh(big.NewInt(1), 256)
		one := all.Div(all, new(big.Int).Add(expand(branch[i].Header.Bits), big.NewInt(1)))
		list = append(list, one.Add(one, list[i-1]))
	}
	return list
}
