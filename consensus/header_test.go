package consensus

import (
	"errors"
	"math"
	"testing"

	"cairn/types"
)

// child returns a mined header on a parent.
func child(rules *Rules, parent State, seconds uint32) types.Header {
	time := parent.Time + seconds
	b := &types.Block{Header: types.Header{
		Version: versionForm, Previous: parent.Hash, Time: time, Bits: rules.AllowedBits(parent, time),
	}}
	mine(b)
	return b.Header
}

func TestValidateHeaderReturnsTheState(t *testing.T) {
	rules := mustRules(testRules(false))
	parent := rules.GenesisState()
	parent.Height, parent.Base, parent.Work = 7, 0x1f7fffff, Work{1000}
	h := child(rules, parent, 30)
	got, err := rules.ValidateHeader(parent, h, uint64(h.Time))
	want := State{
		Hash: h.Hash(), Previous: parent.Hash, Height: 8, Time: h.Time, Bits: 0x1f7fffff,
		Base: rules.NextBase(parent, h.Time), Work: Work{1000 + 512}, // 2^256 / 0x7fffff << 224 is 512 and a little
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v, not %+v", got, err, want)
	}
	if got.Base == parent.Base {
		t.Error("the base did not follow the pace")
	}
}

func TestVersionBitsAreTheMiners(t *testing.T) {
	rules := mustRules(testRules(false))
	parent := rules.GenesisState()
	b := &types.Block{Header: child(rules, parent, 10)}
	for bit := range 32 {
		b.Header.Version = versionForm ^ 1<<bit
		mine(b)
		_, err := rules.ValidateHeader(parent, b.Header, uint64(b.Header.Time))
		free := 13 <= bit && bit <= 28
		if free != (err == nil) || !free && !errors.Is(err, ErrVersion) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
}

func TestTimesAtTheirLimits(t *testing.T) {
	r := testRules(false)
	for _, c := range []struct{ interval, limit uint32 }{{1, 20}, {9, 20}, {10, 20}, {11, 22}, {86_400, 172_800}} {
		r.BlockInterval, r.HalfLife = c.interval, 0
		rules := mustRules(r)
		if got := rules.FutureLimit(); got != uint64(c.limit) {
			t.Errorf("interval %d: the limit is %d, not %d", c.interval, got, c.limit)
		}
		parent := rules.GenesisState()
		for _, seconds := range []uint32{0, 1, c.limit} {
			h := child(rules, parent, seconds)
			if _, err := rules.ValidateHeader(parent, h, uint64(parent.Time)); err != nil {
				t.Errorf("%d seconds after the parent, by its clock: %v", seconds, err)
			}
		}
	}
}

// A block that came too early is held, so its state must be known, and must
// cost as much work as any.
func TestTooNewIsTheLastError(t *testing.T) {
	rules := mustRules(testRules(false))
	parent := rules.GenesisState()
	h := child(rules, parent, 21)
	early, err := rules.ValidateHeader(parent, h, uint64(parent.Time))
	if !errors.Is(err, ErrTooNew) {
		t.Fatal(err)
	}
	later, err := rules.ValidateHeader(parent, h, uint64(parent.Time)+1)
	if err != nil || early != later {
		t.Errorf("held as %+v, later %+v, %v", early, later, err)
	}
	for target, _ := CompactToTarget(h.Bits); target.Meets(h.Hash()); {
		h.Nonce++
	}
	if state, err := rules.ValidateHeader(parent, h, 0); !errors.Is(err, ErrProofOfWork) || state != (State{}) {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestTheLastHeightAndTheLastSecond(t *testing.T) {
	r := testRules(false)
	r.Time = math.MaxUint32 - 1
	rules := mustRules(r)
	parent := rules.GenesisState()
	parent.Height = math.MaxUint32 - 1
	h := child(rules, parent, 1)
	last, err := rules.ValidateHeader(parent, h, math.MaxUint32)
	if err != nil || last.Height != math.MaxUint32 || last.Time != math.MaxUint32 {
		t.Fatalf("%+v, %v", last, err)
	}
	if _, err := rules.ValidateHeader(last, child(rules, last, 0), math.MaxUint32); !errors.Is(err, ErrHeightLimit) {
		t.Error(err)
	}
}
