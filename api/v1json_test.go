package api

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"cairn/api/client"
	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/types"
)

// encoded is the JSON that encoding/json makes of v, without HTML escapes.
func encoded(t rapid.TB, v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// plainTransfer is client.TransferData, made from what its fields say.
func plainTransfer(r *consensus.Rules, t *types.Transfer) client.TransferData {
	d := client.TransferData{
		ID: t.ID(), Sender: r.FormatAccount(t.Sender), Recipient: r.FormatAccount(t.Recipient), Amount: t.Amount, Fee: t.Fee,
		Expiry: t.Expiry, Salt: strconv.FormatUint(t.Salt, 10), Memo: t.Memo, Size: len(t.Append(nil)),
	}
	if !utf8.ValidString(t.Memo) {
		d.MemoHex = hex.EncodeToString([]byte(t.Memo))
	}
	if r.Signatures {
		d.Signature = hex.EncodeToString(t.Signature[:])
	}
	return d
}

// plainBlock is client.BlockData, made likewise.
func plainBlock(r *consensus.Rules, state consensus.State, b *types.Block, best bool, confirmations uint32) client.BlockData {
	d := client.BlockData{
		Hash: b.Header.Hash(), Height: state.Height, Previous: b.Header.Previous, Version: fmt.Sprintf("%08x", b.Header.Version),
		MerkleRoot: b.Header.MerkleRoot, Time: b.Header.Time, Bits: fmt.Sprintf("%08x", b.Header.Bits), Nonce: b.Header.Nonce,
		Work: state.Work.String(), Size: len(b.Encode()), Best: best, Confirmations: confirmations,
		Reward: client.RewardData{
			ID: b.Reward.ID(), Amount: b.Reward.Amount, Recipient: r.FormatAccount(b.Reward.Recipient),
			Extra: hex.EncodeToString(b.Reward.Extra), Commitment: hex.EncodeToString(b.Reward.Commitment[:]),
		},
		TransferCount: len(b.Transfers), Transfers: []client.TransferData{},
	}
	if b.Reward.Recipient == "" {
		d.Reward.Recipient = ""
	}
	for i := range b.Transfers {
		d.Fees += b.Transfers[i].Fee
		if i < 100 {
			d.Transfers = append(d.Transfers, plainTransfer(r, &b.Transfers[i]))
		}
	}
	return d
}

// anyMemo draws memos that are text, nearly text, and bytes.
func anyMemo(t *rapid.T) string {
	memo := rapid.OneOf(
		rapid.SampledFrom([]string{"", "plain", `<a href="x">&amp;</a>`, "\u2028\u2029\x00\x1f\x7f", `"\/`, "é🪨", "\xff", "a\xc3", "\xed\xa0\x80", "\ufffd", "\b\f\n\r\t"}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 255), func(b []byte) string { return string(b) }),
		rapid.StringN(0, 60, 255),
	).Draw(t, "memo")
	return memo[:min(len(memo), 255)]
}

// anyTransfer draws a transfer whose accounts are of the network.
func anyTransfer(t *rapid.T, r *consensus.Rules) types.Transfer {
	account := rapid.SampledFrom([]types.Account{"a", "<é>&\"\\", "person 1", types.Account(bytes.Repeat([]byte("x"), 64))})
	if r.Signatures {
		account = rapid.Map(rapid.ByteRange(1, 5), func(b byte) types.Account { return accountOfKey(keyOf(b)) })
	}
	amount := rapid.OneOf(rapid.Uint64Max(types.MaxAmount), rapid.Just(uint64(types.MaxAmount)))
	transfer := types.Transfer{
		Sender: account.Draw(t, "sender"), Recipient: account.Draw(t, "recipient"), Amount: amount.Draw(t, "amount"), Fee: amount.Draw(t, "fee"),
		Expiry: rapid.Uint32().Draw(t, "expiry"), Salt: rapid.Uint64().Draw(t, "salt"), Memo: anyMemo(t),
	}
	if r.Signatures {
		copy(transfer.Signature[:], rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "signature"))
	}
	return transfer
}

