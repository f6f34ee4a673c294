package proof

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// Encode returns the document as a JSON file that Parse reads. Its fields are all
// set, but for those that may be nil.
func (d *Document) Encode() []byte {
	out := documentJSON{
		Cairn:       form,
		Genesis:     d.Rules.JSON(),
		Start:       startForm(d.Start),
		Commitments: make([]commitmentJSON, 0, len(d.Commitments)),
		Block:       blockForm(d.Block),
		Transaction: transactionForm(d.Transaction),
		Account:     accountForm(d.Rules, d.Account),
	}
	for i := range d.Headers {
		encoding := d.Headers[i].Encode()
		out.Headers = append(out.Headers, encoding[:]...)
	}
	for i := range d.Commitments {
		out.Commitments = append(out.Commitments, commitmentForm(&d.Commitments[i]))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	// Texts, numbers and a genesis file always encode, and a buffer takes all of it.
	_ = e.Encode(out)
	return b.Bytes()
}

// hexBytes are bytes that stand as hex in JSON.
type hexBytes []byte

// MarshalText writes the hex digits; it never fails.
func (b hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

type documentJSON struct {
	Cairn       string           `json:"cairn"`
	Genesis     json.RawMessage  `json:"genesis"`
	Start       *startJSON       `json:"start,omitempty"`
	Headers     hexBytes         `json:"headers"`
	Commitments []commitmentJSON `json:"commitments"`
	Block       *blockJSON       `json:"block,omitempty"`
	Transaction *transactionJSON `json:"transaction,omitempty"`
	Account     *accountJSON     `json:"account,omitempty"`
}

type startJSON struct {
	Leaf    leafJSON `json:"leaf"`
	Proof   hexBytes `json:"proof"`
	Genesis hexBytes `json:"genesis"`
}

type leafJSON struct {
	Hash     types.Hash `json:"hash"`
	Height   uint32     `json:"height"`
	Time     uint32     `json:"time"`
	NextBase string     `json:"next_base"`
	Work     string     `json:"work"`
}

type commitmentJSON struct {
	Height      uint32       `json:"height"`
	Reward      hexBytes     `json:"reward"`
	Branch      []types.Hash `json:"branch"`
	AccountRoot hexBytes     `json:"account_root"`
	HistoryRoot hexBytes     `json:"history_root"`
}

type blockJSON struct {
	Header hexBytes `json:"header"`
	Leaf   leafJSON `json:"leaf"`
	Proof  hexBytes `json:"proof"`
}

type transactionJSON struct {
	Height   uint32       `json:"height"`
	Position uint32       `json:"position"`
	Encoding hexBytes     `json:"encoding"`
	Branch   []types.Hash `json:"branch"`
}

type accountJSON struct {
	Account string   `json:"account"`
	Balance string   `json:"balance"`
	Proof   hexBytes `json:"proof"`
	Height  uint32   `json:"height"`
}

func startForm(s *Start) *startJSON {
	if s == nil {
		return nil
	}
	return &startJSON{leafForm(s.Leaf), s.Proof.Append(nil), s.Genesis.Append(nil)}
}

func leafForm(l history.Leaf) leafJSON {
	return leafJSON{
		Hash:     l.Hash,
		Height:   l.Height,
		Time:     l.Time,
		NextBase: fmt.Sprintf("%08x", l.NextBase),
		Work:     consensus.WorkFromLittleEndian(l.Work).String(),
	}
}

func commitmentForm(c *Commitment) commitmentJSON {
	return commitmentJSON{c.Height, c.Reward.Append(nil), list(c.Branch), c.AccountRoot[:], c.HistoryRoot[:]}
}

func blockForm(b *Block) *blockJSON {
	if b == nil {
		return nil
	}
	header := b.Header.Encode()
	return &blockJSON{header[:], leafForm(b.Leaf), b.Proof.Append(nil)}
}

func transactionForm(t *Transaction) *transactionJSON {
	if t == nil {
		return nil
	}
	return &transactionJSON{t.Height, t.Position, t.Encoding, list(t.Branch)}
}

func accountForm(rules *consensus.Rules, a *Account) *accountJSON {
	if a == nil {
		return nil
	}
	return &accountJSON{rules.FormatAccount(a.Account), rules.FormatBalance(a.Balance), a.Proof.Append(nil), a.Height}
}

// list makes an empty array of no branch, where JSON would have null.
func list(branch []types.Hash) []types.Hash { return append([]types.Hash{}, branch...) }
