package consensus

import (
	stdlib "crypto/ed25519"
	"fmt"

	"cairn/types"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// signingDomain stands in front of every signed message, so that a key's
// signature in some other protocol is never a transfer here. The chain ID that
// follows keeps a transfer to its own network.
const signingDomain = "cairn transfer\n"

// maxSignedMessage is the length of the longest signed message of a transfer
// whose accounts are well formed.
const maxSignedMessage = len(signingDomain) + 32 + 4 + 2*65 + 8 + 8 + 4 + 8 + 256

// SigningMessage appends to dst the bytes that the sender of t signs:
// docs/protocol.md, section 4.
func (r *Rules) SigningMessage(dst []byte, t *types.Transfer) []byte {
	dst = append(dst, signingDomain...)
	id := r.ChainID()
	dst = append(dst, id[:]...)
	return t.AppendUnsigned(dst)
}

// Sign puts the signature by key into t, whose other fields are final; the
// sender is to be key's public key. On a network without signatures the
// signature becomes all zero, as it must be there.
func (r *Rules) Sign(t *types.Transfer, key stdlib.PrivateKey) {
	t.Signature = [types.SignatureSize]byte{}
	if r.Signatures {
		message := r.SigningMessage(make([]byte, 0, maxSignedMessage), t)
		copy(t.Signature[:], stdlib.Sign(key, message))
	}
}

// VerifySignatures checks the signatures of ts, in one thread: whoever has more
// cores splits ts. known(i) tells that the signature of ts[i] was verified
// before; a nil known, that none was. The error is ErrSignature, or
// ErrUnexpectedSignature on a network without signatures, and names the first
// transfer that is at fault by its index in ts.
func (r *Rules) VerifySignatures(ts []types.Transfer, known func(i int) bool) error {
	var err error
	r.verify(len(ts), func(i int) *types.Transfer { return &ts[i] }, known, func(i int) bool {
		err = fmt.Errorf("transfer %d: %w", i, r.signatureError(&ts[i]))
		return false
	})
	return err
}

// VerifyEach is VerifySignatures for transfers that have nothing to do with one
// another: the answer has an error or nil for each of ts, and a bad signature
// spoils no other's answer.
func (r *Rules) VerifyEach(ts []*types.Transfer) []error {
	errs := make([]error, len(ts))
	r.verify(len(ts), func(i int) *types.Transfer { return ts[i] }, nil, func(i int) bool {
		errs[i] = r.signatureError(ts[i])
		return true
	})
	return errs
}

func (r *Rules) signatureError(t *types.Transfer) error {
	if !r.Signatures {
		return fmt.Errorf("%w: %x", ErrUnexpectedSignature, t.Signature)
	}
	return fmt.Errorf("%w: %x by sender %x", ErrSignature, t.Signature, t.Sender)
}

// verify calls bad with the index of each of n transfers whose signature is not valid,
// in order, until bad returns false.
func (r *Rules) verify(n int, at func(i int) *types.Transfer, known, bad func(i int) bool) {
	if !r.Signatures {
		for i := range n {
			if at(i).Signature != ([types.SignatureSize]byte{}) && !bad(i) {
				return
			}
		}
		return
	}
	b := newBatch(min(n, maxBatch))
	var key [32]byte
	message := make([]byte, 0, maxSignedMessage)
	for i := range n {
		if known == nil || !known(i) {
			t := at(i)
			message = r.SigningMessage(message[:0], t)
			b.add(i, append(key[:0], t.Sender...), message, t.Signature[:])
		}
		if len(b.indexes) == maxBatch && !b.verify(bad) {
			return
		}
	}
	b.verify(bad)
}

const (
	// maxBatch bounds the memory of a batch and the work that one bad
	// signature causes; larger batches are hardly faster.
	maxBatch = 4096
	// fewKeys is the size from which the library no longer gains by a table of
	// multiples for each key, but would begin to make them.
	fewKeys = 94
)

// zip215 are the only rules by which a signature here is valid: any two
// implementations agree on them, one by one and in batches.
var zip215 = &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215}

// batch verifies signatures together, at about half the cost of one by one. It
// is all of this package that knows the library that does so.
type batch struct {
	verifier *ed25519.BatchVerifier
	indexes  []int // that the caller gave to the entries
}

// newBatch returns an empty batch for up to capacity entries at a time.
func newBatch(capacity int) *batch {
	b := &batch{ed25519.NewBatchVerifierWithCapacity(capacity), make([]int, 0, capacity)}
	b.reset()
	return b
}

func (b *batch) reset() {
	b.indexes = b.indexes[:0]
	b.verifier.Reset()
	if cap(b.indexes) > fewKeys {
		b.verifier.ForceNoPublicKeyExpansion()
	}
}

// add takes up one signature, valid or not; i is what verify will call it. No
// reference to the three slices is kept.
func (b *batch) add(i int, key, message, signature []byte) {
	b.verifier.AddWithOptions(key, message, signature, zip215)
	b.indexes = append(b.indexes, i)
}

// verify calls bad for each entry at fault until bad returns false, and empties
// the batch. It returns what bad returned last, true when nothing was at fault.
//
// The coefficients that combine the entries are drawn from the system's
// randomness, since an attacker who foresaw them could make two bad signatures
// cancel out. But for a chance of 2^-128 they do not reach the result.
func (b *batch) verify(bad func(i int) bool) bool {
	goOn := true
	if ok, valid := b.verifier.Verify(nil); !ok {
		for j := 0; j < len(valid) && goOn; j++ {
			goOn = valid[j] || bad(b.indexes[j])
		}
	}
	b.reset()
	return goOn
}
