package chain_test

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/store"
)

// BenchmarkImport adds full blocks of signed transfers to a new data directory
// on disk: everything is validated, indexed and durable. CAIRN_BENCH_ACCOUNTS
// sets the number of accounts (default 10,000). Beside the rate it reports what
// each part took for a transfer: bodies and signatures run on all cores ahead of
// the others.
func BenchmarkImport(b *testing.B) {
	const blocks, atOnce = 40, 10
	accounts := 10_000
	if s := os.Getenv("CAIRN_BENCH_ACCOUNTS"); s != "" {
		accounts, _ = strconv.Atoi(s)
	}
	crowd := chaintest.NewCrowd(accounts)
	var before, incoming []chain.Incoming
	for block := range crowd.Settle() {
		before = append(before, chain.Incoming{Encoding: block.Encode()})
	}
	for range blocks {
		incoming = append(incoming, chain.Incoming{Encoding: crowd.Next().Encode()})
	}
	spent := make(map[chain.Part]time.Duration)
	for b.Loop() {
		b.StopTimer()
		s, err := store.Create(b.TempDir()+"/data", crowd.Rules, store.Options{FS: vfs.Default})
		if err != nil {
			b.Fatal(err)
		}
		m, err := chain.New(chain.Config{Store: s})
		if err != nil {
			b.Fatal(err)
		}
		add := func(blocks []chain.Incoming) {
			if err := m.AddRuns(b.Context(), slices.Chunk(blocks, atOnce), nil); err != nil {
				b.Fatal(err)
			}
		}
		add(before)
		for _, p := range chain.Parts() {
			spent[p] -= m.Spent(p)
		}
		b.StartTimer()
		add(incoming)
		b.StopTimer()
		for _, p := range chain.Parts() {
			spent[p] += m.Spent(p)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	transfers := float64(b.N * blocks * chaintest.PerBlock)
	b.ReportMetric(transfers/b.Elapsed().Seconds(), "transfers/s")
	for part, d := range spent {
		b.ReportMetric(float64(d.Microseconds())/transfers, part.String()+"-us")
	}
}
