package wallet

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
)

// hidden is all that a log, an error or a debugger's print shows of words.
const hidden = "[words]"

// maxWordsText is more bytes than 24 words and generous white space have.
const maxWordsText = 4096

// Words are the secret that every key of a wallet follows from: 12 to 24 words
// of BIP 39's English list. However they are printed or marshalled, they show as
// "[words]"; only Reveal shows them.
type Words struct {
	// text is a pointer since fmt follows none that it meets inside of another
	// value, while it would print a string in a field that is not exported.
	text *string
}

// NewWords returns 24 words from the system's randomness: 256 bits.
func NewWords() Words {
	var entropy [32]byte
	rand.Read(entropy[:]) // never fails: the program ends before it would
	text := mnemonic(entropy[:])
	return Words{&text}
}

// ParseWords reads 12, 15, 18, 21 or 24 words of BIP 39's English list in any
// case and white space, or says ErrWords: which words are not in the list, by
// their position and by what they may have been meant to be, or that the
// checksum is wrong. What was typed is not repeated.
func ParseWords(text string) (Words, error) {
	if len(text) > maxWordsText {
		return Words{}, fmt.Errorf("%w: %d bytes are too many", ErrWords, len(text))
	}
	list := strings.Fields(strings.ToLower(text))
	if n := len(list); n < 12 || n > 24 || n%3 != 0 {
		return Words{}, fmt.Errorf("%w: there are %d words; there should be 12, 15, 18, 21 or 24", ErrWords, n)
	}
	if faults := unknownWords(list); len(faults) > 0 {
		return Words{}, fmt.Errorf("%w: %s", ErrWords, strings.Join(faults, "; "))
	}
	if !checksumFits(list) {
		return Words{}, fmt.Errorf("%w: each is in the list, but the checksum is wrong: one is not the right one, or two have changed places", ErrWords)
	}
	text = strings.Join(list, " ")
	return Words{&text}, nil
}

// unknownWords says of each word that is not in the list where it stands.
func unknownWords(list []string) (faults []string) {
	for i, word := range list {
		if _, ok := slices.BinarySearch(english(), word); ok {
			continue
		}
		fault := fmt.Sprintf("word %d is not in the English list of BIP 39", i+1)
		if near := nearest(word); len(near) > 0 {
			fault += ", near it are " + strings.Join(near, ", ")
		}
		faults = append(faults, fault)
	}
	return faults
}

// nearest returns up to three words of the list that a mistyped word may have
// been, the likeliest first.
func nearest(word string) []string {
	const far, most = 2, 3
	if len(word) > 16 { // twice the longest
		return nil
	}
	var near [far + 1][]string // by distance
	for _, candidate := range english() {
		d := distance(word, candidate)
		if len(word) >= 4 && strings.HasPrefix(candidate, word[:4]) {
			d = 1 // no two words of the list begin with the same four letters
		}
		if d <= far {
			near[d] = append(near[d], candidate)
		}
	}
	all := slices.Concat(near[:]...)
	return all[:min(len(all), most)]
}

// distance returns how many bytes must be put in, left out or replaced to make
// a out of b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		replaced := row[0]
		row[0] = i + 1
		for j := range len(b) {
			if a[i] != b[j] {
				replaced++
			}
			row[j+1], replaced = min(replaced, row[j]+1, row[j+1]+1), row[j+1]
		}
	}
	return row[len(b)]
}

// Reveal returns the words in lower case with a space between them, for their
// owner's eyes.
func (w Words) Reveal() string {
	if w.text == nil {
		return ""
	}
	return *w.text
}

// String returns "[words]".
func (Words) String() string { return hidden }

// GoString returns "[words]".
func (Words) GoString() string { return hidden }

// Format writes "[words]" under every verb.
func (Words) Format(s fmt.State, _ rune) { io.WriteString(s, hidden) }

// MarshalText returns "[words]", for JSON and logs.
func (Words) MarshalText() ([]byte, error) { return []byte(hidden), nil }
