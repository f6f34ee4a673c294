package consensus

import (
	"errors"

	"cairn/types"
)

// One error for each rule of docs/protocol.md, section 6. What a function
// returns wraps one of them and adds the values that broke the rule: errors.Is
// decides, never the text. Which of two broken rules is reported is not a part
// of the protocol. What a decoder refuses is types.ErrMalformed.

// Rules of a header.
var (
	ErrVersion          = errors.New("block version is not of the form 0x20000000 under the mask 0xe0001fff")
	ErrPrevious         = errors.New("previous hash is not the parent's")
	ErrTimeBeforeParent = errors.New("block time is before its parent's")
	// ErrTooNew means "not yet": the block may be held and tried again, and
	// nobody is to blame for it.
	ErrTooNew      = errors.New("block time is too far in the future")
	ErrCompact     = errors.New("compact target is negative, zero, over 256 bits or not in shortest form")
	ErrBits        = errors.New("bits are not a target that the difficulty rule allows here")
	ErrProofOfWork = errors.New("block hash is above its target")
	ErrHeightLimit = errors.New("no block can follow at height 4294967295")
)

// Rules of a block, as far as they need no balances.
var (
	ErrBlockSize       = errors.New("block is larger than the network allows")
	ErrMerkleMutated   = errors.New("two neighbours in the Merkle tree are equal")
	ErrMerkleRoot      = errors.New("the Merkle root is not that of the transactions")
	ErrRewardHeight    = errors.New("reward is for another height")
	ErrRewardRecipient = errors.New("reward's recipient is not an account")
	ErrDuplicateSalt   = errors.New("two transfers of a block have the same sender and salt")
)

// Rules of a transfer by itself.
var (
	ErrAccount       = errors.New("not a well-formed account")
	ErrSystemAccount = errors.New("account 0 stands for the system")
	ErrSmallOrder    = errors.New("public key is of small order: anyone could spend from it")
	ErrAmount        = errors.New("amount is above the largest possible")
	ErrFee           = errors.New("fee is above the largest possible")
	ErrSum           = errors.New("amount and fee together are above the largest possible")
	ErrExpired       = errors.New("transfer has expired")
	// ErrExpiryTooFar means "not yet", and nobody is to blame for the transfer:
	// it is valid at a greater height. A block that holds it too early never is.
	ErrExpiryTooFar = errors.New("transfer expires further ahead than the network allows")
	ErrReplay       = errors.New("an earlier transfer within the lifetime has the same sender and salt")
	ErrSignature    = errors.New("signature is not valid")
	// ErrUnexpectedSignature keeps one encoding for each transfer where
	// nothing is signed.
	ErrUnexpectedSignature = errors.New("signature is not all zero on a network without signatures")
)

// Rules that depend on balances.
var (
	ErrInsufficient = errors.New("sender's balance would fall below the credit limit")
	ErrBalanceLimit = errors.New("recipient's balance would be above the largest possible")
	ErrMinBalance   = errors.New("balance would be above zero and below the smallest that the network keeps")
	ErrRewardAmount = errors.New("reward is not the subsidy and all fees")
	ErrCommitment   = errors.New("commitment is not that of the balances and the history")
)

// MayBeMangled tells whether whoever passed a block on can have caused err by
// damaging the body of a good header. Then the block itself must not be
// remembered as invalid: another may bring it intact.
func MayBeMangled(err error) bool {
	for _, e := range []error{types.ErrMalformed, ErrBlockSize, ErrMerkleMutated, ErrMerkleRoot} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
