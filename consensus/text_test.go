package consensus

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/oasisprotocol/curve25519-voi/curve"
	"pgregory.net/rapid"

	"cairn/types"
)

// textRules are dev's with another prefix and number of decimals, and with
// signatures or not.
func textRules(t testing.TB, prefix string, decimals uint8, signatures bool) *Rules {
	t.Helper()
	r := *Dev()
	r.AddressPrefix, r.Decimals, r.Signatures, r.CreditLimit = prefix, decimals, signatures, 0
	rules, err := NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestAccountVectors(t *testing.T) {
	var vectors struct {
		Prefix string
		Valid  []struct {
			Text    string
			Account hexBytes
		}
		Invalid []struct{ Text, Why string }
	}
	readJSON(t, "testdata/accounts.json", &vectors)
	if len(vectors.Valid) == 0 || len(vectors.Invalid) == 0 {
		t.Fatal("vectors are missing")
	}
	r := textRules(t, vectors.Prefix, 8, true)
	for _, v := range vectors.Valid {
		account, err := r.ParseAccount(v.Text)
		if err != nil || string(account) != string(v.Account) {
			t.Errorf("ParseAccount(%s) = %x, %v; want %v", v.Text, account, err, v.Account)
		}
		if got := r.FormatAccount(account); got != strings.ToLower(v.Text) {
			t.Errorf("FormatAccount(%x) = %s, want %s in lower case", account, got, v.Text)
		}
	}
	for _, v := range vectors.Invalid {
		account, err := r.ParseAccount(v.Text)
		if !errors.Is(err, ErrAccountText) && !errors.Is(err, ErrSystemAccount) && !errors.Is(err, ErrSmallOrder) {
			t.Errorf("%s: ParseAccount(%q) = %x, %v", v.Why, v.Text, account, err)
		}
	}
}

func TestAccountErrorsHelp(t *testing.T) {
	r := textRules(t, "dev", 8, true)
	other := textRules(t, "summit", 8, true)
	account, err := r.ParseAccount(signedAccount)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		other.FormatAccount(account): `is of another network: its prefix is "summit", not "dev"; an account of dev begins with dev1 and has 62 characters`,
		signedAccount[:61] + "q":     "wrong checksum",
		"addr1":                      "not bech32m",
	} {
		_, err := r.ParseAccount(text)
		if !errors.Is(err, ErrAccountText) || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAccount(%s): %v, want ErrAccountText with %q", text, err, want)
		}
	}
	if _, err := r.ParseAccount(strings.Repeat("x", 1<<20)); err == nil || len(err.Error()) > 500 {
		t.Error("a megabyte comes back in the error")
	}
}

