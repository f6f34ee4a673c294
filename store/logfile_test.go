package store

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/record"
)

// testLog writes records of the given sizes as Pebble does: a manifest's, since
// those of the write-ahead log come only from a database.
func testLog(t testing.TB, sizes ...int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := record.NewWriter(&b)
	for i, size := range sizes {
		if _, err := w.WriteRecord(bytes.Repeat([]byte{byte(i + 1)}, size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestLogSizes reads logs whose records end everywhere near the end of a block.
func TestLogSizes(t *testing.T) {
	for size := logBlock - 60; size < logBlock+30; size++ {
		if err := checkLog(bytes.NewReader(testLog(t, size, 0, 5, 3*logBlock, 1)), 0); err != nil {
			t.Errorf("a first record of %d bytes: %v", size, err)
		}
	}
}

func TestLogErrors(t *testing.T) {
	good := testLog(t, 10, 2*logBlock, 10)
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	first := 7 + 10
	for _, c := range []struct {
		name string
		log  []byte
		want string
	}{
		{"sound", good, ""},
		{"empty", nil, ""},
		{"payload", change(func(b []byte) []byte { b[8]++; return b }), "a record does not match its checksum, at byte 0"},
		{"checksum", change(func(b []byte) []byte { b[first]++; return b }), "a record does not match its checksum, at byte 17"},
		{"kind", change(func(b []byte) []byte { b[first+6] = 99; return b }), "no record begins with"},
		{"zeros", change(func(b []byte) []byte { clear(b[first:]); return b }), "no record begins with 00000000000000, at byte 17"},
		{"zeros after the end", append(bytes.Clone(good), make([]byte, 100)...), "no record begins with"},
		{"no middle", change(func(b []byte) []byte { return append(b[:logBlock:logBlock], b[2*logBlock:]...) }), ""},
		{"no beginning", change(func(b []byte) []byte { return b[logBlock:] }), "a record's parts are out of order, at byte 0"},
		{"no end", change(func(b []byte) []byte { return b[:2*logBlock] }), "it ends in the middle of a record, at byte 65536"},
		{"half a header", change(func(b []byte) []byte { return b[:first+3] }), "it ends in the middle of a record, at byte 17"},
	} {
		err := checkLog(bytes.NewReader(c.log), 0)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.want))) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	broken := errors.New("the disk is broken")
	if err := checkLog(io.MultiReader(bytes.NewReader(good), iotestErr{broken}), 0); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

// TestClosedLog reads the end that a closed write-ahead log has.
func TestClosedLog(t *testing.T) {
	end := []byte{0, 0, 0, 0, 0, 0, 5, 8, 0, 0, 0}
	if err := checkLog(bytes.NewReader(end), 7); err != nil {
		t.Error(err)
	}
	for i := range end {
		changed := bytes.Clone(end)
		changed[i] ^= 4
		if err := checkLog(bytes.NewReader(changed), 7); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
	}
	if err := checkLog(bytes.NewReader(append(end, end...)), 7); err == nil {
		t.Error("two ends: no error")
	}
	ahead := append(bytes.Clone(end), make([]byte, 3*logBlock)...)
	if err := checkLog(bytes.NewReader(ahead), 7); err != nil {
		t.Errorf("zeros after the end: %v", err)
	}
	for at := len(end); at < len(ahead); at += 1000 {
		ahead[at] = 1
		if err := checkLog(bytes.NewReader(ahead), 7); err == nil || errors.Is(err, errTorn) {
			t.Errorf("byte %d after the end changed: %v", at-len(end), err)
		}
		ahead[at] = 0
	}
}

// FuzzLog compares checkLog with Pebble's own reader: what the one finds sound,
// the other reads to its end.
func FuzzLog(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		log := testLog(f, rng.IntN(100), rng.IntN(2*logBlock), rng.IntN(100))
		f.Add(log, uint16(rng.IntN(100)), byte(1))
		f.Add(append(log, make([]byte, logBlock)...), uint16(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, log []byte, at uint16, change byte) {
		if len(log) > 0 {
			log[int(at)%len(log)] ^= change
		}
		l := logReader{r: bytes.NewReader(log), number: 7, block: make([]byte, 0, logBlock)}
		for more := true; more; {
			var err error
			if more, err = l.next(); err != nil {
				return
			}
		}
		// Pebble takes the zeros after the end for what a crash left.
		end := l.offset + int64(l.pos)
		if !zero(log[end:]) {
			t.Fatalf("it ends at %d of %d bytes", end, len(log))
		}
		r := record.NewReader(bytes.NewReader(log[:end]), 7)
		for {
			next, err := r.Next()
			if err == io.EOF {
				return
			}
			if err == nil {
				_, err = io.Copy(io.Discard, next)
			}
			if err != nil {
				t.Fatalf("Pebble cannot read it: %v", err)
			}
		}
	})
}
