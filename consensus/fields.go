package consensus

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cairn/internal/jsonobject"
	"cairn/types"
)

// field is one line of the table in docs/protocol.md, section 2: how a rule is
// read from the genesis file, checked, written back and hashed. All of that goes
// through this one table, so no rule can be read and left out of the hash.
type field struct {
	name   string
	want   string // what a right value is: ends the sentence "it must be …"
	read   func(r *Rules, value json.RawMessage) error
	check  func(r *Rules) error
	show   func(r *Rules) string           // as JSON
	encode func(b []byte, r *Rules) []byte // appends the binary form
}

// fields are the rules in the order of the table, which is that of the file and
// of the encoding. A field's functions rely on those before it.
var fields = [...]field{
	textField("name", "1 to 32 of a-z, 0-9 and -",
		func(r *Rules) *string { return &r.Name },
		func(s string) bool { return 1 <= len(s) && len(s) <= 32 && strings.Trim(s, lowerDigits+"-") == "" }),
	textField("symbol", "1 to 32 bytes of text, without control characters and without a space at either end",
		func(r *Rules) *string { return &r.Symbol },
		func(s string) bool { return 1 <= len(s) && len(s) <= 32 && textFault(s) == "" }),
	decimalsField("decimals"),
	textField("address_prefix", "1 to 16 of a-z and 0-9, a letter first",
		func(r *Rules) *string { return &r.AddressPrefix },
		func(s string) bool {
			return 1 <= len(s) && len(s) <= 16 && strings.Trim(s, lowerDigits) == "" && s[0] >= 'a'
		}),
	numberField("time", "a whole number of Unix seconds, from 0 to 4294967295",
		func(r *Rules) *uint32 { return &r.Time }, 0, math.MaxUint32),
	bitsField("bits"),
	numberField("block_interval", "a whole number of seconds, from 1 to 86400",
		func(r *Rules) *uint32 { return &r.BlockInterval }, 1, 86_400),
	halfLifeField("half_life"),
	amountField("reward", "coins, as a number or decimal text", func(r *Rules) *uint64 { return &r.Reward }),
	numberField("halving_interval", "a whole number of blocks, from 0, which never halves, to 4294967295",
		func(r *Rules) *uint32 { return &r.HalvingInterval }, 0, math.MaxUint32),
	numberField("max_block_size", "a whole number of bytes, from 1000 to 32000000",
		func(r *Rules) *uint32 { return &r.MaxBlockSize }, 1_000, 32_000_000),
	numberField("tx_lifetime", "a whole number of blocks, from 1 to 1000000",
		func(r *Rules) *uint32 { return &r.TxLifetime }, 1, 1_000_000),
	amountField("min_balance", "coins, as a number or decimal text", func(r *Rules) *uint64 { return &r.MinBalance }),
	signaturesField("signatures"),
	creditLimitField("credit_limit"),
	allocationsField("allocations"),
}

const lowerDigits = "abcdefghijklmnopqrstuvwxyz0123456789"

// wrong is the error for a field whose value is not right.
func (f *field) wrong(format string, args ...any) error {
	return fmt.Errorf("%w: field %q %w; it must be %s", ErrGenesis, f.name, fmt.Errorf(format, args...), f.want)
}

// readAll fills r from the object of a genesis file, and checks each field.
func (r *Rules) readAll(o *jsonobject.Object) error {
	for i := range fields {
		f := &fields[i]
		value, ok := o.Values[f.name]
		if !ok {
			return f.wrong("is missing")
		}
		err := f.read(r, value)
		if err == nil {
			err = f.check(r)
		}
		if err != nil {
			return f.wrong("is %s%w", excerpt(string(value)), err)
		}
	}
	return nil
}

// checkAll checks rules that a program put together.
func (r *Rules) checkAll() error {
	for i := range fields {
		f := &fields[i]
		if err := f.check(r); err != nil {
			return f.wrong("is %s%w", excerpt(f.show(r)), err)
		}
	}
	return nil
}

// excerpt returns a value on one line, and not all of a long one.
func excerpt(value string) string {
	const most = 80
	line := strings.Join(strings.Fields(value), " ")
	if utf8.RuneCountInString(line) <= most {
		return line
	}
	return fmt.Sprintf("%.*s…", most, line)
}

// errValue is what read and check return when the value itself says enough of
// what is wrong with it.
var errValue = errors.New("")

