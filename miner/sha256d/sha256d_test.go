package sha256d

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"cairn/consensus"
	"cairn/types"
)

// Bitcoin's first headers: their nonces are the smallest that meet the target
// with the time and transactions that they have.
var bitcoin = []string{
	"0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
	"010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299",
	"010000004860eb18bf1b1620e37e9490fc8a427514416fd75159ab86688e9a8300000000d5fdcc541e25de1c7a5addedf24858b8bb665c9f36ef744ee42c316022c90f9bb0bc6649ffff001d08d2bd61",
}

func decode(t testing.TB, text string) (header [types.HeaderSize]byte) {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(header) {
		t.Fatal(text, err)
	}
	return [types.HeaderSize]byte(b)
}

func targetOf(t testing.TB, header *[types.HeaderSize]byte) consensus.Target {
	t.Helper()
	target, err := consensus.CompactToTarget(binary.LittleEndian.Uint32(header[72:]))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestSearchFindsBitcoinsNonces(t *testing.T) {
	for i, text := range bitcoin {
		header := decode(t, text)
		want := binary.LittleEndian.Uint32(header[76:])
		target := targetOf(t, &header)
		clear(header[76:]) // the nonce of the input does not matter
		got, found := Search(&header, target, want-5000, 10_000)
		if !found || got != want {
			t.Errorf("header %d: nonce %d, %v; want %d", i, got, found, want)
		}
		if got, found := Search(&header, target, want-5000, 5000); found {
			t.Errorf("header %d: nonce %d found before the range that holds %d", i, got, want)
		}
	}
	if header := decode(t, bitcoin[0]); binary.LittleEndian.Uint32(header[76:]) != 2083236893 {
		t.Error("not the nonce of Bitcoin's first block")
	}
}

// TestKernel compares hashes of random headers with those of package types.
func TestKernel(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for range 1000 {
		var b [types.HeaderSize]byte
		random.Read(b[:])
		h, err := types.DecodeHeader(b[:])
		if err != nil {
			t.Fatal(err)
		}
		k := newKernel(&b)
		for range 3 {
			h.Nonce = uint32(random.Uint64())
			if got, want := types.Hash(k.hash(h.Nonce)), h.Hash(); got != want {
				t.Fatalf("hash of %x: %v, want %v", h.Encode(), got, want)
			}
		}
	}
}

// TestSearchAgainstHash compares what is found under targets of all lengths with
// a search that hashes whole headers.
func TestSearchAgainstHash(t *testing.T) {
	random := rand.NewChaCha8([32]byte{2})
	for i := range 300 {
		var b [types.HeaderSize]byte
		random.Read(b[:])
		h, _ := types.DecodeHeader(b[:])
		target := consensus.Target{random.Uint64(), random.Uint64(), random.Uint64(), ^uint64(0) >> (i % 12)}
		start, count := uint32(random.Uint64()), uint32(200)
		if i%3 == 0 {
			start = -uint32(i) // so that the search wraps round
		}
		want, exists := uint32(0), false
		for n := range count {
			h.Nonce = start + n
			if target.Meets(h.Hash()) {
				want, exists = h.Nonce, true
				break
			}
		}
		if got, found := Search(&b, target, start, count); got != want || found != exists {
			t.Fatalf("nonce %d, %v; want %d, %v", got, found, want, exists)
		}
	}
}

func TestSearchAtTheTargetItself(t *testing.T) {
	header := decode(t, bitcoin[1])
	nonce := binary.LittleEndian.Uint32(header[76:])
	h, _ := types.DecodeHeader(header[:])
	var target consensus.Target
	hash := h.Hash()
	for i := range target {
		target[i] = binary.LittleEndian.Uint64(hash[8*i:])
	}
	if _, found := Search(&header, target, nonce, 1); !found {
		t.Error("a hash equal to the target does not meet it")
	}
	target[0]--
	if _, found := Search(&header, target, nonce, 1); found {
		t.Error("a hash one above the target meets it")
	}
}

// BenchmarkSearch and BenchmarkNaive count one hash as one operation.
func BenchmarkSearch(b *testing.B) {
	header := decode(b, bitcoin[0])
	b.ReportAllocs()
	Search(&header, consensus.Target{}, 0, uint32(b.N))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "MH/s")
}

func BenchmarkNaive(b *testing.B) {
	header := decode(b, bitcoin[0])
	h, _ := types.DecodeHeader(header[:])
	var target consensus.Target
	for i := range b.N {
		h.Nonce = uint32(i)
		if target.Meets(h.Hash()) {
			b.Fatal("impossible")
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "MH/s")
}
