package types

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func decodeReward(b []byte) error { _, err := DecodeReward(b); return err }

func TestRewardVectors(t *testing.T) {
	v := readVectors(t)
	for i, c := range v.Rewards {
		r := v.reward(i)
		if got := r.Append([]byte{7}); !bytes.Equal(got[1:], c.Encoding) || got[0] != 7 {
			t.Errorf("reward %d encodes to\n%x, want\n%x", i, got[1:], []byte(c.Encoding))
		}
		if r.Size() != len(c.Encoding) {
			t.Errorf("reward %d has size %d, want %d", i, r.Size(), len(c.Encoding))
		}
		if r.ID() != c.ID {
			t.Errorf("reward %d has the id %v, want %v", i, r.ID(), c.ID)
		}
		if got, err := DecodeReward(c.Encoding); err != nil || !cmp.Equal(got, r) {
			t.Errorf("reward %d decodes to %+v, %v", i, got, err)
		}
		checkTruncated(t, c.Encoding, decodeReward)
		fields := rewardFields(&r)
		checkChangedBits(t, c.Encoding, func(b []byte) ([]byte, error) {
			r, err := DecodeReward(b)
			return r.Append(nil), err
		}, func(offset int) bool { return !slices.Contains(fields, offset) })
	}
}

// rewardFields returns the offsets of those bytes of an encoded reward that are
// not the same for all rewards: height, the miner's own, amount, recipient and
// its length, commitment.
func rewardFields(r *Reward) (offsets []int) {
	at := 0
	skip := func(n int) { at += n }
	take := func(n int) {
		for range n {
			offsets = append(offsets, at)
			at++
		}
	}
	skip(4 + 1 + 36)
	take(1) // length of the script; a change is caught by what follows
	skip(1)
	take(4 + len(r.Extra))
	skip(4 + 1)
	take(8)
	take(1 + len(r.Recipient))
	skip(8 + 1 + 2)
	take(32)
	skip(4)
	if at != r.Size() {
		panic("rewardFields is wrong")
	}
	return offsets
}

func TestRewardRefuses(t *testing.T) {
	// The parts of a reward, of which each case changes one.
	parts := func() [][]byte {
		return [][]byte{
			{1, 0, 0, 0},             // 0 version
			{1},                      // 1 inputs
			nullOutpoint[:],          // 2 outpoint
			{7},                      // 3 length of the script
			{4, 9, 0, 0, 0},          // 4 push of the height
			{0xaa, 0xbb},             // 5 the miner's own
			{0xff, 0xff, 0xff, 0xff}, // 6 sequence
			{2},                      // 7 outputs
			{5, 0, 0, 0, 0, 0, 0, 0}, // 8 amount
			{3}, []byte("ann"),       // 9, 10 recipient
			make([]byte, 8),  // 11 amount of the commitment's output
			{34, 0x6a, 0x20}, // 12 its script
			make([]byte, 32), // 13 commitment
			{0, 0, 0, 0},     // 14 lock time
		}
	}
	good, err := DecodeReward(slices.Concat(parts()...))
	want := Reward{Height: 9, Extra: []byte{0xaa, 0xbb}, Amount: 5, Recipient: "ann"}
	if err != nil || !cmp.Equal(good, want) {
		t.Fatalf("decodes to %+v, %v", good, err)
	}
	for _, c := range []struct {
		name    string
		changes map[int][]byte
	}{
		{"a transfer's version", map[int][]byte{0: {2, 0, 0, 0}}},
		{"version with high bits", map[int][]byte{0: {1, 0, 0, 1}}},
		{"no input", map[int][]byte{1: {0}}},
		{"two inputs", map[int][]byte{1: {2}}},
		{"input count not in its shortest form", map[int][]byte{1: {0xfd, 1, 0}}},
		{"an outpoint that exists", map[int][]byte{2: append([]byte{1}, nullOutpoint[1:]...)}},
		{"outpoint index 0", map[int][]byte{2: make([]byte, 36)}},
		{"script without the height", map[int][]byte{3: {0}, 4: {}, 5: {}}},
		{"script with half the height", map[int][]byte{3: {4}, 4: {4, 9, 0, 0}, 5: {}}},
		{"push of 3 bytes", map[int][]byte{4: {3, 9, 0, 0, 0}}},
		{"push of 5 bytes", map[int][]byte{4: {5, 9, 0, 0, 0}}},
		{"61 bytes of the miner's own", map[int][]byte{3: {66}, 5: make([]byte, 61)}},
		{"script length not in its shortest form", map[int][]byte{3: {0xfd, 7, 0}}},
		{"another sequence", map[int][]byte{6: {0xfe, 0xff, 0xff, 0xff}}},
		{"one output", map[int][]byte{7: {1}}},
		{"three outputs", map[int][]byte{7: {3}}},
		{"recipient's length not in its shortest form", map[int][]byte{9: {0xfd, 3, 0}}},
		{"a recipient of 253 bytes", map[int][]byte{9: {0xfd}, 10: make([]byte, 253)}},
		{"256 bytes in all", map[int][]byte{9: {146}, 10: make([]byte, 146)}},
		{"an amount beside the commitment", map[int][]byte{11: {1, 0, 0, 0, 0, 0, 0, 0}}},
		{"script of the commitment of 33 bytes", map[int][]byte{12: {33, 0x6a, 0x20}}},
		{"another operation", map[int][]byte{12: {34, 0x6b, 0x20}}},
		{"a push of 31 bytes", map[int][]byte{12: {34, 0x6a, 0x1f}}},
		{"a lock time", map[int][]byte{14: {1, 0, 0, 0}}},
	} {
		p := parts()
		for i, b := range c.changes {
			p[i] = b
		}
		if err := decodeReward(slices.Concat(p...)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", c.name, err)
		}
	}
}

// MaxRewardSize holds to the byte.
func TestRewardSizeLimit(t *testing.T) {
	for _, extra := range []int{0, MaxExtra} {
		r := Reward{Extra: make([]byte, extra)}
		r.Recipient = Account(make([]byte, MaxRewardSize-r.Size()))
		if r.Size() != MaxRewardSize {
			t.Fatal("the test is wrong")
		}
		if err := decodeReward(r.Append(nil)); err != nil {
			t.Errorf("%d bytes: %v", r.Size(), err)
		}
		r.Recipient += "x"
		if err := decodeReward(r.Append(nil)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: error %v, want ErrMalformed", r.Size(), err)
		}
	}
}

func TestRewardAppendPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a reward with 61 bytes of the miner's own was written")
		}
	}()
	(&Reward{Extra: make([]byte, MaxExtra+1)}).Append(nil)
}

func FuzzDecodeReward(f *testing.F) {
	for _, c := range readVectors(f).Rewards {
		f.Add([]byte(c.Encoding))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeReward(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v, want ErrMalformed", err)
			}
			return
		}
		if again := r.Append(nil); !bytes.Equal(again, data) {
			t.Errorf("%x encodes to %x", data, again)
		}
		if r.Size() != len(data) || len(data) > MaxRewardSize || len(r.Extra) > MaxExtra {
			t.Errorf("size %d, of %d bytes, %d the miner's own", r.Size(), len(data), len(r.Extra))
		}
		if r.ID() != Sum(data) {
			t.Error("ID is not the hash of the encoding")
		}
	})
}
