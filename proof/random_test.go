package proof

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cairn/accounts"
	"cairn/types"
)

// randomChain has up to 20 blocks in which ten people pay each other; some of them
// never had anything.
func randomChain(t *rapid.T) *testChain {
	c := newChain(t, signedRules(t, 0x207fffff))
	salt := uint64(0)
	for range rapid.IntRange(1, 20).Draw(t, "blocks") {
		var transfers []types.Transfer
		for range rapid.IntRange(0, 6).Draw(t, "transfers") {
			salt++
			from, to := rapid.IntRange(0, 3).Draw(t, "from"), rapid.IntRange(0, 7).Draw(t, "to")
			transfers = append(transfers, c.pay(from, to, rapid.Uint64Range(0, 1000).Draw(t, "amount"), salt))
		}
		c.add(t, person(rapid.IntRange(4, 6).Draw(t, "miner")), transfers...)
	}
	return c
}

func heightFrom(t *rapid.T, least, most uint32, label string) uint32 {
	return rapid.Uint32Range(least, most).Draw(t, label)
}

// Whatever a node says of its chain holds: any transaction of any block, before the
// headers or among them, and any balance. No other balance does.
func TestEveryProofHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := randomChain(t)
		last := heightFrom(t, 1, c.tip(), "last")
		first := heightFrom(t, 1, last, "first")
		d := c.document(t, first, last)
		want := Result{Name: "proof", ChainID: c.rules.ChainID(), FromGenesis: first == 1, Tip: c.states[last]}

		at := heightFrom(t, first, last, "commitment")
		if first == 1 || at > first {
			c.commit(d, at)
		}
		height := heightFrom(t, 1, last, "height")
		from := height
		if height < first {
			from = rapid.SampledFrom([]uint32{first, at}).Draw(t, "from")
			d.Block = c.block(t, from, height)
		}
		position := rapid.IntRange(0, len(c.blocks[height].Transfers)).Draw(t, "position")
		d.Transaction = TransactionOf(c.blocks[height], position)
		want.Place, want.TransferID = c.place(height, from, last), c.blocks[height].IDs()[position]
		if position == 0 {
			want.Reward = &c.blocks[height].Reward
		} else {
			want.Transfer = &c.blocks[height].Transfers[position-1]
		}

		who := person(rapid.IntRange(0, 9).Draw(t, "account"))
		d.Account = c.account(t, who, at)
		want.Account, want.Balance, want.BalanceAt = who, c.balance(t, at, who), c.place(at, at, last)

		for _, d := range []*Document{d, copyOf(t, d)} {
			if diff := cmp.Diff(want, mustVerify(t, d, c.rules), sameResult); diff != "" {
				t.Fatal(diff)
			}
		}
		for _, balance := range []int64{0, want.Balance + 1, -want.Balance, rapid.Int64().Draw(t, "balance")} {
			if d.Account.Balance = balance; balance == want.Balance {
				continue
			}
			if _, err := d.Verify(c.rules, late); !errors.Is(err, ErrAccount) || !errors.Is(err, accounts.ErrProof) {
				t.Fatalf("balance %d, which is %d: error %v, want ErrAccount", balance, want.Balance, err)
			}
		}
	})
}

// Nothing that is read makes Verify fail in another way than by an error, and what
// is read is what is written.
func FuzzParse(f *testing.F) {
	for _, g := range golden {
		f.Add(readGolden(f, g.file))
	}
	f.Add([]byte(`{"cairn":"proof 1","genesis":{},"headers":"","commitments":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrFormat) || d != nil {
				t.Errorf("%v, error %v, want nil, ErrFormat", d, err)
			}
			return
		}
		encoded := d.Encode()
		again, err := Parse(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if twice := again.Encode(); !bytes.Equal(twice, encoded) {
			t.Errorf("%s\nis encoded again as\n%s", encoded, twice)
		}
		r, err := d.Verify(nil, late)
		if err != nil && !isOurs(err) {
			t.Errorf("error %v is none of this package", err)
		}
		if same, errAgain := again.Verify(nil, late); !cmp.Equal(r, same, sameResult) || (err == nil) != (errAgain == nil) {
			t.Errorf("%+v, %v once encoded is %+v, %v", r, err, same, errAgain)
		}
	})
}
