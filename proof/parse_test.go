package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"cairn/consensus"
	"cairn/internal/jsonobject"
)

var update = flag.Bool("update", false, "write the golden documents")

// golden are documents as they are given to people, all of smallChain.
var golden = []struct {
	file string
	make func(fatal, *testChain) *Document
}{
	{"testdata/full.json", fullDocument},
	{"testdata/start.json", startDocument},
	{"testdata/reward.json", rewardDocument},
	{"testdata/block.json", blockDocument},
}

func TestGolden(t *testing.T) {
	c := smallChain(t)
	for _, g := range golden {
		got := g.make(t, c).Encode()
		if *update {
			if err := os.WriteFile(g.file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(g.file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s would be\n%s", g.file, got)
		}
		d, err := Parse(want)
		if err != nil {
			t.Fatalf("%s: %v", g.file, err)
		}
		if again := d.Encode(); !bytes.Equal(again, want) {
			t.Errorf("%s is encoded again as\n%s", g.file, again)
		}
		mustVerify(t, d, c.rules)
	}
}

func readGolden(t fatal, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// optional are the fields that a document may do without.
var optional = []string{"start", "block", "transaction", "account"}

// Every object of a document has all its fields and no other one, each of its kind.
func TestFieldsAreExact(t *testing.T) {
	good := json.NewDecoder(bytes.NewReader(readGolden(t, "testdata/start.json")))
	good.UseNumber()
	var root any
	if err := good.Decode(&root); err != nil {
		t.Fatal(err)
	}
	refused := func(key, what string) {
		t.Helper()
		b, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%q %s: error %v, want ErrFormat", key, what, err)
		}
	}
	objects := objectsIn(root)
	if len(objects) != 10 {
		t.Errorf("the document has %d objects", len(objects))
	}
	for i, object := range objects {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			value := object[key]
			for _, wrong := range []any{nil, true, -1, 1.5, 1 << 32, "", "x", []any{}, []any{1}, map[string]any{}, map[string]any{"x": 1}} {
				if !fine(key, wrong) {
					object[key] = wrong
					refused(key, fmt.Sprintf("as %v", wrong))
				}
			}
			delete(object, key)
			if i > 0 || !slices.Contains(optional, key) {
				refused(key, "missing")
			}
			object[strings.ToUpper(key)] = value
			refused(key, "in capitals")
			delete(object, strings.ToUpper(key))
			object[key] = value
		}
		object["x"] = 1
		refused("x", "as one more")
		delete(object, "x")
	}
}

// fine tells where a value that is wrong elsewhere has the form that is needed.
func fine(key string, value any) bool {
	switch key {
	case "branch", "commitments":
		list, ok := value.([]any)
		return ok && len(list) == 0
	case "encoding":
		return value == ""
	case "reward", "min_balance":
		return value == 1.5 || value == 1<<32
	case "name", "symbol", "address_prefix":
		return value == "x"
	case "allocations":
		object, ok := value.(map[string]any)
		return ok && len(object) == 0
	case "signatures":
		return value == true
	}
	return false
}

// objectsIn returns the objects in a value, the outer first, but for the
// allocations of a genesis file.
func objectsIn(value any) (all []map[string]any) {
	switch v := value.(type) {
	case map[string]any:
		all = append(all, v)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if key != "allocations" {
				all = append(all, objectsIn(v[key])...)
			}
		}
	case []any:
		for _, item := range v {
			all = append(all, objectsIn(item)...)
		}
	}
	return all
}

