package proof

import (
	"encoding/hex"
	"errors"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inHex finds what a document has in hex: bytes, hashes and targets. In the few
// decimal numbers that look the same, a changed bit is no less wrong.
var inHex = regexp.MustCompile(`"(?:[0-9a-f]{2}){4,}"`)

// No bit of a document can be changed, wherever it stands, without an error or
// with another result.
func TestChangedBitsFail(t *testing.T) {
	c := smallChain(t)
	for _, g := range golden[:2] { // the others have nothing that is not in these
		t.Run(g.file, func(t *testing.T) {
			t.Parallel()
			good := g.make(t, c).Encode()
			want := mustVerify(t, g.make(t, c), c.rules)
			changed, bits := make([]byte, len(good)), 0
			for _, at := range inHex.FindAllIndex(good, -1) {
				digits := good[at[0]+1 : at[1]-1]
				b, err := hex.DecodeString(string(digits))
				if err != nil {
					t.Fatal(err)
				}
				for bit := range 8 * len(b) {
					if testing.Short() && bit%8 != bit/8%8 {
						continue // one of each byte
					}
					copy(changed, good)
					b[bit/8] ^= 1 << (bit % 8)
					hex.Encode(changed[at[0]+1:], b)
					b[bit/8] ^= 1 << (bit % 8)
					bits++
					checkChanged(t, changed, want, c, at[0], bit)
				}
			}
			if bits < 500 {
				t.Errorf("only %d bits were found", bits)
			}
		})
	}
}

func checkChanged(t *testing.T, changed []byte, want Result, c *testChain, at, bit int) {
	t.Helper()
	d, err := Parse(changed)
	if err != nil {
		if !errors.Is(err, ErrFormat) {
			t.Errorf("bit %d behind byte %d: error %v, want ErrFormat", bit, at, err)
		}
		return
	}
	r, err := d.Verify(c.rules, late)
	switch {
	case err == nil && !cmp.Equal(r, want, sameResult):
		t.Errorf("bit %d behind byte %d changes the result:\n%s", bit, at, cmp.Diff(want, r))
	case err != nil && !isOurs(err):
		t.Errorf("bit %d behind byte %d: error %v is none of this package", bit, at, err)
	}
}

func isOurs(err error) bool {
	for _, e := range []error{ErrFormat, ErrNetwork, ErrHeaders, ErrCommitment, ErrBlock, ErrTransaction, ErrAccount} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
