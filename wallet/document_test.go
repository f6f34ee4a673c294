package wallet

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cairn/consensus"
	"cairn/types"
)

// goldenDocument is signed.
func goldenDocument(t testing.TB) *Document {
	t.Helper()
	w := create(t, goldenText, 1)
	tr := goldenTransfer(w)
	if err := unlock(t, w).Sign(w.Rules(), &tr); err != nil {
		t.Fatal(err)
	}
	d, err := NewDocument(w.Rules(), tr)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestGoldenDocument(t *testing.T) {
	d := goldenDocument(t)
	checkGolden(t, "transfer.json", d.Encode())
	read, err := ParseDocument(d.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if read.Transfer() != d.Transfer() || !read.Signed() || read.Rules().ChainID() != d.Rules().ChainID() {
		t.Errorf("%+v came back as %+v", d.Transfer(), read.Transfer())
	}
}

// A transfer goes to the machine with the keys, is signed there, and comes back.
func TestOfflineSigning(t *testing.T) {
	w := create(t, goldenText)
	tr, err := Build(w.Rules(), w.Accounts()[0].Account, stranger(t, 0), 1_500_000, 1, "<&> \u2028", 100)
	if err != nil {
		t.Fatal(err)
	}
	out, err := NewDocument(w.Rules(), tr)
	if err != nil || out.Signed() || strings.Contains(string(out.Encode()), "signature\":") {
		t.Fatalf("a new document says that it is signed: %v", err)
	}
	offline, err := ParseDocument(out.Encode())
	if err != nil || offline.Transfer() != tr || offline.Signed() {
		t.Fatalf("it came as %+v, %v", offline, err)
	}
	tr = offline.Transfer()
	if err := unlock(t, w).Sign(offline.Rules(), &tr); err != nil {
		t.Fatal(err)
	}
	back, err := NewDocument(offline.Rules(), tr)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseDocument(back.Encode())
	if err != nil || read.Transfer() != tr || !read.Signed() {
		t.Fatalf("it came back as %+v, %v", read, err)
	}
	if err := w.Remember(read.Transfer()); err != nil {
		t.Error(err)
	}
}

func TestParseDocumentRefuses(t *testing.T) {
	good := string(goldenDocument(t).Encode())
	signature := goldenSignature
	for name, c := range map[string]struct {
		old, new string
		want     error // beside ErrDocument
	}{
		"another format":      {`"transfer 1"`, `"wallet 1"`, nil},
		"unknown field":       {`"genesis":`, `"more": 1, "genesis":`, nil},
		"missing field":       {`"cairn": "transfer 1",`, ``, nil},
		"field twice":         {`"cairn":`, `"cairn": "transfer 1", "cairn":`, nil},
		"field in capitals":   {`"cairn":`, `"CAIRN":`, nil},
		"inside: unknown":     {`"memo":`, `"more": 1, "memo":`, nil},
		"inside: missing":     {`"expiry": 8640,`, ``, nil},
		"inside: twice":       {`"expiry": 8640,`, `"expiry": 8640, "expiry": 8640,`, nil},
		"inside: capitals":    {`"expiry":`, `"Expiry":`, nil},
		"inside: null":        {`"expiry": 8640`, `"expiry": null`, nil},
		"no signature":        {`"` + signature + `"`, `null`, nil},
		"short signature":     {signature, signature[2:], nil},
		"signature no hex":    {signature, "xx" + signature[2:], nil},
		"zero signature":      {signature, strings.Repeat("0", 128), nil},
		"wrong signature":     {signature, signature[64:] + signature[:64], consensus.ErrSignature},
		"amount changed":      {`"1.5"`, `"1.6"`, consensus.ErrSignature},
		"memo changed":        {`Order 7`, `Order 8`, consensus.ErrSignature},
		"network changed":     {`"half_life": 360`, `"half_life": 361`, consensus.ErrSignature},
		"genesis":             {`"decimals": 6`, `"decimals": 60`, consensus.ErrGenesis},
		"nothing signed":      {`"signatures": true`, `"signatures": false`, ErrUnsigned},
		"prefix":              {`"address_prefix": "summit"`, `"address_prefix": "valley"`, consensus.ErrAccountText},
		"amount too fine":     {`"1.5"`, `"1.0000001"`, consensus.ErrAmountText},
		"amount is a number":  {`"1.5"`, `1.5`, nil},
		"salt is negative":    {`"18364758544493064720"`, `"-1"`, nil},
		"salt is too large":   {`"18364758544493064720"`, `"18446744073709551616"`, nil},
		"salt is a number":    {`"18364758544493064720"`, `18364758544493064720`, nil},
		"expiry is too large": {`"expiry": 8640`, `"expiry": 4294967296`, nil},
		"expiry is 0":         {`"expiry": 8640`, `"expiry": 0`, consensus.ErrExpired},
		"memo too long":       {`Order 7`, strings.Repeat("a", 256), ErrMemo},
		"memo no text":        {`Order 7`, `\ud800`, nil},
	} {
		if strings.Count(good, c.old) == 0 {
			t.Errorf("%s: %s is not in the document", name, c.old)
			continue
		}
		d, err := ParseDocument([]byte(strings.Replace(good, c.old, c.new, 1)))
		if !errors.Is(err, ErrDocument) || c.want != nil && !errors.Is(err, c.want) || d != nil {
			t.Errorf("%s: %v, want ErrDocument and %v", name, err, c.want)
		}
	}
	for _, text := range []string{"", "{}", "[]", "null", good + "{}", "\xff"} {
		if _, err := ParseDocument([]byte(text)); !errors.Is(err, ErrDocument) {
			t.Errorf("%.20q: %v, want ErrDocument", text, err)
		}
	}
}

func TestNewDocumentRefuses(t *testing.T) {
	d := goldenDocument(t)
	other := d.Transfer()
	other.Amount++
	if _, err := NewDocument(d.Rules(), other); !errors.Is(err, ErrDocument) || !errors.Is(err, consensus.ErrSignature) {
		t.Errorf("a wrong signature: %v", err)
	}
	plain := types.Transfer{Sender: "a", Recipient: "b", Expiry: 1}
	if _, err := NewDocument(consensus.Dev(), plain); !errors.Is(err, ErrUnsigned) {
		t.Errorf("a network without signatures: %v", err)
	}
}

func TestDocumentsComeBack(t *testing.T) {
	w := create(t, goldenText)
	keys, from := unlock(t, w), w.Accounts()[0].Account
	accounts := []types.Account{from, stranger(t, 0), stranger(t, 1)}
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Uint64Range(0, types.MaxAmount).Draw(t, "amount")
		tr := types.Transfer{
			Sender:    from,
			Recipient: rapid.SampledFrom(accounts).Draw(t, "recipient"),
			Amount:    amount,
			Fee:       rapid.Uint64Range(0, types.MaxAmount-amount).Draw(t, "fee"),
			Expiry:    rapid.Uint32Range(1, 1<<32-1).Draw(t, "expiry"),
			Salt:      rapid.Uint64().Draw(t, "salt"),
			Memo:      rapid.StringN(0, -1, 255).Draw(t, "memo"),
		}
		if rapid.Bool().Draw(t, "signed") {
			if err := keys.Sign(w.Rules(), &tr); err != nil {
				t.Fatal(err)
			}
		}
		d, err := NewDocument(w.Rules(), tr)
		if err != nil {
			t.Fatal(err)
		}
		read, err := ParseDocument(d.Encode())
		if err != nil {
			t.Fatalf("%v\n%s", err, d.Encode())
		}
		if read.Transfer() != tr || read.Rules().ChainID() != w.Rules().ChainID() {
			t.Errorf("%+v came back as %+v", tr, read.Transfer())
		}
	})
}

func FuzzParseDocument(f *testing.F) {
	d := goldenDocument(f)
	f.Add(d.Encode())
	unsigned, err := NewDocument(d.Rules(), func() types.Transfer {
		t := d.Transfer()
		t.Signature = [types.SignatureSize]byte{}
		return t
	}())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(unsigned.Encode())
	f.Add([]byte(`{"cairn":"transfer 1","genesis":{},"transfer":{},"signature":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDocument(data)
		if err != nil {
			if !errors.Is(err, ErrDocument) {
				t.Errorf("error %v, want ErrDocument", err)
			}
			return
		}
		again, err := ParseDocument(d.Encode())
		if err != nil {
			t.Fatalf("what was read is not read again: %v", err)
		}
		if again.Transfer() != d.Transfer() || again.Rules().ChainID() != d.Rules().ChainID() {
			t.Errorf("%+v became %+v", d.Transfer(), again.Transfer())
		}
	})
}
