package consensus

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"cairn/types"
)

// genesisVector was made from the text of the protocol by a program that shares
// nothing with this package, as were the vectors of rules, difficulty and text.
type genesisVector struct {
	File        json.RawMessage `json:"file"`
	Encoding    hexBytes        `json:"encoding"`
	AccountRoot hexBytes        `json:"account_root"`
	Commitment  hexBytes        `json:"commitment"`
	Block       hexBytes        `json:"block"`
	ChainID     types.Hash      `json:"chain_id"`
}

func genesisVectors(t testing.TB) (vectors []genesisVector) {
	t.Helper()
	readJSON(t, "testdata/genesis.json", &vectors)
	if len(vectors) < 3 {
		t.Fatal("vectors are missing")
	}
	return vectors
}

var sameRules = cmp.Options{cmpopts.IgnoreUnexported(Rules{}), cmpopts.EquateEmpty()}

func TestGenesisVectors(t *testing.T) {
	for _, v := range genesisVectors(t) {
		r, err := ParseGenesis(v.File)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Encode(); !bytes.Equal(got, v.Encoding) {
			t.Errorf("%s: the rules encode to\n%x, want\n%x", r.Name, got, v.Encoding)
		}
		block := r.Genesis()
		if got := block.Encode(); !bytes.Equal(got, v.Block) {
			t.Errorf("%s: genesis is\n%x, want\n%x", r.Name, got, v.Block)
		}
		if got := block.Reward.Commitment[:]; !bytes.Equal(got, v.Commitment) {
			t.Errorf("%s: the commitment is %x, want %x", r.Name, got, v.Commitment)
		}
		if got := Commitment([32]byte(v.AccountRoot), [32]byte{}); !bytes.Equal(got[:], v.Commitment) {
			t.Errorf("%s: the commitment to the account root is %x, want %x", r.Name, got, v.Commitment)
		}
		if r.ChainID() != v.ChainID || block.Header.Hash() != v.ChainID {
			t.Errorf("%s: the chain ID is %v, want %v", r.Name, r.ChainID(), v.ChainID)
		}
		want := State{Hash: v.ChainID, Time: r.Time, Bits: r.Bits, Base: r.Bits}
		if got := r.GenesisState(); got != want {
			t.Errorf("%s: the state is %+v, want %+v", r.Name, got, want)
		}
		decoded, err := types.DecodeBlock(v.Block)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decoded, block, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: genesis decodes to something else: %s", r.Name, diff)
		}
	}
}

func TestDev(t *testing.T) {
	v := genesisVectors(t)[0]
	if Dev().ChainID() != v.ChainID {
		t.Errorf("the chain ID of dev is %v, want %v", Dev().ChainID(), v.ChainID)
	}
	if got, want := Dev().ChainID().String(), "fd3de112d4924239f3896517508185b1d60df0d474bd31111d8b4eccd273841d"; got != want {
		t.Errorf("the chain ID of dev is %s, want %s", got, want)
	}
	const file = `{
  "name": "dev",
  "symbol": "COIN",
  "decimals": 8,
  "address_prefix": "dev",
  "time": 1767225600,
  "bits": "207fffff",
  "block_interval": 10,
  "half_life": 0,
  "reward": "1",
  "halving_interval": 0,
  "max_block_size": 1000000,
  "tx_lifetime": 1000000,
  "min_balance": "0",
  "signatures": false,
  "credit_limit": null,
  "allocations": {}
}
`
	if diff := cmp.Diff(file, string(Dev().JSON())); diff != "" {
		t.Error(diff)
	}
}

func TestGenesisJSONRoundTrips(t *testing.T) {
	for _, v := range genesisVectors(t) {
		r, err := ParseGenesis(v.File)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseGenesis(r.JSON())
		if err != nil {
			t.Fatalf("%s: %v in\n%s", r.Name, err, r.JSON())
		}
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(Rules{})); diff != "" {
			t.Errorf("%s: %s", r.Name, diff)
		}
		if !bytes.Equal(again.JSON(), r.JSON()) {
			t.Errorf("%s: the file changes:\n%s\n%s", r.Name, r.JSON(), again.JSON())
		}
		if !json.Valid(r.JSON()) {
			t.Errorf("%s: not JSON:\n%s", r.Name, r.JSON())
		}
	}
}

