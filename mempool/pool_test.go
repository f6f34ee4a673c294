package mempool

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/consensus"
	"cairn/types"
)

// testRules are those of dev, but money must be had before it is spent.
func testRules(t testing.TB) *consensus.Rules {
	t.Helper()
	r := *consensus.Dev()
	r.CreditLimit, r.TxLifetime = 0, 1000
	rules, err := consensus.NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// pay makes the entry of a transfer from a to b that expires at height 100.
func pay(seq, salt uint64, from, to types.Account, amount, fee uint64) Entry {
	t := &types.Transfer{Sender: from, Recipient: to, Amount: amount, Fee: fee, Expiry: 100, Salt: salt}
	return Entry{ID: t.ID(), Transfer: t, Seq: seq, Answered: 7}
}

func rich(types.Account) int64 { return 1_000_000 }

func mustAdd(t testing.TB, p *Pool, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if _, _, err := p.Add(e, 10, rich); err != nil {
			t.Fatal(err)
		}
	}
}

// seqs are the arrival numbers of entries: their names in these tests.
func seqs[E Entry | *Entry](entries []E) (out []uint64) {
	for _, e := range entries {
		switch e := any(e).(type) {
		case Entry:
			out = append(out, e.Seq)
		case *Entry:
			out = append(out, e.Seq)
		}
	}
	return out
}

func bestSeqs(p *Pool) (out []uint64) {
	for e := range p.Snapshot().Best() {
		out = append(out, e.Seq)
	}
	return out
}

func wantSeqs(t *testing.T, what string, got []uint64, want ...uint64) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestOrderIsFeePerByteThenArrival(t *testing.T) {
	p := New(testRules(t), Limits{})
	long := pay(4, 4, "a", "b", 1, 300)
	long.Transfer.Memo = string(make([]byte, 200)) // 309 bytes: a higher fee, a lower rate than 2
	long.ID = long.Transfer.ID()
	mustAdd(t, p,
		pay(0, 0, "a", "b", 1, 0),
		pay(1, 1, "a", "b", 1, 200),
		pay(2, 2, "a", "b", 1, 110), // 109 bytes
		pay(3, 3, "a", "b", 1, 200),
		long,
		pay(5, 5, "a", "b", 1, 0),
	)
	wantSeqs(t, "order", bestSeqs(p), 1, 3, 2, 4, 0, 5)
}

func TestOrderIsExactAtTheLargestFees(t *testing.T) {
	// As 64-bit floats both rates are the same.
	a := pay(1, 1, "a", "b", 0, types.MaxAmount-1)
	b := pay(2, 2, "a", "b", 0, types.MaxAmount)
	a.Size, b.Size = 490, 490
	if !better(rated(&b), rated(&a)) || better(rated(&a), rated(&b)) {
		t.Error("one base unit of 2^53 does not count")
	}
}

func TestAddRefuses(t *testing.T) {
	rules := testRules(t)
	balance := func(a types.Account) int64 {
		return map[types.Account]int64{"a": 100, "b": 50, "huge": types.MaxAmount}[a]
	}
	with := func(e Entry, change func(*types.Transfer)) Entry {
		change(e.Transfer)
		e.ID = e.Transfer.ID()
		return e
	}
	first := with(pay(1, 1, "a", "b", 40, 20), func(t *types.Transfer) { t.Memo = "memo" })
	for _, c := range []struct {
		name string
		e    Entry
		want error
	}{
		{"the same again", first, ErrKnown},
		{"same salt, same fee, higher rate", pay(2, 1, "a", "c", 40, 20), ErrConflict},
		{"same salt, lower fee", pay(2, 1, "a", "c", 40, 19), ErrConflict},
		{"same salt, higher fee, lower rate", with(pay(2, 1, "a", "c", 40, 21),
			func(t *types.Transfer) { t.Memo = "twenty bytes of memo" }), ErrConflict},
		{"more than is left", pay(2, 2, "a", "b", 20, 21), consensus.ErrInsufficient},
		{"pending income does not count", pay(2, 2, "b", "c", 51, 0), consensus.ErrInsufficient},
		{"a replacement that costs more than there is", pay(2, 1, "a", "b", 75, 26), consensus.ErrInsufficient},
		{"recipient would hold too much", pay(2, 2, "a", "huge", 1, 0), consensus.ErrBalanceLimit},
		{"expired", with(pay(2, 2, "a", "b", 1, 1), func(t *types.Transfer) { t.Expiry = 9 }), consensus.ErrExpired},
		{"expires too far ahead", with(pay(2, 2, "a", "b", 1, 1), func(t *types.Transfer) { t.Expiry = 1011 }), consensus.ErrExpiryTooFar},
		{"from the system", pay(2, 2, "0", "b", 1, 1), consensus.ErrSystemAccount},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New(rules, Limits{})
			if _, _, err := p.Add(first, 10, balance); err != nil {
				t.Fatal(err)
			}
			if _, _, err := p.Add(c.e, 10, balance); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			wantSeqs(t, "pool after the error", bestSeqs(p), 1)
			if got := p.Outgoing("a").Amount(); got != 60 {
				t.Errorf("outgoing %d after the error, want 60", got)
			}
		})
	}
}

