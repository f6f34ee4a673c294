package wallet

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"cairn/consensus"
	"cairn/types"
)

// maxMemo is the most bytes of a memo: a `str` of the protocol.
const maxMemo = 255

// Build returns a transfer, not signed, that a block up to the height expiry may
// hold, with a salt from the system's randomness. Amount and fee are in base
// units. What can be told without a chain is checked: the errors are ErrMemo and
// those of consensus.Rules.CheckTransfer. Whether the balances allow it, and
// whether expiry is near enough, is for a node to say.
func Build(rules *consensus.Rules, sender, recipient types.Account, amount, fee uint64, memo string, expiry uint32) (types.Transfer, error) {
	var salt [8]byte
	rand.Read(salt[:]) // never fails: the program ends before it would
	t := types.Transfer{
		Sender:    sender,
		Recipient: recipient,
		Amount:    amount,
		Fee:       fee,
		Expiry:    expiry,
		Salt:      binary.LittleEndian.Uint64(salt[:]),
		Memo:      memo,
	}
	if err := check(rules, &t); err != nil {
		return types.Transfer{}, err
	}
	return t, nil
}

// check refuses what no block of the network may hold at any height, and memos
// that are no text, which a document could not carry.
func check(rules *consensus.Rules, t *types.Transfer) error {
	switch {
	case len(t.Memo) > maxMemo:
		return fmt.Errorf("%w: it has %d", ErrMemo, len(t.Memo))
	case !utf8.ValidString(t.Memo):
		return fmt.Errorf("%w: it is not valid UTF-8", ErrMemo)
	}
	// The last block that could hold it; the first there is has height 1.
	return rules.CheckTransfer(t, max(1, t.Expiry))
}