func valid(ok bool) error {
	if !ok {
		return errValue
	}
	return nil
}

func textField(name, want string, at func(*Rules) *string, right func(string) bool) field {
	return field{
		name: name, want: want,
		read: func(r *Rules, value json.RawMessage) (err error) {
			*at(r), err = readText(value)
			return err
		},
		check:  func(r *Rules) error { return valid(right(*at(r))) },
		show:   func(r *Rules) string { return quote(*at(r)) },
		encode: func(b []byte, r *Rules) []byte { return types.AppendStr(b, *at(r)) },
	}
}

func numberField(name, want string, at func(*Rules) *uint32, least, most uint32) field {
	return field{
		name: name, want: want,
		read: func(r *Rules, value json.RawMessage) error {
			n, err := strconv.ParseUint(string(value), 10, 32)
			if err != nil {
				return errValue
			}
			*at(r) = uint32(n)
			return nil
		},
		check:  func(r *Rules) error { return valid(least <= *at(r) && *at(r) <= most) },
		show:   func(r *Rules) string { return strconv.FormatUint(uint64(*at(r)), 10) },
		encode: func(b []byte, r *Rules) []byte { return binary.LittleEndian.AppendUint32(b, *at(r)) },
	}
}

func amountField(name, want string, at func(*Rules) *uint64) field {
	return field{
		name: name, want: want,
		read: func(r *Rules, value json.RawMessage) (err error) {
			*at(r), err = r.readAmount(value)
			return err
		},
		check:  func(r *Rules) error { return valid(*at(r) <= types.MaxAmount) },
		show:   func(r *Rules) string { return quote(r.FormatAmount(*at(r))) },
		encode: func(b []byte, r *Rules) []byte { return binary.LittleEndian.AppendUint64(b, *at(r)) },
	}
}

func decimalsField(name string) field {
	return field{
		name: name, want: "a whole number from 0 to 8",
		read: func(r *Rules, value json.RawMessage) error {
			n, err := strconv.ParseUint(string(value), 10, 8)
			if err != nil {
				return errValue
			}
			r.Decimals = uint8(n)
			return nil
		},
		check:  func(r *Rules) error { return valid(r.Decimals <= 8) },
		show:   func(r *Rules) string { return strconv.Itoa(int(r.Decimals)) },
		encode: func(b []byte, r *Rules) []byte { return append(b, r.Decimals) },
	}
}

func bitsField(name string) field {
	const want = `a positive compact target of at most 256 bits in its shortest form, as 8 hex digits in quotation marks, such as "1f00ffff"`
	f := numberField(name, want, func(r *Rules) *uint32 { return &r.Bits }, 0, math.MaxUint32)
	f.read = func(r *Rules, value json.RawMessage) error {
		text, err := readText(value)
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(text, 16, 32)
		if err != nil || len(text) != 8 {
			return errValue
		}
		r.Bits = uint32(n)
		return nil
	}
	f.check = func(r *Rules) error {
		_, err := CompactToTarget(r.Bits)
		return valid(err == nil)
	}
	f.show = func(r *Rules) string { return fmt.Sprintf(`"%08x"`, r.Bits) }
	return f
}

func halfLifeField(name string) field {
	f := numberField(name, "0, or a whole number of seconds, from 12 to 1000 times block_interval",
		func(r *Rules) *uint32 { return &r.HalfLife }, 0, math.MaxUint32)
	f.check = func(r *Rules) error { // 1000 intervals fit into 32 bits
		return valid(r.HalfLife == 0 || 12*r.BlockInterval <= r.HalfLife && r.HalfLife <= 1000*r.BlockInterval)
	}
	return f
}

func signaturesField(name string) field {
	return field{
		name: name, want: "true or false",
		read: func(r *Rules, value json.RawMessage) error {
			if jsonobject.KindOf(value) != "boolean" {
				return errValue
			}
			r.Signatures = value[0] == 't'
			return nil
		},
		check: func(*Rules) error { return nil },
		show:  func(r *Rules) string { return strconv.FormatBool(r.Signatures) },
		encode: func(b []byte, r *Rules) []byte {
			if r.Signatures {
				return append(b, 1)
			}
			return append(b, 0)
		},
	}
}

