package consensus

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The parameters of Bitcoin Cash, for which aserti3-2d has published vectors.
const (
	bchInterval = 600
	bchHalfLife = 172800
	bchEasiest  = 0x1d00ffff
)

// asertVector is one line of a published run: what follows the anchor.
type asertVector struct {
	anchor                   uint32
	parentTime, anchorHeight uint64
	height, time             uint64
	want                     uint32
	description              string
}

func (v asertVector) check(t *testing.T) {
	t.Helper()
	easiest, err := CompactToTarget(bchEasiest)
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := CompactToTarget(v.anchor)
	if err != nil {
		t.Fatal(err)
	}
	// The differences fit though the heights may not be signed.
	seconds := int64(v.time-v.parentTime) - bchInterval*(int64(v.height-v.anchorHeight)+1)
	if got := TargetToCompact(scale(anchor, seconds, bchHalfLife, easiest)); got != v.want {
		t.Errorf("%s: height %d, time %d: %08x, want %08x", v.description, v.height, v.time, got, v.want)
	}
}

// Some of the published lines, so that this means something without the files.
func TestAsertVectors(t *testing.T) {
	for _, v := range []asertVector{
		{0x1d00ffff, 0, 1, 2, 1200, 0x1d00ffff, "run 1, steady at the limit"},
		{0x1a2b3c4d, 0, 1, 11, 6600, 0x1a2b3c4d, "run 2, steady elsewhere"},
		{0x01010000, 0, 1, 2, 1200, 0x01010000, "run 3, steady at the least"},
		{0x1d00ffff, 0, 1, 2, 0, 0x1d00fec5, "run 5, no time passes"},
		{0x1d00ffff, 0, 1, 290, 0, 0x1c7f62c0, "run 5, one half-life"},
		{0x1d00ffff, 0, 1, 1442, 0, 0x1c07f62c, "run 5, five half-lives"},
		{0x1802aee8, 0, 1, 3, 1310, 0x1802ad91, "run 6, random"},
		{0x1802aee8, 0, 1, 7, 2604, 0x1802aa89, "run 6, random"},
		{0x1802aee8, 2147483047, 9223372036854775802, 9223372036854775808, 2147489047, 0x1802b3e5, "run 10, wide integers"},
	} {
		v.check(t)
	}
}

func TestAsertVectorFiles(t *testing.T) {
	dir := os.Getenv("CAIRN_VECTORS")
	if dir == "" {
		t.Skip("CAIRN_VECTORS is not set")
	}
	files, err := filepath.Glob(filepath.Join(dir, "aserti3-2d-run*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			vectors := readAsertVectors(t, file)
			for _, v := range vectors {
				v.check(t)
			}
			t.Logf("%d lines", len(vectors))
		})
	}
}

func readAsertVectors(t *testing.T, file string) (vectors []asertVector) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := asertVector{description: filepath.Base(file)}
	seen, announced := 0, 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if comment, ok := strings.CutPrefix(lines.Text(), "#"); ok {
			name, value, _ := strings.Cut(strings.TrimLeft(comment, "# "), ":")
			n, err := strconv.ParseUint(strings.TrimSpace(value), 0, 64)
			switch name {
			case "anchor height":
				head.anchorHeight, seen = n, seen+1
			case "anchor parent time", "anchor ancestor time":
				head.parentTime, seen = n, seen+1
			case "anchor nBits":
				head.anchor, seen = uint32(n), seen+1
			case "iterations":
				announced, seen = int(n), seen+1
			default:
				err = nil
			}
			if err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			continue
		}
		if lines.Text() == "" {
			continue
		}
		v, line := head, 0
		if _, err := fmt.Sscanf(lines.Text(), "%d %d %d 0x%x", &line, &v.height, &v.time, &v.want); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		vectors = append(vectors, v)
	}
	if lines.Err() != nil || seen != 4 || len(vectors) != announced {
		t.Fatalf("%s: %v; %d of 4 parameters, %d of %d lines", file, lines.Err(), seen, len(vectors), announced)
	}
	return vectors
}

