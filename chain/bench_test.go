package chain_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// BenchmarkImport adds full blocks of signed transfers to a new data directory
// on disk: everything is validated, indexed and durable. CAIRN_BENCH_ACCOUNTS
// sets the number of accounts (default 10,000).
var (
	made    sync.Once
	rules   *consensus.Rules
	encoded [][]byte
)

func BenchmarkImport(b *testing.B) {
	const blocks, perBlock = 60, 4800
	accounts := 10_000
	if s := os.Getenv("CAIRN_BENCH_ACCOUNTS"); s != "" {
		accounts, _ = strconv.Atoi(s)
	}
	made.Do(func() { rules, encoded = signedChain(b, accounts, blocks, perBlock) })
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		s, err := store.Create(b.TempDir(), rules, store.Options{FS: vfs.Default})
		if err != nil {
			b.Fatal(err)
		}
		m, err := chain.New(chain.Config{Store: s})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		var run []*types.Block
		for _, e := range encoded {
			block, err := types.DecodeBlock(e)
			if err != nil {
				b.Fatal(err)
			}
			run = append(run, block)
		}
		if err := m.AddBlocks(b.Context(), run); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*blocks*perBlock)/b.Elapsed().Seconds(), "transfers/s")
}

// signedChain returns the blocks of a network in which accounts pay each other
// in turn.
func signedChain(b *testing.B, count, blocks, perBlock int) (*consensus.Rules, [][]byte) {
	keys := make([]ed25519.PrivateKey, count)
	allocations := make([]consensus.Allocation, count)
	for i := range keys {
		seed := make([]byte, ed25519.SeedSize)
		binary.LittleEndian.PutUint64(seed, uint64(i))
		keys[i] = ed25519.NewKeyFromSeed(seed)
		allocations[i] = consensus.Allocation{Account: accountOf(keys[i]), Amount: 1 << 30}
	}
	rules := testRules(b, func(r *consensus.Rules) {
		r.Signatures, r.CreditLimit, r.MaxBlockSize, r.TxLifetime = true, 0, 1_000_000, 8640
		r.Allocations = allocations
	})
	builder := chaintest.New(rules)
	parent, n := chaintest.Genesis, 0
	var encoded [][]byte
	for i := range blocks {
		spec := chaintest.Spec{Miner: accountOf(keys[0])}
		for range perBlock {
			t := types.Transfer{
				Sender: accountOf(keys[n%count]), Recipient: accountOf(keys[(n*7+1)%count]),
				Amount: 1000, Fee: 10, Expiry: uint32(i + 100), Salt: uint64(n) * 0x9e3779b97f4a7c15,
			}
			rules.Sign(&t, keys[n%count])
			spec.Transfers = append(spec.Transfers, t)
			n++
		}
		name := fmt.Sprint("b", i)
		encoded = append(encoded, builder.Add(name, parent, spec).Encode())
		parent = name
	}
	return rules, encoded
}

func accountOf(key ed25519.PrivateKey) types.Account {
	return types.Account(key.Public().(ed25519.PublicKey))
}
