package wallet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cairn/consensus"
	"cairn/types"
)

var update = flag.Bool("update", false, "write the golden files anew")

// checkGolden compares with a file of testdata.
func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, got, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// goldenPublic has something of everything.
func goldenPublic(t testing.TB) *public {
	t.Helper()
	w := create(t, goldenText, 1)
	tr := goldenTransfer(w)
	if err := unlock(t, w).Sign(w.Rules(), &tr); err != nil {
		t.Fatal(err)
	}
	p := w.public
	p.watched = []Entry{{Name: "Bäckerei <3 & more", Account: stranger(t, 0)}}
	p.outbox = []pending{{tr, 1767225600}}
	return &p
}

func TestGoldenPublic(t *testing.T) {
	p := goldenPublic(t)
	checkGolden(t, "public.json", p.encode())
	read, err := parsePublic(p.encode())
	if err != nil {
		t.Fatal(err)
	}
	checkSamePublic(t, p, read)
}

func checkSamePublic(t testing.TB, want, got *public) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(public{}, pending{}),
		cmp.Comparer(func(a, b *consensus.Rules) bool { return a.ChainID() == b.ChainID() })); diff != "" {
		t.Error(diff)
	}
}

func TestParsePublicRefuses(t *testing.T) {
	p := goldenPublic(t)
	good, id := string(p.encode()), p.outbox[0].transfer.ID().String()
	main := `"summit1qwka3638kvlfgjeecfkuf9302frhyryayxdzraavyjg29cpf36jqq5wexu"`
	second := `"summit16h48fsx5yvry8t23zlw4r2z2t9sw4ntk4dw98hly7llc67pvcrcqh409sr"`
	for name, c := range map[string]struct {
		old, new string
		want     error // of many, or nil
	}{
		"another format":          {`"wallet 1"`, `"wallet 2"`, nil},
		"unknown field":           {`"outbox":`, `"more": 1, "outbox":`, nil},
		"missing field":           {`"cairn": "wallet 1",`, ``, nil},
		"field in another case":   {`"cairn"`, `"Cairn"`, nil},
		"field twice":             {`"cairn"`, `"cairn": "wallet 1", "cairn"`, nil},
		"null":                    {`"wallet 1"`, `null`, nil},
		"unknown field inside":    {`"index": 0,`, `"index": 0, "key": 1,`, nil},
		"missing field inside":    {`"index": 0,`, ``, nil},
		"twice inside":            {`"index": 0,`, `"index": 0, "index": 0,`, nil},
		"case inside":             {`"index": 0,`, `"Index": 0,`, nil},
		"null inside":             {`"index": 0,`, `"index": null,`, nil},
		"null for an account":     {`"accounts": [`, `"accounts": [null, `, nil},
		"number as text":          {`"index": 0,`, `"index": "0",`, nil},
		"fraction":                {`"index": 0,`, `"index": 0.5,`, nil},
		"genesis":                 {`"name": "summit"`, `"name": "Summit"`, consensus.ErrGenesis},
		"nothing signed":          {`"signatures": true`, `"signatures": false`, ErrUnsigned},
		"another network":         {`"address_prefix": "summit"`, `"address_prefix": "valley"`, consensus.ErrAccountText},
		"first is not 0":          {`"index": 0,`, `"index": 1,`, ErrIndex},
		"descending":              {`"index": 1,`, `"index": 0,`, ErrIndex},
		"index too large":         {`"index": 1,`, `"index": 2147483648,`, ErrIndex},
		"address":                 {second, `"summit1"`, consensus.ErrAccountText},
		"address twice":           {second, main, ErrKnown},
		"name twice":              {`"account 1"`, `"Main"`, ErrName},
		"empty name":              {`"account 1"`, `""`, ErrName},
		"long name":               {`"account 1"`, `"` + strings.Repeat("a", 65) + `"`, ErrName},
		"space around":            {`"account 1"`, `"a "`, ErrName},
		"line break":              {`"account 1"`, `"a\nb"`, ErrName},
		"right to left":           {`"account 1"`, `"a\u202eb"`, ErrName},
		"like an address":         {`"account 1"`, `"Summit1abc"`, ErrName},
		"transfer is no hex":      {`"transfer": "02`, `"transfer": "0x`, nil},
		"transfer is no transfer": {`"transfer": "02`, `"transfer": "03`, types.ErrMalformed},
		"id of another":           {id, strings.Repeat("0", 64), ErrDamaged},
		"transfer was changed":    {hex.EncodeToString([]byte("Order 7")), hex.EncodeToString([]byte("Order 8")), ErrDamaged},
		"sent is text":            {`"sent": 1767225600`, `"sent": "1767225600"`, nil},
	} {
		if strings.Count(good, c.old) == 0 {
			t.Errorf("%s: %s is not in the file", name, c.old)
			continue
		}
		_, err := parsePublic([]byte(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	p.outbox = append(p.outbox, p.outbox[0])
	if _, _, err := p.checked(); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("the same transfer twice: %v", err)
	}
	p.accounts = nil
	if _, _, err := p.checked(); err == nil {
		t.Error("a wallet without accounts")
	}
}

func TestPublicComesBack(t *testing.T) {
	whole := goldenPublic(t)
	var accounts [20]types.Account
	for i := range accounts {
		accounts[i] = stranger(t, uint32(i))
	}
	rapid.Check(t, func(t *rapid.T) {
		p := *whole
		p.accounts, p.watched = nil, nil
		index := uint32(0)
		own := rapid.IntRange(1, 10).Draw(t, "own")
		for i, account := range accounts[:own+rapid.IntRange(0, 10).Draw(t, "watched")] {
			name := fmt.Sprintf("%d %s", i, rapid.StringOfN(visible, 0, 10, 60).Draw(t, "name"))
			name = strings.TrimSpace(name)
			if i < own {
				p.accounts = append(p.accounts, Entry{Name: name, Account: account, Own: true, Index: index})
				index += rapid.Uint32Range(1, 1<<26).Draw(t, "step")
			} else {
				p.watched = append(p.watched, Entry{Name: name, Account: account})
			}
		}
		read, data, err := p.checked()
		if err != nil {
			t.Fatal(err)
		}
		if again := read.encode(); !bytes.Equal(again, data) {
			t.Errorf("%s\nbecame\n%s", data, again)
		}
		if diff := cmp.Diff(p.accounts, read.accounts) + cmp.Diff(p.watched, read.watched); diff != "" {
			t.Error(diff)
		}
	})
}

// visible draws characters that people may be shown.
var visible = rapid.Rune().Filter(func(r rune) bool { return textFault(string(r)) == "" })

func TestNames(t *testing.T) {
	w := create(t, goldenText)
	keys := unlock(t, w)
	shop := w.rules.FormatAccount(stranger(t, 0))
	if _, err := w.AddAccount(keys, "Savings"); err != nil {
		t.Fatal(err)
	}
	if err := w.Watch("shop", strings.ToUpper(shop)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ got, want error }{
		"name taken":            {w.Watch("MAIN", w.rules.FormatAccount(stranger(t, 1))), ErrName},
		"account known":         {w.Watch("shop 2", shop), ErrKnown},
		"own account":           {w.Watch("me", w.rules.FormatAccount(w.Accounts()[0].Account)), ErrKnown},
		"no address":            {w.Watch("shop 2", "savings"), consensus.ErrAccountText},
		"name like an address":  {w.Watch(shop, w.rules.FormatAccount(stranger(t, 1))), ErrName},
		"rename to a taken one": {w.Rename("shop", "savings"), ErrName},
		"rename what is not":    {w.Rename("nothing", "something"), ErrUnknown},
		"rename an unknown":     {w.Rename(w.rules.FormatAccount(stranger(t, 1)), "something"), ErrUnknown},
		"forget what is not":    {w.Unwatch("nothing"), ErrUnknown},
		"forget an own account": {w.Unwatch("main"), ErrUnknown},
		"forget an unknown":     {w.Unwatch(w.rules.FormatAccount(stranger(t, 1))), ErrUnknown},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	if _, err := w.AddAccount(keys, "savings"); !errors.Is(err, ErrName) {
		t.Errorf("AddAccount with a taken name: %v", err)
	}
	if err := w.Rename("SHOP", "Shop"); err != nil {
		t.Errorf("another case: %v", err)
	}
	if err := w.Rename(shop, "baker"); err != nil {
		t.Errorf("by its address: %v", err)
	}
	want := []Entry{{Name: "baker", Account: stranger(t, 0)}}
	if diff := cmp.Diff(want, w.Watched()); diff != "" {
		t.Error(diff)
	}
	checkReopened(t, w)
	if err := w.Unwatch("baker"); err != nil {
		t.Error(err)
	}
	if n := len(w.Watched()); n != 0 {
		t.Errorf("%d accounts are watched", n)
	}
	checkReopened(t, w)
}

func TestAccount(t *testing.T) {
	w := create(t, goldenText)
	shop, other := stranger(t, 0), stranger(t, 1)
	if err := w.Watch("shop", w.rules.FormatAccount(shop)); err != nil {
		t.Fatal(err)
	}
	main := w.Accounts()[0]
	for text, want := range map[string]Entry{
		"main":                              main,
		"MAIN":                              main,
		w.rules.FormatAccount(main.Account): main,
		"shop":                              {Name: "shop", Account: shop},
		strings.ToUpper(w.rules.FormatAccount(shop)): {Name: "shop", Account: shop},
		w.rules.FormatAccount(other):                 {Account: other},
	} {
		if got, err := w.Account(text); err != nil || got != want {
			t.Errorf("Account(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"sho":                             `the wallet's accounts are "main", "shop"`,
		w.rules.FormatAccount(shop) + "q": "wrong checksum",
		"":                                "main",
		"0":                               "main",
	} {
		if _, err := w.Account(text); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), want) {
			t.Errorf("Account(%q): %v, want ErrUnknown with %q", text, err, want)
		}
	}
}

func TestAddAccount(t *testing.T) {
	w := create(t, goldenText, 3)
	keys := unlock(t, w)
	next := accountOf(words(t, goldenText).Key(4))
	if err := w.Watch("mine, as it turns out", w.rules.FormatAccount(next)); err != nil {
		t.Fatal(err)
	}
	e, err := w.AddAccount(keys, "new")
	if want := (Entry{Name: "new", Account: next, Own: true, Index: 4}); err != nil || e != want {
		t.Errorf("AddAccount = %+v, %v; want %+v", e, err, want)
	}
	if len(w.Watched()) != 0 {
		t.Error("an own account is watched")
	}
	checkReopened(t, w)
	if _, err := w.AddAccount(unlock(t, create(t, fixedText)), "theirs"); !errors.Is(err, ErrDamaged) {
		t.Errorf("with the keys of another wallet: %v", err)
	}
	last := create(t, goldenText, 1<<31-1)
	if _, err := last.AddAccount(unlock(t, last), "one more"); !errors.Is(err, ErrIndex) {
		t.Errorf("behind the last: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(goldenPublic(f).encode())
	f.Add([]byte(`{"cairn":"wallet 1","genesis":{},"accounts":[],"watch":[],"outbox":[]}`))
	f.Add([]byte(`{"cairn":"wallet 1","genesis":` + string(network(f, "summit").JSON()) + `,"accounts":[null],"watch":[{}],"outbox":[1]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, publicName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := Open(dir)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error %v, want ErrDamaged", err)
			}
			return
		}
		read, _, err := w.checked()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		checkSamePublic(t, &w.public, read)
	})
}
