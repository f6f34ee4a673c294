package consensus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"cairn/types"

	"github.com/google/go-cmp/cmp"
)

const most = types.MaxAmount

func TestApplyTransfer(t *testing.T) {
	for _, c := range []struct {
		limit, least uint64
		before       Balances
		recipient    types.Account
		amount, fee  uint64
		want         error
		after        Balances
	}{
		{0, 0, Balances{"a": 10, "b": 0}, "b", 7, 3, nil, Balances{"a": 0, "b": 7}},
		{0, 0, Balances{"a": 10, "b": 0}, "b", 8, 3, ErrInsufficient, nil},
		{0, 0, Balances{"a": 10, "b": 0}, "b", 0, 11, ErrInsufficient, nil},
		{0, 0, Balances{"a": 0, "b": 0}, "b", 0, 0, nil, Balances{"a": 0, "b": 0}},
		{50, 0, Balances{"a": 10, "b": 0}, "b", 60, 0, nil, Balances{"a": -50, "b": 60}},
		{50, 0, Balances{"a": 10, "b": 0}, "b", 60, 1, ErrInsufficient, nil},
		{50, 0, Balances{"a": 10, "b": -50}, "b", 20, 0, nil, Balances{"a": -10, "b": -30}},
		{most, 0, Balances{"a": 0, "b": 0}, "b", most, 0, nil, Balances{"a": -most, "b": most}},
		{most, 0, Balances{"a": -1, "b": 0}, "b", most, 0, ErrInsufficient, nil},
		{most, 0, Balances{"a": most, "b": -most}, "b", most, 0, nil, Balances{"a": 0, "b": 0}},

		// The sender has its balance before the recipient gets anything.
		{0, 0, Balances{"a": 10}, "a", 7, 3, nil, Balances{"a": 7}},
		{0, 0, Balances{"a": 10}, "a", 8, 3, ErrInsufficient, nil},
		{0, 0, Balances{"a": most}, "a", most, 0, nil, Balances{"a": most}},
		{most, 0, Balances{"a": most}, "a", 0, most, nil, Balances{"a": 0}},

		{most, 0, Balances{"a": 0, "b": 1}, "b", most - 1, 0, nil, Balances{"a": 1 - most, "b": most}},
		{most, 0, Balances{"a": 0, "b": 2}, "b", most - 1, 0, ErrBalanceLimit, nil},
		{most, 0, Balances{"a": 0, "b": most}, "b", 1, 0, ErrBalanceLimit, nil},
		{most, 0, Balances{"a": 0, "b": most}, "b", 0, 1, nil, Balances{"a": -1, "b": most}},

		{0, 5, Balances{"a": 20, "b": 0}, "b", 5, 10, nil, Balances{"a": 5, "b": 5}},
		{0, 5, Balances{"a": 20, "b": 0}, "b", 5, 11, ErrMinBalance, nil},
		{0, 5, Balances{"a": 20, "b": 0}, "b", 4, 0, ErrMinBalance, nil},
		{0, 5, Balances{"a": 20, "b": 0}, "b", 20, 0, nil, Balances{"a": 0, "b": 20}},
		{9, 5, Balances{"a": 0, "b": -9}, "b", 9, 0, nil, Balances{"a": -9, "b": 0}},
		{9, 5, Balances{"a": 5, "b": -4}, "b", 5, 0, ErrMinBalance, nil},
		{0, 5, Balances{"a": 5}, "a", 5, 1, ErrInsufficient, nil},
		{0, 5, Balances{"a": 5}, "a", 1, 1, ErrMinBalance, nil}, // only what is left at the end counts
		{0, 5, Balances{"a": 6}, "a", 5, 1, nil, Balances{"a": 5}},
		// Dust that came from a reward stays until a transfer touches it.
		{0, 5, Balances{"a": 20, "b": 3}, "b", 1, 0, ErrMinBalance, nil},
		{0, 5, Balances{"a": 20, "b": 3}, "b", 2, 0, nil, Balances{"a": 18, "b": 5}},
		{0, 5, Balances{"a": 3, "b": 5}, "b", 2, 1, nil, Balances{"a": 0, "b": 7}},
	} {
		rules := &Rules{CreditLimit: c.limit, MinBalance: c.least}
		b := maps.Clone(c.before)
		transfer := &types.Transfer{Sender: "a", Recipient: c.recipient, Amount: c.amount, Fee: c.fee}
		err := rules.ApplyTransfer(b, transfer)
		if c.after == nil {
			c.after = c.before
		}
		if !errors.Is(err, c.want) || err == nil != (c.want == nil) || !maps.Equal(b, c.after) {
			t.Errorf("limit %d, least %d: %v sends %d to %s with fee %d: %v, %v; not %v, %v",
				c.limit, c.least, c.before, c.amount, c.recipient, c.fee, b, err, c.after, c.want)
		}
	}
}