func TestReplacementCreditsBackWhatItReplaces(t *testing.T) {
	p := New(testRules(t), Limits{})
	balance := func(types.Account) int64 { return 100 }
	add := func(e Entry) []Entry {
		t.Helper()
		evicted, replaced, err := p.Add(e, 10, balance)
		if err != nil || evicted != nil {
			t.Fatal(evicted, err)
		}
		return replaced
	}
	add(pay(1, 1, "a", "b", 70, 10))
	wantSeqs(t, "replaced", seqs(add(pay(2, 1, "a", "c", 89, 11))), 1)
	if got := p.Outgoing("a").Amount(); got != 100 {
		t.Errorf("outgoing %d, want 100", got)
	}
	// Paying oneself nothing at a higher fee cancels what was pending.
	wantSeqs(t, "replaced", seqs(add(pay(3, 1, "a", "a", 0, 12))), 2)
	if e, ok := p.BySalt("a", 1); !ok || e.Seq != 3 || p.Len() != 1 {
		t.Errorf("left %v, %d transfers", e, p.Len())
	}
}

func TestOneAccountMaySpendAllItHas(t *testing.T) {
	p := New(testRules(t), Limits{})
	balance := func(a types.Account) int64 { return map[types.Account]int64{"a": 30}[a] }
	for i := range uint64(3) {
		if _, _, err := p.Add(pay(i, i, "a", "b", 9, 1), 10, balance); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := p.Add(pay(3, 3, "a", "b", 0, 1), 10, balance); !errors.Is(err, consensus.ErrInsufficient) {
		t.Errorf("error %v, want %v", err, consensus.ErrInsufficient)
	}
	p.Remove(pay(1, 1, "a", "b", 9, 1).ID)
	if _, _, err := p.Add(pay(3, 3, "a", "b", 0, 10), 10, balance); err != nil {
		t.Error(err)
	}
}

func TestFullPoolPutsOutTheCheapest(t *testing.T) {
	p := New(testRules(t), Limits{Transfers: 3})
	mustAdd(t, p, pay(1, 1, "a", "b", 1, 30), pay(2, 2, "a", "b", 1, 10), pay(3, 3, "a", "b", 1, 10))
	if _, _, err := p.Add(pay(4, 4, "a", "b", 1, 10), 10, rich); !errors.Is(err, ErrFull) {
		t.Errorf("error %v, want %v: it pays as much and came later", err, ErrFull)
	}
	wantSeqs(t, "after the refusal", bestSeqs(p), 1, 2, 3)
	evicted, _, err := p.Add(pay(5, 5, "a", "b", 1, 11), 10, rich)
	if err != nil {
		t.Fatal(err)
	}
	wantSeqs(t, "evicted", seqs(evicted), 3)
	wantSeqs(t, "after", bestSeqs(p), 1, 5, 2)
	// What replaces another needs no room.
	if evicted, _, err = p.Add(pay(6, 2, "a", "b", 1, 12), 10, rich); err != nil || evicted != nil {
		t.Errorf("evicted %v, %v", seqs(evicted), err)
	}
	wantSeqs(t, "after", bestSeqs(p), 1, 6, 5)
}

func TestFullPoolPutsOutAsManyBytesAsNeeded(t *testing.T) {
	small := memory(pay(1, 1, "a", "b", 1, 10).Transfer)
	p := New(testRules(t), Limits{Bytes: 4 * small})
	mustAdd(t, p, pay(1, 1, "a", "b", 1, 10), pay(2, 2, "a", "b", 1, 11), pay(3, 3, "a", "b", 1, 12), pay(4, 4, "a", "b", 1, 900))
	big := pay(5, 5, "a", "b", 1, 800)
	big.Transfer.Memo = string(make([]byte, 255))
	big.ID = big.Transfer.ID()
	evicted, _, err := p.Add(big, 10, rich)
	if err != nil {
		t.Fatal(err)
	}
	wantSeqs(t, "evicted", seqs(evicted), 1, 2)
	wantSeqs(t, "after", bestSeqs(p), 4, 5, 3)
	// Putting out all that is cheaper would not make room: so nothing leaves.
	name := types.Account(strings.Repeat("n", 64))
	bigger := pay(6, 6, name, name, 1, 100)
	bigger.Transfer.Memo = big.Transfer.Memo
	bigger.ID = bigger.Transfer.ID()
	p.Remove(pay(3, 3, "a", "b", 1, 12).ID)
	mustAdd(t, p, pay(7, 7, "a", "b", 1, 1))
	if evicted, _, err := p.Add(bigger, 10, rich); !errors.Is(err, ErrFull) || evicted != nil {
		t.Errorf("evicted %v, %v", seqs(evicted), err)
	}
	wantSeqs(t, "after the refusal", bestSeqs(p), 4, 5, 7)
}

func TestReplacementThatNeedsRoom(t *testing.T) {
	small := memory(pay(1, 1, "a", "b", 1, 10).Transfer)
	p := New(testRules(t), Limits{Bytes: 3 * small})
	mustAdd(t, p, pay(1, 1, "a", "b", 1, 2), pay(2, 2, "a", "b", 1, 1), pay(3, 3, "a", "b", 1, 900))
	long := pay(4, 2, "a", "b", 1, 800)
	long.Transfer.Memo = string(make([]byte, 255))
	long.ID = long.Transfer.ID()
	evicted, replaced, err := p.Add(long, 10, rich)
	if err != nil {
		t.Fatal(err)
	}
	wantSeqs(t, "replaced, though it is the cheapest", seqs(replaced), 2)
	wantSeqs(t, "evicted", seqs(evicted), 1)
	wantSeqs(t, "after", bestSeqs(p), 3, 4)
	if want := 2*small + 256; p.Bytes() != want {
		t.Errorf("%d bytes, want %d", p.Bytes(), want)
	}
}

func TestExpire(t *testing.T) {
	p := New(testRules(t), Limits{})
	for i := range uint64(10) {
		e := pay(i, i, "a", "b", 1, 10-i)
		e.Transfer.Expiry = 20 + uint32(i)/2
		e.ID = e.Transfer.ID()
		mustAdd(t, p, e)
	}
	wantSeqs(t, "at the height of the first expiry", seqs(p.Expire(20)))
	wantSeqs(t, "two later", seqs(p.Expire(22)), 0, 1, 2, 3)
	wantSeqs(t, "left", bestSeqs(p), 4, 5, 6, 7, 8, 9)
}

func TestCoverTakesOutTheCheapestThatNothingPays(t *testing.T) {
	p := New(testRules(t), Limits{})
	mustAdd(t, p,
		pay(1, 1, "a", "b", 10, 3), pay(2, 2, "a", "b", 10, 1), pay(3, 3, "a", "b", 10, 2),
		pay(4, 4, "aa", "b", 10, 0), pay(5, 5, "A", "b", 10, 0))
	wantSeqs(t, "all covered", seqs(p.Cover("a", 36)))
	wantSeqs(t, "one not", seqs(p.Cover("a", 35)), 2)
	wantSeqs(t, "overdrawn", seqs(p.Cover("a", -5)), 1, 3)
	wantSeqs(t, "other accounts stay", bestSeqs(p), 4, 5)
	if p.Outgoing("a").Amount() != 0 || p.Outgoing("aa").Amount() != 10 {
		t.Error("outgoing sums", p.Outgoing("a").Amount(), p.Outgoing("aa").Amount())
	}
}

func TestRestoredNeedsNoCover(t *testing.T) {
	p := New(testRules(t), Limits{})
	if _, _, err := p.Restore(pay(1, 1, "a", "b", 5000, 0), 10); err != nil {
		t.Fatal(err)
	}
	poor := func(types.Account) int64 { return 5001 }
	if _, _, err := p.Add(pay(2, 2, "a", "b", 2, 0), 10, poor); !errors.Is(err, consensus.ErrInsufficient) {
		t.Errorf("error %v, want %v: what was restored is set aside as well", err, consensus.ErrInsufficient)
	}
	if _, _, err := p.Add(pay(2, 2, "a", "b", 1, 0), 10, poor); err != nil {
		t.Fatal(err)
	}
	wantSeqs(t, "its own transfer is covered", seqs(p.Cover("a", 1)))
	wantSeqs(t, "it is not", seqs(p.Cover("a", 0)), 2)
	wantSeqs(t, "left", bestSeqs(p), 1)
	late := pay(3, 3, "a", "b", 1, 0)
	if _, _, err := p.Restore(late, 101); !errors.Is(err, consensus.ErrExpired) {
		t.Errorf("error %v, want %v", err, consensus.ErrExpired)
	}
}

func TestSumsOfTheLargestAmounts(t *testing.T) {
	p := New(testRules(t), Limits{})
	const n = 5000 // times 2^53 is more than 64 bits hold
	for i := range uint64(n) {
		if _, _, err := p.Restore(pay(i, i, "a", "b", types.MaxAmount, 0), 10); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := p.Add(pay(n, n, "a", "b", 1, 0), 10, rich); !errors.Is(err, consensus.ErrInsufficient) {
		t.Errorf("error %v, want %v", err, consensus.ErrInsufficient)
	}
	for i := range uint64(n - 1) {
		p.Remove(pay(i, i, "a", "b", types.MaxAmount, 0).ID)
	}
	if got := p.Outgoing("a").Amount(); got != types.MaxAmount {
		t.Errorf("outgoing %d, want %d", got, int64(types.MaxAmount))
	}
}

func TestMinFee(t *testing.T) {
	for _, c := range []struct {
		rate uint64
		size int
		want uint64
	}{
		{0, 300, 0}, {1, 1, 1}, {1000, 190, 190}, {1500, 3, 5}, {1, 1000, 1}, {1, 1001, 2},
		{types.MaxAmount, 1000, types.MaxAmount}, {types.MaxAmount, 1001, types.MaxAmount}, {1 << 63, 490, types.MaxAmount},
	} {
		if got := (Limits{MinFeeRate: c.rate}).MinFee(c.size); got != c.want {
			t.Errorf("at %d for 1,000 bytes, %d bytes cost %d, want %d", c.rate, c.size, got, c.want)
		}
	}
}

func TestLimitsOfTheOperator(t *testing.T) {
	p := New(testRules(t), Limits{MinFeeRate: 1000, PerAccount: 2})
	for _, c := range []struct {
		what string
		e    Entry
		want error
	}{
		{"too little", pay(1, 1, "a", "b", 1, 100), ErrFeeTooLow},
		{"just enough", pay(2, 2, "a", "b", 1, 101), nil},
		{"a second", pay(3, 3, "a", "b", 1, 101), nil},
		{"a third", pay(4, 4, "a", "b", 1, 101), ErrAccountLimit},
		{"in the place of one", pay(5, 3, "a", "b", 1, 120), nil},
		{"of another sender", pay(6, 3, "c", "b", 1, 101), nil},
	} {
		if _, _, err := p.Add(c.e, 10, rich); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	// What was accepted once is not refused after a reorganisation.
	if _, _, err := p.Restore(pay(7, 7, "a", "b", 1, 0), 10); err != nil {
		t.Errorf("restored: %v", err)
	}
	wantSeqs(t, "of a", seqs(p.Of("a", 9)), 2, 5, 7)
}
