package wallet

import (
	"errors"
	"strings"
	"testing"

	"cairn/consensus"
	"cairn/types"
)

func TestBuild(t *testing.T) {
	rules, from, to := network(t, "summit"), stranger(t, 0), stranger(t, 1)
	tr, err := Build(rules, from, to, 5, 2, "Grüße", 77)
	if err != nil {
		t.Fatal(err)
	}
	want := types.Transfer{Sender: from, Recipient: to, Amount: 5, Fee: 2, Expiry: 77, Memo: "Grüße", Salt: tr.Salt}
	if tr != want {
		t.Errorf("Build = %+v, want %+v", tr, want)
	}
	again, err := Build(rules, from, to, 5, 2, "Grüße", 77)
	if err != nil || again.Salt == tr.Salt {
		t.Errorf("the salt came twice: %d, %v", again.Salt, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	rules, from, to := network(t, "summit"), stranger(t, 0), stranger(t, 1)
	for name, c := range map[string]struct {
		from, to    types.Account
		amount, fee uint64
		memo        string
		expiry      uint32
		want        error
	}{
		"long memo":      {from, to, 1, 1, strings.Repeat("a", 256), 1, ErrMemo},
		"memo no text":   {from, to, 1, 1, "\xff", 1, ErrMemo},
		"longest memo":   {from, to, 1, 1, strings.Repeat("a", 255), 1, nil},
		"amount":         {from, to, types.MaxAmount + 1, 1, "", 1, consensus.ErrAmount},
		"fee":            {from, to, 1, types.MaxAmount + 1, "", 1, consensus.ErrFee},
		"sum":            {from, to, types.MaxAmount, 1, "", 1, consensus.ErrSum},
		"all there is":   {from, to, types.MaxAmount, 0, "", 1, nil},
		"no height":      {from, to, 1, 1, "", 0, consensus.ErrExpired},
		"last height":    {from, to, 1, 1, "", 1<<32 - 1, nil},
		"system sends":   {types.System, to, 1, 1, "", 1, consensus.ErrSystemAccount},
		"system gets":    {from, types.System, 1, 1, "", 1, consensus.ErrSystemAccount},
		"name for key":   {from, "shop", 1, 1, "", 1, consensus.ErrAccount},
		"anyone's key":   {from, types.Account(make([]byte, 32)), 1, 1, "", 1, consensus.ErrSmallOrder},
		"nothing at all": {from, from, 0, 0, "", 1, nil},
	} {
		if _, err := Build(rules, c.from, c.to, c.amount, c.fee, c.memo, c.expiry); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
