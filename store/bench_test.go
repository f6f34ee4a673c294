package store

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"cairn/consensus"
	"cairn/types"
)

// diskStore returns a store on the disk that is closed with the benchmark.
func diskStore(b *testing.B) *Store {
	b.Helper()
	s, err := Create(b.TempDir()+"/node", consensus.Dev(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { mustClose(b, s) })
	return s
}

func numbered(n uint64) types.Account {
	return types.Account(binary.BigEndian.AppendUint64([]byte("account "), n))
}

// BenchmarkCommit commits what a block of 5,000 transfers changes: 10,000
// accounts, and for each transfer its salt and its location.
func BenchmarkCommit(b *testing.B) {
	s := diskStore(b)
	rng := rand.New(rand.NewPCG(1, 1))
	body := make([]byte, 1_000_000)
	var height uint32
	for b.Loop() {
		height++
		commit(b, s, func(batch *Batch) {
			for range 10_000 {
				batch.PutAccount(consensus.NewParty(numbered(rng.Uint64N(1_000_000))), rng.Int64N(1<<40)+1)
			}
			for i := range uint32(5_000) {
				loc := Loc{height, i}
				batch.PutSalt(numbered(rng.Uint64N(1_000_000)), rng.Uint64(), loc)
				batch.PutTransfer(randomHash(rng), TransferRecord{Loc: loc})
			}
			binary.BigEndian.PutUint32(body, height)
			batch.PutBlock(height, types.Hash{}, body)
		})
	}
}

// BenchmarkCommitOne commits one pending transfer at a time, alone and from many
// goroutines that share the wait for the disk.
func BenchmarkCommitOne(b *testing.B) {
	b.Run("alone", func(b *testing.B) {
		s := diskStore(b)
		var seq uint64
		for b.Loop() {
			seq++
			commit(b, s, func(batch *Batch) { batch.PutPending(seq, 1, &sampleTransfer) })
		}
	})
	b.Run("together", func(b *testing.B) {
		s := diskStore(b)
		b.SetParallelism(64)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				commit(b, s, func(batch *Batch) { batch.PutPending(rand.Uint64(), 1, &sampleTransfer) })
			}
		})
	})
}

// BenchmarkRead reads at random from a million accounts and as many salts.
func BenchmarkRead(b *testing.B) {
	const n = 1_000_000
	s := diskStore(b)
	for from := uint64(0); from < n; from += 10_000 {
		commit(b, s, func(batch *Batch) {
			for i := from; i < from+10_000; i++ {
				batch.PutAccount(consensus.NewParty(numbered(i)), int64(i)+1)
				batch.PutSalt(numbered(i), i, Loc{1, 1})
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	b.Run("account", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i := rng.Uint64N(n)
			if balance, err := s.Account(numbered(i)); balance != int64(i)+1 || err != nil {
				b.Fatal(balance, err)
			}
		}
	})
	b.Run("absent salt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found, err := s.SaltLoc(numbered(rng.Uint64N(n)), rng.Uint64()|1<<63); found || err != nil {
				b.Fatal(found, err)
			}
		}
	})
	b.Run("all leaves", func(b *testing.B) {
		for b.Loop() {
			for _, err := range s.AllLeaves() {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func randomHash(rng *rand.Rand) (h types.Hash) {
	for i := 0; i < len(h); i += 8 {
		binary.BigEndian.PutUint64(h[i:], rng.Uint64())
	}
	return h
}
