package types

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestHeaderVectors(t *testing.T) {
	v := readVectors(t)
	for i, c := range v.Headers {
		h := v.header(i)
		if got := h.Encode(); !bytes.Equal(got[:], c.Encoding) {
			t.Errorf("header %d encodes to\n%x, want\n%x", i, got, []byte(c.Encoding))
		}
		if h.Hash() != c.Hash {
			t.Errorf("header %d has the hash %v, want %v", i, h.Hash(), c.Hash)
		}
		if got, err := DecodeHeader(c.Encoding); err != nil || got != h {
			t.Errorf("header %d decodes to %+v, %v", i, got, err)
		}
		checkTruncated(t, c.Encoding, func(b []byte) error { _, err := DecodeHeader(b); return err })
		checkChangedBits(t, c.Encoding, func(b []byte) ([]byte, error) {
			h, err := DecodeHeader(b)
			again := h.Encode()
			return again[:], err
		}, func(int) bool { return false })
	}
}

// bitcoinBlock is a block of Bitcoin's main chain.
type bitcoinBlock struct {
	Height uint32
	Header bytesHex
	Hash   Hash
	IDs    []Hash
}

func readBitcoin(t testing.TB) []bitcoinBlock {
	t.Helper()
	var v struct{ Blocks []bitcoinBlock }
	readJSON(t, "testdata/bitcoin.json", &v)
	if len(v.Blocks) == 0 {
		t.Fatal("testdata/bitcoin.json has no blocks")
	}
	return v.Blocks
}

// Bitcoin's own headers hash, link and prove their work through this code.
func TestBitcoinHeaders(t *testing.T) {
	known := map[uint32]Header{}
	for _, c := range readBitcoin(t) {
		h, err := DecodeHeader(c.Header)
		if err != nil {
			t.Fatal(err)
		}
		if again := h.Encode(); !bytes.Equal(again[:], c.Header) {
			t.Errorf("block %d encodes to %x", c.Height, again)
		}
		if h.Hash() != c.Hash {
			t.Errorf("block %d has the hash %v, want %v", c.Height, h.Hash(), c.Hash)
		}
		checkWork(t, h)
		if before, ok := known[c.Height-1]; ok && h.Previous != before.Hash() {
			t.Errorf("block %d does not link to block %d", c.Height, c.Height-1)
		}
		known[c.Height] = h
	}
}

func TestBitcoinHeaders1To11(t *testing.T) {
	dir := os.Getenv("CAIRN_VECTORS")
	if dir == "" {
		t.Skip("CAIRN_VECTORS is not set")
	}
	file, err := os.Open(filepath.Join(dir, "bitcoin-headers-1-11.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tip := readBitcoin(t)[0].Hash // genesis
	n := 0
	for lines := bufio.NewScanner(file); lines.Scan(); n++ {
		b, err := hex.DecodeString(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		h, err := DecodeHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if h.Previous != tip {
			t.Errorf("block %d links to %v, not to %v", n+1, h.Previous, tip)
		}
		checkWork(t, h)
		tip = h.Hash()
	}
	if want := "0000000097be56d606cdd9c54b04d4747e957d3608abe69198c661f2add73073"; n != 11 || tip.String() != want {
		t.Errorf("%d headers lead to %v, want 11 to %s", n, tip, want)
	}
}

// checkWork checks that the hash of a header of Bitcoin is below its target.
func checkWork(t *testing.T, h Header) {
	t.Helper()
	hash := h.Hash()
	slices.Reverse(hash[:])
	target := new(big.Int).Lsh(big.NewInt(int64(h.Bits&0xffffff)), 8*(uint(h.Bits>>24)-3))
	if new(big.Int).SetBytes(hash[:]).Cmp(target) > 0 {
		t.Errorf("%v is above the target of bits %x", h.Hash(), h.Bits)
	}
}

func FuzzDecodeHeader(f *testing.F) {
	for _, c := range readVectors(f).Headers {
		f.Add([]byte(c.Encoding))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := DecodeHeader(data)
		if (err == nil) != (len(data) == HeaderSize) {
			t.Fatalf("%d bytes: error %v", len(data), err)
		}
		if again := h.Encode(); err == nil && !bytes.Equal(again[:], data) {
			t.Errorf("%x encodes to %x", data, again)
		}
	})
}
