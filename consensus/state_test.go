package consensus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/history"
	"cairn/types"
)

var (
	goldenState = State{
		Hash:     types.Hash{0: 0x01, 31: 0x02},
		Previous: types.Hash{0: 0x03, 31: 0x04},
		Height:   0x08070605,
		Time:     0x0c0b0a09,
		Bits:     0x100f0e0d,
		Base:     0x14131211,
		Work:     Work{0x1c1b1a1918171615, 0, 0, 0x24232221201f1e1d},
	}
	goldenStateBytes = "01" + zeros(30) + "02" + "03" + zeros(30) + "04" +
		"05060708" + "090a0b0c" + "0d0e0f10" + "11121314" + "15161718191a1b1c" + zeros(16) + "1d1e1f2021222324"
)

func zeros(n int) string { return hex.EncodeToString(make([]byte, n)) }

func TestStateEncoding(t *testing.T) {
	b := goldenState.Encode()
	if got := hex.EncodeToString(b[:]); got != goldenStateBytes {
		t.Errorf("the state encodes to\n%s, want\n%s", got, goldenStateBytes)
	}
	if got, err := DecodeState(b[:]); err != nil || got != goldenState {
		t.Errorf("DecodeState = %+v, %v; want %+v", got, err, goldenState)
	}
	for _, b := range [][]byte{nil, b[:StateSize-1], append(b[:], 0)} {
		if _, err := DecodeState(b); !errors.Is(err, types.ErrMalformed) {
			t.Errorf("DecodeState of %d bytes: %v, want ErrMalformed", len(b), err)
		}
	}
}

func TestHistoryLeaf(t *testing.T) {
	want := history.Leaf{
		Hash:     goldenState.Hash,
		Height:   goldenState.Height,
		Time:     goldenState.Time,
		NextBase: goldenState.Base,
		Work:     goldenState.Work.LittleEndian(),
	}
	if diff := cmp.Diff(want, goldenState.HistoryLeaf()); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecodeState(f *testing.F) {
	b := goldenState.Encode()
	f.Add(b[:])
	f.Add(b[1:])
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeState(data)
		if err != nil {
			if len(data) == StateSize {
				t.Fatal(err)
			}
			return
		}
		if again := s.Encode(); !bytes.Equal(again[:], data) {
			t.Fatalf("%x encodes to %x", data, again)
		}
	})
}