func TestMissingBalancePanics(t *testing.T) {
	for _, b := range []Balances{{}, {"a": 5}, {"b": 5}} {
		func() {
			before := maps.Clone(b)
			defer func() {
				if said := fmt.Sprint(recover()); !strings.Contains(said, "not supplied") || !maps.Equal(b, before) {
					t.Errorf("%v: %s", b, said)
				}
			}()
			_ = new(Rules).ApplyTransfer(b, &types.Transfer{Sender: "a", Recipient: "b"})
		}()
	}
}

// bodyOf makes a body that has not been checked, which ApplyBody does not ask
// for.
func bodyOf(recipient types.Account, amount uint64, transfers ...types.Transfer) *Body {
	block := &types.Block{
		Reward:    types.Reward{Height: 1, Recipient: recipient, Amount: amount},
		Transfers: transfers,
	}
	return &Body{Height: 1, Block: block, Layout: LayOut(block)}
}

// change is what a block does to an account.
func change(a types.Account, before, after int64) Change { return Change{NewParty(a), before, after} }

// supplement returns the balances of a body's parties.
func (b Balances) supplement(body *Body) []int64 {
	balances := make([]int64, len(body.Parties))
	for i, p := range body.Parties {
		balances[i] = b.of(p.Account)
	}
	return balances
}

func TestApplyBody(t *testing.T) {
	transfer := func(sender, recipient types.Account, amount, fee uint64) types.Transfer {
		return types.Transfer{Sender: sender, Recipient: recipient, Amount: amount, Fee: fee}
	}
	for _, c := range []struct {
		name   string
		limit  uint64
		before Balances
		body   *Body
		want   error
		after  []Change
	}{
		{"only a reward", 0, Balances{"m": 0}, bodyOf("m", 50), nil, []Change{change("m", 0, 50)}},
		{"in order", 0, Balances{"a": 10, "b": 0, "c": 0, "m": 1},
			bodyOf("m", 53, transfer("a", "b", 9, 1), transfer("b", "c", 7, 2)), nil,
			[]Change{change("a", 10, 0), change("c", 0, 7), change("m", 1, 54)}},
		{"out of order", 0, Balances{"a": 10, "b": 0, "c": 0, "m": 1},
			bodyOf("m", 53, transfer("b", "c", 7, 2), transfer("a", "b", 9, 1)), ErrInsufficient, nil},
		{"the reward comes last", 0, Balances{"a": 0, "m": 0}, bodyOf("m", 50, transfer("m", "a", 50, 0)), ErrInsufficient, nil},
		{"the reward is no transfer, so it may be dust", 0, Balances{"a": 10, "m": -48},
			bodyOf("m", 50), nil, []Change{change("m", -48, 2)}},
		{"the reward leaves no room for a transfer, but comes after it", most, Balances{"a": 0, "m": most - 50},
			bodyOf("m", 50, transfer("a", "m", 50, 0)), nil, []Change{change("a", 0, -50), change("m", most-50, most)}},
		{"a full recipient", 0, Balances{"m": most}, bodyOf("m", 50), nil, []Change{}},
		{"a recipient in debt", most, Balances{"m": -most}, bodyOf("m", 50), nil, []Change{change("m", -most, 50-most)}},
		{"too much", 0, Balances{"a": 10, "b": 0, "m": 0}, bodyOf("m", 51, transfer("a", "b", 5, 0)), ErrRewardAmount, nil},
		{"too little", 0, Balances{"a": 11, "b": 0, "m": 0}, bodyOf("m", 50, transfer("a", "b", 5, 1)), ErrRewardAmount, nil},
		{"a bad one after a good one", 0, Balances{"a": 10, "b": 0, "m": 0},
			bodyOf("m", 50, transfer("a", "b", 5, 0), transfer("a", "b", 6, 0)), ErrInsufficient, nil},
		{"fees up to the most", most, Balances{"a": 0, "m": 0}, bodyOf("m", most, transfer("a", "m", 0, most-50)), nil,
			[]Change{change("a", 0, 50-most), change("m", 0, most)}},
		{"fees above the most", most, Balances{"a": 0, "m": 0}, bodyOf("m", most+1, transfer("a", "m", 0, most-49)), ErrRewardAmount, nil},
	} {
		r := testRules(false)
		r.Reward, r.MinBalance, r.CreditLimit = 50, 5, c.limit
		rules := mustRules(r)
		balances := c.before.supplement(c.body)
		before := slices.Clone(balances)
		changes, err := rules.ApplyBody(balances, c.body)
		slices.SortFunc(c.after, func(a, b Change) int { return bytes.Compare(a.Key[:], b.Key[:]) })
		if !errors.Is(err, c.want) || err == nil != (c.want == nil) || !cmp.Equal(changes, c.after) {
			t.Errorf("%s: %v, %v; not %v, %v", c.name, changes, err, c.after, c.want)
		}
		if !slices.Equal(balances, before) {
			t.Errorf("%s: the balances before became %v", c.name, balances)
		}
	}
}

