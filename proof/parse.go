package proof

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// form names the format of a document and its version.
const form = "proof 1"

// Parse reads a document: one JSON object as Encode writes it, of at most MaxSize
// bytes; otherwise ErrFormat, which says where. Bytes are hex, hashes are written
// as Bitcoin does. It checks that everything has its form, not that it is true.
func Parse(b []byte) (*Document, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes are more than %d", ErrFormat, len(b), MaxSize)
	}
	r := new(reader)
	d := r.document(b)
	if r.err != nil {
		return nil, r.err
	}
	return d, nil
}

func (r *reader) document(b []byte) *Document {
	f := r.object("document", b, "cairn genesis headers commitments", "start block transaction account")
	if r.err == nil {
		if got := f.text("cairn"); got != form {
			f.wrong("cairn", "it is %.40q, not %q", got, form)
		}
	}
	if r.err != nil { // the rules are needed below
		return nil
	}
	rules, err := consensus.ParseGenesis(f.values["genesis"])
	if err != nil {
		f.wrong("genesis", "%w", err)
		return nil
	}
	d := &Document{Rules: rules, Headers: f.headers("headers"), Commitments: f.commitments("commitments")}
	if f.has("start") {
		d.Start = f.start("start")
	}
	if f.has("block") {
		d.Block = f.block("block")
	}
	if f.has("transaction") {
		d.Transaction = f.transaction("transaction")
	}
	if f.has("account") {
		d.Account = f.account("account", rules)
	}
	return d
}

func (f fields) headers(key string) []types.Header {
	b := f.bytes(key)
	if len(b) == 0 || len(b)%types.HeaderSize != 0 {
		f.wrong(key, "%d bytes are not one or more headers of %d", len(b), types.HeaderSize)
		return nil
	}
	headers := make([]types.Header, 0, len(b)/types.HeaderSize)
	for encoding := range slices.Chunk(b, types.HeaderSize) {
		h, err := types.DecodeHeader(encoding)
		if err != nil {
			f.wrong(key, "%w", err)
		}
		headers = append(headers, h)
	}
	return headers
}

func (f fields) start(key string) *Start {
	s := f.object(key, "leaf proof genesis", "")
	return &Start{
		Leaf:    s.leaf("leaf"),
		Proof:   decoded(s, "proof", history.DecodeProof),
		Genesis: decoded(s, "genesis", history.DecodeProof),
	}
}

func (f fields) leaf(key string) history.Leaf {
	l := f.object(key, "hash height time next_base work", "")
	return history.Leaf{
		Hash:     l.hash("hash"),
		Height:   l.number("height"),
		Time:     l.number("time"),
		NextBase: l.compact("next_base"),
		Work:     l.work("work"),
	}
}

// compact reads a compact target as the genesis file has it.
func (f fields) compact(key string) uint32 {
	text := f.text(key)
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 8 {
		f.wrong(key, "8 hex digits are needed, not %.40q", text)
	}
	return uint32(n)
}

// work reads a number of hashes in decimal digits, as consensus.Work writes it.
func (f fields) work(key string) (work [32]byte) {
	const most = 78 // digits of 2^256
	text := f.text(key)
	n, ok := new(big.Int), false
	if len(text) <= most {
		_, ok = n.SetString(text, 10)
	}
	if !ok || n.Sign() < 0 || n.BitLen() > 256 || n.String() != text {
		f.wrong(key, "a whole number of at most 256 bits is needed, not %.80q", text)
		return work
	}
	n.FillBytes(work[:])
	slices.Reverse(work[:])
	return work
}

func (f fields) commitments(key string) []Commitment {
	var commitments []Commitment
	for i, value := range f.list(key, MaxCommitments) {
		c := f.reader.object(fmt.Sprintf("%s.%s.%d", f.path, key, i), value, "height reward branch account_root history_root", "")
		commitments = append(commitments, Commitment{
			Height:      c.number("height"),
			Reward:      decoded(c, "reward", types.DecodeReward),
			Branch:      c.branch("branch"),
			AccountRoot: c.sum("account_root"),
			HistoryRoot: c.sum("history_root"),
		})
	}
	return commitments
}

func (f fields) block(key string) *Block {
	b := f.object(key, "header leaf proof", "")
	return &Block{
		Header: decoded(b, "header", types.DecodeHeader),
		Leaf:   b.leaf("leaf"),
		Proof:  decoded(b, "proof", history.DecodeProof),
	}
}

func (f fields) transaction(key string) *Transaction {
	t := f.object(key, "height position encoding branch", "")
	return &Transaction{
		Height:   t.number("height"),
		Position: t.number("position"),
		Encoding: t.bytes("encoding"),
		Branch:   t.branch("branch"),
	}
}

func (f fields) account(key string, rules *consensus.Rules) *Account {
	a := f.object(key, "account balance proof height", "")
	account, err := rules.ParseAccount(a.text("account"))
	if err != nil {
		a.wrong("account", "%w", err)
	}
	balance, err := parseBalance(rules, a.text("balance"))
	if err != nil {
		a.wrong("balance", "%w", err)
	}
	return &Account{
		Account: account,
		Balance: balance,
		Proof:   decoded(a, "proof", accounts.DecodeProof),
		Height:  a.number("height"),
	}
}

// parseBalance reads what Rules.FormatBalance writes, and no other form of it.
func parseBalance(rules *consensus.Rules, text string) (int64, error) {
	digits, negative := strings.CutPrefix(text, "-")
	amount, err := rules.ParseAmount(digits)
	if err != nil {
		return 0, err
	}
	balance := int64(amount)
	if negative {
		balance = -balance
	}
	if want := rules.FormatBalance(balance); want != text {
		return 0, fmt.Errorf("the balance %.40q is written %q", text, want)
	}
	return balance, nil
}
