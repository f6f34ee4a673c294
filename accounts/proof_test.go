package accounts

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

// proofCase is a proof with what it shows.
type proofCase struct {
	root    [32]byte
	key     Key
	balance int64
	proof   Proof
}

// proofCases returns proofs of presence and of both kinds of absence, from trees
// of many shapes.
func proofCases(t testing.TB) (cases []proofCase) {
	rng := seeded(200)
	for _, n := range []int{0, 1, 2, 3, 10, 20} {
		keys := closeKeys(rng, 2*n+2)
		stored := balances{}
		for i, k := range keys[:n] {
			stored[k] = int64(i) - 100
		}
		tree := mustBuild(t, stored)
		for _, k := range keys {
			proof, err := tree.Prove(k)
			if err != nil {
				t.Fatal(err)
			}
			cases = append(cases, proofCase{tree.Root(), k, stored[k], proof})
		}
	}
	return cases
}

func TestChangedBitsFail(t *testing.T) {
	var present, beside, empty int
	for i, c := range proofCases(t) {
		if err := c.proof.Verify(c.root, c.key, c.balance); err != nil {
			t.Fatal(err)
		}
		if len(c.proof.Siblings) > 100 && i%4 != 0 {
			continue // each takes a while
		}
		switch {
		case c.balance != 0:
			present++
		case c.proof.Other != nil:
			beside++
		default:
			empty++
		}
		checkChangedBits(t, c)
	}
	if present == 0 || beside == 0 || empty == 0 {
		t.Errorf("%d proofs of presence, %d of absence beside a leaf, %d in an empty subtree", present, beside, empty)
	}
}

func checkChangedBits(t *testing.T, c proofCase) {
	t.Helper()
	refused := func(what string, bit int, err error) {
		t.Helper()
		if !errors.Is(err, ErrProof) {
			t.Fatalf("bit %d of the %s changed: error %v, want ErrProof", bit, what, err)
		}
	}
	for bit := range 256 {
		refused("root", bit, c.proof.Verify(flip(c.root, bit), c.key, c.balance))
		// An absence shows that all keys below the same subtree are absent,
		// but for the one that is there.
		key := flip(c.key, bit)
		if c.balance != 0 || 8*(bit/8)+7-bit%8 < len(c.proof.Siblings) || c.proof.Other != nil && c.proof.Other.Key == key {
			refused("key", bit, c.proof.Verify(c.root, key, c.balance))
		}
	}
	for bit := range 64 {
		refused("balance", bit, c.proof.Verify(c.root, c.key, c.balance^1<<bit))
	}
	encoded := c.proof.Append(nil)
	for bit := range 8 * len(encoded) {
		changed := bytes.Clone(encoded)
		changed[bit/8] ^= 1 << (bit % 8)
		p, err := DecodeProof(changed)
		if err == nil {
			err = p.Verify(c.root, c.key, c.balance)
		}
		refused("proof", bit, err)
	}
}

