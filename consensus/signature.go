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
	var result error
	r.verify(ts, known, func(i int, err error) bool {
		result = fmt.Errorf("transfer %d: %w", i, err)
		return false
	})
	return result
}

// VerifyEach is VerifySignatures for transfers that have nothing to do with one
// another: the answer has an error or nil for each of ts, and a bad signature
// spoils no other's answer.
func (r *Rules) VerifyEach(ts []types.Transfer) []error {
	errs := make([]error, len(ts))
	r.verify(ts, nil, func(i int, err error) bool {
		errs[i] = err
		return true
	})
	return errs
}

// verify calls bad for each transfer whose signature is not valid, in order,
// until bad returns false.
func (r *Rules) verify(ts []types.Transfer, known func(i int) bool, bad func(i int, err error) bool) {
	if !r.Signatures {
		verifyUnsigned(ts, bad)
		return
	}
	b := newBatch(r, min(len(ts), maxBatch))
	for i := range ts {
		if known == nil || !known(i) {
			b.add(i, &ts[i])
		}
		if len(b.indexes) == maxBatch && !b.verify(ts, bad) {
			return
		}
	}
	b.verify(ts, bad)
}

func verifyUnsigned(ts []types.Transfer, bad func(i int, err error) bool) {
	for i := range ts {
		if ts[i].Signature == ([types.SignatureSize]byte{}) {
			continue
		}
		if !bad(i, fmt.Errorf("%w: it begins with %x", ErrUnexpectedSignature, ts[i].Signature[:8])) {
			return
		}
	}
}

const (
	// maxBatch bounds the memory of a batch and the work that one bad
	// signature causes; larger batches are hardly faster.
	maxBatch = 1024
	// fewKeys is the size from which the library no longer gains by a table of
	// multiples for each key, but would begin to make them.
	fewKeys = 94
)

// zip215 are the only rules by which a signature here is valid: any two
// implementations agree on them, one by one and in batches.
var zip215 = &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215}

// batch verifies signatures together, at about half the cost of one by one. It
// is all of this package that knows the signature library.
type batch struct {
	rules    *Rules
	verifier *ed25519.BatchVerifier
	indexes  []int // of the batch's entries among the caller's transfers
	key      []byte
	message  []byte
}

// newBatch returns an empty batch for up to capacity entries at a time.
func newBatch(r *Rules, capacity int) *batch {
	b := &batch{
		rules:    r,
		verifier: ed25519.NewBatchVerifierWithCapacity(capacity),
		indexes:  make([]int, 0, capacity),
		message:  make([]byte, 0, maxSignedMessage),
	}
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

// add takes up a transfer. The verifier keeps no reference to the key, the
// message or the signature, so the buffers serve again.
func (b *batch) add(i int, t *types.Transfer) {
	b.key = append(b.key[:0], t.Sender...)
	b.message = b.rules.SigningMessage(b.message[:0], t)
	b.verifier.AddWithOptions(b.key, b.message, t.Signature[:], zip215)
	b.indexes = append(b.indexes, i)
}

// verify calls bad for each entry at fault and empties the batch; false when bad
// wants no more. The coefficients that combine the entries are drawn from the
// system's randomness: an attacker who foresaw them could make two bad
// signatures cancel out. But for a chance of 2^-128 they do not reach the result.
func (b *batch) verify(ts []types.Transfer, bad func(i int, err error) bool) bool {
	if len(b.indexes) == 0 {
		return true
	}
	goOn := true
	if ok, valid := b.verifier.Verify(nil); !ok {
		for j, i := range b.indexes {
			if !valid[j] && goOn {
				t := &ts[i]
				goOn = bad(i, fmt.Errorf("%w: %x by sender %x", ErrSignature, t.Signature, t.Sender))
			}
		}
	}
	b.reset()
	return goOn
}
