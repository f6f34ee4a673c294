package proof

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cairn/consensus"
	"cairn/types"
)

func mustVerify(t fatal, d *Document, trusted *consensus.Rules) Result {
	t.Helper()
	r, err := d.Verify(trusted, late)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var sameResult = cmpopts.EquateEmpty()

func TestFullDocument(t *testing.T) {
	c := smallChain(t)
	transfer := c.blocks[3].Transfers[1]
	want := Result{
		Name: "proof", ChainID: c.rules.ChainID(), FromGenesis: true, Tip: c.states[8],
		Transfer: &transfer, TransferID: transfer.ID(), Place: c.place(3, 3, 8),
		Account: person(ann), Balance: 1_000_000 - 110 - 17, BalanceAt: c.place(5, 5, 8),
	}
	checkResult(t, fullDocument(t, c), c.rules, want)
}

// What a block before the headers is worth is the work from the block on that
// commits to it, not that of all headers: those before cost a forger nothing.
func TestStartDocument(t *testing.T) {
	c := smallChain(t)
	transfer := c.blocks[3].Transfers[1]
	want := Result{
		Name: "proof", ChainID: c.rules.ChainID(), Tip: c.states[8],
		Transfer: &transfer, TransferID: transfer.ID(), Place: c.place(3, 7, 8),
		Account: person(nobody), BalanceAt: c.place(7, 7, 8),
	}
	d := startDocument(t, c)
	checkResult(t, d, c.rules, want)
	d.Block = c.block(t, 6, 3)
	want.Place = c.place(3, 6, 8)
	checkResult(t, d, c.rules, want)
}

func TestRewardDocument(t *testing.T) {
	c := smallChain(t)
	reward := c.blocks[7].Reward
	checkResult(t, rewardDocument(t, c), c.rules, Result{
		Name: "proof", ChainID: c.rules.ChainID(), Tip: c.states[8],
		Reward: &reward, TransferID: reward.ID(), Place: c.place(7, 7, 8),
	})
}

func TestBlockDocument(t *testing.T) {
	c := smallChain(t)
	checkResult(t, blockDocument(t, c), c.rules, Result{
		Name: "proof", ChainID: c.rules.ChainID(), Tip: c.states[8], Place: c.place(4, 6, 8),
	})
}

func TestHeadersAlone(t *testing.T) {
	c := smallChain(t)
	checkResult(t, c.document(t, 1, 1), c.rules, Result{
		Name: "proof", ChainID: c.rules.ChainID(), FromGenesis: true, Tip: c.states[1],
	})
}

// checkResult verifies a document as it is and once encoded, with and without a
// genesis file that is trusted.
func checkResult(t *testing.T, d *Document, trusted *consensus.Rules, want Result) {
	t.Helper()
	for _, rules := range []*consensus.Rules{trusted, nil} {
		for _, d := range []*Document{d, copyOf(t, d)} {
			if diff := cmp.Diff(want, mustVerify(t, d, rules), sameResult); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// On a network without signatures balances can be below zero, and names are any text.
func TestUnsignedNetwork(t *testing.T) {
	c := newChain(t, consensus.Dev())
	const name = `<"zoë">`
	c.add(t, "miner", types.Transfer{Sender: name, Recipient: "b", Amount: 150_000_000, Expiry: 9})
	c.add(t, "miner")
	c.add(t, "miner")
	d := c.document(t, 3, 3)
	d.Block = c.block(t, 3, 1)
	d.Transaction = TransactionOf(c.blocks[1], 1)
	d.Account = c.account(t, name, 3)
	r := mustVerify(t, copyOf(t, d), consensus.Dev())
	if r.Account != name || r.Balance != -150_000_000 || r.Transfer.Sender != name {
		t.Errorf("the result is %+v", r)
	}
	d.Start.Leaf.NextBase-- // a harder one, but the difficulty of this network is fixed
	if _, err := d.Verify(nil, late); !errors.Is(err, ErrHeaders) {
		t.Errorf("another base: error %v, want ErrHeaders", err)
	}
}

func TestAnotherNetwork(t *testing.T) {
	c := smallChain(t)
	for _, d := range []*Document{fullDocument(t, c), startDocument(t, c)} {
		if r, err := d.Verify(consensus.Dev(), late); !errors.Is(err, ErrNetwork) || !cmp.Equal(r, Result{}) {
			t.Errorf("%+v, error %v, want ErrNetwork", r, err)
		}
		d.Rules = signedRules(t, 0x1f00fffe)
		if _, err := d.Verify(c.rules, late); !errors.Is(err, ErrNetwork) {
			t.Errorf("error %v, want ErrNetwork", err)
		}
		if _, err := d.Verify(nil, late); !errors.Is(err, ErrHeaders) {
			t.Errorf("with a genesis file of its own: error %v, want ErrHeaders", err)
		}
	}
}

func TestTooNew(t *testing.T) {
	c := smallChain(t)
	d := fullDocument(t, c)
	limit := uint64(c.states[8].Time) - c.rules.FutureLimit()
	if _, err := d.Verify(nil, limit); err != nil {
		t.Error(err)
	}
	if _, err := d.Verify(nil, limit-1); !errors.Is(err, ErrHeaders) || !errors.Is(err, consensus.ErrTooNew) {
		t.Errorf("error %v, want ErrHeaders and ErrTooNew", err)
	}
}

// hostileBlock returns headers of which the last one's block has any transactions at
// all. Whoever works for a header can do so; a light client still checks their form.
func hostileBlock(t *testing.T, c *testChain, encodings ...[]byte) *Document {
	t.Helper()
	d := c.document(t, 1, 8)
	var ids []types.Hash
	for _, encoding := range encodings {
		ids = append(ids, types.Sum(encoding))
	}
	h := child(t, c.rules, c.states[8], ids)
	d.Headers = append(d.Headers, h)
	return d
}

// child returns a mined header on parent.
func child(t *testing.T, rules *consensus.Rules, parent consensus.State, ids []types.Hash) types.Header {
	t.Helper()
	h := types.Header{Version: 0x20000000, Previous: parent.Hash, Time: max(parent.Time, rules.Time) + 10}
	h.Bits = rules.AllowedBits(parent, h.Time)
	h.MerkleRoot, _ = types.MerkleRoot(ids)
	target, err := consensus.CompactToTarget(h.Bits)
	if err != nil {
		t.Fatal(err)
	}
	for !target.Meets(h.Hash()) {
		h.Nonce++
	}
	return h
}

func TestTransactionsOfHostileMiners(t *testing.T) {
	c := smallChain(t)
	reward := types.Reward{Height: 9, Recipient: person(miner)}
	system, early := reward, reward
	system.Recipient, early.Height = types.System, 10
	transfer := func(change func(*types.Transfer)) []byte {
		p := c.pay(ann, bob, 1, 1)
		change(&p)
		return p.Append(nil)
	}
	signed := func(change func(*types.Transfer)) []byte {
		return transfer(func(p *types.Transfer) { change(p); c.rules.Sign(p, key(ann)) })
	}
	for _, x := range []struct {
		name     string
		position int
		encoding []byte
		want     error
	}{
		{"a good transfer", 1, transfer(func(*types.Transfer) {}), nil},
		{"a good reward", 0, reward.Append(nil), nil},
		{"a bad signature", 1, transfer(func(p *types.Transfer) { p.Signature[9] ^= 1 }), consensus.ErrSignature},
		{"no signature", 1, transfer(func(p *types.Transfer) { p.Signature = [64]byte{} }), consensus.ErrSignature},
		{"a changed amount", 1, transfer(func(p *types.Transfer) { p.Amount++ }), consensus.ErrSignature},
		{"another sender", 1, transfer(func(p *types.Transfer) { p.Sender = person(bob) }), consensus.ErrSignature},
		{"an expired transfer", 1, signed(func(p *types.Transfer) { p.Expiry = 8 }), consensus.ErrExpired},
		{"one for later", 1, signed(func(p *types.Transfer) { p.Expiry = 9 + 101 }), consensus.ErrExpiryTooFar},
		{"too large an amount", 1, signed(func(p *types.Transfer) { p.Amount = types.MaxAmount + 1 }), consensus.ErrAmount},
		{"a name as an account", 1, signed(func(p *types.Transfer) { p.Recipient = "bob" }), consensus.ErrAccount},
		{"the system as sender", 1, transfer(func(p *types.Transfer) { p.Sender = types.System }), consensus.ErrSystemAccount},
		{"a transfer in the place of the reward", 0, transfer(func(*types.Transfer) {}), types.ErrMalformed},
		{"a second reward", 1, system.Append(nil), types.ErrMalformed},
		{"a reward to the system", 0, system.Append(nil), consensus.ErrRewardRecipient},
		{"a reward for another height", 0, early.Append(nil), consensus.ErrRewardHeight},
		{"nothing", 1, nil, types.ErrMalformed},
		{"64 bytes", 1, make([]byte, 64), types.ErrMalformed},
		{"more than a transfer", 1, append(transfer(func(*types.Transfer) {}), 0), types.ErrMalformed},
	} {
		encodings := [][]byte{reward.Append(nil), transfer(func(*types.Transfer) {})}
		encodings[x.position] = x.encoding
		d := hostileBlock(t, c, encodings...)
		other := types.Sum(encodings[1-x.position])
		d.Transaction = &Transaction{Height: 9, Position: uint32(x.position), Encoding: x.encoding, Branch: []types.Hash{other}}
		_, err := d.Verify(c.rules, 1<<33)
		if x.want == nil && err != nil || x.want != nil && !(errors.Is(err, ErrTransaction) && errors.Is(err, x.want)) {
			t.Errorf("%s: error %v, want ErrTransaction and %v", x.name, err, x.want)
		}
	}
}

// The two ids under an inner node are 64 bytes that hash to it, so it may not be
// shown as a transaction.
func TestInnerNodeIsNoTransaction(t *testing.T) {
	c := smallChain(t)
	d := fullDocument(t, c)
	ids := c.blocks[3].IDs()
	d.Transaction.Encoding = append(append([]byte{}, ids[2][:]...), ids[3][:]...)
	d.Transaction.Position, d.Transaction.Branch = 1, d.Transaction.Branch[1:]
	if _, err := d.Verify(c.rules, late); !errors.Is(err, ErrTransaction) || !errors.Is(err, types.ErrMalformed) {
		t.Errorf("error %v, want ErrTransaction and ErrMalformed", err)
	}
}

// Block 3 has five transactions; the tree doubles the last one up to eight.
func TestDoubledTransaction(t *testing.T) {
	c := smallChain(t)
	d := fullDocument(t, c)
	d.Transaction = TransactionOf(c.blocks[3], 4)
	mustVerify(t, d, c.rules)
	for _, position := range []uint32{5, 6, 7} {
		d.Transaction.Position = position
		if _, err := d.Verify(c.rules, late); !errors.Is(err, ErrTransaction) {
			t.Errorf("position %d: error %v, want ErrTransaction", position, err)
		}
	}
}
