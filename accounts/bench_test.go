package accounts

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// BenchmarkUpdate changes 10,000 accounts at a time, all of which are in memory.
func BenchmarkUpdate(b *testing.B) {
	const touched = 10_000
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("accounts=%d", n), func(b *testing.B) {
			rng := seeded(1)
			leaves := randomLeaves(rng, n)
			tree, err := New(nil).Update(leaves)
			if err != nil {
				b.Fatal(err)
			}
			batches := make([][]Leaf, 16)
			for i := range batches {
				for _, j := range rng.Perm(n)[:touched] {
					batches[i] = append(batches[i], leaves[j])
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				batch := batches[i%len(batches)]
				for j := range batch {
					batch[j].Balance = int64(i + 1)
				}
				if tree, err = tree.Update(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/touched, "ns/account")
		})
	}
}

// BenchmarkBuild makes a tree from all stored accounts, as each start does.
func BenchmarkBuild(b *testing.B) {
	const n = 100_000
	leaves := randomLeaves(seeded(1), n)
	slices.SortFunc(leaves, func(x, y Leaf) int { return bytes.Compare(x.Key[:], y.Key[:]) })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(nil, sequence(leaves)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/account")
}