// What is appended is what encoding/json writes for the client's types, to the byte.
func TestAppendedJSON(t *testing.T) {
	for _, r := range []*consensus.Rules{consensus.Dev(), keyedRules(t, nil)} {
		t.Run(r.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := &writer{r, make(map[types.Account]string)}
				transfer := anyTransfer(t, r)
				want := plainTransfer(r, &transfer)
				if got := string(w.appendTransfer(nil, transfer.ID(), &transfer)); got != encoded(t, want) {
					t.Errorf("appended %s\nwant     %s", got, encoded(t, want))
				}
				if got := encoded(t, w.transferData(transfer.ID(), &transfer)); got != encoded(t, want) {
					t.Errorf("as a value %s\nwant       %s", got, encoded(t, want))
				}
				checkBlockJSON(t, w, transfer)
				checkEventJSON(t, r, transfer)
			})
		})
	}
}

func checkBlockJSON(t *rapid.T, w *writer, transfer types.Transfer) {
	block := &types.Block{
		Header: types.Header{
			Version: rapid.Uint32().Draw(t, "version"), Time: rapid.Uint32().Draw(t, "time"),
			Bits: rapid.Uint32().Draw(t, "bits"), Nonce: rapid.Uint32().Draw(t, "nonce"), Previous: transfer.ID(),
		},
		Reward: types.Reward{
			Height: 7, Extra: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "extra"), Amount: transfer.Amount, Recipient: transfer.Sender,
			Commitment: transfer.ID(),
		},
	}
	if rapid.Bool().Draw(t, "genesis") {
		block.Reward.Recipient = ""
	}
	for i := range rapid.SampledFrom([]int{0, 1, 2, 100, 101}).Draw(t, "transfers") {
		next := transfer
		next.Salt += uint64(i)
		next.Fee = uint64(i)
		block.Transfers = append(block.Transfers, next)
	}
	work := consensus.Work{rapid.Uint64().Draw(t, "work"), 3}
	state := consensus.State{Hash: block.Header.Hash(), Previous: block.Header.Previous, Height: rapid.Uint32Max(1<<31).Draw(t, "height"), Time: block.Header.Time, Work: work}
	best := rapid.Bool().Draw(t, "best")
	confirmations := uint32(0)
	if best {
		confirmations = 5
	}
	got := string(w.appendBlock(nil, &state, block, best, state.Height+4))
	if want := encoded(t, plainBlock(w.rules, state, block, best, confirmations)); got != want {
		t.Errorf("appended %s\nwant     %s", got, want)
	}
	for _, reverted := range []bool{false, true} {
		event := client.Event{Block: &client.EventBlock{
			Hash: state.Hash, Previous: state.Previous, Height: state.Height, Time: state.Time, Work: work.String(),
		}}
		name, id := client.BlockApplied, state.Hash
		if reverted {
			name, id = client.BlockReverted, state.Previous
		}
		want := fmt.Sprintf("id: %v\nevent: %s\ndata: %s\n\n", id, name, encoded(t, event))
		if got := string(blockFrame(&state, reverted)); got != want {
			t.Errorf("event %s\nwant  %s", got, want)
		}
	}
}

func checkEventJSON(t *rapid.T, r *consensus.Rules, transfer types.Transfer) {
	s := &server{rules: r}
	data := plainTransfer(r, &transfer)
	change := chain.PoolChange{}
	change.Entry.ID, change.Entry.Transfer = transfer.ID(), &transfer
	want := "event: transfer_pooled\ndata: " + encoded(t, client.Event{Transfer: &data}) + "\n\n"
	if got := string(s.appendChange(nil, &change)); got != want {
		t.Errorf("event %s\nwant  %s", got, want)
	}
	change.Dropped = fmt.Errorf("%w: <why> & what", chain.ErrEvicted)
	want = "event: transfer_dropped\ndata: " + encoded(t, client.Event{Transfer: &data, Reason: problemOf(change.Dropped)}) + "\n\n"
	if got := string(s.appendChange(nil, &change)); got != want {
		t.Errorf("event %s\nwant  %s", got, want)
	}
}

