package api

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"cairn/consensus"
	"cairn/internal/jsonobject"
	"cairn/types"
)

// submission is the body of POST /create-transaction, decoded.
type submission struct {
	transfer types.Transfer
	// Whether these were given.
	expiry, salt, fee, signature bool
}

// parseSubmission checks everything about a transfer that needs neither the
// chain nor the pool. Whoever signs decides about expiry and salt, because the
// signature covers both; elsewhere they may be left out.
//
// With signs, the node may sign what has no signature.
func parseSubmission(rules *consensus.Rules, o *jsonobject.Object, signs bool) (submission, error) {
	if err := only(o, "sender", "recipient", "amount", "fee", "memo", "expiry", "salt", "signature"); err != nil {
		return submission{}, err
	}
	f := fields{rules: rules, o: o}
	if rules.Signatures && !f.has("signature") && !signs {
		return submission{}, invalid("signature is missing: on the network %s transfers are signed by their sender, "+
			"so expiry, salt and signature are needed (docs/protocol.md, section 4, says what is signed)", rules.Name)
	}
	s := submission{expiry: f.has("expiry"), salt: f.has("salt"), fee: f.has("fee"), signature: f.has("signature")}
	f.transfer(&s.transfer, amountOf, rules.Signatures && s.signature)
	return s, f.err
}

// fields are the values of an object that is a transfer, and the first error in
// reading them.
type fields struct {
	rules *consensus.Rules
	o     *jsonobject.Object
	err   error
}

func (f *fields) has(key string) bool { return f.o.Values[key] != nil }

// transfer reads what both forms of a transfer have, amounts as amount reads them. What
// a signature covers and cannot be chosen here is wanted of one that is signed.
func (f *fields) transfer(t *types.Transfer, amount func(f *fields, key string) (uint64, error), signed bool) {
	read(f, "sender", true, &t.Sender, accountOf)
	read(f, "recipient", true, &t.Recipient, accountOf)
	read(f, "amount", true, &t.Amount, amount)
	read(f, "fee", false, &t.Fee, amount)
	read(f, "memo", false, &t.Memo, memoOf)
	read(f, "expiry", signed, &t.Expiry, heightOf)
	read(f, "salt", signed, &t.Salt, saltOf)
	read(f, "signature", signed, &t.Signature, signatureOf)
}

// read parses the value under a key that is wanted or there, unless one before it was
// at fault.
func read[T any](f *fields, key string, wanted bool, into *T, parse func(f *fields, key string) (T, error)) {
	if f.err == nil && (wanted || f.has(key)) {
		*into, f.err = parse(f, key)
	}
}

func accountOf(f *fields, key string) (types.Account, error) {
	text, err := textOf(f.o, key)
	if err != nil {
		return "", err
	}
	account, err := f.rules.ParseAccount(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return account, nil
}

func amountOf(f *fields, key string) (uint64, error) {
	text, err := numberOf(f.o, key)
	if err != nil {
		return 0, err
	}
	amount, err := f.rules.ParseAmount(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return amount, nil
}

func memoOf(f *fields, key string) (string, error) {
	memo, err := textOf(f.o, key)
	if err == nil && len(memo) > maxMemo {
		err = invalid("%s has %d bytes; it may have %d", key, len(memo), maxMemo)
	}
	return memo, err
}

// maxMemo is the most bytes of a `str` of the protocol.
const maxMemo = 255

func heightOf(f *fields, key string) (uint32, error) {
	text, err := numberOf(f.o, key)
	if err != nil {
		return 0, err
	}
	height, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, invalid("%s is %s; it should be a height, a whole number from 0 to %d", key, quote(text), uint32(math.MaxUint32))
	}
	return uint32(height), nil
}

// saltOf takes a number or its digits as a string, for clients whose numbers are
// floats: those are exact only up to 2^53.
func saltOf(f *fields, key string) (uint64, error) {
	text, err := numberOf(f.o, key)
	if jsonobject.KindOf(f.o.Values[key]) == "string" {
		text, err = textOf(f.o, key)
	}
	if err != nil {
		return 0, err
	}
	salt, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid("%s is %s; it should be a whole number from 0 to %d, as a number or as a string", key, quote(text), uint64(math.MaxUint64))
	}
	return salt, nil
}

func signatureOf(f *fields, key string) (signature [types.SignatureSize]byte, err error) {
	text, err := textOf(f.o, key)
	if err != nil {
		return signature, err
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(signature) {
		return signature, invalid("%s is %s; it should be %d hex digits", key, quote(text), 2*len(signature))
	}
	return [types.SignatureSize]byte(b), nil
}

// complete fills in what was left out, for a chain whose next block has the height
// that next tells. A transfer without a salt of its own never equals another.
func (s *submission) complete(next func() uint32, lifetime uint32) {
	if !s.salt {
		var b [8]byte
		rand.Read(b[:]) // never fails: crypto/rand ends the program instead
		s.transfer.Salt = binary.LittleEndian.Uint64(b[:])
	}
	if !s.expiry {
		// One block less than the most, so that the transfer still holds if the
		// best chain loses a block before this one is looked at.
		s.transfer.Expiry = uint32(min(uint64(next())-1+uint64(lifetime), math.MaxUint32))
	}
}