// What a person reads in the file is not escaped without need.
func TestGenesisJSONIsReadable(t *testing.T) {
	r, err := ParseGenesis(edit(t, Dev().JSON(), "symbol", `"<\u20ac&>"`))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(r.JSON()), `"symbol": "<€&>",`) {
		t.Errorf("the symbol <€&> is written as\n%s", r.JSON())
	}
}

func TestGenesisBalances(t *testing.T) {
	r, err := ParseGenesis(genesisVectors(t)[2].File)
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{change("Grüße", 0, 1000), change("a b", 0, 1), change("addr1", 0, types.MaxAmount-1001)}
	if diff := cmp.Diff(want, r.GenesisBalances()); diff != "" {
		t.Error(diff)
	}
}

// edit returns dev's file with the value of one field, as JSON, replaced.
func edit(t *testing.T, file []byte, field, value string) []byte {
	t.Helper()
	var values map[string]json.RawMessage
	if err := json.Unmarshal(file, &values); err != nil {
		t.Fatal(err)
	}
	if values[field] == nil {
		t.Fatalf("there is no field %q", field)
	}
	values[field] = json.RawMessage(value)
	edited, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return edited
}

const signedAccount = "dev16adfsqvzky9t042tlmfujeq88g8wzuhnm2nzxfd0qgdx3ac82ydqtye07e" // the key of RFC 8032's first test

func TestGenesisFields(t *testing.T) {
	const maxCoins = "90071992.54740991"
	long := strings.Repeat("a", 33)
	for _, c := range []struct {
		field string
		right []string
		wrong []string
	}{
		{"name", []string{`"a"`, `"my-net-2"`, `"-"`, `"` + long[:32] + `"`, `"\u0061"`},
			[]string{`""`, `"A"`, `"a b"`, `"é"`, `"` + long + `"`, `1`, `null`, `["a"]`}},
		{"symbol", []string{`"€"`, `"a b"`, `"<&>"`, `"` + long[:32] + `"`},
			[]string{`""`, `" a"`, `"a "`, `"a\n"`, `"\u0085"`, `"` + long + `"`, `1`, `null`}},
		{"decimals", []string{`0`, `8`}, []string{`9`, `-1`, `256`, `8.0`, `1e0`, `"8"`, `null`, `true`}},
		{"address_prefix", []string{`"a"`, `"a1"`, `"` + long[:16] + `"`},
			[]string{`""`, `"1a"`, `"A"`, `"a-b"`, `"` + long[:17] + `"`, `null`, `1`}},
		{"time", []string{`0`, `4294967295`}, []string{`4294967296`, `-1`, `1.5`, `"0"`, `null`}},
		{"bits", []string{`"2100ffff"`, `"1F00FFFF"`, `"01010000"`},
			[]string{`"00000000"`, `"20ffffff"`, `"1f00fff"`, `"1010000"`, `"1f00fffff"`, `"0x1f00ffff"`, `"+f00ffff"`, `"1e00007f"`, `"22000100"`, `520159231`, `null`, `""`}},
		{"block_interval", []string{`1`, `86400`}, []string{`0`, `86401`, `-1`, `"10"`, `1.0`, `null`}},
		{"half_life", []string{`0`, `120`, `10000`}, []string{`1`, `119`, `10001`, `-120`, `4294967296`, `"360"`, `null`}},
		{"reward", []string{`0`, `"0"`, `1e-8`, `"0.00000001"`, maxCoins, `"` + maxCoins + `"`, `0.0000000100`, `9.007199254740991e7`},
			[]string{`-1`, `0.000000001`, `"1e-9"`, `90071992.54740992`, `1e400`, `""`, `"1 "`, `"1,5"`, `null`, `true`, `{}`}},
		{"halving_interval", []string{`0`, `4294967295`}, []string{`4294967296`, `-1`, `"1"`, `null`}},
		{"max_block_size", []string{`1000`, `32000000`}, []string{`999`, `32000001`, `0`, `"1000"`, `null`}},
		{"tx_lifetime", []string{`1`, `1000000`}, []string{`0`, `1000001`, `"1"`, `null`}},
		{"min_balance", []string{`0`, maxCoins}, []string{`-0.1`, `90071992.54740992`, `null`, `false`}},
		{"signatures", []string{`false`}, []string{`true`, `"true"`, `0`, `null`}}, // true: but credit
		{"credit_limit", []string{`0`, `null`, `1.5`, `"` + maxCoins + `"`}, []string{`-1`, `90071992.54740992`, `true`, `[]`}},
		{"allocations", []string{`{}`, `{"a": 1, "b": "0.5"}`, `{"a": ` + maxCoins + `}`, `{"A": 1, "a": 1}`, `{"` + long + long[:31] + `": 1}`},
			[]string{`[]`, `null`, `{"a": 0}`, `{"a": -1}`, `{"a": null}`, `{"a": {}}`, `{"a": "x"}`, `{"": 1}`, `{"0": 1}`, `{" a": 1}`, `{"\u0000": 1}`,
				`{"` + long + long + `": 1}`, `{"a": ` + maxCoins + `, "b": 0.00000001}`}},
	} {
		for _, value := range c.right {
			if _, err := ParseGenesis(edit(t, Dev().JSON(), c.field, value)); err != nil {
				t.Errorf("%s %s: %v", c.field, value, err)
			}
		}
		for _, value := range c.wrong {
			_, err := ParseGenesis(edit(t, Dev().JSON(), c.field, value))
			where := c.field
			if c.field == "signatures" && value == "true" {
				where = "credit_limit"
			}
			checkGenesisError(t, err, `"`+where+`" is `, "; it must be ")
		}
	}
}

