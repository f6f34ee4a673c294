package consensus

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"cairn/types"
)

func hexTarget(t *testing.T, digits string) Target {
	t.Helper()
	n, ok := new(big.Int).SetString(digits, 16)
	if !ok {
		t.Fatalf("%q is not hex", digits)
	}
	return targetOf(n)
}

// targetOf and toBig convert by words of digits, sharing nothing with the code
// under test.
func targetOf(n *big.Int) (t Target) {
	rest, word := new(big.Int).Set(n), new(big.Int)
	base := new(big.Int).Lsh(big.NewInt(1), 64)
	for i := range t {
		rest.DivMod(rest, base, word)
		t[i] = word.Uint64()
	}
	if rest.Sign() != 0 {
		panic("over 256 bits")
	}
	return t
}

func toBig(words [4]uint64) *big.Int {
	n := new(big.Int)
	for _, word := range slices.Backward(words[:]) {
		n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(word))
	}
	return n
}

// Bitcoin Core's cases for compact targets (bignum_SetCompact), and a few of its
// blocks' bits.
func TestCompactVectors(t *testing.T) {
	for compact, digits := range map[uint32]string{
		0x03123456: "123456",
		0x04123456: "12345600",
		0x05009234: "92340000",
		0x02008000: "80",
		0x02123400: "1234",
		0x01120000: "12",
		0x01010000: "1",
		0x20123456: "1234560000000000000000000000000000000000000000000000000000000000",
		0x207fffff: "7fffff0000000000000000000000000000000000000000000000000000000000",
		0x2100ffff: "ffff000000000000000000000000000000000000000000000000000000000000",
		0x1d00ffff: "ffff0000000000000000000000000000000000000000000000000000",
		0x1b0404cb: "404cb000000000000000000000000000000000000000000000000",
		0x1802aee8: "2aee8000000000000000000000000000000000000000000",
	} {
		want := hexTarget(t, digits)
		if got, err := CompactToTarget(compact); err != nil || got != want {
			t.Errorf("CompactToTarget(%08x) = %v, %v; want %v", compact, got, err, want)
		}
		if got := TargetToCompact(want); got != compact {
			t.Errorf("TargetToCompact(%v) = %08x, want %08x", want, got, compact)
		}
	}
	for name, list := range map[string][]uint32{
		"zero":           {0, 0x00123456, 0x01003456, 0x02000056, 0x03000000, 0x04000000, 0x20000000, 0xff000000},
		"negative zero":  {0x00923456, 0x01803456, 0x02800056, 0x03800000, 0x04800000, 0x20800000},
		"negative":       {0x01fedcba, 0x04923456, 0x1d80ffff, 0x20ffffff},
		"not shortest":   {0x01123456, 0x02123456, 0x0300007f, 0x04000001, 0x04007fff, 0x1e00007f, 0x2000007f, 0x21000001, 0x22000001},
		"over 256 bits":  {0xff123456, 0x21010000, 0x22000100, 0x23000001, 0x217fffff},
		"more than that": {0xffffffff, 0x80123456},
	} {
		for _, compact := range list {
			if got, err := CompactToTarget(compact); !errors.Is(err, ErrCompact) {
				t.Errorf("%s: CompactToTarget(%08x) = %v, %v; want ErrCompact", name, compact, got, err)
			}
			if got := WorkOf(compact); got != (Work{}) {
				t.Errorf("%s: WorkOf(%08x) = %v, want 0", name, compact, got)
			}
		}
	}
}

