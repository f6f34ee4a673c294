package types

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSum(t *testing.T) {
	// SHA-256 twice of nothing and of "hello": known from other software, and
	// here in the order of the bytes, so reversed.
	for text, want := range map[string]string{
		"":      "56944c5d3f98413ef45cf54545538103cc9f298e0575820ad3591376e2e0f65d",
		"hello": "503d8319a48348cdc610a582f7bf754b5833df65038606eb48510790dfc99595",
	} {
		if got := Sum([]byte(text)).String(); got != want {
			t.Errorf("Sum(%q) is %s, want %s", text, got, want)
		}
	}
}

func TestHashText(t *testing.T) {
	h := Hash{0: 0x01, 1: 0x02, 31: 0xab}
	text := "ab" + strings.Repeat("00", 29) + "0201"
	if h.String() != text {
		t.Errorf("String is %s, want %s", h, text)
	}
	if got, err := ParseHash(text); err != nil || got != h {
		t.Errorf("ParseHash = %v, %v, want %v", got, err, h)
	}
	encoded, err := json.Marshal(map[Hash]Hash{h: h})
	if err != nil || string(encoded) != `{"`+text+`":"`+text+`"}` {
		t.Errorf("JSON is %s, %v", encoded, err)
	}
	var decoded map[Hash]Hash
	if err := json.Unmarshal(encoded, &decoded); err != nil || decoded[h] != h {
		t.Errorf("from JSON: %v, %v", decoded, err)
	}
	for _, bad := range []string{"", text[2:], text + "00", "x" + text[1:], text[:63] + "x", " " + text[1:], "0x" + text[2:]} {
		if got, err := ParseHash(bad); err == nil || got != (Hash{}) {
			t.Errorf("ParseHash(%q) = %v, %v, want an error", bad, got, err)
		}
		kept := h
		if err := kept.UnmarshalText([]byte(bad)); err == nil || kept != h {
			t.Errorf("UnmarshalText(%q): error %v, the hash is now %v", bad, err, kept)
		}
	}
}