func creditLimitField(name string) field {
	f := amountField(name, "coins, as a number or decimal text, or null for the most; 0 where signatures is true",
		func(r *Rules) *uint64 { return &r.CreditLimit })
	f.read = func(r *Rules, value json.RawMessage) (err error) {
		r.CreditLimit = types.MaxAmount
		if jsonobject.KindOf(value) != "null" {
			r.CreditLimit, err = r.readAmount(value)
		}
		return err
	}
	f.check = func(r *Rules) error {
		return valid(r.CreditLimit == 0 || !r.Signatures && r.CreditLimit <= types.MaxAmount)
	}
	show := f.show
	f.show = func(r *Rules) string {
		if r.CreditLimit == types.MaxAmount {
			return "null"
		}
		return show(r)
	}
	return f
}

func allocationsField(name string) field {
	return field{
		name:   name,
		want:   `an object of accounts and their coins, such as {"ACCOUNT": 100}, each above 0 and all together at most 2^53 - 1 base units`,
		read:   readAllocations,
		check:  checkAllocations,
		show:   showAllocations,
		encode: encodeAllocations,
	}
}

func readAllocations(r *Rules, value json.RawMessage) error {
	if jsonobject.KindOf(value) != "object" {
		return errValue
	}
	o, err := jsonobject.Parse(value)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	r.Allocations = make([]Allocation, 0, len(o.Keys))
	for _, key := range o.Keys {
		account, err := r.ParseAccount(key)
		if err != nil {
			return fmt.Errorf(": %w", err)
		}
		amount, err := r.readAmount(o.Values[key])
		if err != nil {
			return fmt.Errorf(": %q has %s%w", key, excerpt(string(o.Values[key])), err)
		}
		r.Allocations = append(r.Allocations, Allocation{account, amount})
	}
	r.sortAllocations()
	return nil
}

func (r *Rules) sortAllocations() {
	slices.SortFunc(r.Allocations, func(a, b Allocation) int { return cmp.Compare(a.Account, b.Account) })
}

// checkAllocations expects them sorted. Two texts can be one account, when they
// differ in case.
func checkAllocations(r *Rules) error {
	sum := uint64(0)
	for i, a := range r.Allocations {
		err := r.CheckAccount(a.Account)
		switch {
		case err != nil:
			return fmt.Errorf(": %w", err)
		case i > 0 && r.Allocations[i-1].Account == a.Account:
			return fmt.Errorf(": %q comes twice", r.FormatAccount(a.Account))
		case a.Amount < 1:
			return fmt.Errorf(": %q has nothing", r.FormatAccount(a.Account))
		case a.Amount > types.MaxAmount-sum:
			return errors.New(": together they are more than that")
		}
		sum += a.Amount
	}
	return nil
}

func showAllocations(r *Rules) string {
	if len(r.Allocations) == 0 {
		return "{}"
	}
	var lines []string
	for _, a := range r.Allocations {
		lines = append(lines, fmt.Sprintf("\n    %s: %s", quote(r.FormatAccount(a.Account)), quote(r.FormatAmount(a.Amount))))
	}
	return "{" + strings.Join(lines, ",") + "\n  }"
}

func encodeAllocations(b []byte, r *Rules) []byte {
	b = types.AppendCount(b, uint64(len(r.Allocations)))
	for _, a := range r.Allocations {
		b = types.AppendStr(b, a.Account)
		b = binary.LittleEndian.AppendUint64(b, a.Amount)
	}
	return b
}

// readAmount reads an amount of coins from a number or from decimal text.
func (r *Rules) readAmount(value json.RawMessage) (amount uint64, err error) {
	text := string(value)
	switch jsonobject.KindOf(value) {
	case "number":
	case "string":
		if text, err = readText(value); err != nil {
			return 0, err
		}
	default:
		return 0, errValue
	}
	if amount, err = r.ParseAmount(text); err != nil {
		return 0, fmt.Errorf(": %w", err)
	}
	return amount, nil
}

func readText(value json.RawMessage) (text string, err error) {
	if jsonobject.KindOf(value) != "string" {
		return "", errValue
	}
	err = json.Unmarshal(value, &text)
	return text, err
}

// quote writes text as JSON; <, > and & stay as they are.
func quote(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// A string always encodes, and a strings.Builder takes all of it.
	_ = e.Encode(text)
	return strings.TrimSuffix(b.String(), "\n")
}