func TestCompactFile(t *testing.T) {
	var vectors struct {
		Rows    [][3]string
		Invalid []hexBytes
	}
	readJSON(t, "testdata/compact.json", &vectors)
	if len(vectors.Rows) == 0 || len(vectors.Invalid) == 0 {
		t.Fatal("vectors are missing")
	}
	for _, row := range vectors.Rows {
		compact, err := strconv.ParseUint(row[0], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		target, err := CompactToTarget(uint32(compact))
		if err != nil || target.String() != row[1] || TargetToCompact(target) != uint32(compact) {
			t.Errorf("%s: the target is %v, %v; want %s", row[0], target, err, row[1])
		}
		if got := WorkOf(uint32(compact)).String(); got != row[2] {
			t.Errorf("%s: the work is %s, want %s", row[0], got, row[2])
		}
	}
	for _, b := range vectors.Invalid {
		if got, err := CompactToTarget(binary.BigEndian.Uint32(b)); !errors.Is(err, ErrCompact) {
			t.Errorf("%v: the target is %v, %v; want ErrCompact", b, got, err)
		}
	}
}

func TestTargetToCompactCutsOff(t *testing.T) {
	for digits, want := range map[string]uint32{
		"12345678":   0x04123456,
		"ffffffff":   0x0500ffff,
		"7fffffff":   0x047fffff,
		"80000000":   0x05008000,
		"800000ff00": 0x06008000,
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": 0x2100ffff,
		"0": 0,
	} {
		if got := TargetToCompact(hexTarget(t, digits)); got != want {
			t.Errorf("TargetToCompact(%s) = %08x, want %08x", digits, got, want)
		}
	}
}

// naiveCompact is Bitcoin's description of the form.
func naiveCompact(n *big.Int) uint32 {
	digits := n.Bytes()
	if len(digits) > 0 && digits[0] >= 0x80 {
		digits = append([]byte{0}, digits...)
	}
	size := uint32(len(digits))
	digits = append(digits, 0, 0, 0)
	return size<<24 | uint32(digits[0])<<16 | uint32(digits[1])<<8 | uint32(digits[2])
}

// naiveTarget returns nil where compact is not valid.
func naiveTarget(compact uint32) *big.Int {
	size := int(compact >> 24)
	n := big.NewInt(int64(compact & 0x7fffff))
	if compact&0x800000 != 0 || n.Sign() == 0 {
		return nil
	}
	n.Lsh(n, uint(8*size))
	n.Rsh(n, 24)
	if n.BitLen() > 256 || n.Sign() == 0 || naiveCompact(n) != compact {
		return nil
	}
	return n
}

// randomWords gives numbers of all lengths the same chance.
func randomWords(rng *rand.Rand) [4]uint64 {
	n := new(big.Int)
	for range 4 {
		n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(rng.Uint64()))
	}
	return targetOf(n.Rsh(n, uint(rng.IntN(257))))
}

func TestIntegersEqualTheTwins(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	limit := new(big.Int).Lsh(big.NewInt(1), 256)
	for range 100_000 {
		a, b := randomWords(rng), randomWords(rng)
		if got, want := compare(a, b), toBig(a).Cmp(toBig(b)); got != want {
			t.Fatalf("compare(%x, %x) = %d, want %d", a, b, got, want)
		}
		sum := new(big.Int).Add(toBig(a), toBig(b))
		if sum.Cmp(limit) >= 0 {
			sum.Sub(limit, big.NewInt(1))
		}
		if got := Work(a).Add(b); toBig(got).Cmp(sum) != 0 {
			t.Fatalf("%v + %v = %v, want %v", Work(a), Work(b), got, sum)
		}
		if got, want := Work(a).String(), toBig(a).String(); got != want {
			t.Fatalf("String is %s, want %s", got, want)
		}
		if got, want := TargetToCompact(a), naiveCompact(toBig(a)); got != want {
			t.Fatalf("TargetToCompact(%v) = %08x, want %08x", Target(a), got, want)
		}
		n := rng.IntN(330)
		left, right := a, a
		shiftLeft(left[:], n)
		shiftRight(right[:], n)
		wantLeft := new(big.Int).Lsh(toBig(a), uint(n))
		if toBig(left).Cmp(wantLeft.Mod(wantLeft, limit)) != 0 {
			t.Fatalf("%x << %d = %x", a, n, left)
		}
		if toBig(right).Cmp(new(big.Int).Rsh(toBig(a), uint(n))) != 0 {
			t.Fatalf("%x >> %d = %x", a, n, right)
		}
	}
}

func TestCompactEqualsTheTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	check := func(compact uint32) {
		t.Helper()
		want := naiveTarget(compact)
		got, err := CompactToTarget(compact)
		if (err == nil) != (want != nil) || err == nil && toBig(got).Cmp(want) != 0 {
			t.Fatalf("CompactToTarget(%08x) = %v, %v; want %x", compact, got, err, want)
		}
		if want == nil {
			return
		}
		work := new(big.Int).Lsh(big.NewInt(1), 256)
		work.Div(work, want.Add(want, big.NewInt(1)))
		if got := WorkOf(compact); toBig(got).Cmp(work) != 0 {
			t.Fatalf("WorkOf(%08x) = %v, want %v", compact, got, work)
		}
	}
	for range 100_000 {
		check(rng.Uint32())
		check(uint32(rng.IntN(36))<<24 | rng.Uint32()&0xffffff>>rng.IntN(25))
	}
}

func TestWork(t *testing.T) {
	for compact, want := range map[uint32]string{
		0x207fffff: "2",
		0x2100ffff: "1", // the easiest that has a compact form
		0x1f00ffff: "65537",
		0x1d00ffff: "4295032833", // Bitcoin's first block: 0x100010001
		0x01010000: new(big.Int).Lsh(big.NewInt(1), 255).String(),
	} {
		if got := WorkOf(compact).String(); got != want {
			t.Errorf("WorkOf(%08x) = %s, want %s", compact, got, want)
		}
	}
}

func TestWorkLittleEndian(t *testing.T) {
	w := Work{0x0807060504030201, 0x100f0e0d0c0b0a09, 0x1817161514131211, 0x201f1e1d1c1b1a19}
	b := w.LittleEndian()
	if got, want := hex.EncodeToString(b[:]), "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"; got != want {
		t.Errorf("LittleEndian is %s, want %s", got, want)
	}
	if got := WorkFromLittleEndian(b); got != w {
		t.Errorf("WorkFromLittleEndian(LittleEndian(%x)) = %x", w, got)
	}
}

// The first block of Bitcoin meets its target, and no smaller one than its hash.
func TestMeets(t *testing.T) {
	hash, err := types.ParseHash("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f")
	if err != nil {
		t.Fatal(err)
	}
	easy, err := CompactToTarget(0x1d00ffff)
	if err != nil {
		t.Fatal(err)
	}
	exact := hexTarget(t, hash.String())
	if exact.String() != hash.String() {
		t.Errorf("String is %s, want %s", exact, hash)
	}
	below := exact
	below[0]--
	for target, want := range map[Target]bool{easy: true, exact: true, below: false, {1}: false} {
		if got := target.Meets(hash); got != want {
			t.Errorf("target %v meets %v: %v, want %v", target, hash, got, want)
		}
	}
	var high types.Hash
	binary.LittleEndian.PutUint64(high[24:], 1<<63)
	if (Target{^uint64(0), ^uint64(0), ^uint64(0), 1<<63 - 1}).Meets(high) {
		t.Error("2^255 meets 2^255 - 1")
	}
}

func BenchmarkWorkOf(b *testing.B) {
	for _, compact := range []uint32{0x207fffff, 0x1f00ffff, 0x1b0404cb, 0x1702c4e4} {
		b.Run(fmt.Sprintf("%08x", compact), func(b *testing.B) {
			for b.Loop() {
				WorkOf(compact)
			}
		})
	}
}

func BenchmarkCompactToTarget(b *testing.B) {
	for b.Loop() {
		if _, err := CompactToTarget(0x1f00ffff); err != nil {
			b.Fatal(err)
		}
	}
}
