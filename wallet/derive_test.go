package wallet

import (
	"crypto/ed25519"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"cairn/types"
)

type slip10Vector struct {
	Seed  string
	Steps []struct{ Path, Private, Public string }
}

// The ends of test vectors 1 and 2 of SLIP-0010 for Ed25519.
var slip10Vectors = []slip10Vector{
	{"000102030405060708090a0b0c0d0e0f", []struct{ Path, Private, Public string }{
		{"m", "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
			"a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed"},
		{"m/0'/1'/2'/2'/1000000000'", "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
			"3c24da049451555d51a7014a37337aa4e12d41e485abccfa46b47dfb2af54b7a"},
	}},
	{"fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542",
		[]struct{ Path, Private, Public string }{
			{"m/0'/2147483647'/1'/2147483646'/2'", "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
				"47150c75db263559a70d5778bf36abbab30fb061ad69f69ece61a72b0cfa4fc0"},
		}},
}

func TestSLIP10Vectors(t *testing.T) {
	for _, v := range readVectors(t, "slip10-ed25519.json", slip10Vectors) {
		seed, err := hex.DecodeString(v.Seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range v.Steps {
			key := DeriveKey(seed, path(t, s.Path)...)
			public := key.Public().(ed25519.PublicKey)
			if hex.EncodeToString(key.Seed()) != s.Private || hex.EncodeToString(public) != s.Public {
				t.Errorf("%s of %s is %x, %x; want %s, %s", s.Path, v.Seed, key.Seed(), public, s.Private, s.Public)
			}
		}
	}
}

func path(t *testing.T, text string) (indexes []uint32) {
	t.Helper()
	for _, step := range strings.Split(text, "/")[1:] {
		n, err := strconv.ParseUint(strings.TrimSuffix(step, "'"), 10, 31)
		if err != nil {
			t.Fatal(err)
		}
		indexes = append(indexes, uint32(n))
	}
	return indexes
}

// Made by a program that shares nothing with this package.
func TestGoldenAddresses(t *testing.T) {
	rules := network(t, "summit")
	for index, want := range map[uint32]string{
		0: "summit1qwka3638kvlfgjeecfkuf9302frhyryayxdzraavyjg29cpf36jqq5wexu",
		1: "summit16h48fsx5yvry8t23zlw4r2z2t9sw4ntk4dw98hly7llc67pvcrcqh409sr",
		7: "summit1698pzy07zg2lm2qdjmvz44ekaz7eenwfyax6fdqcph2ntytc0npqghn4dl",
	} {
		if got := rules.FormatAccount(accountOf(words(t, goldenText).Key(index))); got != want {
			t.Errorf("account %d is %s, want %s", index, got, want)
		}
	}
}

// Made likewise.
func TestGoldenSignature(t *testing.T) {
	w := create(t, goldenText, 1)
	tr := goldenTransfer(w)
	if err := unlock(t, w).Sign(w.Rules(), &tr); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(tr.Signature[:]); got != goldenSignature {
		id := w.Rules().ChainID()
		t.Errorf("the signature is %s, want %s (the chain is %x)", got, goldenSignature, id[:])
	}
}

const goldenSignature = "e7196f643dfc0fc06e3acc4a6c6840f93315d6e6a82a0b57813591a3a5920557074ab94ecec22122a656a3e8f8e90b0e95b151bfa4529838349badd4c42eb304"

func goldenTransfer(w *Wallet) types.Transfer {
	return types.Transfer{
		Sender:    w.Accounts()[0].Account,
		Recipient: w.Accounts()[1].Account,
		Amount:    1_500_000,
		Fee:       1_000,
		Expiry:    8640,
		Salt:      0xfedcba9876543210,
		Memo:      "Order 7",
	}
}
