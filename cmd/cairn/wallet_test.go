package main

import (
	"strings"
	"testing"

	"cairn/wallet"
)

const testWords = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"

// Four words are asked back by their positions, and each may be wrong twice.
func TestAskBack(t *testing.T) {
	words, err := wallet.ParseWords(testWords)
	if err != nil {
		t.Fatal(err)
	}
	backwards := func(n int) (all []int) {
		for i := range n {
			all = append(all, n-1-i)
		}
		return all
	}
	for _, c := range []struct {
		name    string
		answers []string
		fails   string
	}{
		{"right", []string{"abandon", "Abandon ", "abandon", "ABOUT"}, ""},
		{"wrong twice", []string{"x", "y", "abandon", "abandon", "abandon", "x", "", "about"}, ""},
		{"wrong three times", []string{"abandon", "x", "y", "z"}, "word 10 was not right 3 times"},
	} {
		var positions []int
		err := askBack(words, backwards, func(position int) (string, error) {
			positions = append(positions, position)
			answer := c.answers[0]
			c.answers = c.answers[1:]
			return answer, nil
		})
		if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(c.answers) > 0 || positions[0] != 9 {
			t.Errorf("%s: asked for %v, %d answers left", c.name, positions, len(c.answers))
		}
	}
}

func TestNumbered(t *testing.T) {
	words, err := wallet.ParseWords(testWords)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(numbered(words), "\n")
	if len(lines) != 4 || strings.Fields(lines[2])[6] != "12" || strings.Fields(lines[2])[7] != "about" {
		t.Errorf("%q", lines)
	}
}

// What others write cannot reach the terminal as anything but text.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                "",
		"Order 7, café":   "Order 7, café",
		"\x1b[2Jgone":     `"\x1b[2Jgone"`,
		"two\nlines":      `"two\nlines"`,
		"\u202eesrever":   `"\u202eesrever"`,
		"not \xff UTF-8":  `"not \xff UTF-8"`,
		"a\tb":            `"a\tb"`,
		"no-break\u00a0?": `"no-break\u00a0?"`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
}

func TestOneLineLeavesTheRest(t *testing.T) {
	r := strings.NewReader("first\r\nsecond\nlast")
	for _, want := range []string{"first", "second", "last"} {
		if got, err := oneLine(r); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	if _, err := oneLine(r); err == nil {
		t.Error("a line beyond the end")
	}
	if _, err := oneLine(strings.NewReader(strings.Repeat("x", 2*maxLine))); err == nil {
		t.Error("a line without an end")
	}
}