func checkGenesisError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, ErrGenesis) {
		t.Errorf("error is %v, want ErrGenesis with %q", err, texts)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error is %v, want ErrGenesis with %q", err, text)
		}
	}
}

// With signatures, allocations are to keys and there is no credit.
func TestGenesisWithSignatures(t *testing.T) {
	file := edit(t, edit(t, Dev().JSON(), "signatures", "true"), "credit_limit", "0")
	for value, fault := range map[string]string{
		`{"` + signedAccount + `": 1}`:                                              "",
		`{"` + strings.ToUpper(signedAccount) + `": 1}`:                             "",
		`{"` + signedAccount + `": 1, "` + strings.ToUpper(signedAccount) + `": 1}`: "comes twice",
		`{"` + signedAccount[:20] + strings.ToUpper(signedAccount[20:]) + `": 1}`:   "uppercase",
		`{"addr1": 1}`: "bech32m",
		`{"0": 1}`:     "system",
	} {
		_, err := ParseGenesis(edit(t, file, "allocations", value))
		if fault == "" && err != nil {
			t.Errorf("allocations %s: %v", value, err)
		} else if fault != "" {
			checkGenesisError(t, err, `"allocations" is `, fault)
		}
	}
	for _, value := range []string{`null`, `0.00000001`, `"1"`} {
		_, err := ParseGenesis(edit(t, file, "credit_limit", value))
		checkGenesisError(t, err, `"credit_limit" is `+value, "0 where signatures is true")
	}
}

func TestGenesisNamesTheField(t *testing.T) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(Dev().JSON(), &values); err != nil {
		t.Fatal(err)
	}
	if len(values) != 16 {
		t.Fatalf("the file has %d fields", len(values))
	}
	for name := range values {
		without := map[string]json.RawMessage{}
		for other, value := range values {
			if other != name {
				without[other] = value
			}
		}
		missing, err := json.Marshal(without)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseGenesis(missing)
		checkGenesisError(t, err, `"`+name+`" is missing; it must be `)

		without[strings.ToUpper(name)] = values[name] // keys are exact
		upper, err := json.Marshal(without)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseGenesis(upper)
		checkGenesisError(t, err, `"`+name+`" is missing`)

		twice := strings.Replace(string(Dev().JSON()), "{", `{"`+name+`": `+string(values[name])+`,`, 1)
		_, err = ParseGenesis([]byte(twice))
		checkGenesisError(t, err, `duplicate key "`+name+`"`)
	}
	extra := strings.Replace(string(Dev().JSON()), "{", `{"comment": "x",`, 1)
	_, err := ParseGenesis([]byte(extra))
	checkGenesisError(t, err, `unknown field "comment"`, "credit_limit, allocations")
	twice := edit(t, Dev().JSON(), "allocations", `{"a": 1}`)
	twice = bytes.Replace(twice, []byte(`{"a":1}`), []byte(`{"a":1,"\u0061":1}`), 1)
	_, err = ParseGenesis(twice)
	checkGenesisError(t, err, `duplicate key "a"`)
	_, err = ParseGenesis(bytes.Replace(Dev().JSON(), []byte("null"), []byte("["+strings.Repeat("\n \"é\",", 99)+"1]"), 1))
	checkGenesisError(t, err, `"credit_limit" is [ "é", "é",`, "…; it must be")
	if strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
		t.Errorf("the error is not a line: %v", err)
	}
	for _, data := range []string{"", "null", "[]", string(Dev().JSON()) + "x", "\xff"} {
		_, err := ParseGenesis([]byte(data))
		checkGenesisError(t, err)
	}
}

