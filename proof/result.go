package proof

import (
	"cairn/consensus"
	"cairn/types"
)

// Result is what a document shows, once Verify has found that it holds.
type Result struct {
	Name        string     // of the network
	ChainID     types.Hash // which is for the user to compare where no genesis file was trusted
	FromGenesis bool       // the headers begin at height 1: see the package
	// Tip is the state after the last header. With a Start its Work is what the
	// Start says, and the work of the headers.
	Tip consensus.State

	// Transfer or Reward is the transaction, both are nil when none is shown.
	Transfer   *types.Transfer
	Reward     *types.Reward
	TransferID types.Hash // of the transaction, whichever it is
	// Place is where the transaction is; without one, the earlier block that is
	// shown, if any.
	Place

	Account   types.Account // whose balance is shown; empty when none is
	Balance   int64         // base units
	BalanceAt Place         // the block after which it was that
}

// Place is a block, and how deep below the tip.
type Place struct {
	BlockHash types.Hash
	Height    uint32
	BlockTime uint32 // Unix seconds
	// Confirmations is the number of blocks from this one on, itself included, up
	// to the tip. For a block before the headers it goes by what is shown of the
	// history: not all of these blocks are in the document.
	Confirmations uint32
	// WorkOnTop is the work of those headers in the document that vouch for the
	// block: from its own on, or for a block before them, from the one on that
	// commits to the history with it. This is what a forger has to redo.
	WorkOnTop consensus.Work
}
