package consensus

import (
	"errors"
	"math"
	"slices"
	"testing"

	"cairn/types"
)

// validBody returns a block at height 1 that CheckBody accepts.
func validBody(rules *Rules) *types.Block {
	b := &types.Block{
		Reward:    types.Reward{Height: 1, Recipient: testAccount(rules.Signatures, "miner")},
		Transfers: validTransfers(rules.Signatures, 1),
	}
	b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
	return b
}

func TestCheckBody(t *testing.T) {
	for _, signatures := range []bool{false, true} {
		rules := mustRules(testRules(signatures))
		b := validBody(rules)
		body, err := rules.CheckBody(1, b)
		if err != nil {
			t.Fatal(err)
		}
		if body.Block != b || body.Height != 1 || body.Size != len(b.Encode()) || !slices.Equal(body.IDs, b.IDs()) {
			t.Errorf("%+v", body)
		}
	}
}

// Whatever else is wrong with a body whose Merkle tree is not the header's, the
// header is not to blame.
func TestMangledBodiesDoNotBlameTheHeader(t *testing.T) {
	rules := mustRules(testRules(false))
	corruptions := map[string]func(*types.Block){
		"reward height":    func(b *types.Block) { b.Reward.Height = 9 },
		"reward recipient": func(b *types.Block) { b.Reward.Recipient = "" },
		"sender":           func(b *types.Block) { b.Transfers[0].Sender = "0" },
		"amount":           func(b *types.Block) { b.Transfers[0].Amount = math.MaxUint64 },
		"expiry":           func(b *types.Block) { b.Transfers[0].Expiry = 0 },
		"duplicate":        func(b *types.Block) { b.Transfers = append(b.Transfers, b.Transfers[0]) },
		"too many":         func(b *types.Block) { b.Transfers = slices.Repeat(b.Transfers, 100) },
		"signature":        func(b *types.Block) { b.Transfers[0].Signature[0] = 1 },
	}
	for name, corrupt := range corruptions {
		b := validBody(rules)
		corrupt(b)
		if _, err := rules.CheckBody(1, b); !MayBeMangled(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// In a tree of three, the doubled last one can really be there twice, and in one
// of six the doubled last two.
func TestMerkleMutationAtEachLevel(t *testing.T) {
	r := testRules(false)
	r.MaxBlockSize = 10_000
	rules := mustRules(r)
	for n, doubled := range map[int]int{3: 1, 5: 1, 6: 2, 7: 1, 10: 2, 12: 4} {
		b := validBody(rules)
		for i := range n - 2 {
			b.Transfers = append(b.Transfers, b.Transfers[0])
			b.Transfers[i+1].Salt = uint64(100 + i)
		}
		b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
		if _, err := rules.CheckBody(1, b); err != nil {
			t.Fatalf("%d transactions: %v", n, err)
		}
		b.Transfers = append(b.Transfers, b.Transfers[len(b.Transfers)-doubled:]...)
		if root, _ := types.MerkleRoot(b.IDs()); root != b.Header.MerkleRoot {
			t.Fatalf("%d transactions, the last %d twice: another root", n, doubled)
		}
		if _, err := rules.CheckBody(1, b); !errors.Is(err, ErrMerkleMutated) {
			t.Errorf("%d transactions, the last %d twice: %v", n, doubled, err)
		}
	}
}

func TestLifetimeAtItsLimits(t *testing.T) {
	rules := mustRules(testRules(false)) // a lifetime of 5 blocks
	for _, c := range []struct {
		height, expiry uint32
		want           error
	}{
		{10, 9, ErrExpired},
		{10, 10, nil},
		{10, 15, nil},
		{10, 16, ErrExpiryTooFar},
		{math.MaxUint32, math.MaxUint32, nil},
		{math.MaxUint32 - 1, math.MaxUint32, nil}, // where height + lifetime has 33 bits
		{math.MaxUint32, 4, ErrExpired},
	} {
		transfer := validTransfers(false, 1)[0]
		transfer.Expiry = c.expiry
		if err := rules.CheckTransfer(&transfer, c.height); !errors.Is(err, c.want) || err == nil != (c.want == nil) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// "Not yet" must not hide what is wrong for ever.
func TestExpiryTooFarIsTheLastError(t *testing.T) {
	rules := mustRules(testRules(false))
	for _, change := range []func(*types.Transfer){
		func(t *types.Transfer) { t.Sender = "" },
		func(t *types.Transfer) { t.Recipient = "0" },
		func(t *types.Transfer) { t.Amount = math.MaxUint64 },
		func(t *types.Transfer) { t.Fee = math.MaxUint64 },
	} {
		transfer := validTransfers(false, 1)[0]
		transfer.Expiry = math.MaxUint32
		if err := rules.CheckTransfer(&transfer, 1); !errors.Is(err, ErrExpiryTooFar) {
			t.Fatal(err)
		}
		change(&transfer)
		if err := rules.CheckTransfer(&transfer, 1); err == nil || errors.Is(err, ErrExpiryTooFar) {
			t.Error(err)
		}
	}
}

// FuzzBlock holds that no bytes whatever make the way from the wire to a checked
// body panic, and that a body which is accepted keeps what its type promises.
func FuzzBlock(f *testing.F) {
	networks := []*Rules{mustRules(testRules(false)), mustRules(testRules(true)), Dev()}
	for _, rules := range networks {
		f.Add(validBody(rules).Encode(), uint32(1))
	}
	for _, c := range ruleCases {
		n, _ := newCaseNode(f, &c)
		raw, _ := c.build(n, testHeight)
		f.Add(raw, uint32(testHeight))
	}
	f.Fuzz(func(t *testing.T, raw []byte, height uint32) {
		b, err := types.DecodeBlock(raw)
		if err != nil {
			return
		}
		for _, rules := range networks {
			body := checkAnyBody(t, rules, height, b)
			if body == nil {
				continue
			}
			balances := make([]int64, len(body.Parties))
			for i := range balances {
				balances[i] = int64(height) - 1000
			}
			_, _ = rules.ApplyBody(balances, body)
			_ = rules.VerifyEach(pointers(b.Transfers))
		}
	})
}

// checkAnyBody returns the body of b if it is valid. A mutator hardly ever finds
// a Merkle root, so it is put right first.
func checkAnyBody(t *testing.T, rules *Rules, height uint32, b *types.Block) *Body {
	_, _ = rules.ValidateHeader(rules.GenesisState(), b.Header, math.MaxUint32)
	_, _ = rules.CheckBody(height, b)
	b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
	body, err := rules.CheckBody(height, b)
	if err != nil {
		return nil
	}
	if body.Size > int(rules.MaxBlockSize) || len(body.IDs) != 1+len(b.Transfers) || b.Reward.Height != height {
		t.Errorf("accepted: %+v", body)
	}
	return body
}
