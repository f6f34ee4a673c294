package store

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cairn/types"
)

// TestChangesSorted compares what is handed on with a map that saw the same.
func TestChangesSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few different bytes make keys that begin alike, end in zeros, or are equal.
		key := rapid.Custom(func(t *rapid.T) string {
			long := rapid.SampledFrom([]string{"", "a", "aaaaaaaa", "aaaaaaaaaaaaaaab"}).Draw(t, "front")
			return long + string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 255}), 0, 20).Draw(t, "key"))
		})
		keys := rapid.SliceOfN(key, 0, 300).Draw(t, "keys")
		var c changes
		type last struct {
			value   string
			deletes bool
		}
		want := make(map[string]last)
		for i, k := range keys {
			value := last{string(binary.BigEndian.AppendUint16(nil, uint16(i))), i%3 == 0}
			want[k] = value
			c.add([]byte(k), []byte(value.value), value.deletes)
		}
		order := slices.Sorted(maps.Keys(want))
		for change, k := range c.sorted() {
			if len(order) == 0 || order[0] != string(k) {
				t.Fatalf("key %x, want the first of %x", k, order)
			}
			if got := (last{string(c.valueOf(change)), change.deletes}); got != want[order[0]] {
				t.Fatalf("key %x has %v, want %v", k, got, want[order[0]])
			}
			order = order[1:]
		}
		if len(order) > 0 {
			t.Fatalf("missing: %x", order)
		}
	})
}

// BenchmarkSort sorts what 2,000 blocks of ten transfers change.
func BenchmarkSort(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	var all [][]byte
	for height := range uint32(2000) {
		hash := randomHash(rng)
		all = append(all, stateKey(nil, hash), bestKey(nil, height), historyKey(nil, 0, height))
		for _, prefix := range []byte{PrefixBlock, PrefixHeader, PrefixUndo} {
			all = append(all, blockKey(nil, prefix, height, hash))
		}
		for range 10 {
			all = append(all, accountKey(nil, [32]byte(randomHash(rng))), transferKey(nil, randomHash(rng)),
				saltKey(nil, types.Account(numbered(uint64(height))), rng.Uint64()))
		}
	}
	var c changes
	for b.Loop() {
		b.StopTimer()
		c.reset()
		for _, key := range all {
			c.add(key, nil, false)
		}
		b.StartTimer()
		var before []byte
		for _, key := range c.sorted() {
			if bytes.Compare(before, key) >= 0 {
				b.Fatal("not sorted")
			}
			before = key
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/change")
}
