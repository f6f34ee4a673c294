package wallet

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cairn/consensus"
)

const shopAddress = "summit1qwka3638kvlfgjeecfkuf9302frhyryayxdzraavyjg29cpf36jqq5wexu" // account 0 of goldenText

func TestParseURI(t *testing.T) {
	rules := network(t, "summit")
	shop, err := rules.ParseAccount(shopAddress)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]Payment{
		"cairn:" + shopAddress:                                     {},
		"cairn:" + shopAddress + "?":                               {},
		"cairn:" + shopAddress + "?amount=1.5":                     {Amount: 1_500_000},
		"cairn:" + shopAddress + "?amount=50.00":                   {Amount: 50_000_000},
		"cairn:" + shopAddress + "?amount=0":                       {},
		"cairn:" + shopAddress + "?label=Shop&message=Order%207":   {Label: "Shop", Message: "Order 7"},
		"cairn:" + shopAddress + "?message=Order+7":                {Message: "Order+7"},
		"cairn:" + shopAddress + "?message=B%C3%A4ckerei%26Co%3d":  {Message: "Bäckerei&Co="},
		"cairn:" + shopAddress + "?&label=a&&":                     {Label: "a"},
		"cairn:" + shopAddress + "?label=a=b":                      {Label: "a=b"},
		"cairn:" + shopAddress + "?label":                          {},
		"cairn:" + shopAddress + "?later=5&also&label=x":           {Label: "x"},
		"Cairn:" + shopAddress + "?amount=0.000001":                {Amount: 1},
		strings.ToUpper("cairn:" + shopAddress + "?amount=2.25"):   {Amount: 2_250_000},
		strings.ToUpper("cairn:" + shopAddress + "?label=%c3%84b"): {Label: "ÄB"},
		"cairn:" + shopAddress + "?amoun%74=2":                     {Amount: 2_000_000},
	} {
		want.Rules, want.Recipient = rules, shop
		if got, err := ParseURI(rules, text); err != nil || got != want {
			t.Errorf("ParseURI(%s) = %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	rules := network(t, "summit")
	elsewhere := network(t, "valley").FormatAccount(stranger(t, 0))
	start := "cairn:" + shopAddress
	for text, c := range map[string]struct {
		want error // beside ErrURI
		says string
	}{
		"":                           {nil, `does not begin with "cairn:"`},
		shopAddress:                  {nil, `does not begin with "cairn:"`},
		"bitcoin:" + shopAddress:     {nil, `does not begin with "cairn:"`},
		"cairn:":                     {consensus.ErrAccountText, ""},
		"cairn://" + shopAddress:     {consensus.ErrAccountText, ""},
		"cairn:" + elsewhere:         {consensus.ErrAccountText, `of another network: its prefix is "valley", not "summit"`},
		"cairn:0":                    {consensus.ErrSystemAccount, ""},
		"cairn:S" + shopAddress[1:]:  {consensus.ErrAccountText, ""}, // both cases
		start[:len(start)-1] + "q":   {consensus.ErrAccountText, "wrong checksum"},
		start + "?amount=":           {consensus.ErrAmountText, `"amount"`},
		start + "?amount=-1":         {consensus.ErrAmountText, ""},
		start + "?amount=1e3":        {consensus.ErrAmountText, ""},
		start + "?amount=1,5":        {consensus.ErrAmountText, ""},
		start + "?amount=1.0000001":  {consensus.ErrAmountText, "finer"},
		start + "?amount=9999999999": {consensus.ErrAmountText, "largest"},
		start + "?amount=1&amount=1": {nil, "twice"},
		start + "?amount=1&AMOUNT=1": {nil, "twice"},
		start + "?x=1&%78=2":         {nil, "twice"},
		start + "?req-until=5":       {nil, `"req-until": it asks for something`},
		start + "?REQ-x":             {nil, "must not be paid"},
		start + "?%72eq-x":           {nil, "must not be paid"},
		start + "?label=%":           {nil, "escape"},
		start + "?label=%zz":         {nil, "escape"},
		start + "?%=1":               {nil, "escape"},
		"cairn:%":                    {nil, "escape"},
		start + "?label=a b":         {nil, "hex digits"},
		start + "?label=ä":           {nil, "hex digits"},
		start + "?label=a\n":         {nil, "hex digits"},
		start + "#label":             {nil, "hex digits"},
		start + "?label=%ff":         {nil, "not valid UTF-8"},
		start + "?label=%1b[2J":      {nil, "control character"},
		start + "?message=%E2%80%AE": {nil, "control character"},
		start + "?label=" + strings.Repeat("a", 2048): {nil, "the most is 2048"},
	} {
		got, err := ParseURI(rules, text)
		if !errors.Is(err, ErrURI) || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("ParseURI(%.200q): %v, want ErrURI, %v and %q", text, err, c.want, c.says)
		}
		if got != (Payment{}) {
			t.Errorf("ParseURI(%.200q) = %+v beside its error", text, got)
		}
	}
}

func TestPaymentString(t *testing.T) {
	rules := network(t, "summit")
	shop, err := rules.ParseAccount(shopAddress)
	if err != nil {
		t.Fatal(err)
	}
	for want, p := range map[string]Payment{
		"cairn:" + shopAddress: {},
		"cairn:" + shopAddress + "?amount=1.5&label=Shop&message=Order%207": {Amount: 1_500_000, Label: "Shop", Message: "Order 7"},
		"cairn:" + shopAddress + "?label=1%2B1%3D2%26%23%3F%25%2F%C3%A4":    {Label: "1+1=2&#?%/ä"},
	} {
		p.Rules, p.Recipient = rules, shop
		if got := p.String(); got != want {
			t.Errorf("%+v is %s, want %s", p, got, want)
		}
	}
}

func TestPaymentMemo(t *testing.T) {
	long := strings.Repeat("ä", 128)
	for message, want := range map[string]string{"": "", "Order 7": "Order 7", long: "", long[:254]: long[:254]} {
		if got := (Payment{Message: message}).Memo(); got != want {
			t.Errorf("the memo of %q is %q, want %q", message, got, want)
		}
	}
}

func TestPaymentsComeBack(t *testing.T) {
	// Names are what an address may be as well, and need escapes.
	for _, rules := range []*consensus.Rules{network(t, "summit"), consensus.Dev()} {
		shop := stranger(t, 0)
		if !rules.Signatures {
			shop = "a b?c%26#ä+"
		}
		rapid.Check(t, func(t *rapid.T) {
			p := Payment{
				Rules:     rules,
				Recipient: shop,
				Amount:    rapid.Uint64Range(0, 1<<53-1).Draw(t, "amount"),
				Label:     rapid.StringOfN(visible, 0, 40, -1).Draw(t, "label"),
				Message:   rapid.StringOfN(visible, 0, 80, -1).Draw(t, "message"),
			}
			got, err := ParseURI(rules, p.String())
			if err != nil || got != p {
				t.Errorf("%s is %+v, %v; want %+v", p, got, err, p)
			}
		})
	}
}

func FuzzParseURI(f *testing.F) {
	rules := network(f, "summit")
	for _, text := range []string{
		"cairn:" + shopAddress + "?amount=1.5&label=Shop&message=Order%207",
		strings.ToUpper("cairn:" + shopAddress + "?amount=1.5"),
		"cairn:" + shopAddress + "?req-x=1",
		"cairn:" + shopAddress + "?label=%C3%A4+%26&unknown",
		"cairn:?", "cairn", "%", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseURI(rules, text)
		if err != nil {
			if !errors.Is(err, ErrURI) {
				t.Errorf("error %v, want ErrURI", err)
			}
			return
		}
		again := p.String()
		if len(again) > maxURI { // what need not be escaped may be
			return
		}
		if got, err := ParseURI(rules, again); err != nil || got != p {
			t.Errorf("%q is %+v, and %q is %+v, %v", text, p, again, got, err)
		}
	})
}