// The sum of enough fees, each of them valid, is a small number again in 64 bits.
func TestFeesDoNotWrapAround(t *testing.T) {
	r := testRules(false)
	r.CreditLimit = most
	rules := mustRules(r)
	const n = 1 << 11
	body := bodyOf("m", 0)
	b := Balances{"m": 0}
	sum := rules.Subsidy(1)
	for i := range n {
		sender := types.Account(fmt.Sprint(i))
		b[sender] = 0
		body.Block.Transfers = append(body.Block.Transfers, types.Transfer{Sender: sender, Recipient: "m", Fee: most})
		sum += most
	}
	if body.Block.Reward.Amount = sum; sum > most {
		t.Fatalf("the sum is %d", sum)
	}
	body.Layout = LayOut(body.Block)
	if _, err := rules.ApplyBody(b.supplement(body), body); !errors.Is(err, ErrRewardAmount) {
		t.Error(err)
	}
	if _, err := AddFee(math.MaxUint64, 1); !errors.Is(err, ErrRewardAmount) {
		t.Error(err)
	}
}

func TestLayOut(t *testing.T) {
	body := bodyOf("b", 0, types.Transfer{Sender: "d", Recipient: "a"}, types.Transfer{Sender: "a", Recipient: "c"}, types.Transfer{Sender: "b", Recipient: "b"})
	want := []Party{NewParty("a"), NewParty("b"), NewParty("c"), NewParty("d")}
	slices.SortFunc(want, func(a, b Party) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	if !slices.Equal(body.Parties, want) {
		t.Errorf("%v, not %v", body.Parties, want)
	}
	var named []types.Account
	for _, place := range body.places {
		named = append(named, body.Parties[place].Account)
	}
	if want := []types.Account{"d", "a", "a", "c", "b", "b", "b"}; !slices.Equal(named, want) {
		t.Errorf("%v, not %v", named, want)
	}
}

func TestCommitment(t *testing.T) {
	var a, h [32]byte
	for i := range a {
		a[i], h[i] = 0xaa, 0xbb
	}
	got := Commitment(a, h)
	if hex.EncodeToString(got[:]) != "04c40c407d0b8e75490b48318e69a78201da5c014242710444eb279b8b7cffef" {
		t.Errorf("%x", got)
	}
	body := bodyOf("m", 0)
	body.Block.Reward.Commitment = got
	if err := new(Rules).CheckCommitment(body, a, h); err != nil {
		t.Error(err)
	}
	if err := new(Rules).CheckCommitment(body, h, a); !errors.Is(err, ErrCommitment) {
		t.Error(err)
	}
}

func TestCheckReplay(t *testing.T) {
	for _, c := range []struct {
		lifetime, height, earlier uint32
		replay                    bool
	}{
		{1, 11, 10, true},
		{1, 12, 10, false},
		{5, 15, 10, true},
		{5, 16, 10, false},
		{1_000_000, math.MaxUint32, math.MaxUint32 - 1, true},
		{1_000_000, math.MaxUint32, math.MaxUint32 - 1_000_000, true},
		{1_000_000, math.MaxUint32, math.MaxUint32 - 1_000_001, false},
	} {
		err := CheckReplay(&types.Transfer{}, c.lifetime, c.height, c.earlier)
		if errors.Is(err, ErrReplay) != c.replay {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