// The general strings of BIP 350 go through the library that reads accounts: none
// is an account here, but those that are bech32m are not told that they are not.
func TestBech32mVectors(t *testing.T) {
	vectors := struct{ Valid, Invalid []string }{
		Valid:   []string{"A1LQFN3A", "a1lqfn3a", "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", "?1v759aa"},
		Invalid: []string{" 1xj0phk", "M1VUXWEZ", "16plkw9", "1p2gdwpf", "y1b0jsk6g", "in1muywd"},
	}
	if dir := os.Getenv("CAIRN_VECTORS"); dir != "" {
		data, err := os.ReadFile(filepath.Join(dir, "bech32m.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &vectors); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range vectors.Valid {
		prefix, groups, version, err := bech32.DecodeGeneric(s)
		if err != nil || version != bech32.VersionM {
			t.Errorf("%q is version %v, %v", s, version, err)
		}
		if again, err := bech32.EncodeM(prefix, groups); err != nil || again != strings.ToLower(s) {
			t.Errorf("%q encodes to %q, %v", s, again, err)
		}
		r := &Rules{Signatures: true, AddressPrefix: prefix}
		if _, err := r.ParseAccount(s); !errors.Is(err, ErrAccountText) || !strings.Contains(err.Error(), "does not hold 32 bytes") {
			t.Errorf("ParseAccount(%q): %v, want ErrAccountText for its length", s, err)
		}
	}
	for _, s := range vectors.Invalid {
		if _, _, version, err := bech32.DecodeGeneric(s); err == nil && version == bech32.VersionM {
			t.Errorf("%q was accepted", s)
		}
		r := &Rules{Signatures: true, AddressPrefix: strings.ToLower(strings.SplitN(s, "1", 2)[0])}
		if _, err := r.ParseAccount(s); !errors.Is(err, ErrAccountText) || strings.Contains(err.Error(), "does not hold") {
			t.Errorf("ParseAccount(%q): %v, want ErrAccountText for its form", s, err)
		}
	}
}

func TestNames(t *testing.T) {
	r := textRules(t, "dev", 8, false)
	for _, name := range []string{"a", "addr1", "00", "1", "A", "a b", "é", "e\u0301", "\u00a0", "\ufeff", "名前", "😀", "a\u202eb",
		strings.Repeat("a", 64), strings.Repeat("é", 32), "\U0010ffff", signedAccount} {
		account, err := r.ParseAccount(name)
		if err != nil || string(account) != name || r.FormatAccount(account) != name {
			t.Errorf("ParseAccount(%q) = %q, %v", name, account, err)
		}
	}
	for _, name := range []string{"", " ", " a", "a ", "a\x00", "\n", "a\tb", "\x1f", "\x7f", "\u0080", "\u009f", "a\u0085b", "\xff", "a\xc3",
		"\xed\xa0\x80", "\xc0\xaf", strings.Repeat("a", 65), strings.Repeat("é", 32) + "a"} {
		if account, err := r.ParseAccount(name); !errors.Is(err, ErrAccount) {
			t.Errorf("ParseAccount(%q) = %q, %v; want ErrAccount", name, account, err)
		}
	}
	if account, err := r.ParseAccount("0"); !errors.Is(err, ErrSystemAccount) {
		t.Errorf("ParseAccount(0) = %q, %v; want ErrSystemAccount", account, err)
	}
	for _, c := range []string{"\u001f", "\u0020", "\u007e", "\u007f", "\u009f", "\u00a0"} {
		err := r.CheckAccount(types.Account("a" + c + "b"))
		if control := c < " " || c == "\x7f" || c == "\u009f"; (err != nil) != control {
			t.Errorf("%q inside a name: %v", c, err)
		}
	}
}

func TestKeys(t *testing.T) {
	r := textRules(t, "dev", 8, true)
	for _, account := range []types.Account{"", "a", types.Account(make([]byte, 31)), types.Account(make([]byte, 33))} {
		if err := r.CheckAccount(account); !errors.Is(err, ErrAccount) {
			t.Errorf("CheckAccount(%x) = %v, want ErrAccount", account, err)
		}
	}
	if err := r.CheckAccount(types.System); !errors.Is(err, ErrSystemAccount) {
		t.Errorf("CheckAccount(0) = %v, want ErrSystemAccount", err)
	}
	// Nothing else is checked: this is no point of the curve.
	if err := r.CheckAccount(types.Account("\x02" + strings.Repeat("\x00", 31))); err != nil {
		t.Errorf("CheckAccount(2) = %v", err)
	}
	for account, want := range map[types.Account]string{types.System: "0", "": "0x", "ab": "0x6162"} {
		if got := r.FormatAccount(account); got != want {
			t.Errorf("FormatAccount(%q) = %q, want %q", account, got, want)
		}
	}
}

// The encodings of points of small order, once from the curve's equation and once
// from a library's arithmetic.
func TestSmallOrder(t *testing.T) {
	r := textRules(t, "dev", 8, true)
	derived := deriveSmallOrder()
	if len(derived) != 14 {
		t.Errorf("%d encodings derived, want 14", len(derived))
	}
	for _, v := range smallOrderEncodings(t) {
		account := types.Account(v)
		if !derived[account] {
			t.Errorf("%v is not derived from the equation", v)
		}
		if err := r.CheckAccount(account); !errors.Is(err, ErrSmallOrder) {
			t.Errorf("CheckAccount(%v) = %v, want ErrSmallOrder", v, err)
		}
		if _, err := r.ParseAccount(r.FormatAccount(account)); !errors.Is(err, ErrSmallOrder) {
			t.Errorf("ParseAccount of %v: %v, want ErrSmallOrder", v, err)
		}
		checkSmallOrder(t, account, true)
		for bit := range 256 { // and none of their neighbours
			neighbour := []byte(account)
			neighbour[bit/8] ^= 1 << (bit % 8)
			small := derived[types.Account(neighbour)]
			if err := r.CheckAccount(types.Account(neighbour)); errors.Is(err, ErrSmallOrder) != small {
				t.Errorf("CheckAccount(%x) = %v", neighbour, err)
			}
			checkSmallOrder(t, types.Account(neighbour), small)
		}
	}
}

// checkSmallOrder asks the signature library's arithmetic, if account is a point.
func checkSmallOrder(t *testing.T, account types.Account, want bool) {
	t.Helper()
	compressed, err := curve.NewCompressedEdwardsY().SetBytes([]byte(account))
	if err != nil {
		t.Fatal(err)
	}
	var point curve.EdwardsPoint
	if _, err := point.SetCompressedY(compressed); err != nil {
		if want {
			t.Errorf("%x is no point: %v", account, err)
		}
		return
	}
	if point.IsSmallOrder() != want {
		t.Errorf("%x is of small order: %v, want %v", account, point.IsSmallOrder(), want)
	}
}

// deriveSmallOrder finds the points by doubling on -x² + y² = 1 + dx²y²: a
// point's order divides 8 if doubling its y three times gives that of the neutral
// element. It tries the roots that the doubling of y has at each step back.
func deriveSmallOrder() map[types.Account]bool {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	mod := func(n *big.Int) *big.Int { return n.Mod(n, p) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	div := func(a, b *big.Int) *big.Int { return mul(a, new(big.Int).ModInverse(b, p)) }
	d := div(big.NewInt(-121665), big.NewInt(121666))
	one := big.NewInt(1)
	// On the curve x² = (y² - 1) / (dy² + 1), and 2(x, y) has the coordinate
	// (y² + x²) / (1 - dx²y²).
	xx := func(yy *big.Int) *big.Int {
		return div(new(big.Int).Sub(yy, one), new(big.Int).Add(mul(d, yy), one))
	}
	double := func(y *big.Int) *big.Int {
		yy := mul(y, y)
		x2 := xx(yy)
		return div(mod(new(big.Int).Add(yy, x2)), mod(new(big.Int).Sub(one, mul(d, mul(x2, yy)))))
	}
	// Order 1: y = 1. Order 2: y = -1. Order 4: y = 0. Order 8: 2(x, y) has y = 0,
	// so y² = -x², which gives dy⁴ + 2y² - 1 = 0.
	ys := []*big.Int{one, new(big.Int).Sub(p, one), big.NewInt(0)}
	root := new(big.Int).ModSqrt(mod(new(big.Int).Add(one, d)), p)
	for _, r := range []*big.Int{root, new(big.Int).Neg(root)} {
		yy := div(mod(new(big.Int).Sub(r, one)), d)
		if y := new(big.Int).ModSqrt(yy, p); y != nil {
			ys = append(ys, y, new(big.Int).Sub(p, y))
		}
	}
	found := map[types.Account]bool{}
	for _, y := range ys {
		if double(double(double(y))).Cmp(one) != 0 || big.Jacobi(xx(mul(y, y)), p) < 0 {
			continue // not of small order, or not on the curve
		}
		for _, n := range []*big.Int{y, new(big.Int).Add(y, p)} {
			if n.BitLen() > 255 {
				continue
			}
			var b [32]byte
			n.FillBytes(b[:])
			for i := range 16 {
				b[i], b[31-i] = b[31-i], b[i]
			}
			found[types.Account(b[:])] = true
			b[31] |= 0x80 // the other sign of x, also of x = 0, which ZIP-215 decodes
			found[types.Account(b[:])] = true
		}
	}
	return found
}

func TestParseAmount(t *testing.T) {
	for _, c := range []struct {
		decimals uint8
		text     string
		want     uint64
	}{
		{8, "3", 300_000_000},
		{8, "0.1", 10_000_000},
		{8, "0", 0}, {8, "-0", 0}, {8, "0.000000000000", 0}, {8, "-0e5", 0}, {8, "0e999999999999999999999", 0},
		{8, "1e-8", 1}, {8, "1E-8", 1}, {8, "0.00000001", 1}, {8, "0.0000000100000", 1},
		{8, "1e+7", 1_000_000_000_000_000},
		{8, "12.5e0", 1_250_000_000}, {8, "0.00125e4", 1_250_000_000}, {8, "125000000000e-10", 1_250_000_000},
		{8, "90071992.54740991", types.MaxAmount},
		{8, "9007199254740991e-8", types.MaxAmount},
		{8, "0.000000000000009007199254740991e22", types.MaxAmount},
		{0, "9007199254740991", types.MaxAmount}, {0, "9.007199254740991e15", types.MaxAmount},
		{0, "10", 10}, {0, "1e1", 10}, {0, "1.0", 1},
		{6, "2500.25", 2_500_250_000},
		{8, "1" + strings.Repeat("0", 5000) + "e-5000", 100_000_000},
		{8, "0." + strings.Repeat("0", 5000) + "1e5001", 100_000_000},
		{8, "1.1" + strings.Repeat("0", 5000), 110_000_000},
	} {
		r := textRules(t, "dev", c.decimals, false)
		if got, err := r.ParseAmount(c.text); err != nil || got != c.want {
			t.Errorf("%d decimals: ParseAmount(%.60s) = %d, %v; want %d", c.decimals, c.text, got, err, c.want)
		}
	}
	for _, c := range []struct {
		decimals uint8
		text     string
		want     string // in the error, which ends with a new line here
	}{
		{8, "-5", "-5 is negative"},
		{8, "-0.000000001", "is negative"},
		{8, "-1e99999999999", "is negative"},
		{8, "0.30000000000000004", "0.30000000000000004 is finer than the 8 decimals of COIN; the nearest exact amount is 0.3\n"},
		{8, "0.000000015", "nearest exact amount is 0.00000002\n"},
		{8, "0.0000000149999", "nearest exact amount is 0.00000001\n"},
		{8, "0.000000005", "nearest exact amount is 0.00000001\n"},
		{8, "0.0000000049", "nearest exact amount is 0\n"},
		{8, "0.0000000005", "nearest exact amount is 0\n"},
		{8, "9e-99999999999999999999", "nearest exact amount is 0\n"},
		{8, "0.999999999", "nearest exact amount is 1\n"},
		{0, "1.5", "finer than the 0 decimals of COIN; the nearest exact amount is 2\n"},
		{0, "123456789.4", "nearest exact amount is 123456789\n"},
		{8, "90071992.547409914", "nearest exact amount is 90071992.54740991\n"},
		{8, "90071992.547409919", "nearest exact amount is 90071992.54740991\n"}, // the largest
		{8, "90071992.54740992", "90071992.54740992 is more than the largest possible, 90071992.54740991"},
		{8, "90071992.547409921", "more than the largest possible"},
		{8, "99999999", "more than the largest possible"},
		{8, "1e400", "more than the largest possible"},
		{8, "1e9223372036854775807", "more than the largest possible"},
		{8, "1e-9223372036854775808", "nearest exact amount is 0\n"},
		{8, "-" + strings.Repeat("9", 1<<20), "is negative"},
		{8, "1e99999999999999999999", "more than the largest possible"},
		{0, "9007199254740992", "more than the largest possible, 9007199254740991"},
		{0, "18446744073709551617", "more than the largest possible"}, // 2^64 + 1
		{8, strings.Repeat("9", 1<<20), "more than the largest possible"},
	} {
		r := textRules(t, "dev", c.decimals, false)
		got, err := r.ParseAmount(c.text)
		if !errors.Is(err, ErrAmountText) || !strings.Contains(err.Error()+"\n", c.want) || len(err.Error()) > 300 {
			t.Errorf("%d decimals: ParseAmount(%.60s) = %d, %v; want ErrAmountText with %q", c.decimals, c.text, got, err, c.want)
		}
	}
	r := Dev()
	for _, text := range []string{"", " ", "-", "+1", "01", "00", "-01", ".5", "5.", "1.e5", "1e", "1e+", "1e-", "1e1.5", "1e1e1", "1.2.3", "--1", "1-", "1,000", "1_000",
		" 1", "1 ", "0x10", "0b1", "1f", "Infinity", "NaN", "null", "true", `"1"`, "１", "1\x00", "٣"} {
		if got, err := r.ParseAmount(text); !errors.Is(err, ErrAmountText) || !strings.Contains(err.Error(), "is not a decimal number") {
			t.Errorf("ParseAmount(%q) = %d, %v; want ErrAmountText", text, got, err)
		}
	}
}

func TestFormatAmount(t *testing.T) {
	for _, c := range []struct {
		decimals uint8
		balance  int64
		want     string
	}{
		{8, 300_000_000, "3"}, {8, 10_000_000, "0.1"}, {8, 1, "0.00000001"}, {8, 0, "0"}, {8, 1_250_000_000, "12.5"},
		{8, 100_000_001, "1.00000001"}, {8, types.MaxAmount, "90071992.54740991"},
		{0, 0, "0"}, {0, 10, "10"}, {0, types.MaxAmount, "9007199254740991"}, {6, 2_500_250_000, "2500.25"}, {1, 10, "1"}, {1, 11, "1.1"},
		{8, -300_000_000, "-3"}, {8, -1, "-0.00000001"}, {0, -10, "-10"}, {0, math.MinInt64, "-9223372036854775808"},
	} {
		r := textRules(t, "dev", c.decimals, false)
		if got := r.FormatBalance(c.balance); got != c.want {
			t.Errorf("%d decimals: FormatBalance(%d) = %s, want %s", c.decimals, c.balance, got, c.want)
		}
		if c.balance >= 0 {
			if got := r.FormatAmount(uint64(c.balance)); got != c.want {
				t.Errorf("%d decimals: FormatAmount(%d) = %s, want %s", c.decimals, c.balance, got, c.want)
			}
		}
	}
	if got := textRules(t, "dev", 8, false).FormatAmount(math.MaxUint64); got != "184467440737.09551615" {
		t.Errorf("FormatAmount(2^64-1) = %s", got)
	}
}

func TestAmountsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Rules{Decimals: rapid.Uint8Range(0, 8).Draw(t, "decimals")}
		amount := rapid.Uint64Range(0, types.MaxAmount).Draw(t, "amount")
		if got, err := r.ParseAmount(r.FormatAmount(amount)); err != nil || got != amount {
			t.Fatalf("ParseAmount(%s) = %d, %v", r.FormatAmount(amount), got, err)
		}
	})
}

