package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/internal/jsonobject"
	"cairn/mempool"
	"cairn/miner"
	"cairn/p2p"
	"cairn/store"
	"cairn/syncer"
	"cairn/types"
)

// Which error becomes which status. What is not here is a fault of the node's.
func TestProblemOf(t *testing.T) {
	for status, errs := range map[int][]error{
		400: {jsonobject.ErrSyntax, jsonobject.ErrDuplicate, types.ErrMalformed},
		401: {challenge{refuse(client.ErrUnauthorised, "why"), bearer}},
		404: {errNoSuchURL, chain.ErrNoBlock},
		405: {notAllowed{refuse(client.ErrMethodNotAllowed, "why"), "GET"}},
		409: {
			consensus.ErrInsufficient, consensus.ErrBalanceLimit, consensus.ErrMinBalance, consensus.ErrReplay, consensus.ErrDuplicateSalt,
			mempool.ErrConflict, mempool.ErrFeeTooLow, mempool.ErrAccountLimit,
			chain.ErrEvicted, chain.ErrReplaced, chain.ErrUncovered, chain.ErrOtherMined, chain.ErrMined, miner.ErrNoRecipient, syncer.ErrTooMany,
		},
		413: {errBodySize},
		422: {
			consensus.ErrAccount, consensus.ErrAccountText, consensus.ErrSystemAccount, consensus.ErrSmallOrder, consensus.ErrAmount,
			consensus.ErrAmountText, consensus.ErrFee, consensus.ErrSum, consensus.ErrExpired, consensus.ErrExpiryTooFar, consensus.ErrSignature,
			consensus.ErrUnexpectedSignature, syncer.ErrAddress, p2p.ErrPeerAddress,
		},
		502: {p2p.ErrUnreachable},
		503: {mempool.ErrFull, chain.ErrClosed, store.ErrFailed, context.Canceled, context.DeadlineExceeded},
		500: {errPanic, errors.New("anything"), store.ErrDamaged, store.ErrNotFound, consensus.ErrCommitment, chain.ErrInvalid},
	} {
		for _, err := range errs {
			p := problemOf(fmt.Errorf("around: %w", err))
			if p.Status != status || p.Detail == "" {
				t.Errorf("%v became %+v, want the status %d", err, p, status)
			}
		}
	}
}
