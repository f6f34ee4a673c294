package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/btcsuite/btcd/btcutil/bech32"

	"cairn/types"
)

var (
	// ErrAccountText says that a text is not how an account of this network
	// is written.
	ErrAccountText = errors.New("not the text of an account")
	// ErrAmountText says that a text is not an amount of this network.
	ErrAmountText = errors.New("not an amount")
)

const (
	keySize        = 32         // bytes of an Ed25519 public key
	keyTextSize    = 1 + 52 + 6 // characters of one behind the prefix: 1, the key, a checksum
	maxAccountSize = 64         // bytes of a name
)

// ParseAccount reads an account as people write it: bech32m with the network's
// prefix where there are signatures, in lower or upper case, otherwise the name
// itself. What it returns has passed CheckAccount. Its errors are ErrAccountText
// and those of CheckAccount.
func (r *Rules) ParseAccount(text string) (types.Account, error) {
	account := types.Account(text)
	if r.Signatures && account != types.System {
		key, err := r.decodeKey(text)
		if err != nil {
			return "", fmt.Errorf("%w: %.100q %w; an account of %s begins with %s1 and has %d characters",
				ErrAccountText, text, err, r.Name, r.AddressPrefix, len(r.AddressPrefix)+keyTextSize)
		}
		account = key
	}
	if err := r.CheckAccount(account); err != nil {
		return "", err
	}
	return account, nil
}

// decodeKey returns the public key that a text stands for; its errors go on
// from the text.
func (r *Rules) decodeKey(text string) (types.Account, error) {
	prefix, data, version, err := bech32.DecodeGeneric(text)
	var checksum bech32.ErrInvalidChecksum
	switch {
	case errors.As(err, &checksum):
		return "", errors.New("has a wrong checksum, so some of its characters are not right")
	case err != nil:
		return "", fmt.Errorf("is not bech32m: %w", err)
	case prefix != r.AddressPrefix:
		return "", fmt.Errorf("is of another network: its prefix is %q, not %q", prefix, r.AddressPrefix)
	case version != bech32.VersionM:
		return "", errors.New("is bech32, not bech32m")
	}
	key, err := bech32.ConvertBits(data, 5, 8, false)
	if err != nil || len(key) != keySize {
		return "", fmt.Errorf("does not hold %d bytes", keySize)
	}
	return types.Account(key), nil
}

// FormatAccount writes an account as ParseAccount reads it; the system, which it
// does not read, as 0. Bytes that are no account of the network come out in hex
// behind 0x where names could not hold them.
func (r *Rules) FormatAccount(account types.Account) string {
	if !r.Signatures || account == types.System {
		return string(account)
	}
	if len(account) != keySize {
		return fmt.Sprintf("0x%x", string(account))
	}
	// Neither can fail: 8 bits are regrouped with padding, and 5 bits are
	// all that bech32 asks for.
	groups, _ := bech32.ConvertBits([]byte(account), 8, 5, true)
	text, _ := bech32.EncodeM(r.AddressPrefix, groups)
	return text
}

// CheckAccount returns nil for an account that may send, receive or be paid a
// reward on the network; otherwise ErrSystemAccount, ErrAccount or ErrSmallOrder.
// That a public key has an owner is not checked, and could not be.
func (r *Rules) CheckAccount(account types.Account) error {
	switch {
	case account == types.System:
		return ErrSystemAccount
	case r.Signatures:
		return checkKey(account)
	}
	return checkName(string(account))
}

func checkKey(account types.Account) error {
	if len(account) != keySize {
		return fmt.Errorf("%w: it has %d bytes, a public key has %d", ErrAccount, len(account), keySize)
	}
	y := [keySize]byte([]byte(account))
	y[keySize-1] &= 0x7f // without the sign of x
	for i := range smallOrder {
		if y == smallOrder[i] {
			return fmt.Errorf("%w: %x", ErrSmallOrder, string(account))
		}
	}
	return nil
}

