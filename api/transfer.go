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
	has := func(key string) bool { return o.Values[key] != nil }
	if rules.Signatures && !has("signature") && !signs {
		return submission{}, invalid("signature is missing: on the network %s transfers are signed by their sender, "+
			"so expiry, salt and signature are needed (docs/protocol.md, section 4, says what is signed)", rules.Name)
	}
	s := submission{expiry: has("expiry"), salt: has("salt"), fee: has("fee"), signature: has("signature")}
	signed := rules.Signatures && s.signature
	t := &s.transfer
	for _, field := range []struct {
		key      string
		required bool
		parse    func(key string) error
	}{
		{"sender", true, func(key string) (err error) { t.Sender, err = accountOf(rules, o, key); return }},
		{"recipient", true, func(key string) (err error) { t.Recipient, err = accountOf(rules, o, key); return }},
		{"amount", true, func(key string) (err error) { t.Amount, err = amountOf(rules, o, key); return }},
		{"fee", false, func(key string) (err error) { t.Fee, err = amountOf(rules, o, key); return }},
		{"memo", false, func(key string) (err error) { t.Memo, err = memoOf(o, key); return }},
		{"expiry", signed, func(key string) (err error) { t.Expiry, err = heightOf(o, key); return }},
		{"salt", signed, func(key string) (err error) { t.Salt, err = saltOf(o, key); return }},
		{"signature", signed, func(key string) (err error) { t.Signature, err = signatureOf(o, key); return }},
	} {
		if !field.required && !has(field.key) {
			continue
		}
		if err := field.parse(field.key); err != nil {
			return submission{}, err
		}
	}
	return s, nil
}

func accountOf(rules *consensus.Rules, o *jsonobject.Object, key string) (types.Account, error) {
	text, err := textOf(o, key)
	if err != nil {
		return "", err
	}
	account, err := rules.ParseAccount(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return account, nil
}

func amountOf(rules *consensus.Rules, o *jsonobject.Object, key string) (uint64, error) {
	text, err := numberOf(o, key)
	if err != nil {
		return 0, err
	}
	amount, err := rules.ParseAmount(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return amount, nil
}

func memoOf(o *jsonobject.Object, key string) (string, error) {
	memo, err := textOf(o, key)
	if err == nil && len(memo) > maxMemo {
		err = invalid("%s has %d bytes; it may have %d", key, len(memo), maxMemo)
	}
	return memo, err
}

// maxMemo is the most bytes of a `str` of the protocol.
const maxMemo = 255

func heightOf(o *jsonobject.Object, key string) (uint32, error) {
	text, err := numberOf(o, key)
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
func saltOf(o *jsonobject.Object, key string) (uint64, error) {
	text, err := numberOf(o, key)
	if jsonobject.KindOf(o.Values[key]) == "string" {
		text, err = textOf(o, key)
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

func signatureOf(o *jsonobject.Object, key string) (signature [types.SignatureSize]byte, err error) {
	text, err := textOf(o, key)
	if err != nil {
		return signature, err
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(signature) {
		return signature, invalid("%s is %s; it should be %d hex digits", key, quote(text), 2*len(signature))
	}
	return [types.SignatureSize]byte(b), nil
}

// complete fills in what was left out, for a transfer whose next block has the
// height next. A transfer without a salt of its own never equals another.
func (s *submission) complete(next, lifetime uint32) {
	if !s.salt {
		var b [8]byte
		rand.Read(b[:]) // never fails: crypto/rand ends the program instead
		s.transfer.Salt = binary.LittleEndian.Uint64(b[:])
	}
	if !s.expiry {
		// One block less than the most, so that the transfer still holds if the
		// best chain loses a block before this one is looked at.
		s.transfer.Expiry = uint32(min(uint64(next)-1+uint64(lifetime), math.MaxUint32))
	}
}
