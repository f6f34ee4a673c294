package types

import (
	"bytes"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// checkTruncated decodes every beginning of good, and good with one byte more.
func checkTruncated(t *testing.T, good []byte, decode func([]byte) error) {
	t.Helper()
	if err := decode(good); err != nil {
		t.Fatalf("%x: %v", good, err)
	}
	for n := range good {
		if err := decode(good[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("the first %d of %d bytes: error %v, want ErrMalformed", n, len(good), err)
		}
	}
	for _, more := range [][]byte{{0}, {0xff}, good} {
		if err := decode(append(bytes.Clone(good), more...)); !errors.Is(err, ErrMalformed) {
			t.Fatalf("with trailing %x: error %v, want ErrMalformed", more, err)
		}
	}
}

// checkChangedBits decodes good with each bit changed: it is another value with
// its own encoding, or ErrMalformed. Where constant says so, it must be the latter.
func checkChangedBits(t *testing.T, good []byte, decodeEncode func([]byte) ([]byte, error), constant func(offset int) bool) {
	t.Helper()
	for bit := range 8 * len(good) {
		changed := bytes.Clone(good)
		changed[bit/8] ^= 1 << (bit % 8)
		again, err := decodeEncode(changed)
		switch {
		case err != nil && !errors.Is(err, ErrMalformed):
			t.Fatalf("bit %d of byte %d changed: error %v, want ErrMalformed", bit%8, bit/8, err)
		case err == nil && !bytes.Equal(again, changed):
			t.Fatalf("bit %d of byte %d changed: encodes to %x, not %x", bit%8, bit/8, again, changed)
		case err == nil && constant(bit/8):
			t.Fatalf("bit %d of the constant byte %d changed: accepted", bit%8, bit/8)
		}
	}
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestCount(t *testing.T) {
	for _, c := range readVectors(t).Counts {
		n, err := strconv.ParseUint(string(c.Count), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendCount(nil, n); !bytes.Equal(got, c.Encoding) {
			t.Errorf("%d encodes to %x, want %x", n, got, c.Encoding)
		}
		decode := func(b []byte) error {
			d := decoder{b: b}
			if got := d.count(); d.err == nil && got != n {
				t.Errorf("%x decodes to %d, want %d", b, got, n)
			}
			return d.end()
		}
		checkTruncated(t, c.Encoding, decode)
		if n < 1<<31 && countSize(int(n)) != len(c.Encoding) {
			t.Errorf("countSize(%d) is %d, want %d", n, countSize(int(n)), len(c.Encoding))
		}
	}
}

func TestCountShortestFormOnly(t *testing.T) {
	for _, b := range [][]byte{
		{0xfd, 0, 0}, {0xfd, 1, 0}, {0xfd, 0xfc, 0},
		{0xfe, 0, 0, 0, 0}, {0xfe, 0xfd, 0, 0, 0}, {0xfe, 0xff, 0xff, 0, 0},
		{0xff, 0, 0, 0, 0, 0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
	} {
		d := decoder{b: b}
		if n := d.count(); !errors.Is(d.end(), ErrMalformed) {
			t.Errorf("%x decodes to %d, error %v, want ErrMalformed", b, n, d.end())
		}
	}
}

func TestAppendStr(t *testing.T) {
	for _, n := range []int{0, 1, 254, 255} {
		s := strings.Repeat("x", n)
		got := AppendStr([]byte("before"), s)
		if want := "before" + string([]byte{byte(n)}) + s; string(got) != want {
			t.Errorf("%d bytes encode to %x", n, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a str of 256 bytes was written")
		}
	}()
	AppendStr(nil, strings.Repeat("x", 256))
}
