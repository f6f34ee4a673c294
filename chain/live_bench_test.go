package chain_test

import (
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/store"
	"cairn/types"
)

// BenchmarkLiveBlock adds full blocks whose transfers are all in the pool, one at a
// time: what a node does when a neighbour has found a block.
func BenchmarkLiveBlock(b *testing.B) {
	crowd := chaintest.NewCrowd(100_000)
	s, err := store.Create(b.TempDir()+"/node", crowd.Rules, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	m, err := chain.New(chain.Config{Store: s})
	if err != nil {
		b.Fatal(err)
	}
	for settling := range crowd.Settle() {
		if err := m.AddBlocks(b.Context(), []*types.Block{settling}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	spent := make(map[chain.Part]time.Duration)
	for range b.N {
		b.StopTimer()
		made := crowd.Next()
		var g errgroup.Group
		g.SetLimit(1024)
		for _, t := range made.Transfers {
			g.Go(func() error { _, err := m.AddTransfer(b.Context(), t); return err })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		encoding := made.Encode()
		for _, p := range chain.Parts() {
			spent[p] -= m.Spent(p)
		}
		b.StartTimer()
		block, err := types.DecodeBlock(encoding)
		if err != nil {
			b.Fatal(err)
		}
		if err := m.AddBlocks(b.Context(), []*types.Block{block}); err != nil {
			b.Fatal(err)
		}
		for _, p := range chain.Parts() {
			spent[p] += m.Spent(p)
		}
	}
	b.StopTimer()
	for part, d := range spent {
		b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), part.String()+"-ms")
	}
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