// FuzzParseAmount compares with exact fractions, where exponents are not so
// large that those would take for ever.
func FuzzParseAmount(f *testing.F) {
	for _, seed := range []string{"3", "0.1", "-5", "1e-8", "0.30000000000000004", "90071992.54740991", "1e400", "12.5E+3", "01", "1e", ".5", "0.000000015", "0 "} {
		f.Add(seed, uint8(8))
	}
	f.Fuzz(func(t *testing.T, text string, decimals uint8) {
		r := &Rules{Decimals: decimals % 9}
		got, err := r.ParseAmount(text)
		isNumber := json.Valid([]byte(text)) && strings.IndexAny(text, "-0123456789") == 0 && strings.TrimSpace(text) == text
		if !isNumber {
			if !errors.Is(err, ErrAmountText) {
				t.Fatalf("ParseAmount(%q) = %d, %v", text, got, err)
			}
			return
		}
		if i := strings.IndexAny(text, "eE"); i >= 0 && len(text)-i > 5 || len(text) > 500 {
			return
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number to math/big", text)
		}
		exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(r.Decimals)), nil)))
		want := exact.IsInt() && exact.Sign() >= 0 && exact.Num().Cmp(big.NewInt(types.MaxAmount)) <= 0
		if (err == nil) != want || err == nil && exact.Num().Uint64() != got {
			t.Fatalf("ParseAmount(%q) with %d decimals = %d, %v; it is %v base units", text, r.Decimals, got, err, exact)
		}
		if before, nearest, ok := strings.Cut(errText(err), "nearest exact amount is "); ok {
			n, err := r.ParseAmount(nearest)
			if err != nil {
				t.Fatalf("the nearest amount of %q: %v", before, err)
			}
			off := new(big.Rat).Sub(exact, new(big.Rat).SetInt64(int64(n)))
			if n < types.MaxAmount && off.Abs(off).Cmp(big.NewRat(1, 2)) > 0 {
				t.Fatalf("ParseAmount(%q): %s is %v base units away", text, nearest, off)
			}
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzParseAccount(f *testing.F) {
	signed, open := textRules(f, "dev", 8, true), textRules(f, "dev", 8, false)
	for _, seed := range []string{signedAccount, strings.ToUpper(signedAccount), "addr1", "0", "", " a", "\xff", "a1lqfn3a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if account, err := open.ParseAccount(text); err == nil && open.FormatAccount(account) != text {
			t.Fatalf("%q comes back as %q", text, open.FormatAccount(account))
		}
		account, err := signed.ParseAccount(text)
		if err != nil {
			return
		}
		if again := signed.FormatAccount(account); again != text && strings.ToUpper(again) != text {
			t.Fatalf("%q comes back as %q", text, again)
		}
		if len(account) != 32 {
			t.Fatalf("%q stands for %s", text, hex.EncodeToString([]byte(account)))
		}
	})
}