// NewRules checks what a program put together as ParseGenesis checks a file.
func TestNewRulesChecks(t *testing.T) {
	for field, change := range map[string]func(*Rules){
		"name":           func(r *Rules) { r.Name = "" },
		"symbol":         func(r *Rules) { r.Symbol = "\xff" },
		"decimals":       func(r *Rules) { r.Decimals = 9 },
		"address_prefix": func(r *Rules) { r.AddressPrefix = "X" },
		"bits":           func(r *Rules) { r.Bits = 0x1e00007f },
		"block_interval": func(r *Rules) { r.BlockInterval = math.MaxUint32 },
		"half_life":      func(r *Rules) { r.HalfLife = 10_001 },
		"reward":         func(r *Rules) { r.Reward = types.MaxAmount + 1 },
		"max_block_size": func(r *Rules) { r.MaxBlockSize = 0 },
		"tx_lifetime":    func(r *Rules) { r.TxLifetime = 0 },
		"min_balance":    func(r *Rules) { r.MinBalance = math.MaxUint64 },
		"credit_limit":   func(r *Rules) { r.CreditLimit = types.MaxAmount + 1 },
		"allocations":    func(r *Rules) { r.Allocations = []Allocation{{"a", 1}, {"b", 1}, {"a", 2}} },
	} {
		r := *Dev()
		change(&r)
		_, err := NewRules(r)
		checkGenesisError(t, err, `"`+field+`" is `, "; it must be ")
	}
	for _, account := range []types.Account{"", types.System, "a "} {
		r := *Dev()
		r.Allocations = []Allocation{{"a", 1}, {account, 1}}
		_, err := NewRules(r)
		checkGenesisError(t, err, `"allocations" is `, "account")
	}
	r := *Dev()
	r.Allocations = []Allocation{{"c", math.MaxUint64}, {"b", 2}, {"a", 1}}
	_, err := NewRules(r)
	checkGenesisError(t, err, `"allocations" is `, "together they are more")
}

// What NewRules gives out does not change with what it was given.
func TestNewRulesCopies(t *testing.T) {
	r := *Dev()
	r.Allocations = []Allocation{{"b", 2}, {"a", 1}}
	rules, err := NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Allocation{{"b", 2}, {"a", 1}}, r.Allocations); diff != "" {
		t.Errorf("NewRules sorted what it was given: %s", diff)
	}
	r.Allocations[0].Amount = 9
	if diff := cmp.Diff([]Allocation{{"a", 1}, {"b", 2}}, rules.Allocations); diff != "" {
		t.Error(diff)
	}
	if rules.ChainID() == Dev().ChainID() {
		t.Error("allocations do not change the chain ID")
	}
}

