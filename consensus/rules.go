package consensus

import (
	"math/bits"
	"slices"
	"strings"

	"cairn/types"
)

// Rules are everything that one network decided: its genesis file. They are
// made by NewRules, Dev or ParseGenesis, which check them, and never change
// afterwards, so that goroutines share them freely. The fields stand in the
// order of the table in docs/protocol.md, section 2, which is that of the
// encoding.
type Rules struct {
	Name            string       // 1 to 32 of a-z, 0-9 and -
	Symbol          string       // of the currency, for display
	Decimals        uint8        // a coin is 10^Decimals base units
	AddressPrefix   string       // human-readable part of accounts with signatures
	Time            uint32       // of genesis, in Unix seconds
	Bits            uint32       // easiest target, in compact form
	BlockInterval   uint32       // seconds that a block should take
	HalfLife        uint32       // seconds; 0 keeps the difficulty fixed
	Reward          uint64       // base units for each block, before halvings
	HalvingInterval uint32       // blocks; 0 never halves
	MaxBlockSize    uint32       // bytes
	TxLifetime      uint32       // blocks that a transfer may stay valid, at most
	MinBalance      uint64       // base units; after a transfer nothing smaller is kept
	Signatures      bool         // accounts are public keys and every transfer is signed
	CreditLimit     uint64       // base units that a balance may go below zero
	Allocations     []Allocation // sorted by account

	easiest   Target // what Bits stand for
	allocated uint64 // sum of Allocations, in base units
	genesis   *types.Block
	chainID   types.Hash
}

// Allocation is an initial balance.
type Allocation struct {
	Account types.Account
	Amount  uint64 // base units, at least 1
}

// NewRules returns rules with the exported fields of r, whose allocations may be
// in any order, or ErrGenesis. Base units are not converted when Decimals are
// set: they are a matter of how amounts are written.
func NewRules(r Rules) (*Rules, error) {
	r.Allocations = slices.Clone(r.Allocations)
	r.sortAllocations()
	if err := r.checkAll(); err != nil {
		return nil, err
	}
	if err := r.derive(); err != nil {
		return nil, err
	}
	return &r, nil
}

// derive fills the fields that follow from the others, which are checked.
func (r *Rules) derive() (err error) {
	if r.easiest, err = CompactToTarget(r.Bits); err != nil {
		return err
	}
	r.allocated = 0
	for _, a := range r.Allocations {
		r.allocated += a.Amount
	}
	if r.genesis, err = r.makeGenesis(); err != nil {
		return err
	}
	r.chainID = r.genesis.Header.Hash()
	return nil
}

// Dev returns the rules of the built-in network for trying things out: transfers
// are unsigned, balances may go below zero, and a block takes a moment.
func Dev() *Rules { return dev }

var dev = mustRules(Rules{
	Name:          "dev",
	Symbol:        "COIN",
	Decimals:      8,
	AddressPrefix: "dev",
	Time:          1767225600, // 2026-01-01
	Bits:          0x207fffff,
	BlockInterval: 10,
	Reward:        100_000_000,
	MaxBlockSize:  1_000_000,
	TxLifetime:    1_000_000,
	CreditLimit:   types.MaxAmount,
})

// mustRules is NewRules for rules that are written in the program.
func mustRules(r Rules) *Rules {
	rules, err := NewRules(r)
	if err != nil {
		panic(err)
	}
	return rules
}

// Defaults returns the start of a new network, for its maker to change and then
// to pass to NewRules: a currency with signatures that begins at time, in Unix
// seconds, with a reward in base units of a millionth of a coin. The prefix and
// the symbol are made from the name.
func Defaults(name string, reward uint64, time uint32) Rules {
	const interval = 10
	prefix := prefixFrom(name)
	return Rules{
		Name:          name,
		Symbol:        strings.ToUpper(prefix),
		Decimals:      6,
		AddressPrefix: prefix,
		Time:          time,
		Bits:          0x1f00ffff,
		BlockInterval: interval,
		HalfLife:      36 * interval,
		Reward:        reward,
		MaxBlockSize:  1_000_000,
		TxLifetime:    8_640,
		MinBalance:    1_000,
		Signatures:    true,
	}
}

// prefixFrom returns the letters and digits of a name from its first letter on,
// as many as a prefix may have.
func prefixFrom(name string) string {
	var prefix []byte
	for i := range len(name) {
		letter := 'a' <= name[i] && name[i] <= 'z'
		digit := '0' <= name[i] && name[i] <= '9'
		if (letter || digit && len(prefix) > 0) && len(prefix) < 16 {
			prefix = append(prefix, name[i])
		}
	}
	if len(prefix) == 0 {
		return "cairn"
	}
	return string(prefix)
}

// ChainID returns the hash of genesis, which commits to every rule.
func (r *Rules) ChainID() types.Hash { return r.chainID }

// Subsidy returns the base units that a block at a height creates, beside the
// fees: the reward as far as it has been halved, until all there is, allocations
// included, is types.MaxAmount. Genesis creates none.
func (r *Rules) Subsidy(height uint32) uint64 {
	if height == 0 {
		return 0
	}
	left := types.MaxAmount - r.allocated
	first := uint64(1) // height of the first block with the present reward
	for halvings := uint64(0); ; halvings++ {
		reward := r.Reward >> halvings // a shift by 64 or more gives 0
		end := uint64(1) << 32         // height of the first block with the next
		if r.HalvingInterval != 0 {
			end = min(end, (halvings+1)*uint64(r.HalvingInterval))
		}
		if uint64(height) < end || reward == 0 {
			issued, ok := times(reward, uint64(height)-first)
			if !ok || issued >= left {
				return 0
			}
			return min(reward, left-issued)
		}
		issued, ok := times(reward, end-first)
		if !ok || issued >= left {
			return 0
		}
		left -= issued
		first = end
	}
}

// times returns a × b; false when that is above 2^64-1.
func times(a, b uint64) (uint64, bool) {
	high, low := bits.Mul64(a, b)
	return low, high == 0
}
