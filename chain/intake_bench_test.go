package chain_test

import (
	"crypto/ed25519"
	"fmt"
	"sync/atomic"
	"testing"

	"cairn/chain"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// BenchmarkAddTransfer submits transfers to a chain on disk, from one caller after
// the other and from several at once. Each answer is durable.
func BenchmarkAddTransfer(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("unsigned/callers=%d", callers), func(b *testing.B) {
			rules := testRules(b, func(r *consensus.Rules) { r.TxLifetime = 1_000_000 })
			benchmarkAdd(b, rules, callers, func(i uint64) types.Transfer {
				return types.Transfer{Sender: "x", Recipient: "y", Amount: 1, Expiry: 1_000_000, Salt: i}
			})
		})
		b.Run(fmt.Sprintf("signed/callers=%d", callers), func(b *testing.B) {
			key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
			rules := testRules(b, func(r *consensus.Rules) {
				r.Signatures, r.CreditLimit, r.TxLifetime = true, 0, 1_000_000
				r.Allocations = []consensus.Allocation{{Account: accountOf(key), Amount: 1 << 40}}
			})
			signed := make([]types.Transfer, b.N)
			for i := range signed {
				signed[i] = types.Transfer{Sender: accountOf(key), Recipient: accountOf(key), Amount: 1, Expiry: 1_000_000, Salt: uint64(i)}
				rules.Sign(&signed[i], key)
			}
			benchmarkAdd(b, rules, callers, func(i uint64) types.Transfer { return signed[i] })
		})
	}
}

func benchmarkAdd(b *testing.B, rules *consensus.Rules, callers int, transfer func(i uint64) types.Transfer) {
	s, err := store.Create(b.TempDir()+"/node", rules, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	m, err := chain.New(chain.Config{Store: s})
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Uint64
	b.ReportAllocs()
	b.SetParallelism(max(1, callers/2)) // times the cores; fewer callers share them
	b.ResetTimer()
	if callers == 1 {
		for i := range uint64(b.N) {
			if _, err := m.AddTransfer(b.Context(), transfer(i)); err != nil {
				b.Fatal(err)
			}
		}
	} else {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if _, err := m.AddTransfer(b.Context(), transfer(next.Add(1)-1)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transfers/s")
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