// Each rule is a part of the chain ID.
func TestChainIDCommitsToEveryRule(t *testing.T) {
	seen := map[types.Hash]string{Dev().ChainID(): "none"}
	for field, value := range map[string]string{
		"name": `"dev2"`, "symbol": `"COINS"`, "decimals": `7`, "address_prefix": `"dev2"`, "time": `1767225601`, "bits": `"207ffffe"`,
		"block_interval": `11`, "half_life": `120`, "reward": `2`, "halving_interval": `1`, "max_block_size": `1000001`,
		"tx_lifetime": `999999`, "min_balance": `1`, "credit_limit": `0`, "allocations": `{"a": 1}`,
	} {
		r, err := ParseGenesis(edit(t, Dev().JSON(), field, value))
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[r.ChainID()]; ok {
			t.Errorf("%s and %s give the same chain ID", field, other)
		}
		seen[r.ChainID()] = field
	}
	noCredit := edit(t, Dev().JSON(), "credit_limit", "0")
	r, err := ParseGenesis(edit(t, noCredit, "signatures", "true"))
	if err != nil {
		t.Fatal(err)
	}
	if other, ok := seen[r.ChainID()]; ok {
		t.Errorf("signatures and %s give the same chain ID", other)
	}
}

// Any valid rules survive their file, and nothing in them is lost on the way.
func TestRandomRulesRoundTrip(t *testing.T) {
	name := rapid.StringMatching(`[a-z0-9-]{1,32}`)
	amount := rapid.OneOf(rapid.Uint64Range(0, types.MaxAmount), rapid.SampledFrom([]uint64{0, 1, types.MaxAmount}))
	rapid.Check(t, func(t *rapid.T) {
		r := Rules{
			Name:            name.Draw(t, "name"),
			Symbol:          rapid.StringMatching(`[!-~¡-ÿ€-₿]{1,8}`).Draw(t, "symbol"),
			Decimals:        rapid.Uint8Range(0, 8).Draw(t, "decimals"),
			AddressPrefix:   rapid.StringMatching(`[a-z][a-z0-9]{0,15}`).Draw(t, "prefix"),
			Time:            rapid.Uint32().Draw(t, "time"),
			Bits:            rapid.SampledFrom([]uint32{0x2100ffff, 0x1f00ffff, 0x01010000}).Draw(t, "bits"),
			BlockInterval:   rapid.Uint32Range(1, 86400).Draw(t, "interval"),
			Reward:          amount.Draw(t, "reward"),
			HalvingInterval: rapid.Uint32().Draw(t, "halving"),
			MaxBlockSize:    rapid.Uint32Range(1_000, 32_000_000).Draw(t, "size"),
			TxLifetime:      rapid.Uint32Range(1, 1_000_000).Draw(t, "lifetime"),
			MinBalance:      amount.Draw(t, "min balance"),
			Signatures:      rapid.Bool().Draw(t, "signatures"),
		}
		r.HalfLife = r.BlockInterval * rapid.SampledFrom([]uint32{0, 12, 1000}).Draw(t, "half-life")
		account := rapid.StringMatching(`[!-~][ -~é]{0,20}[!-~]`)
		if r.Signatures {
			account = rapid.Map(rapid.SliceOfN(rapid.Byte(), 32, 32), func(b []byte) string { return string(b) })
		} else {
			r.CreditLimit = amount.Draw(t, "credit")
		}
		for a := range rapid.MapOfN(account, rapid.Just(0), 0, 5).Draw(t, "accounts") {
			r.Allocations = append(r.Allocations, Allocation{types.Account(a), rapid.Uint64Range(1, types.MaxAmount/5).Draw(t, "amount")})
		}
		made, err := NewRules(r)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseGenesis(made.JSON())
		if err != nil {
			t.Fatalf("%v in\n%s", err, made.JSON())
		}
		if diff := cmp.Diff(made, parsed, cmp.AllowUnexported(Rules{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		r.Allocations = made.Allocations
		if diff := cmp.Diff(&r, parsed, sameRules); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzParseGenesis(f *testing.F) {
	for _, v := range genesisVectors(f) {
		f.Add([]byte(v.File))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseGenesis(data)
		if err != nil {
			if !errors.Is(err, ErrGenesis) {
				t.Fatalf("error is %v, want ErrGenesis", err)
			}
			return
		}
		again, err := ParseGenesis(r.JSON())
		if err != nil {
			t.Fatalf("%v in\n%s", err, r.JSON())
		}
		if again.ChainID() != r.ChainID() || hex.EncodeToString(again.Encode()) != hex.EncodeToString(r.Encode()) {
			t.Fatalf("the file changed the rules:\n%s\n%s", data, r.JSON())
		}
	})
}