// What is remembered of accounts does not change with the memory that they were read
// from, which the next block is read into.
func TestNamesAreKept(t *testing.T) {
	n := keyed(t, nodeConfig{})
	block := chaintest.New(n.chain.Rules()).Add("a", chaintest.Genesis, chaintest.Spec{
		Miner: n.person(3), Transfers: []types.Transfer{n.transfer(1, 2, 1, 0, 1)},
	})
	encoding, borrowed := block.Encode(), new(types.Block)
	if err := borrowed.Borrow(encoding); err != nil {
		t.Fatal(err)
	}
	w := &writer{n.chain.Rules(), make(map[types.Account]string)}
	w.appendBlock(nil, &consensus.State{}, borrowed, true, 0)
	clear(encoding)
	for i := range byte(3) {
		if got, want := w.names[n.person(i+1)], n.text(i+1); got != want {
			t.Errorf("person %d is remembered as %q, not as %q", i+1, got, want)
		}
	}
}

// Pages of blocks and transfers, and what mining answers, are those values with what
// belongs around them.
func TestAppendedPages(t *testing.T) {
	n := newNode(t, nodeConfig{})
	b := chaintest.New(n.chain.Rules())
	odd := n.transfer(1, 2, 3, 4, 5)
	odd.Memo = "\xff<&>\u2028"
	block := b.Add("a", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{odd, n.transfer(2, 3, 1, 0, 6)}})
	if err := n.chain.AddBlocks(t.Context(), []*types.Block{block}); err != nil {
		t.Fatal(err)
	}
	rules := n.chain.Rules()
	genesis := plainBlock(rules, rules.GenesisState(), rules.Genesis(), true, 2)
	a := plainBlock(rules, b.State("a"), block, true, 1)
	type blocks = client.Page[client.BlockData]
	type transfers = client.Page[client.TransferData]
	for target, want := range map[string]any{
		"/v1/blocks/0":                   genesis,
		"/v1/blocks/1":                   a,
		"/v1/blocks":                     blocks{Items: []client.BlockData{a, genesis}},
		"/v1/blocks?limit=1":             blocks{Items: []client.BlockData{a}, Next: "0"},
		"/v1/blocks?limit=1&order=asc":   blocks{Items: []client.BlockData{genesis}, Next: "1"},
		"/v1/blocks/1/transfers":         transfers{Items: a.Transfers},
		"/v1/blocks/1/transfers?limit=1": transfers{Items: a.Transfers[:1], Next: "1"},
		"/v1/blocks/0/transfers":         transfers{Items: []client.TransferData{}},
		"/v1/blocks/" + a.Hash.String():  a,
		"/v1/transactions/" + a.Transfers[0].ID.String(): client.TransactionData{
			ID: a.Transfers[0].ID, Status: client.Confirmed, Height: 1, Confirmations: 1,
			Block: &client.Place{Hash: a.Hash, Height: 1, Time: a.Time}, Transfer: &a.Transfers[0],
		},
	} {
		n.get(target).is(200, encoded(t, want))
	}
	mined := n.post("/v1/mine", "")
	if want := n.get("/v1/blocks/2"); mined.body != want.body {
		t.Errorf("mined %s\nis    %s", mined.body, want.body)
	}
}

// A memo that is no text goes in as hex and comes out the same, from the JSON that
// the node shows as well.
func TestMemoHex(t *testing.T) {
	n := newNode(t, nodeConfig{})
	odd := n.transfer(1, 2, 3, 4, 5)
	odd.Memo = "\xff\x00\xfe"
	if got := n.submit(odd); got.ID != odd.ID() {
		t.Errorf("%v was taken for %v", odd.ID(), got.ID)
	}
	for _, body := range []string{
		`"memo_hex":"f"`, `"memo_hex":"zz"`, `"memo_hex":5`, `"memo_hex":"` + hex.EncodeToString(make([]byte, 256)) + `"`,
	} {
		n.post("/v1/transactions", `{"sender":"a","recipient":"b","amount":1,`+body+`}`).refused(422, "memo_hex")
	}
}

func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		receipt chain.Receipt
		status  client.State
	}{
		{chain.Receipt{ID: types.Hash{1, 2, 31: 3}, NextHeight: 7}, client.Pending},
		{chain.Receipt{ID: types.Hash{0xfe}, NextHeight: 1<<32 - 1, Mined: true}, client.Confirmed},
	} {
		want := encoded(t, client.Accepted{ID: c.receipt.ID, Status: c.status, BlockIndex: c.receipt.NextHeight})
		if got := string(appendAccepted(nil, c.receipt)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
