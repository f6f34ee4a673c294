package wallet

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39"
	"pgregory.net/rapid"
)

func TestMnemonicVectors(t *testing.T) {
	for _, v := range readVectors(t, "bip39-english.json", bip39Vectors) {
		entropy, err := hex.DecodeString(v.Entropy)
		if err != nil {
			t.Fatal(err)
		}
		if text := mnemonic(entropy); text != v.Mnemonic {
			t.Errorf("the words of %s are %q", v.Entropy, text)
		}
		if seed := seedOf(v.Mnemonic, "TREZOR"); hex.EncodeToString(seed) != v.Seed {
			t.Errorf("the seed of %q is %x, want %s", v.Mnemonic, seed, v.Seed)
		}
	}
}

// A binary search finds words only in a list that is in order.
func TestEnglishList(t *testing.T) {
	if !slices.Equal(english(), bip39.GetWordList()) || !slices.IsSorted(english()) {
		t.Error("the list is another one, or not in order")
	}
}

// A library of BIP 39 agrees about every mnemonic, sound or not.
func TestMnemonicAsElsewhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := 4 * rapid.IntRange(4, 8).Draw(t, "fours")
		entropy := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "entropy")
		before := bytes.Clone(entropy)
		text := mnemonic(entropy)
		if want, err := bip39.NewMnemonic(entropy); err != nil || text != want || !bytes.Equal(entropy, before) {
			t.Fatalf("%x: %q, want %q, %v", entropy, text, want, err)
		}
		list := strings.Fields(text)
		if !checksumFits(list) {
			t.Fatalf("the checksum of %q does not fit", text)
		}
		list[rapid.IntRange(0, len(list)-1).Draw(t, "at")] = rapid.SampledFrom(english()).Draw(t, "word")
		_, err := bip39.EntropyFromMnemonic(strings.Join(list, " "))
		if got := checksumFits(list); got != (err == nil) {
			t.Fatalf("the checksum of %q fits: %v; elsewhere: %v", list, got, err)
		}
	})
}
