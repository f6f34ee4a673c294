package history

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func TestEveryProofOfSmallRanges(t *testing.T) {
	const most = 70
	sums := randomSums(seeded(10), most)
	store := nodesOf(sums)
	for n := range uint32(most + 1) {
		root := naiveRoot(sums[:n])
		for i := range n {
			p, err := Prove(n, i, store.read)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Verify(root, n, i, sums[i]); err != nil {
				t.Fatal(err)
			}
			for other := range uint32(most + 2) {
				if other != i && p.Verify(root, n, other, sums[i]) == nil {
					t.Fatalf("the proof of leaf %d of %d also shows it at %d", i, n, other)
				}
				if other != n && p.Verify(root, other, i, sums[i]) == nil {
					t.Fatalf("the proof of leaf %d of %d also verifies for %d leaves", i, n, other)
				}
			}
		}
		if _, err := Prove(n, n, store.read); err == nil {
			t.Fatalf("Prove(%d, %d) succeeded", n, n)
		}
	}
}

func TestChangedBitsFail(t *testing.T) {
	sums := randomSums(seeded(11), 20)
	store := nodesOf(sums)
	for n := range uint32(len(sums) + 1) {
		for i := range n {
			checkChangedBits(t, naiveRoot(sums[:n]), n, i, sums[i], mustProve(t, n, i, store.read))
		}
	}
}

// checkChangedBits verifies one proof, then with each bit of each part flipped.
func checkChangedBits(t *testing.T, root [32]byte, n, i uint32, leaf [32]byte, p Proof) {
	t.Helper()
	if err := p.Verify(root, n, i, leaf); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, bit int, err error) {
		t.Helper()
		if !errors.Is(err, ErrProof) {
			t.Fatalf("leaf %d of %d, bit %d of the %s changed: error %v, want ErrProof", i, n, bit, what, err)
		}
	}
	for bit := range 256 {
		refused("root", bit, p.Verify(flip(root, bit), n, i, leaf))
		refused("leaf", bit, p.Verify(root, n, i, flip(leaf, bit)))
	}
	for bit := range 32 {
		refused("length", bit, p.Verify(root, n^1<<bit, i, leaf))
		refused("place", bit, p.Verify(root, n, i^1<<bit, leaf))
	}
	encoded := p.Append(nil)
	for bit := range 8 * len(encoded) {
		changed := bytes.Clone(encoded)
		changed[bit/8] ^= 1 << (bit % 8)
		q, err := DecodeProof(changed)
		if err == nil {
			err = q.Verify(root, n, i, leaf)
		}
		refused("proof", bit, err)
	}
}

func flip(sum [32]byte, bit int) [32]byte {
	sum[bit/8] ^= 1 << (bit % 8)
	return sum
}

func mustProve(t *testing.T, n, i uint32, read ReadNode) Proof {
	t.Helper()
	p, err := Prove(n, i, read)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Ranges of any length up to the longest: the leaves are all one hash but for
// one, so that complete subtrees without it can be told without building them.
func TestLargeRanges(t *testing.T) {
	rng := seeded(12)
	lengths := []uint32{1<<32 - 1, 1 << 31, 1<<31 - 1, 1<<31 + 1}
	for range 16 {
		lengths = append(lengths, max(1, rng.Uint32()>>rng.IntN(32)))
	}
	for _, n := range lengths {
		i := rng.Uint32N(n)
		if rng.IntN(8) == 0 {
			i = n - 1
		}
		sparse := newSparse(rng, i)
		r, err := Load(n, sparse.read)
		if err != nil {
			t.Fatal(err)
		}
		p := mustProve(t, n, i, sparse.read)
		if len(p.Siblings) > maxSiblings {
			t.Fatalf("the proof of leaf %d of %d has %d siblings", i, n, len(p.Siblings))
		}
		checkChangedBits(t, r.Root(), n, i, sparse.special, p)
		for range 20 {
			other := rng.Uint32N(n)
			q := mustProve(t, n, other, sparse.read)
			err := q.Verify(r.Root(), n, other, sparse.special)
			if (err == nil) != (other == i) {
				t.Fatalf("the leaf at %d of %d, shown at %d: %v", i, n, other, err)
			}
		}
	}
}

// sparse reads nodes of a range in which all leaves are equal but the one at i.
type sparse struct {
	i       uint32
	special [32]byte
	equal   [32][32]byte // by level
}

func newSparse(rng *rand.Rand, i uint32) *sparse {
	sums := randomSums(rng, 2)
	s := &sparse{i: i, special: sums[0]}
	s.equal[0] = sums[1]
	for level := 1; level < 32; level++ {
		s.equal[level] = inner(s.equal[level-1], s.equal[level-1])
	}
	return s
}

func (s *sparse) read(level uint8, index uint32) ([32]byte, error) {
	if s.i>>level != index {
		return s.equal[level], nil
	}
	sum := s.special
	for l := range level {
		if s.i>>l&1 == 0 {
			sum = inner(sum, s.equal[l])
		} else {
			sum = inner(s.equal[l], sum)
		}
	}
	return sum, nil
}

func TestDecodeProofRefuses(t *testing.T) {
	sums := randomSums(seeded(13), 21)
	good := mustProve(t, 21, 6, nodesOf(sums).read).Append(nil)
	if _, err := DecodeProof(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := DecodeProof(good[:n]); !errors.Is(err, ErrProof) {
			t.Errorf("the first %d of %d bytes: error %v, want ErrProof", n, len(good), err)
		}
	}
	if _, err := DecodeProof(append(bytes.Clone(good), 0)); !errors.Is(err, ErrProof) {
		t.Errorf("a trailing byte: error %v, want ErrProof", err)
	}
	tooMany := append([]byte{21, 0, 0, 0, 33}, make([]byte, 32*33)...)
	if _, err := DecodeProof(tooMany); !errors.Is(err, ErrProof) {
		t.Errorf("33 siblings: error %v, want ErrProof", err)
	}
}

func FuzzDecodeProof(f *testing.F) {
	sums := randomSums(seeded(14), 21)
	read := nodesOf(sums).read
	for _, i := range []uint32{0, 7, 18, 20} {
		p, err := Prove(21, i, read)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodeProof(data)
		if err != nil {
			return
		}
		if again := p.Append(nil); !bytes.Equal(again, data) {
			t.Errorf("%x encodes to %x", data, again)
		}
		if p.Verify([32]byte{}, p.Len, p.Len/2, [32]byte{}) == nil {
			t.Error("a proof leads to the zero root")
		}
	})
}
