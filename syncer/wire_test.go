package syncer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"cairn/types"
)

// someClaim has a different byte at every place.
func someClaim() []byte {
	b := make([]byte, claimSize)
	for i := range b {
		b[i] = byte(i + 1)
	}
	return b
}

func TestClaim(t *testing.T) {
	c, err := decodeClaim(someClaim())
	if err != nil {
		t.Fatal(err)
	}
	if c.Height != 0x34333231 || c.Chain[0] != 1 || c.Instance[0] != 33 || c.Hash[0] != 53 || c.Work[0] != 0x5c5b5a5958575655 {
		t.Errorf("fields are not where they belong: %+v", c)
	}
	if got := c.append(nil); !bytes.Equal(got, someClaim()) {
		t.Errorf("encodes to %x", got)
	}
	for _, b := range [][]byte{nil, someClaim()[1:], append(someClaim(), 0)} {
		if _, err := decodeClaim(b); !errors.Is(err, errFormat) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

func headerAnswer(count uint32, headers int) []byte {
	b := binary.LittleEndian.AppendUint32(someClaim(), count)
	for i := range headers {
		h := types.Header{Nonce: uint32(i)}
		encoded := h.Encode()
		b = append(b, encoded[:]...)
	}
	return b
}

func readHeaders(b []byte, max int) (c claim, headers []types.Header, err error) {
	r, err := newHeaderReader(bytes.NewReader(b), max)
	if err != nil {
		return claim{}, nil, err
	}
	for {
		h, err := r.next()
		if err == io.EOF {
			return r.claim, headers, nil
		}
		if err != nil {
			return claim{}, nil, err
		}
		headers = append(headers, h)
	}
}

func TestHeaderAnswer(t *testing.T) {
	whole := headerAnswer(3, 3)
	_, headers, err := readHeaders(whole, 3)
	if err != nil || len(headers) != 3 || headers[2].Nonce != 2 {
		t.Fatalf("%v, %v", headers, err)
	}
	for n := range whole {
		if _, _, err := readHeaders(whole[:n], 3); !errors.Is(err, errFormat) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	if _, _, err := readHeaders(append(whole, 0), 3); !errors.Is(err, errFormat) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, _, err := readHeaders(headerAnswer(3, 3), 2); !errors.Is(err, errFormat) {
		t.Errorf("more than was asked for: %v", err)
	}
	if _, _, err := readHeaders(headerAnswer(0xffffffff, 3), maxHeaders); !errors.Is(err, errFormat) {
		t.Errorf("a count beyond all bounds: %v", err)
	}
}

func TestBlockSize(t *testing.T) {
	for _, c := range []struct {
		bytes string
		size  int
		ok    bool
	}{
		{"\x00\x00\x00\x00", 0, true},
		{"\x10\x27\x00\x00", 10_000, true},
		{"\x11\x27\x00\x00", 0, false},
		{"\xff\xff\xff\xff", 0, false},
		{"\x00\x00\x00", 0, false},
		{"", 0, false},
	} {
		size, err := readSize(strings.NewReader(c.bytes), 10_000)
		if size != c.size || (err == nil) != c.ok || !c.ok && !errors.Is(err, errFormat) {
			t.Errorf("%x: %d, %v", c.bytes, size, err)
		}
	}
}

func TestHashList(t *testing.T) {
	hashes := []types.Hash{types.Sum([]byte("a")), types.Sum([]byte("b")), types.Sum([]byte("c"))}
	text := formatHashes(hashes)
	got, err := parseHashes(text, 3)
	if err != nil || len(got) != 3 || got[0] != hashes[0] || got[2] != hashes[2] {
		t.Fatalf("%v, %v", got, err)
	}
	for _, wrong := range []string{
		"", ",", text + ",", "," + text, text[1:], text + "0",
		strings.ToUpper(text),
		strings.Replace(text, ",", ";", 1),
		strings.Replace(text, ",", ",,", 1),
		"g" + text[1:],
		text + "," + formatHashes(hashes[:1]), // four
	} {
		if _, err := parseHashes(wrong, 3); !errors.Is(err, errFormat) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// What a decoder accepts, the encoder turns back into the same bytes.

func FuzzClaim(f *testing.F) {
	f.Add(someClaim())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeClaim(b)
		if err == nil && !bytes.Equal(c.append(nil), b) {
			t.Errorf("%x encodes to %x", b, c.append(nil))
		}
	})
}

func FuzzHeaderAnswer(f *testing.F) {
	f.Add(headerAnswer(2, 2))
	f.Add(headerAnswer(0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, headers, err := readHeaders(b, 1000)
		if err != nil {
			return
		}
		again := binary.LittleEndian.AppendUint32(c.append(nil), uint32(len(headers)))
		for i := range headers {
			encoded := headers[i].Encode()
			again = append(again, encoded[:]...)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x encodes to %x", b, again)
		}
	})
}

func FuzzHashList(f *testing.F) {
	f.Add(formatHashes([]types.Hash{{1}, {2}}))
	f.Fuzz(func(t *testing.T, text string) {
		hashes, err := parseHashes(text, maxLocator)
		if err == nil && formatHashes(hashes) != text {
			t.Errorf("%q formats as %q", text, formatHashes(hashes))
		}
	})
}

// FuzzBlockAnswer reads an answer with two blocks; nothing may be allocated
// beyond the size that the network allows.
func FuzzBlockAnswer(f *testing.F) {
	f.Add([]byte("\x03\x00\x00\x00abc\x00\x00\x00\x00"))
	f.Add([]byte("\xff\xff\xff\x7fabc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const max = 1000
		r := bytes.NewReader(b)
		var again []byte
		for range 2 {
			size, err := readSize(r, max)
			if err != nil {
				return
			}
			if size > max {
				t.Fatalf("a size of %d", size)
			}
			block := make([]byte, size)
			if readFull(r, block) != nil {
				return
			}
			again = append(binary.LittleEndian.AppendUint32(again, uint32(size)), block...)
		}
		if readEnd(r) == nil && !bytes.Equal(again, b) {
			t.Errorf("%x encodes to %x", b, again)
		}
	})
}