func TestParseRefuses(t *testing.T) {
	good := string(readGolden(t, "testdata/start.json"))
	branch := strings.Repeat(`"`+strings.Repeat("00", 32)+`",`, 33)
	for _, x := range []struct {
		name     string
		old, new string
		cause    error
	}{
		{"another version", `"proof 1"`, `"proof 2"`, nil},
		{"a field twice", `"cairn":`, `"cairn": "proof 1", "cairn":`, jsonobject.ErrDuplicate},
		{"a field twice, further in", `"position":`, `"position": 2, "position":`, jsonobject.ErrDuplicate},
		{"a field twice, once escaped", `"position":`, `"\u0070osition": 2, "position":`, jsonobject.ErrDuplicate},
		{"a byte of no text", `"proof 1"`, "\"proof 1\xff\"", jsonobject.ErrSyntax},
		{"a genesis field twice", `"symbol":`, `"symbol": "S", "symbol":`, jsonobject.ErrDuplicate},
		{"another genesis value", `"decimals": 2`, `"decimals": 9`, consensus.ErrGenesis},
		{"an odd digit", `"encoding": "`, `"encoding": "0`, nil},
		{"no hex", `"encoding": "0`, `"encoding": "g`, nil},
		{"a byte more of headers", `"headers": "`, `"headers": "00`, nil},
		{"a root of 33 bytes", `"account_root": "`, `"account_root": "00`, nil},
		{"a hash of 65 digits", `"hash": "`, `"hash": "0`, nil},
		{"a height with a point", `"height": 7`, `"height": 7.0`, nil},
		{"a height with an exponent", `"height": 7`, `"height": 7e0`, nil},
		{"a height as text", `"height": 7`, `"height": "7"`, nil},
		{"a height of 33 bits", `"height": 7`, `"height": 4294967303`, nil},
		{"a height below 0", `"height": 7`, `"height": -7`, nil},
		{"a base with 0x", `"next_base": "1f`, `"next_base": "0x1f`, nil},
		{"a base of 9 digits", `"next_base": "`, `"next_base": "0`, nil},
		{"a base with a sign", `"next_base": "1`, `"next_base": "+`, nil},
		{"a work with a zero", `"work": "`, `"work": "0`, nil},
		{"a work with a sign", `"work": "`, `"work": "+`, nil},
		{"a work below 0", `"work": "`, `"work": "-`, nil},
		{"a work with a line", `"work": "3`, `"work": "3_`, nil},
		{"a work with an exponent", `"work": "3`, `"work": "3e5`, nil},
		{"a work of 85 digits", `"work": "`, `"work": "115792089237316195423570985008687907853269984665640564039457584007913129639936`, nil},
		{"a work of 257 bits", `"work": "327685`, `"work": "115792089237316195423570985008687907853269984665640564039457584007913129639936`, nil},
		{"a balance with a zero", `"balance": "0"`, `"balance": "0.0"`, nil},
		{"a balance with a sign", `"balance": "0"`, `"balance": "-0"`, nil},
		{"a balance with two", `"balance": "0"`, `"balance": "--1"`, consensus.ErrAmountText},
		{"a balance with an exponent", `"balance": "0"`, `"balance": "1e3"`, nil},
		{"a balance too fine", `"balance": "0"`, `"balance": "0.001"`, consensus.ErrAmountText},
		{"a balance above the largest", `"balance": "0"`, `"balance": "90071992547409.92"`, consensus.ErrAmountText},
		{"a balance as a number", `"balance": "0"`, `"balance": 0`, nil},
		{"an account that is not bech32m", `"account": "proof1`, `"account": "0`, consensus.ErrAccountText},
		{"an account of another network", `"account": "proof1`, `"account": "dev1`, consensus.ErrAccountText},
		{"33 nodes", `"branch": [`, `"branch": [` + branch, nil},
		{"a node that is no text", `"branch": [`, `"branch": [0,`, nil},
		{"text behind the end", "\n}\n", "\n}\n{}", jsonobject.ErrSyntax},
		{"a comma behind the end", "\n}\n", ",\n}\n", jsonobject.ErrSyntax},
	} {
		changed := strings.Replace(good, x.old, x.new, 1)
		if changed == good {
			t.Fatalf("%s: the test is wrong", x.name)
		}
		d, err := Parse([]byte(changed))
		if !errors.Is(err, ErrFormat) || x.cause != nil && !errors.Is(err, x.cause) || d != nil {
			t.Errorf("%s: error %v, want ErrFormat because of %v", x.name, err, x.cause)
		}
	}
	for _, text := range []string{"", "{}", "null", "[]", `"proof 1"`, good[:len(good)/2], good + good} {
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%.40q: error %v, want ErrFormat", text, err)
		}
	}
}

// White space and the order of fields are free, but only up to MaxSize bytes.
func TestSizeLimit(t *testing.T) {
	good := readGolden(t, "testdata/full.json")
	large := append(good, bytes.Repeat([]byte(" "), MaxSize-len(good))...)
	if _, err := Parse(large); err != nil {
		t.Error(err)
	}
	_, err := Parse(append(large, ' '))
	if !errors.Is(err, ErrFormat) {
		t.Errorf("error %v, want ErrFormat", err)
	}
	wantText(t, err, "33554433 bytes are more than 33554432")
}

func TestCommitmentCount(t *testing.T) {
	c := newChain(t, signedRules(t, 0x207fffff))
	for range 17 {
		c.add(t, person(miner))
	}
	d := c.document(t, 1, 17)
	for height := range uint32(16) {
		c.commit(d, height+1)
	}
	mustVerify(t, copyOf(t, d), c.rules)
	c.commit(d, 17)
	if _, err := d.Verify(nil, late); !errors.Is(err, ErrCommitment) {
		t.Errorf("error %v, want ErrCommitment", err)
	}
	_, err := Parse(d.Encode())
	if !errors.Is(err, ErrFormat) {
		t.Errorf("error %v, want ErrFormat", err)
	}
	wantText(t, err, "document.commitments: more than 16 values")
}

// Errors say where.
func TestParseErrorsNameThePlace(t *testing.T) {
	good := string(readGolden(t, "testdata/start.json"))
	for _, x := range []struct{ old, new, want string }{
		{`"next_base": "1f`, `"next_base": "x1f`, `document.start.leaf.next_base: 8 hex digits are needed, not "x1f00ffff"`},
		{`"history_root": "`, `"history_root": "00`, `document.commitments.0.history_root: a root has 32 bytes, not 33`},
		{`"branch": [`, `"branch": [1,`, `document.commitments.0.branch.0: a text is needed, not "number"`},
		{`"encoding": "`, `"encoding": "0`, `document.transaction.encoding: `},
		{`"position": 2`, `"positions": 2`, `document.transaction: unknown field "positions"; the fields are height, position, encoding, branch`},
		{`"balance": "0"`, `"balance": "0.0"`, `document.account.balance: the balance "0.0" is written "0"`},
		{`"symbol": "PROOF"`, `"symbol": ""`, `document.genesis: `},
	} {
		_, err := Parse([]byte(strings.Replace(good, x.old, x.new, 1)))
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", x.new, err)
			continue
		}
		wantText(t, err, x.want)
	}
}
