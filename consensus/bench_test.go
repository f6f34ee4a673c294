package consensus

import (
	"math/rand/v2"
	"testing"

	"cairn/types"
)

// benchBlock is a full block: 5,000 signed transfers between 10,000 accounts.
func benchBlock(b *testing.B) (*Rules, *types.Block) {
	b.Helper()
	r := testRules(true)
	r.MaxBlockSize = 32_000_000
	rules := mustRules(r)
	block := &types.Block{
		Reward:    types.Reward{Height: 100, Recipient: testAccount(true, "miner"), Amount: rules.Subsidy(100)},
		Transfers: signedTransfers(b, rules, 5000),
	}
	for i := range block.Transfers {
		block.Reward.Amount += block.Transfers[i].Fee
	}
	block.Header.MerkleRoot, _ = types.MerkleRoot(block.IDs())
	return rules, block
}

func reportTransfers(b *testing.B, n int) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "transfers/s")
}

func BenchmarkCheckBody(b *testing.B) {
	rules, block := benchBlock(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.CheckBody(100, block); err != nil {
			b.Fatal(err)
		}
	}
	reportTransfers(b, len(block.Transfers))
}

func BenchmarkApplyBody(b *testing.B) {
	rules, block := benchBlock(b)
	body, err := rules.CheckBody(100, block)
	if err != nil {
		b.Fatal(err)
	}
	balances := make([]int64, len(body.Parties))
	for i := range balances {
		balances[i] = 1 << 40
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.ApplyBody(balances, body); err != nil {
			b.Fatal(err)
		}
	}
	reportTransfers(b, len(block.Transfers))
}

// BenchmarkApplyTransfer is what assembling a template costs for each transfer.
func BenchmarkApplyTransfer(b *testing.B) {
	rules, block := benchBlock(b)
	balances := Balances{}
	for _, p := range LayOut(block).Parties {
		balances[p.Account] = 1 << 40
	}
	rng := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		if err := rules.ApplyTransfer(balances, &block.Transfers[rng.IntN(5000)]); err != nil {
			b.Fatal(err)
		}
	}
	reportTransfers(b, 1)
}

func BenchmarkVerifySignatures(b *testing.B) {
	rules, block := benchBlock(b)
	for _, size := range []struct {
		name string
		n    int
	}{{"1", 1}, {"10", 10}, {"50", 50}, {"100", 100}, {"1000", 1000}, {"5000", 5000}} {
		b.Run(size.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := rules.VerifySignatures(block.Transfers[:size.n], nil); err != nil {
					b.Fatal(err)
				}
			}
			reportTransfers(b, size.n)
		})
	}
}

func BenchmarkValidateHeader(b *testing.B) {
	rules := mustRules(testRules(false))
	parent := rules.GenesisState()
	h := child(rules, parent, 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.ValidateHeader(parent, h, uint64(h.Time)); err != nil {
			b.Fatal(err)
		}
	}
}
