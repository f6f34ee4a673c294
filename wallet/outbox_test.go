package wallet

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/consensus"
	"cairn/types"
)

func TestOutbox(t *testing.T) {
	w := create(t, goldenText)
	one, two := signed(t, w, "one"), signed(t, w, "two")
	for _, tr := range []types.Transfer{one, two, one} {
		if err := w.Remember(tr); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]types.Transfer{one, two}, w.Outbox()); diff != "" {
		t.Error(diff)
	}
	checkReopened(t, w)
	if w.outbox[0].sent < 1_700_000_000 {
		t.Errorf("it was sent at %d", w.outbox[0].sent)
	}
	for _, id := range []types.Hash{one.ID(), one.ID(), {}} {
		if err := w.Forget(id); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]types.Transfer{two}, w.Outbox()); diff != "" {
			t.Error(diff)
		}
	}
	checkReopened(t, w)
}

func TestRememberRefuses(t *testing.T) {
	w := create(t, goldenText)
	good := signed(t, w, "")
	for name, c := range map[string]struct {
		change func(t *types.Transfer)
		want   error
	}{
		"not signed":       {func(t *types.Transfer) { t.Signature = [types.SignatureSize]byte{} }, consensus.ErrSignature},
		"another amount":   {func(t *types.Transfer) { t.Amount++ }, consensus.ErrSignature},
		"never valid":      {func(t *types.Transfer) { t.Fee = 1 << 60 }, consensus.ErrFee},
		"memo is too long": {func(t *types.Transfer) { t.Memo = string(make([]byte, 256)) }, ErrMemo},
	} {
		bad := good
		c.change(&bad)
		if err := w.Remember(bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if n := len(w.Outbox()); n != 0 {
		t.Errorf("%d transfers are in the outbox", n)
	}
}
