package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"cairn/api/client"
	"cairn/consensus"
	"cairn/types"
)

// clientBlock makes the client's type of a block, and encoding/json makes its
// JSON: what appendBlock must write, byte for byte.
func clientBlock(rules *consensus.Rules, height uint32, b *types.Block) client.Block {
	c := client.Block{
		Index: height, PreviousHash: client.PreviousHash(b.Header.Previous), Proof: b.Header.Nonce, Timestamp: b.Header.Time,
		Transactions: []client.Transaction{},
	}
	for _, t := range b.Transfers {
		c.Transactions = append(c.Transactions, client.Transaction{
			Amount: json.Number(rules.FormatAmount(t.Amount)), Recipient: rules.FormatAccount(t.Recipient), Sender: rules.FormatAccount(t.Sender),
		})
	}
	if height > 0 {
		c.Transactions = append(c.Transactions, client.Transaction{
			Amount: json.Number(rules.FormatAmount(b.Reward.Amount)), Recipient: rules.FormatAccount(b.Reward.Recipient), Sender: "0",
		})
	}
	return c
}

func TestBlockJSON(t *testing.T) {
	dev := consensus.Dev()
	if got := string(appendBlock(nil, dev, 0, dev.Genesis())); got != genesisJSON {
		t.Errorf("genesis: %s", got)
	}
	block := &types.Block{
		Header: types.Header{Previous: types.Hash{0: 0xab, 31: 1}, Time: 1515311824, Nonce: 4294967295},
		Reward: types.Reward{Height: 7, Amount: 1e8, Recipient: "1e1b776c1ef1477883391a2bb3160c5b"},
		Transfers: []types.Transfer{
			{Sender: "addr1", Recipient: "addr2", Amount: 3e8, Fee: 5, Memo: "not shown"},
			{Sender: "<a&b>", Recipient: "\"\\🪨", Amount: types.MaxAmount},
		},
	}
	const want = `{"index":7,"previous_hash":"01000000000000000000000000000000000000000000000000000000000000ab","proof":4294967295,"timestamp":1515311824,"transactions":[` +
		`{"amount":3,"recipient":"addr2","sender":"addr1"},{"amount":90071992.54740991,"recipient":"\"\\🪨","sender":"<a&b>"},` +
		`{"amount":1,"recipient":"1e1b776c1ef1477883391a2bb3160c5b","sender":"0"}]}`
	if got := string(appendBlock([]byte("before"), dev, 7, block)); got != "before"+want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestBlockJSONIsThatOfTheClient(t *testing.T) {
	signed := signedRules(t, types.Account(strings.Repeat("k", 32)))
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SampledFrom([]*consensus.Rules{consensus.Dev(), signed}).Draw(t, "rules")
		account := rapid.Custom(func(t *rapid.T) types.Account {
			if rules.Signatures {
				return types.Account(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
			}
			return types.Account(rapid.StringN(1, 20, 64).Draw(t, "name"))
		})
		amount := rapid.Uint64Range(0, types.MaxAmount)
		block := &types.Block{
			Header: types.Header{
				Previous: types.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "previous")),
				Time:     rapid.Uint32().Draw(t, "time"), Nonce: rapid.Uint32().Draw(t, "nonce"),
			},
			Reward: types.Reward{Amount: amount.Draw(t, "reward"), Recipient: account.Draw(t, "recipient")},
		}
		for range rapid.IntRange(0, 5).Draw(t, "transfers") {
			block.Transfers = append(block.Transfers, types.Transfer{
				Sender: account.Draw(t, "from"), Recipient: account.Draw(t, "to"), Amount: amount.Draw(t, "amount"),
			})
		}
		height := rapid.Uint32Min(1).Draw(t, "height")
		want, err := marshal(clientBlock(rules, height, block))
		if err != nil {
			t.Fatal(err)
		}
		if got := appendBlock(nil, rules, height, block); !bytes.Equal(got, want) {
			t.Errorf("got\n%s, want\n%s", got, want)
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "addr1", `"\`, "\x00\x1f\x7f\u0080", "<>&'", "\u2028\u2029", "\xff\xc3(", "🪨é\ufffd", "a\b\f\n\r\tz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, s); !bytes.Equal(got, want) {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	})
}

// Every byte at every place of the eight that are looked at together.
func TestPlain(t *testing.T) {
	for c := range 256 {
		for at := range 8 {
			b := [8]byte([]byte("addr1\x7f ~"))
			b[at] = byte(c)
			want := c >= ' ' && c < 0x80 && c != '"' && c != '\\'
			if plain(b) != want {
				t.Errorf("%q is plain: %v", b, !want)
			}
		}
	}
}

// Every character, so that none hides between the seeds of the fuzz target.
func TestAppendString(t *testing.T) {
	for r := range rune(unicode.MaxRune + 1) {
		want, err := marshal(string(r))
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, string(r)); !bytes.Equal(got, want) {
			t.Fatalf("%U: got %s, want %s", r, got, want)
		}
	}
}

func BenchmarkAppendBlock(b *testing.B) {
	signed := signedRules(b, types.Account(strings.Repeat("k", 32)))
	for name, c := range map[string]struct {
		rules   *consensus.Rules
		account types.Account
	}{"names": {consensus.Dev(), "1e1b776c1ef1477883391a2bb3160c5b"}, "keys": {signed, types.Account(strings.Repeat("k", 32))}} {
		block := &types.Block{Header: types.Header{Previous: types.Hash{1}}, Reward: types.Reward{Recipient: c.account, Amount: 1e8}}
		for i := range 10 {
			block.Transfers = append(block.Transfers, types.Transfer{Sender: c.account, Recipient: c.account, Amount: uint64(i) * 1e7})
		}
		b.Run(name, func(b *testing.B) {
			var buffer []byte
			b.ReportAllocs()
			for b.Loop() {
				buffer = appendBlock(buffer[:0], c.rules, 1, block)
			}
			b.SetBytes(int64(len(buffer)))
		})
	}
}