// naiveScale is aserti3-2d's description, in integers without any bound.
func naiveScale(target *big.Int, seconds, halfLife int64, easiest *big.Int) *big.Int {
	exponent := big.NewInt(seconds)
	exponent.Lsh(exponent, 16).Quo(exponent, big.NewInt(halfLife))
	shift := new(big.Int).Rsh(exponent, 16) // rounds down
	x := new(big.Int).Sub(exponent, new(big.Int).Lsh(shift, 16))
	factor := new(big.Int).Lsh(big.NewInt(1), 47)
	power := big.NewInt(1)
	for _, c := range []int64{195766423245049, 971821376, 5127} {
		power.Mul(power, x)
		factor.Add(factor, new(big.Int).Mul(power, big.NewInt(c)))
	}
	factor.Rsh(factor, 48).Add(factor, big.NewInt(65536))
	result := factor.Mul(factor, target)
	n := shift.Int64() - 16
	if n > 0 {
		result.Lsh(result, uint(n))
	} else {
		result.Rsh(result, uint(-n))
	}
	if result.Sign() == 0 {
		return big.NewInt(1)
	}
	if result.Cmp(easiest) > 0 {
		return easiest
	}
	return result
}

func checkScale(t interface{ Fatalf(string, ...any) }, target Target, seconds int64, halfLife uint32, easiest Target) {
	got := scale(target, seconds, halfLife, easiest)
	want := naiveScale(toBig(target), seconds, int64(halfLife), toBig(easiest))
	if toBig(got).Cmp(want) != 0 {
		t.Fatalf("scale(%v, %d, %d, %v) = %v, want %064x", target, seconds, halfLife, easiest, got, want)
	}
}

func TestScaleEqualsTheTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200_000 {
		target, easiest := Target(randomWords(rng)), Target(randomWords(rng))
		target[0] |= 1 // a target is not 0
		halfLife := 1 + rng.Uint32()>>rng.IntN(32)
		// Up to about 1,000 half-lives either way, mostly few.
		seconds := (rng.Int64N(2001) - 1000) * int64(halfLife) >> rng.IntN(12)
		seconds += rng.Int64N(int64(halfLife))
		checkScale(t, target, seconds, halfLife, easiest)
	}
}

