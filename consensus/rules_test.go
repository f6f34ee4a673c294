package consensus

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cairn/types"
)

// subsidyRules have what a subsidy depends on, and nothing else.
func subsidyRules(reward uint64, halvingInterval uint32, allocated uint64) *Rules {
	return &Rules{Reward: reward, HalvingInterval: halvingInterval, allocated: allocated}
}

func TestSubsidyVectors(t *testing.T) {
	var vectors struct{ Rows [][5]uint64 }
	readJSON(t, "testdata/subsidy.json", &vectors)
	if len(vectors.Rows) < 200 {
		t.Fatal("vectors are missing")
	}
	for _, v := range vectors.Rows {
		r := subsidyRules(v[0], uint32(v[1]), v[2])
		if got := r.Subsidy(uint32(v[3])); got != v[4] {
			t.Errorf("reward %d, halved every %d, %d allocated: the subsidy at %d is %d, want %d", v[0], v[1], v[2], v[3], got, v[4])
		}
	}
}

// The closed form against the words: what is left after all subsidies below.
func TestSubsidyEqualsTheNaiveSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reward := rapid.Uint64Range(0, types.MaxAmount).Draw(t, "reward") >> rapid.IntRange(0, 53).Draw(t, "smaller")
		halving := rapid.Uint32Range(0, 40).Draw(t, "halving")
		allocated := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, types.MaxAmount), rapid.Uint64Range(types.MaxAmount-1000, types.MaxAmount)).Draw(t, "allocated")
		r := subsidyRules(reward, halving, allocated)
		sum := uint64(0)
		for h := range uint32(300) {
			want := uint64(0)
			if h > 0 {
				want = reward
				if halving > 0 {
					want = reward >> (h / halving)
				}
				want = min(want, types.MaxAmount-allocated-sum)
			}
			if got := r.Subsidy(h); got != want {
				t.Fatalf("the subsidy at %d is %d, want %d", h, got, want)
			}
			sum += want
		}
	})
}

func TestSubsidyAtTheEndOfTime(t *testing.T) {
	for _, c := range []struct {
		reward    uint64
		halving   uint32
		allocated uint64
		height    uint32
		want      uint64
	}{
		{100, 0, 0, math.MaxUint32, 100},
		{100, math.MaxUint32, 0, math.MaxUint32, 50},
		{100, math.MaxUint32, 0, math.MaxUint32 - 1, 100},
		{types.MaxAmount, 0, 0, math.MaxUint32, 0},
		{1 << 21, 0, 0, math.MaxUint32, 1 << 21}, // the largest that lasts
		{1<<21 + 1, 0, 0, math.MaxUint32, 0},
		{1, 1 << 31, types.MaxAmount - 10, 10, 1},
		{1, 1 << 31, types.MaxAmount - 10, 11, 0},
		{1 << 52, 1 << 26, 0, math.MaxUint32, 0}, // 63 halvings
		{1 << 52, 0, 0, 1<<12 + 1, 0},            // 2^64 base units before
		{1 << 52, 1, 0, math.MaxUint32, 0},       // far more than 64
	} {
		if got := subsidyRules(c.reward, c.halving, c.allocated).Subsidy(c.height); got != c.want {
			t.Errorf("reward %d, halved every %d, %d allocated: the subsidy at %d is %d, want %d", c.reward, c.halving, c.allocated, c.height, got, c.want)
		}
	}
}

func TestSubsidyCountsAllocations(t *testing.T) {
	r := *Dev()
	r.Reward = 100
	r.Allocations = []Allocation{{"a", 5}, {"b", types.MaxAmount - 15}}
	rules, err := NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := rules.Subsidy(1); got != 10 {
		t.Errorf("the subsidy is %d, but 10 are left", got)
	}
}

func TestDefaults(t *testing.T) {
	r := Defaults("2nd-alpine-club-of-the-north", 12_500_000, 1_790_000_000)
	want := Rules{
		Name:          "2nd-alpine-club-of-the-north",
		Symbol:        "NDALPINECLUBOFTH",
		Decimals:      6,
		AddressPrefix: "ndalpineclubofth",
		Time:          1_790_000_000,
		Bits:          0x1f00ffff,
		BlockInterval: 10,
		HalfLife:      360,
		Reward:        12_500_000,
		MaxBlockSize:  1_000_000,
		TxLifetime:    8640,
		MinBalance:    1000,
		Signatures:    true,
	}
	if diff := cmp.Diff(want, r, sameRules); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"a", "2nd", "my-net", "2026", "-", "0123456789-abcdefghijklmnopqrstu"} {
		rules, err := NewRules(Defaults(name, 0, 0))
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got := rules.FormatAmount(rules.MinBalance); got != "0.001" {
			t.Errorf("the least balance is %s", got)
		}
	}
	if got := Defaults("2026", 0, 0).AddressPrefix; got != "cairn" {
		t.Errorf("without letters in the name the prefix is %q", got)
	}
}

func BenchmarkSubsidy(b *testing.B) {
	r := subsidyRules(1<<40, 1000, 0)
	for b.Loop() {
		r.Subsidy(100_000)
	}
}
