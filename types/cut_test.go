package types

import (
	"bytes"
	"errors"
	"testing"
)

// What is cut off the front is what a whole decoder reads there, and what follows
// is left as it is; a beginning of it is malformed.
func checkCut(t *testing.T, encoding []byte, cut func([]byte) (again, rest []byte, err error)) {
	t.Helper()
	for _, after := range []string{"", "\x00", "after"} {
		again, rest, err := cut(append(bytes.Clone(encoding), after...))
		if err != nil || !bytes.Equal(again, encoding) || string(rest) != after {
			t.Errorf("%x before %q is cut to %x and %q: %v", encoding, after, again, rest, err)
		}
	}
	for n := range encoding {
		if _, rest, err := cut(encoding[:n]); !errors.Is(err, ErrMalformed) || len(rest) > 0 {
			t.Errorf("the first %d of %d bytes: %v, %x left", n, len(encoding), err, rest)
		}
	}
}

func TestCut(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Counts {
		checkCut(t, c.Encoding, func(b []byte) ([]byte, []byte, error) {
			n, rest, err := CutCount(b)
			return AppendCount(nil, n), rest, err
		})
	}
	for _, c := range v.Transfers {
		checkCut(t, c.Encoding, func(b []byte) ([]byte, []byte, error) {
			tr, rest, err := CutTransfer(b)
			return tr.Append(nil), rest, err
		})
	}
	for _, c := range v.Rewards {
		checkCut(t, c.Encoding, func(b []byte) ([]byte, []byte, error) {
			r, rest, err := CutReward(b)
			return r.Append(nil), rest, err
		})
	}
	if _, _, err := CutCount([]byte{0xfd, 0xfc, 0}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a count not in its shortest form: %v", err)
	}
}