func TestScaleAtTheEdges(t *testing.T) {
	const most = 1<<63 - 1
	one, top := Target{1}, Target{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	for _, c := range []struct {
		target   Target
		seconds  int64
		halfLife uint32
		easiest  Target
		want     Target
	}{
		{one, most, 1<<32 - 1, top, top}, // the shift alone decides
		{one, -most - 1, 1<<32 - 1, top, one},
		{top, -most - 1, 1, top, one},
		{one, 255, 1, top, Target{0, 0, 0, 1 << 63}},
		{one, 256, 1, top, top},
		{top, -255, 1, top, one},
		{top, -256, 1, top, one}, // 0 becomes 1
		{top, 0, 1, top, top},
		{top, 1, 100, top, top}, // passes 256 bits without a shift to the left
		{Target{8}, -1, 1, top, Target{4}},
		{Target{8}, 1, 1, Target{15}, Target{15}},
		{Target{1 << 32}, -1, 65536, top, Target{1 << 16 * 65535}}, // a small step up from half
	} {
		if c.seconds > -1000 && c.seconds < 1000 {
			checkScale(t, c.target, c.seconds, c.halfLife, c.easiest)
		}
		if c.halfLife == 65536 {
			continue
		}
		if got := scale(c.target, c.seconds, c.halfLife, c.easiest); got != c.want {
			t.Errorf("scale(%v, %d, %d, %v) = %v, want %v", c.target, c.seconds, c.halfLife, c.easiest, got, c.want)
		}
	}
}

// In the product, a word and the carry from below can have a carry of their own.
func TestScaleCarries(t *testing.T) {
	const factor = 65537 // of one step in the last place of the exponent
	word := -inverse(factor)
	if word*factor != 1<<64-1 {
		t.Fatal("not the inverse")
	}
	top := Target{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	checkScale(t, Target{^uint64(0), word, 5}, 1, 65536, top)
	checkScale(t, Target{^uint64(0), word, word, 5}, 1, 65536, top)
}

// inverse returns the number by which an odd n gives 1 modulo 2^64.
func inverse(n uint64) uint64 {
	x := n
	for range 6 {
		x *= 2 - n*x
	}
	return x
}

// The exponent is rounded towards zero, before it is split: the seconds -1 of
// a half-life of 100,000 are no seconds at all.
func TestScaleTruncates(t *testing.T) {
	easiest := hexTarget(t, "ff"+strings.Repeat("00", 31))
	target := hexTarget(t, "1000000000")
	for seconds, want := range map[int64]string{
		1: "1000000000", 0: "1000000000", -1: "1000000000", -2: "ffff80000", 2: "1000100000",
	} {
		if got := scale(target, seconds, 100_000, easiest); got != hexTarget(t, want) {
			t.Errorf("scale(%v, %d) = %v, want %s", target, seconds, got, want)
		}
	}
}

func FuzzScale(f *testing.F) {
	f.Add(uint64(1), uint64(0), uint64(0), uint64(0), int64(600), uint32(172800), uint32(0x1d00ffff))
	f.Add(uint64(0), uint64(0), uint64(0), uint64(1)<<63, int64(-1), uint32(12), uint32(0x207fffff))
	f.Fuzz(func(t *testing.T, a, b, c, d uint64, seconds int64, halfLife, compact uint32) {
		easiest, err := CompactToTarget(compact)
		if err != nil || a|b|c|d == 0 || halfLife == 0 || seconds/int64(halfLife) > 1<<12 || seconds/int64(halfLife) < -1<<12 {
			return
		}
		checkScale(t, Target{a, b, c, d}, seconds, halfLife, easiest)
	})
}

// difficultyRules have the easiest target and the pace given, beside what dev has.
func difficultyRules(t testing.TB, easiest, interval, halfLife uint32) *Rules {
	t.Helper()
	r := *Dev()
	r.Bits, r.BlockInterval, r.HalfLife = easiest, interval, halfLife
	rules, err := NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestFixedDifficulty(t *testing.T) {
	r := difficultyRules(t, 0x207fffff, 10, 0)
	parent := r.GenesisState()
	for _, seconds := range []uint32{0, 10, 240, 1 << 31} {
		at := parent.Time + seconds
		if got := r.AllowedBits(parent, at); got != 0x207fffff {
			t.Errorf("after %d s: AllowedBits is %08x", seconds, got)
		}
		if got := r.NextBase(parent, at); got != 0x207fffff {
			t.Errorf("after %d s: NextBase is %08x", seconds, got)
		}
		if err := r.CheckBits(parent, at, 0x207fffff); err != nil {
			t.Errorf("after %d s: %v", seconds, err)
		}
		for _, other := range []uint32{0x207ffffe, 0x2007ffff, 0x1f7fffff, 0} {
			if err := r.CheckBits(parent, at, other); !errors.Is(err, ErrBits) {
				t.Errorf("after %d s: CheckBits(%08x) = %v, want ErrBits", seconds, other, err)
			}
		}
	}
}

func TestBitsByHand(t *testing.T) {
	r := difficultyRules(t, 0x1f00ffff, 10, 360)
	parent := State{Time: 1_000_000, Base: 0x1b123456}
	for _, c := range []struct {
		seconds uint32
		allowed []uint32 // all there are, for no relief, one step, …
	}{
		{0, []uint32{0x1b123456}},
		{239, []uint32{0x1b123456}},
		{240, []uint32{0x1b123456, 0x1c012345}}, // 4 bits are cut off
		{479, []uint32{0x1b123456, 0x1c012345}},
		{480, []uint32{0x1b123456, 0x1c012345, 0x1c123456}}, // from the base, not from what was cut off
		{1440, []uint32{0x1b123456, 0x1c012345, 0x1c123456, 0x1d012345, 0x1d123456, 0x1e012345, 0x1e123456}},
		{1680, []uint32{0x1b123456, 0x1c012345, 0x1c123456, 0x1d012345, 0x1d123456, 0x1e012345, 0x1e123456, 0x1f00ffff}},
		{1 << 31, []uint32{0x1b123456, 0x1c012345, 0x1c123456, 0x1d012345, 0x1d123456, 0x1e012345, 0x1e123456, 0x1f00ffff}},
	} {
		at := parent.Time + c.seconds
		if got, want := r.AllowedBits(parent, at), c.allowed[len(c.allowed)-1]; got != want {
			t.Errorf("after %d s: AllowedBits is %08x, want %08x", c.seconds, got, want)
		}
		allowed := map[uint32]bool{}
		for _, compact := range c.allowed {
			allowed[compact] = true
		}
		for _, compact := range []uint32{
			0x1b123456, 0x1c012345, 0x1c123456, 0x1d012345, 0x1d123456, 0x1e012345, 0x1e123456, 0x1f00ffff,
			0x1b123455, 0x1b123457, 0x1a123456, 0x1f012345, 0x1f123456, 0x20123456, 0x1c012346, 0,
		} {
			err := r.CheckBits(parent, at, compact)
			if allowed[compact] && err != nil || !allowed[compact] && !errors.Is(err, ErrBits) {
				t.Errorf("after %d s: CheckBits(%08x) = %v", c.seconds, compact, err)
			}
		}
	}
}

// A base that is the easiest has no relief to give, even near the top of the
// 256 bits.
func TestReliefStopsAtTheEasiest(t *testing.T) {
	for _, easiest := range []uint32{0x2100ffff, 0x207fffff, 0x1f00ffff} {
		r := difficultyRules(t, easiest, 1, 12)
		for _, base := range []uint32{easiest, TargetToCompact(r.relieve(Target{1})), 0x1e00ffff, 0x01010000} {
			parent := State{Base: base}
			if got := r.AllowedBits(parent, 1<<32-1); got != easiest {
				t.Errorf("base %08x, easiest %08x: AllowedBits is %08x at the end of time", base, easiest, got)
			}
			if err := r.CheckBits(parent, 1<<32-1, easiest); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestNextBaseByHand(t *testing.T) {
	r := difficultyRules(t, 0x1f00ffff, 10, 360)
	parent := State{Time: 1_000_000, Base: 0x1b123456}
	easiest, _ := CompactToTarget(0x1f00ffff)
	base, _ := CompactToTarget(parent.Base)
	for seconds, steps := range map[uint32]int64{
		0: -10, 9: -1, 10: 0, 11: 1, 119: 109, 120: 110, 121: 110, 1 << 31: 110, // 12 intervals are the most
	} {
		want := naiveCompact(naiveScale(toBig(base), steps, 360, toBig(easiest)))
		if got := r.NextBase(parent, parent.Time+seconds); got != want {
			t.Errorf("after %d s: NextBase is %08x, want %08x", seconds, got, want)
		}
	}
	if got := r.NextBase(parent, parent.Time+10); got != parent.Base {
		t.Errorf("on time: NextBase is %08x", got)
	}
	if got := r.NextBase(State{Base: 0x1f00ffff}, 120); got != 0x1f00ffff {
		t.Errorf("from the easiest: NextBase is %08x", got)
	}
}

func TestDifficultyVectors(t *testing.T) {
	var vectors struct{ Rows []json.RawMessage }
	readJSON(t, "testdata/difficulty.json", &vectors)
	if len(vectors.Rows) < 100 {
		t.Fatal("vectors are missing")
	}
	for _, row := range vectors.Rows {
		var easiest, base, nextBase vectorBits
		var interval, halfLife, parentTime, time uint32
		var allowed []vectorBits
		columns := []any{&easiest, &interval, &halfLife, &parentTime, &base, &time, &allowed, &nextBase}
		if err := json.Unmarshal(row, &columns); err != nil {
			t.Fatalf("%v in %s", err, row)
		}
		r := difficultyRules(t, uint32(easiest), interval, halfLife)
		parent := State{Time: parentTime, Base: uint32(base)}
		if got := r.NextBase(parent, time); got != uint32(nextBase) {
			t.Errorf("%s: NextBase is %08x", row, got)
		}
		if got := r.AllowedBits(parent, time); got != uint32(allowed[len(allowed)-1]) {
			t.Errorf("%s: AllowedBits is %08x", row, got)
		}
		for _, compact := range allowed {
			if err := r.CheckBits(parent, time, uint32(compact)); err != nil {
				t.Errorf("%s: %v", row, err)
			}
		}
	}
}

// vectorBits are written in vectors as 8 hex digits.
type vectorBits uint32

func (b *vectorBits) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 32)
	*b = vectorBits(n)
	return err
}

// The rule for bits against its words: compact(min(base × 16^k, easiest)) for
// any whole k up to r.
func TestBitsEqualTheTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := difficultyRules(panicker{}, rapid.SampledFrom([]uint32{0x2100ffff, 0x207fffff, 0x1f00ffff, 0x1d00ffff, 0x03123456}).Draw(t, "easiest"),
			rapid.Uint32Range(1, 86400).Draw(t, "interval"), 0)
		r.HalfLife = r.BlockInterval * rapid.Uint32Range(12, 1000).Draw(t, "half-life")
		easiest := toBig(r.easiest)
		base := toBig(r.easiest)
		base.Rsh(base, uint(rapid.IntRange(0, 250).Draw(t, "harder")))
		if base.Sign() == 0 {
			base.SetInt64(1)
		}
		parent := State{Time: rapid.Uint32().Draw(t, "time"), Base: naiveCompact(base)}
		base = naiveTarget(parent.Base)
		spacing := rapid.Uint32Range(0, 1<<32-1-parent.Time).Draw(t, "spacing")
		spacing >>= rapid.IntRange(0, 31).Draw(t, "shorter")

		steps := min(spacing/(24*r.BlockInterval), 70) // beyond 64 all is the easiest
		var last uint32
		allowed := map[uint32]bool{}
		for range steps + 1 {
			if base.Cmp(easiest) > 0 {
				base.Set(easiest)
			}
			last = naiveCompact(base)
			allowed[last] = true
			base.Lsh(base, 4)
		}
		at := parent.Time + spacing
		if got := r.AllowedBits(parent, at); got != last {
			t.Fatalf("AllowedBits is %08x, want %08x", got, last)
		}
		probe := rapid.OneOf(rapid.Uint32(), rapid.SampledFrom([]uint32{last, last - 1, last + 1, parent.Base, r.Bits})).Draw(t, "probe")
		if err := r.CheckBits(parent, at, probe); (err == nil) != allowed[probe] {
			t.Fatalf("CheckBits(%08x) = %v, allowed are %v", probe, err, allowed)
		}
		for compact := range allowed {
			if err := r.CheckBits(parent, at, compact); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// panicker lets a helper of tests run where there is no test to fail.
type panicker struct{ testing.TB }

func (panicker) Helper()           {}
func (panicker) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// mining is a network that finds blocks at its hash rate, by a clock that starts
// at genesis. It takes the easiest bits allowed and tells the truth about time.
type mining struct {
	r     *Rules
	rng   *rand.Rand
	state State
	now   float64 // seconds
}

// until mines to an hour with hashRate in hashes per second, and returns how
// many seconds each block took.
func (m *mining) until(end, hashRate float64) (spacings []float64) {
	step := reliefIntervals * int64(m.r.BlockInterval)
	last := float64(m.state.Time)
	for {
		luck := m.rng.ExpFloat64()
		for { // the chance of a block changes with each step of relief
			relieved := m.r.relief(m.state, uint32(m.now)) + 1
			change := float64(int64(m.state.Time) + relieved*step)
			work, _ := toBig(WorkOf(m.r.AllowedBits(m.state, uint32(m.now)))).Float64()
			found := m.now + luck*work/hashRate
			if min(found, change) > end {
				m.now = end
				return spacings
			}
			if found <= change {
				m.now = found
				break
			}
			luck -= (change - m.now) * hashRate / work
			m.now = change
		}
		at := uint32(m.now)
		m.state = State{Time: at, Base: m.r.NextBase(m.state, at)}
		spacings = append(spacings, m.now-last)
		last = m.now
	}
}

// What docs/protocol.md, section 7, says of the pace after the strong machines
// leave. The random numbers are always the same ones.
func TestPace(t *testing.T) {
	const hour, day, strong = 3600.0, 86400.0, 1e9
	r := difficultyRules(t, 0x1f00ffff, 10, 360)
	r.Time = 0
	measure := func(after func(m *mining) float64) float64 {
		sum := 0.0
		const runs = 20
		for seed := range uint64(runs) {
			m := &mining{r: r, rng: rand.New(rand.NewPCG(seed, 7)), state: State{Base: r.Bits}}
			m.until(day, strong)
			sum += after(m)
		}
		return sum / runs
	}
	for _, c := range []struct {
		what        string
		least, most float64
		after       func(m *mining) float64
	}{
		{"blocks in a steady hour", 340, 380, func(m *mining) float64 {
			return float64(len(m.until(day+hour, strong)))
		}},
		{"blocks in ten minutes after three days of pause", 60, 100, func(m *mining) float64 {
			m.now += 3 * day
			return float64(len(m.until(m.now+600, strong)))
		}},
		{"longest wait in seconds at a thousandth of the rate", 450, 750, func(m *mining) float64 {
			return longest(m.until(day+2*hour, strong/1e3))
		}},
		{"blocks in the third hour of that", 240, 320, func(m *mining) float64 {
			m.until(day+2*hour, strong/1e3)
			return float64(len(m.until(day+3*hour, strong/1e3)))
		}},
		{"blocks in the fourth hour of that", 340, 380, func(m *mining) float64 {
			m.until(day+3*hour, strong/1e3)
			return float64(len(m.until(day+4*hour, strong/1e3)))
		}},
		{"longest wait in seconds at a hundred-thousandth", 800, 1250, func(m *mining) float64 {
			return longest(m.until(day+6*hour, strong/1e5))
		}},
		{"blocks in the eighth hour of that", 340, 380, func(m *mining) float64 {
			m.until(day+7*hour, strong/1e5)
			return float64(len(m.until(day+8*hour, strong/1e5)))
		}},
	} {
		got := measure(c.after)
		t.Logf("%s: %.0f", c.what, got)
		if got < c.least || got > c.most {
			t.Errorf("%s: %.0f, want %.0f to %.0f", c.what, got, c.least, c.most)
		}
	}
}

func longest(spacings []float64) (most float64) {
	for _, s := range spacings {
		most = max(most, s)
	}
	return most
}

func BenchmarkNextBase(b *testing.B) {
	r := difficultyRules(b, 0x1f00ffff, 10, 360)
	parent := State{Time: 1_000_000, Base: 0x1b123456}
	for b.Loop() {
		r.NextBase(parent, parent.Time+17)
	}
}
