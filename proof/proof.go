// Package proof shows a payment, a balance or an earlier block to someone who has
// nothing but the genesis file of a network: one small file is checked offline,
// without asking any node. docs/protocol.md is why that works: a header with work
// on it names its transactions by their Merkle root, and its reward commits to
// every balance after the block and to every block before it.
//
// What a Document shows is that headers with so much work stand on top of the
// thing shown, and no more than that. It comes in two forms:
//
//   - Headers from height 1 on. All work of the chain is in it, and each header is
//     checked on its parent back to genesis, difficulty included: nothing is a
//     mere claim, and to make another chain of such weight costs all of that work.
//   - Headers from a Start on, which is shown to be in the history that the first
//     of the headers commits to. Its difficulty and its work are what that history
//     says. A forger has to redo the headers in the document, from a difficulty
//     of his choice up to the easiest of the network, and none of the chain before
//     them: so such a document is as strong as the work of its headers, which is
//     Place.WorkOnTop, and heights and confirmations are what they claim.
//
// In either form only headers from the block on that vouches for a thing count for
// it. For a transaction that is its own block, for a balance the block after which
// it was, and for an earlier Block the block that commits to the history with it.
// Their work is the measure, not their number: after a pause the rules allow easy
// blocks, so that a network whose machines sleep goes on.
//
// Neither form shows that there is no heavier chain without the payment: whoever
// must know that asks several nodes, or waits. Neither shows that the blocks kept
// the rules of bodies (that the sender had the money, or that a reward is right):
// for that a light client relies on those who mined on top. And a balance is that
// after one block; it may have changed in the next.
package proof

import (
	"errors"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

const (
	// MaxSize is the most bytes of a document that Parse takes.
	MaxSize = 32 << 20
	// MaxCommitments is the most commitments of a document.
	MaxCommitments = 16
	// maxBranch is the most nodes of a Merkle branch: an index has 32 bits.
	maxBranch = 32
)

// What a document can fail by. Each error of this package wraps one of them, and
// most wrap with it the error of the package that found the fault.
var (
	ErrFormat      = errors.New("not a proof document")
	ErrNetwork     = errors.New("proof is for another network")
	ErrHeaders     = errors.New("headers of the proof do not hold")
	ErrCommitment  = errors.New("commitment of the proof does not hold")
	ErrBlock       = errors.New("earlier block of the proof does not hold")
	ErrTransaction = errors.New("transaction of the proof does not hold")
	ErrAccount     = errors.New("balance of the proof does not hold")
)

// Document is a proof as Parse reads it and Encode writes it. Nothing in it is to
// be believed before Verify.
type Document struct {
	Rules       *consensus.Rules // the genesis file in it
	Start       *Start           // nil when Headers begin at height 1
	Headers     []types.Header   // consecutive, at least one
	Commitments []Commitment     // ascending by height
	Block       *Block           // nil when nothing is shown of a block before Headers
	Transaction *Transaction     // nil when none is shown
	Account     *Account         // nil when no balance is shown
}

// Start is the parent of the first header, and shows that it is in the history
// that the first header's block commits to, as is the genesis block.
type Start struct {
	Leaf    history.Leaf
	Proof   history.Proof // of Leaf
	Genesis history.Proof // of leaf 0
}

// Commitment is what the reward of one of the headers' blocks commits to.
type Commitment struct {
	Height      uint32 // of the block
	Reward      types.Reward
	Branch      []types.Hash // from the reward to the header's Merkle root
	AccountRoot [32]byte     // of the balances after the block
	HistoryRoot [32]byte     // of the blocks before it
}

// Block is a block before the headers. Proof.Len is the height of the commitment
// under whose history root it is.
type Block struct {
	Header types.Header
	Leaf   history.Leaf
	Proof  history.Proof
}

// Transaction is a transfer or a reward in a block of the headers, or in the
// earlier block.
type Transaction struct {
	Height   uint32 // of the block
	Position uint32 // in the block; 0 is the reward
	Encoding []byte
	Branch   []types.Hash // from the transaction to the header's Merkle root
}

// Account is a balance under the account root of a commitment.
type Account struct {
	Account types.Account
	Balance int64 // base units; 0 when there is no such account
	Proof   accounts.Proof
	Height  uint32 // of the commitment
}
