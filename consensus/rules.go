package consensus

import "cairn/types"

// Rules are everything that one network decided: its genesis file. They are
// made by NewRules, Dev or ParseGenesis, which check them, and never change
// afterwards, so that goroutines share them freely. The fields stand in the
// order of the table in docs/protocol.md, section 2, which is that of the
// encoding.
type Rules struct {
	Name            string // 1 to 32 of a-z, 0-9 and -
	Symbol          string // of the currency, for display
	Decimals        uint8  // a coin is 10^Decimals base units
	AddressPrefix   string // human-readable part of accounts with signatures
	Time            uint32 // of genesis, in Unix seconds
	Bits            uint32 // easiest target, in compact form
	BlockInterval   uint32 // seconds that a block should take
	HalfLife        uint32 // seconds; 0 keeps the difficulty fixed
	Reward          uint64 // base units for each block, before halvings
	HalvingInterval uint32 // blocks; 0 never halves
	MaxBlockSize    uint32 // bytes
	TxLifetime      uint32 // blocks that a transfer may stay valid, at most
	MinBalance      uint64 // base units; less is not kept after a transfer
	Signatures      bool   // accounts are public keys and every transfer is signed
	CreditLimit     uint64 // base units that a balance may go below zero
	Allocations     []Allocation

	easiest   Target // what Bits stand for
	allocated uint64 // sum of Allocations, in base units
	chainID   types.Hash
}

// Allocation is an initial balance.
type Allocation struct {
	Account types.Account
	Amount  uint64 // base units, at least 1
}

// ChainID returns the hash of the genesis block, which commits to every rule.
func (r *Rules) ChainID() types.Hash { return r.chainID }