// smallOrder holds the y coordinates, little-endian, of all points whose order
// divides 8; with either sign of x they are the 14 encodings that ZIP-215
// decodes to such a point. Those of 0 and 1 come once more with the field's
// prime 2^255-19 added, which other rules would not decode.
var smallOrder = [7][keySize]byte{
	{},  // 0: order 4
	{1}, // 1: the neutral element
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, // -1: order 2
	{0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, // 0 again
	{0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, // 1 again
	{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05}, // order 8
	{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a}, // order 8
}

// checkName checks the name of an account on a network without signatures.
func checkName(name string) error {
	if len(name) < 1 || len(name) > maxAccountSize {
		return fmt.Errorf("%w: it has %d bytes, a name has 1 to %d", ErrAccount, len(name), maxAccountSize)
	}
	if fault := textFault(name); fault != "" {
		return fmt.Errorf("%w: %q %s", ErrAccount, name, fault)
	}
	return nil
}

// textFault says why a text does not do as a name, so that no two names that
// differ look the same for reasons as cheap as a space; "" when it does.
func textFault(s string) string {
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	if s[0] == ' ' || s[len(s)-1] == ' ' {
		return "begins or ends with a space"
	}
	for _, c := range s {
		if c < 0x20 || 0x7f <= c && c <= 0x9f {
			return fmt.Sprintf("has the control character %U", c)
		}
	}
	return ""
}

// ParseAmount reads a number of coins in JSON's syntax for numbers and returns
// it in base units. It is exact or fails with ErrAmountText: what is negative,
// too large, or finer than a base unit is refused and never rounded.
func (r *Rules) ParseAmount(text string) (uint64, error) {
	n, ok := parseDecimal(text)
	switch {
	case !ok:
		return 0, fmt.Errorf("%w: %.100q is not a decimal number", ErrAmountText, text)
	case n.digits == "":
		return 0, nil
	case n.negative:
		return 0, fmt.Errorf("%w: %.100s is negative", ErrAmountText, text)
	}
	point := len(n.digits) + n.exponent + int(r.Decimals) // digits before the point, in base units
	whole, rest := n.digits, ""
	if point < len(n.digits) {
		whole, rest = n.digits[:max(0, point)], n.digits[max(0, point):]
	}
	amount, fits := wholeNumber(whole, max(0, point))
	if !fits {
		return 0, fmt.Errorf("%w: %.100s is more than the largest possible, %s", ErrAmountText, text, r.FormatAmount(types.MaxAmount))
	}
	if rest != "" {
		if point >= 0 && rest[0] >= '5' && amount < types.MaxAmount {
			amount++
		}
		return 0, fmt.Errorf("%w: %.100s is finer than the %d decimals of %s; the nearest exact amount is %s",
			ErrAmountText, text, r.Decimals, r.Symbol, r.FormatAmount(amount))
	}
	return amount, nil
}

// wholeNumber returns digits followed by as many zeros as make them length
// long; false when that is above types.MaxAmount.
func wholeNumber(digits string, length int) (uint64, bool) {
	const most = 16 // digits of types.MaxAmount
	if length > most {
		return 0, false
	}
	n, _ := strconv.ParseUint("0"+digits+strings.Repeat("0", length-len(digits)), 10, 64)
	return n, n <= types.MaxAmount
}

// decimal is the number digits × 10^exponent. The digits neither begin nor end
// with 0; there are none for zero.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

// parseDecimal reads a number in JSON's syntax.
func parseDecimal(text string) (n decimal, ok bool) {
	text, n.negative = strings.CutPrefix(text, "-")
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
		if exponent != "" && (exponent[0] == '+' || exponent[0] == '-') {
			exponent = exponent[1:]
		}
		if !isDigits(exponent) {
			return n, false
		}
		exponent = text[i+1:]
	}
	whole, fraction, pointed := strings.Cut(mantissa, ".")
	if !isDigits(whole) || pointed && !isDigits(fraction) || len(whole) > 1 && whole[0] == '0' {
		return n, false
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	n.digits = strings.TrimRight(digits, "0")
	n.exponent = smallExponent(exponent) + len(digits) - len(n.digits) - len(fraction)
	return n, true
}

// smallExponent reads an exponent, "" as 0, and brings it near enough to 0 that
// sums with lengths of texts cannot overflow; the texts are far shorter.
func smallExponent(text string) int {
	const most = 1 << 30
	e, err := strconv.Atoi(text)
	switch {
	case err == nil:
		return max(-most, min(e, most))
	case text == "":
		return 0
	case text[0] == '-': // out of range
		return -most
	}
	return most
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// AppendAmount appends base units as coins, in plain decimal digits without
// needless zeros: 3, 0.1, 0.00000001. It is a JSON number too.
func (r *Rules) AppendAmount(b []byte, amount uint64) []byte {
	unit := uint64(1)
	for range r.Decimals {
		unit *= 10
	}
	if amount%unit == 0 {
		return strconv.AppendUint(b, amount/unit, 10)
	}
	// The digits behind the point follow a 1 that keeps their zeros in front, which
	// the point then takes the place of; those at the end are cut off.
	b = strconv.AppendUint(b, amount/unit, 10)
	point := len(b)
	b = strconv.AppendUint(b, unit+amount%unit, 10)
	b[point] = '.'
	return bytes.TrimRight(b, "0")
}

// FormatAmount returns what AppendAmount appends.
func (r *Rules) FormatAmount(amount uint64) string { return string(r.AppendAmount(nil, amount)) }

// FormatBalance writes a balance as FormatAmount does, with a minus sign in front
// when it is below zero.
func (r *Rules) FormatBalance(balance int64) string {
	if balance < 0 {
		return "-" + r.FormatAmount(-uint64(balance))
	}
	return r.FormatAmount(uint64(balance))
}
