package mempool

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"cairn/consensus"
	"cairn/types"
)

// ledger tries entries on balances, as the assembly of a block does.
func ledger(rules *consensus.Rules, b consensus.Balances) func(*Entry) error {
	return func(e *Entry) error {
		for _, a := range []types.Account{e.Transfer.Sender, e.Transfer.Recipient} {
			b[a] += 0 // a block names every account that it touches
		}
		return rules.ApplyTransfer(b, e.Transfer)
	}
}

func mustRestore(t testing.TB, p *Pool, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if _, _, err := p.Restore(e, 10); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSelectPaysOutOfPendingIncome(t *testing.T) {
	rules := testRules(t)
	p := New(rules, Limits{})
	mustRestore(t, p,
		pay(1, 1, "d", "e", 5, 5), // needs 3 or 4
		pay(2, 2, "c", "d", 10, 4),
		pay(3, 3, "c", "d", 10, 3), // nothing left for it
		pay(4, 4, "b", "c", 14, 2),
		pay(5, 5, "a", "b", 20, 1),
	)
	chosen := p.Snapshot().Select(1000, ledger(rules, consensus.Balances{"a": 21}))
	wantSeqs(t, "chosen", seqs(chosen), 5, 4, 2, 1)
}

func TestSelectRetriesWhatItsRecipientPrevented(t *testing.T) {
	r := *testRules(t)
	r.MinBalance = 10
	rules, err := consensus.NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	p := New(rules, Limits{})
	mustRestore(t, p, pay(1, 1, "a", "b", 5, 2), pay(2, 2, "a", "b", 10, 1))
	chosen := p.Snapshot().Select(1000, ledger(rules, consensus.Balances{"a": 100}))
	wantSeqs(t, "chosen", seqs(chosen), 2, 1)
}

func TestSelectFillsTheRoom(t *testing.T) {
	p := New(testRules(t), Limits{})
	long := pay(2, 2, "a", "b", 1, 900)
	long.Transfer.Memo = string(make([]byte, 100))
	long.ID = long.Transfer.ID()
	mustAdd(t, p, pay(1, 1, "a", "b", 1, 900), long, pay(3, 3, "a", "b", 1, 9), pay(4, 4, "a", "b", 1, 8))
	size := pay(1, 1, "a", "b", 1, 900).Transfer.Size()
	for _, c := range []struct {
		room int
		want []uint64
	}{
		{size - 1, nil},
		{size, []uint64{1}},
		{2*size + 99, []uint64{1, 3}}, // one byte too small for the long one
		{2*size + 100, []uint64{1, 2}},
		{4*size + 100, []uint64{1, 2, 3, 4}},
	} {
		chosen := p.Snapshot().Select(c.room, func(*Entry) error { return nil })
		wantSeqs(t, fmt.Sprint("room ", c.room), seqs(chosen), c.want...)
	}
}

func TestSelectIsBounded(t *testing.T) {
	p := New(testRules(t), Limits{})
	const n = 400
	for i := range uint64(n) {
		// 400 that always fail, each waiting for the credits of 400 others.
		mustRestore(t, p, pay(i, i, "poor", "b", 1, 900), pay(n+i, i, "a", "poor", 1, 9))
	}
	attempts := 0
	chosen := p.Snapshot().Select(1_000_000, func(e *Entry) error {
		attempts++
		if e.Transfer.Sender == "poor" {
			return errors.New("never")
		}
		return nil
	})
	if len(chosen) != n || attempts != 2*n+maxRetries {
		t.Errorf("%d chosen after %d attempts; want %d after %d", len(chosen), attempts, n, 2*n+maxRetries)
	}
}

func TestSnapshotStaysAsItWas(t *testing.T) {
	p := New(testRules(t), Limits{})
	for i := range uint64(1000) {
		mustAdd(t, p, pay(i, i, "a", "b", 1, 1000-i))
	}
	s := p.Snapshot()
	for i := range uint64(900) {
		p.Remove(pay(i, i, "a", "b", 1, 1000-i).ID)
	}
	mustAdd(t, p, pay(5000, 5000, "a", "b", 1, 5000))
	next := uint64(0)
	for e := range s.Best() {
		if e.Seq != next {
			t.Fatalf("%d in the place of %d", e.Seq, next)
		}
		next++
	}
	if next != 1000 || s.Len() != 1000 || p.Len() != 101 {
		t.Errorf("snapshot of %d (%d seen), pool of %d", s.Len(), next, p.Len())
	}
}

func TestSelectDoesNotRetryWhatNoLongerFits(t *testing.T) {
	rules := testRules(t)
	p := New(rules, Limits{})
	mustRestore(t, p, pay(1, 1, "b", "c", 5, 5), pay(2, 2, "a", "b", 10, 1))
	room := pay(1, 1, "b", "c", 5, 5).Transfer.Size()
	chosen := p.Snapshot().Select(2*room-1, ledger(rules, consensus.Balances{"a": 100}))
	wantSeqs(t, "chosen", seqs(chosen), 2)
}

func TestSelectGivesUpOnlyAfterManyMisfits(t *testing.T) {
	size := pay(1, 1, "a", "b", 1, 900).Transfer.Size()
	for _, c := range []struct {
		long int // that come between one short transfer and the next
		want []uint64
	}{
		{maxMisfits - 1, []uint64{1_000_000, 2_000_000, 3_000_000}},
		{maxMisfits, []uint64{1_000_000}},
	} {
		p := New(testRules(t), Limits{})
		for i := range uint64(3) {
			mustRestore(t, p, pay((i+1)*1_000_000, (i+1)*1_000_000, "a", "b", 1, 3000-i*1000))
			for j := range uint64(c.long) {
				e := pay(i*10_000+j, i*10_000+j, "a", "b", 1, 0)
				e.Transfer.Memo = string(make([]byte, 255))
				e.Transfer.Fee = (2500 - i*1000) * uint64(e.Transfer.Size()) / uint64(size)
				e.ID = e.Transfer.ID()
				mustRestore(t, p, e)
			}
		}
		chosen := p.Snapshot().Select(3*size, func(*Entry) error { return nil })
		wantSeqs(t, fmt.Sprint(c.long, " long ones between"), seqs(chosen), c.want...)
	}
}

// TestSelectIsValidAndComplete checks that a selection applies from first to last, and
// that nothing which was left behind could be appended to it.
func TestSelectIsValidAndComplete(t *testing.T) {
	rules := testRules(t)
	rapid.Check(t, func(t *rapid.T) {
		p := New(rules, Limits{})
		account := rapid.SampledFrom([]types.Account{"a", "b", "c", "d", "e"})
		for i := range rapid.Uint64Range(0, 60).Draw(t, "transfers") {
			e := pay(i, i, account.Draw(t, "sender"), account.Draw(t, "recipient"),
				rapid.Uint64Range(0, 20).Draw(t, "amount"), rapid.Uint64Range(0, 5).Draw(t, "fee"))
			if _, _, err := p.Restore(e, 10); err != nil {
				t.Fatal(err)
			}
		}
		start := rapid.MapOf(account, rapid.Int64Range(0, 50)).Draw(t, "balances")
		room := rapid.IntRange(0, 8000).Draw(t, "room")
		balances := func() consensus.Balances {
			b := consensus.Balances{"a": 0, "b": 0, "c": 0, "d": 0, "e": 0}
			for a, v := range start {
				b[a] = v
			}
			return b
		}
		chosen := p.Snapshot().Select(room, ledger(rules, balances()))
		again, seen := balances(), map[*Entry]bool{}
		for _, e := range chosen {
			if err := rules.ApplyTransfer(again, e.Transfer); err != nil || seen[e] {
				t.Fatalf("%d chosen twice (%v) or not valid: %v", e.Seq, seen[e], err)
			}
			seen[e] = true
			if room -= e.Size; room < 0 {
				t.Fatal("more than fits")
			}
		}
		for e := range p.Snapshot().Best() {
			if !seen[e] && e.Size <= room && rules.ApplyTransfer(again, e.Transfer) == nil {
				t.Fatalf("%d was left behind", e.Seq)
			}
		}
	})
}

// However many cannot be paid for, a selection ends.
func TestSelectGivesUp(t *testing.T) {
	p := New(testRules(t), Limits{})
	for i := range uint64(maxFailed + 5) {
		if _, _, err := p.Restore(pay(i, i, "poor", "b", 1, 5), 10); err != nil {
			t.Fatal(err)
		}
	}
	tried := 0
	chosen := p.Snapshot().Select(1_000_000, func(*Entry) error { tried++; return errors.New("cannot pay") })
	if len(chosen) > 0 || tried != maxFailed {
		t.Errorf("%d chosen after %d attempts; want none after %d", len(chosen), tried, maxFailed)
	}
}