func flip[T ~[32]byte](b T, bit int) T {
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// What a proof shows can't be turned into something else about the same key.
func TestProofsShowOneThing(t *testing.T) {
	for _, c := range proofCases(t) {
		present := Leaf{c.key, c.balance}
		forged := []struct {
			name    string
			proof   Proof
			balance int64
		}{
			{"another balance", c.proof, c.balance + 1},
			{"a negative balance", c.proof, -c.balance - 1},
			{"the least balance", c.proof, math.MinInt64},
			{"a leaf as another one", Proof{c.proof.Siblings, &present}, 0},
			{"one sibling more", Proof{append([][32]byte{{}}, c.proof.Siblings...), c.proof.Other}, c.balance},
			{"257 siblings", Proof{make([][32]byte, 257), c.proof.Other}, c.balance},
		}
		if c.balance != 0 {
			forged = append(forged, struct {
				name    string
				proof   Proof
				balance int64
			}{"absence", c.proof, 0})
		}
		if c.proof.Other != nil {
			forged = append(forged, struct {
				name    string
				proof   Proof
				balance int64
			}{"the other leaf's balance", Proof{c.proof.Siblings, nil}, c.proof.Other.Balance})
		}
		for _, f := range forged {
			if err := f.proof.Verify(c.root, c.key, f.balance); !errors.Is(err, ErrProof) {
				t.Errorf("%s: error %v, want ErrProof", f.name, err)
			}
		}
		if len(c.proof.Siblings) == 0 {
			continue
		}
		shorter := Proof{c.proof.Siblings[1:], c.proof.Other}
		if err := shorter.Verify(c.root, c.key, c.balance); !errors.Is(err, ErrProof) {
			t.Errorf("one sibling less: error %v, want ErrProof", err)
		}
	}
}

// A leaf that is in the tree, but elsewhere, shows nothing about a key.
func TestLeafFromElsewhere(t *testing.T) {
	stored := balances{{0x00}: 1, {0x80}: 2, {0xc0}: 3}
	tree := mustBuild(t, stored)
	elsewhere, err := tree.Prove(Key{0x00})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.Other = &Leaf{Key{0x00}, 1}
	for _, key := range []Key{{0x80}, {0xc0}, {0xe0}} {
		if err := elsewhere.Verify(tree.Root(), key, 0); !errors.Is(err, ErrProof) {
			t.Errorf("key %x: error %v, want ErrProof", key[:1], err)
		}
	}
	if err := elsewhere.Verify(tree.Root(), Key{0x40}, 0); err != nil {
		t.Error(err)
	}
	// Not even where a root was made over a leaf in a wrong place.
	other := Leaf{Key{0x80}, 1}
	sibling, sum := [32]byte{1}, leafSum(&other)
	misplaced := Proof{Siblings: [][32]byte{sibling}, Other: &other}
	if err := misplaced.Verify(innerSum(&sum, &sibling), Key{0x00}, 0); !errors.Is(err, ErrProof) {
		t.Errorf("a misplaced leaf: error %v, want ErrProof", err)
	}
}

func TestDecodeProofRefuses(t *testing.T) {
	for _, c := range proofCases(t) {
		good := c.proof.Append(nil)
		decoded, err := DecodeProof(good)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(decoded.Append(nil), good) {
			t.Fatalf("%x encodes to another proof", good)
		}
		for n := range good {
			if _, err := DecodeProof(good[:n]); !errors.Is(err, ErrProof) {
				t.Fatalf("the first %d of %d bytes: error %v, want ErrProof", n, len(good), err)
			}
		}
	}
	sibling := bytes.Repeat([]byte{1}, 32)
	key := make([]byte, 32)
	for _, c := range []struct {
		name string
		b    [][]byte
		ok   bool
	}{
		{"no siblings", [][]byte{{0, 0}, {0}}, true},
		{"one sibling", [][]byte{{1, 0}, {1}, sibling, {0}}, true},
		{"an empty sibling", [][]byte{{1, 0}, {0}, {0}}, true},
		{"another leaf", [][]byte{{0, 0}, {1}, key, {1, 0, 0, 0, 0, 0, 0, 0}}, true},
		{"256 siblings", [][]byte{{0, 1}, make([]byte, 32), {0}}, true},
		{"257 siblings", [][]byte{{1, 1}, make([]byte, 33), {0}}, false},
		{"an empty sibling spelt out", [][]byte{{1, 0}, {1}, make([]byte, 32), {0}}, false},
		{"a bit beyond the siblings", [][]byte{{1, 0}, {3}, sibling, {0}}, false},
		{"the last bit beyond the siblings", [][]byte{{1, 0}, {0x81}, sibling, {0}}, false},
		{"another leaf without a balance", [][]byte{{0, 0}, {1}, key, make([]byte, 8)}, false},
		{"two other leaves", [][]byte{{0, 0}, {2}, key, {1, 0, 0, 0, 0, 0, 0, 0}}, false},
		{"a trailing byte", [][]byte{{0, 0}, {0}, {0}}, false},
	} {
		_, err := DecodeProof(bytes.Join(c.b, nil))
		if c.ok && err != nil || !c.ok && !errors.Is(err, ErrProof) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

func TestAppendPanicsOnTooManySiblings(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a proof of 257 siblings was encoded")
		}
	}()
	Proof{Siblings: make([][32]byte, 257)}.Append(nil)
}

func FuzzDecodeProof(f *testing.F) {
	for _, c := range proofCases(f) {
		f.Add(c.proof.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodeProof(data)
		if err != nil {
			return
		}
		if again := p.Append(nil); !bytes.Equal(again, data) {
			t.Errorf("%x encodes to %x", data, again)
		}
		if len(p.Siblings) > 0 && p.Verify([32]byte{}, Key{}, 1) == nil {
			t.Error("a proof leads to the zero root")
		}
	})
}
