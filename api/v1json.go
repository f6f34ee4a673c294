package api

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/types"
)

// The types of /v1 that come by the thousand are written without building them;
// byte for byte what encoding/json makes of them without HTML escapes.

// shown is how many transfers a block shows; more come page by page.
const shown = 100

// writer appends the JSON of /v1 for one answer. It remembers the texts of accounts,
// because most of them come more than once.
type writer struct {
	rules *consensus.Rules
	names map[types.Account]string
}

func (s *server) writer() *writer {
	return &writer{s.rules, make(map[types.Account]string)}
}

// appendAccount appends the text of an account in quotes.
func (w *writer) appendAccount(b []byte, a types.Account) []byte {
	if !w.rules.Signatures {
		return appendString(b, string(a))
	}
	name, ok := w.names[a]
	if !ok {
		name = w.rules.FormatAccount(a)
		w.names[types.Account(strings.Clone(string(a)))] = name // its memory may be that of a block that the next one takes
	}
	return append(append(append(b, '"'), name...), '"')
}

// appendTransfer appends client.TransferData.
func (w *writer) appendTransfer(b []byte, id types.Hash, t *types.Transfer) []byte {
	b = append(b, `{"id":"`...)
	b = appendHash(b, id)
	b = append(b, `","sender":`...)
	b = w.appendAccount(b, t.Sender)
	b = append(b, `,"recipient":`...)
	b = w.appendAccount(b, t.Recipient)
	b = appendNumber(b, `,"amount":`, t.Amount)
	b = appendNumber(b, `,"fee":`, t.Fee)
	b = appendNumber(b, `,"expiry":`, uint64(t.Expiry))
	b = appendNumber(b, `,"salt":"`, t.Salt)
	b = append(b, `","memo":`...)
	b = appendString(b, t.Memo)
	if !utf8.ValidString(t.Memo) {
		b = append(b, `,"memo_hex":"`...)
		b = hex.AppendEncode(b, []byte(t.Memo))
		b = append(b, '"')
	}
	b = append(b, `,"signature":"`...)
	if w.rules.Signatures {
		b = hex.AppendEncode(b, t.Signature[:])
	}
	b = appendNumber(b, `","size":`, uint64(t.Size()))
	return append(b, '}')
}

// appendBlock appends client.BlockData for a block whose state and standing are known.
func (w *writer) appendBlock(b []byte, state *consensus.State, block *types.Block, best bool, tip uint32) []byte {
	h, r := &block.Header, &block.Reward
	b = append(b, `{"hash":"`...)
	b = appendHash(b, state.Hash)
	b = appendNumber(b, `","height":`, uint64(state.Height))
	b = append(b, `,"previous":"`...)
	b = appendHash(b, h.Previous)
	b = appendHex32(b, `","version":"`, h.Version)
	b = append(b, `","merkle_root":"`...)
	b = appendHash(b, h.MerkleRoot)
	b = appendNumber(b, `","time":`, uint64(h.Time))
	b = appendHex32(b, `,"bits":"`, h.Bits)
	b = appendNumber(b, `","nonce":`, uint64(h.Nonce))
	b = append(b, `,"work":"`...)
	b = append(b, state.Work.String()...)
	b = appendNumber(b, `","size":`, uint64(block.Size()))
	b = append(b, `,"best":`...)
	b = strconv.AppendBool(b, best)
	confirmations := uint64(0)
	if best {
		confirmations = uint64(tip) - uint64(state.Height) + 1
	}
	b = appendNumber(b, `,"confirmations":`, confirmations)
	b = append(b, `,"reward":{"id":"`...)
	b = appendHash(b, r.ID())
	b = appendNumber(b, `","amount":`, r.Amount)
	b = append(b, `,"recipient":`...)
	if r.Recipient == "" {
		b = append(b, `""`...) // of genesis
	} else {
		b = w.appendAccount(b, r.Recipient)
	}
	b = append(b, `,"extra":"`...)
	b = hex.AppendEncode(b, r.Extra)
	b = append(b, `","commitment":"`...)
	b = hex.AppendEncode(b, r.Commitment[:])
	fees := uint64(0)
	for i := range block.Transfers {
		fees += block.Transfers[i].Fee
	}
	b = appendNumber(b, `"},"fees":`, fees)
	b = appendNumber(b, `,"transfer_count":`, uint64(len(block.Transfers)))
	b = append(b, `,"transfers":[`...)
	b = w.appendTransfers(b, block.Transfers[:min(len(block.Transfers), shown)])
	return append(b, "]}"...)
}

// appendTransfers appends transfers with commas between them.
func (w *writer) appendTransfers(b []byte, transfers []types.Transfer) []byte {
	for i := range transfers {
		if i > 0 {
			b = append(b, ',')
		}
		b = w.appendTransfer(b, transfers[i].ID(), &transfers[i])
	}
	return b
}

// appendAccepted appends client.Accepted.
func appendAccepted(b []byte, r chain.Receipt) []byte {
	b = append(b, `{"id":"`...)
	b = appendHash(b, r.ID)
	status := client.Pending
	if r.Mined {
		status = client.Confirmed
	}
	b = append(append(append(b, `","status":"`...), status...), '"')
	b = appendNumber(b, `,"block_index":`, uint64(r.NextHeight))
	return append(b, '}')
}

// transferData returns what appendTransfer appends, as a value.
func (w *writer) transferData(id types.Hash, t *types.Transfer) *client.TransferData {
	d := &client.TransferData{
		ID: id, Sender: w.rules.FormatAccount(t.Sender), Recipient: w.rules.FormatAccount(t.Recipient),
		Amount: t.Amount, Fee: t.Fee, Expiry: t.Expiry, Salt: strconv.FormatUint(t.Salt, 10), Memo: t.Memo, Size: t.Size(),
	}
	if !utf8.ValidString(t.Memo) {
		d.MemoHex = hex.EncodeToString([]byte(t.Memo))
	}
	if w.rules.Signatures {
		d.Signature = hex.EncodeToString(t.Signature[:])
	}
	return d
}

// appendNext ends a page with the cursor of the next; 0 items more: "".
func appendNext(b []byte, next string) []byte {
	b = append(b, ']')
	if next != "" {
		b = append(b, `,"next":`...)
		b = appendString(b, next)
	}
	return append(b, "}\n"...)
}

func appendNumber(b []byte, name string, n uint64) []byte {
	return strconv.AppendUint(append(b, name...), n, 10)
}

func appendHex32(b []byte, name string, n uint32) []byte {
	return fmt.Appendf(append(b, name...), "%08x", n)
}
