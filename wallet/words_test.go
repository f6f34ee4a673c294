package wallet

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39"
	"pgregory.net/rapid"
)

// bip39Vector is one of those that BIP 39 refers to, whose passphrase is TREZOR.
type bip39Vector struct{ Entropy, Mnemonic, Seed string }

var bip39Vectors = []bip39Vector{
	{"00000000000000000000000000000000",
		"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
		"c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04"},
	{"8080808080808080808080808080808080808080808080808080808080808080",
		"letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
		"c0c519bd0e91a2ed54357d9d1ebef6f5af218a153624cf4f2da911a0ed8f7a09e2ef61af0aca007096df430022f7a2b6fb91661a9589097069720d015e4e982f"},
	{"68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c", fixedText,
		"64c87cde7e12ecf6704ab95bb1408bef047c22db4cc7491c4271d170a1b213d20b385bc1588d9c7b38f1b39d415665b8a9030c9ec653d75e65f847d8fc1fc440"},
}

// readVectors adds the file of that name in the directory of published vectors.
func readVectors[T any](t *testing.T, name string, own []T) []T {
	t.Helper()
	dir := os.Getenv("CAIRN_VECTORS")
	if dir == "" {
		return own
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	if err := json.Unmarshal(data, &all); err != nil || len(all) == 0 {
		t.Fatalf("%d vectors in %s, %v", len(all), name, err)
	}
	t.Logf("%d vectors", len(all))
	return append(own, all...)
}

func TestBIP39Vectors(t *testing.T) {
	for _, v := range readVectors(t, "bip39-english.json", bip39Vectors) {
		entropy, err := hex.DecodeString(v.Entropy)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := bip39.NewMnemonic(entropy); err != nil || text != v.Mnemonic {
			t.Errorf("the words of %s are %q, %v", v.Entropy, text, err)
		}
		if got := words(t, v.Mnemonic).Reveal(); got != v.Mnemonic {
			t.Errorf("%q came back as %q", v.Mnemonic, got)
		}
		if seed := bip39.NewSeed(v.Mnemonic, "TREZOR"); hex.EncodeToString(seed) != v.Seed {
			t.Errorf("the seed of %q is %x, want %s", v.Mnemonic, seed, v.Seed)
		}
	}
}

func TestNewWords(t *testing.T) {
	one, two := NewWords(), NewWords()
	if one.Reveal() == two.Reveal() {
		t.Error("the same words twice")
	}
	for _, w := range []Words{one, two} {
		if n := len(strings.Fields(w.Reveal())); n != 24 {
			t.Errorf("%d words, want 24", n)
		}
		words(t, w.Reveal())
	}
}

func TestParseWordsTakesWhatPeopleType(t *testing.T) {
	for _, n := range []int{16, 20, 24, 28, 32} {
		text, err := bip39.NewMnemonic(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		typed := " \t" + strings.ReplaceAll(strings.ToUpper(text), " ", "\r\n\u00a0 ") + "\n"
		if got := words(t, typed).Reveal(); got != text {
			t.Errorf("%q was read as %q", typed, got)
		}
	}
}

func TestParseWordsErrors(t *testing.T) {
	for text, wants := range map[string][]string{
		"":                            {"there are 0 words", "12, 15, 18, 21 or 24"},
		"abandon":                     {"there are 1 words"},
		goldenText + " art art art":   {"there are 27 words"},
		strings.Repeat("a", 1<<20):    {"1048576 bytes"},
		swap(goldenText, 0, "abandn"): {"word 1 is not in the English list", "near it are abandon"},
		swap(swap(goldenText, 6, "zoi"), 23, "artt"):    {"word 7 ", "zoo", "word 24 ", "art"},
		swap(goldenText, 3, "accidental"):               {"word 4 ", "near it are accident"},
		swap(goldenText, 3, "xxxxxxxxxxxx"):             {"word 4 is not in the English list of BIP 39"},
		swap(goldenText, 3, "höchst"):                   {"word 4 "},
		swap(goldenText, 23, "zoo"):                     {"the checksum is wrong"},
		strings.Repeat("abandon ", 12):                  {"the checksum is wrong"},
		swap(goldenText, 2, strings.Repeat("abort", 9)): {"word 3 "},
	} {
		w, err := ParseWords(text)
		if !errors.Is(err, ErrWords) || w.Reveal() != "" {
			t.Errorf("ParseWords(%.200q): %v, want ErrWords", text, err)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("ParseWords(%.200q): %v, want %q in it", text, err, want)
			}
		}
	}
}

// swap puts another word at position i.
func swap(text string, i int, word string) string {
	list := strings.Fields(text)
	list[i] = word
	return strings.Join(list, " ")
}

// One wrong letter in any word is found, and the right word proposed.
func TestTypingErrorsAreExplained(t *testing.T) {
	list := bip39.GetWordList()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom(list).Draw(t, "word")
		i := rapid.IntRange(0, len(word)-1).Draw(t, "letter")
		wrong := word[:i] + "_" + word[i+1:]
		_, err := ParseWords(swap(goldenText, 5, wrong))
		if err == nil || !strings.Contains(err.Error(), "word 6 ") {
			t.Fatalf("%q: %v", wrong, err)
		}
		if len(word) > 4 && !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v, which does not propose %q", wrong, err, word)
		}
	})
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1},
		{"abc", "ac", 1}, {"ac", "abc", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 2},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
