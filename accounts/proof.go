package accounts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrProof says that a proof is malformed, or does not show what it should.
var ErrProof = errors.New("account proof does not hold")

// Proof shows the balance under a key, or that there is none, to whoever knows
// the root.
type Proof struct {
	// Siblings are the hashes of the subtrees beside the path from the leaf up
	// to the root; zero for an empty one. At most 256.
	Siblings [][32]byte
	// Other is the one leaf in the subtree where an absent key belongs; nil
	// when that subtree is empty, and in a proof of presence.
	Other *Leaf
}

// Prove returns the proof of what stands under a key. Its errors are the Reader's
// and ErrStale.
func (t Tree) Prove(key Key) (Proof, error) {
	var p Proof
	found, err := t.find(key, func(sibling *subtree) {
		p.Siblings = append(p.Siblings, sibling.sum)
	})
	if err != nil {
		return Proof{}, err
	}
	slices.Reverse(p.Siblings)
	if found != nil && found.Key != key {
		other := *found
		p.Other = &other
	}
	return p, nil
}

// Verify returns nil when the proof shows that the tree with this root has this
// balance, in base units, under the key, where 0 means that it has none;
// otherwise ErrProof.
func (p Proof) Verify(root [32]byte, key Key, balance int64) error {
	if len(p.Siblings) > keyBits {
		return fmt.Errorf("%w: it has %d siblings", ErrProof, len(p.Siblings))
	}
	sum, err := p.bottom(key, balance)
	if err != nil {
		return err
	}
	for i := range p.Siblings {
		if key.bit(len(p.Siblings)-1-i) == 0 {
			sum = innerSum(&sum, &p.Siblings[i])
		} else {
			sum = innerSum(&p.Siblings[i], &sum)
		}
	}
	if sum != root {
		return fmt.Errorf("%w: balance %d of %x leads to the root %x, not %x", ErrProof, balance, key, sum, root)
	}
	return nil
}

// bottom returns the hash of the subtree that the path leads to.
func (p Proof) bottom(key Key, balance int64) ([32]byte, error) {
	switch {
	case p.Other == nil && balance == 0:
		return [32]byte{}, nil
	case p.Other == nil:
		return leafSum(&Leaf{Key: key, Balance: balance}), nil
	case balance != 0:
		return [32]byte{}, fmt.Errorf("%w: it shows that %x is absent", ErrProof, key)
	case p.Other.Key == key || commonBits(&p.Other.Key, &key) < len(p.Siblings):
		return [32]byte{}, fmt.Errorf("%w: a leaf of key %x says nothing about %x", ErrProof, p.Other.Key, key)
	}
	return leafSum(p.Other), nil
}

// Append appends the encoding to b: the number n of siblings as u16; ⌈n/8⌉ bytes
// of bits, lowest first, that say which siblings are not empty; those siblings; a
// byte that is 1 when another leaf follows, else 0; that leaf's key and its
// balance as a two's-complement u64. It panics on more than 256 siblings.
func (p Proof) Append(b []byte) []byte {
	if len(p.Siblings) > keyBits {
		panic(fmt.Sprintf("accounts: a proof with %d siblings", len(p.Siblings)))
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(p.Siblings)))
	present := len(b)
	b = append(b, make([]byte, (len(p.Siblings)+7)/8)...)
	for i, s := range p.Siblings {
		if s != ([32]byte{}) {
			b[present+i/8] |= 1 << (i % 8)
			b = append(b, s[:]...)
		}
	}
	if p.Other == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = append(b, p.Other.Key[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(p.Other.Balance))
}

// DecodeProof reads one proof that fills b; otherwise ErrProof.
func DecodeProof(b []byte) (Proof, error) {
	d := proofDecoder{b: b}
	n := int(binary.LittleEndian.Uint16(d.take(2)))
	if n > keyBits {
		return Proof{}, fmt.Errorf("%w: it has %d siblings", ErrProof, n)
	}
	var p Proof
	present := d.take((n + 7) / 8)
	for i := range n {
		var s [32]byte
		if present[i/8]>>(i%8)&1 == 1 {
			copy(s[:], d.take(32))
			d.malformed = d.malformed || s == [32]byte{}
		}
		p.Siblings = append(p.Siblings, s)
	}
	if n%8 != 0 && present[n/8]>>(n%8) != 0 {
		d.malformed = true
	}
	switch d.take(1)[0] {
	case 0:
	case 1:
		p.Other = &Leaf{Key: Key(d.take(32)), Balance: int64(binary.LittleEndian.Uint64(d.take(8)))}
		d.malformed = d.malformed || p.Other.Balance == 0
	default:
		d.malformed = true
	}
	if d.malformed || len(d.b) > 0 {
		return Proof{}, fmt.Errorf("%w: %d bytes are not the encoding of one", ErrProof, len(b))
	}
	return p, nil
}

// proofDecoder takes bytes from the front of b, and zeros once they run out.
type proofDecoder struct {
	b         []byte
	malformed bool
}

func (d *proofDecoder) take(n int) []byte {
	if len(d.b) < n {
		d.b, d.malformed = nil, true
		return make([]byte, n)
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}
