package mempool

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cairn/consensus"
	"cairn/types"
)

// twin does what Pool does without any cleverness: a list that is sorted when
// its order matters and summed when a sum matters.
type twin struct {
	limits Limits
	list   []Entry
}

func (w *twin) sort() {
	slices.SortFunc(w.list, func(a, b Entry) int {
		x := new(big.Int).Mul(new(big.Int).SetUint64(a.Transfer.Fee), big.NewInt(int64(b.Transfer.Size())))
		y := new(big.Int).Mul(new(big.Int).SetUint64(b.Transfer.Fee), big.NewInt(int64(a.Transfer.Size())))
		if c := y.Cmp(x); c != 0 {
			return c
		}
		return int(a.Seq) - int(b.Seq)
	})
}

func (w *twin) find(f func(Entry) bool) int { return slices.IndexFunc(w.list, f) }

func (w *twin) outgoing(a types.Account) (sum int64) {
	for _, e := range w.list {
		if e.Transfer.Sender == a {
			sum += int64(e.Transfer.Amount + e.Transfer.Fee)
		}
	}
	return sum
}

func (w *twin) count(a types.Account) (n int) {
	for _, e := range w.list {
		if e.Transfer.Sender == a {
			n++
		}
	}
	return n
}

func (w *twin) bytes() (sum int64) {
	for _, e := range w.list {
		sum += memory(e.Transfer)
	}
	return sum
}

func (w *twin) add(e Entry, height uint32, balance func(types.Account) int64) (evicted, replaced []Entry, err error) {
	if w.find(func(x Entry) bool { return x.ID == e.ID }) >= 0 {
		return nil, nil, ErrKnown
	}
	if e.Transfer.Expiry < height {
		return nil, nil, consensus.ErrExpired
	}
	e.Size, e.Restored = e.Transfer.Size(), balance == nil
	same := func(x Entry) bool {
		return x.Transfer.Sender == e.Transfer.Sender && x.Transfer.Salt == e.Transfer.Salt
	}
	if balance != nil {
		if e.Transfer.Fee*1000 < w.limits.MinFeeRate*uint64(e.Size) {
			return nil, nil, ErrFeeTooLow
		}
		if w.limits.PerAccount > 0 && w.find(same) < 0 && w.count(e.Transfer.Sender) >= w.limits.PerAccount {
			return nil, nil, ErrAccountLimit
		}
	}
	before := slices.Clone(w.list)
	defer func() {
		if err != nil {
			w.list = before
		}
	}()
	if i := w.find(same); i >= 0 {
		old := w.list[i].Transfer
		worth := float64(e.Transfer.Fee) / float64(e.Size) // small numbers in this test
		if e.Transfer.Fee <= old.Fee || worth <= float64(old.Fee)/float64(old.Size()) {
			return nil, nil, ErrConflict
		}
		replaced = []Entry{w.list[i]}
		w.list = slices.Delete(w.list, i, i+1)
	}
	if balance != nil && balance(e.Transfer.Sender)-w.outgoing(e.Transfer.Sender) < int64(e.Transfer.Amount+e.Transfer.Fee) {
		return nil, nil, consensus.ErrInsufficient
	}
	w.list = append(w.list, e)
	w.sort()
	for len(w.list) > w.limits.Transfers || w.bytes() > w.limits.Bytes {
		last := w.list[len(w.list)-1]
		if last.ID == e.ID {
			return nil, nil, ErrFull
		}
		evicted = append(evicted, last)
		w.list = w.list[:len(w.list)-1]
	}
	return evicted, replaced, nil
}

func (w *twin) take(f func(Entry) bool) (out []Entry) {
	w.sort()
	for i := 0; i < len(w.list); {
		if f(w.list[i]) {
			out = append(out, w.list[i])
			w.list = slices.Delete(w.list, i, i+1)
		} else {
			i++
		}
	}
	return out
}

func (w *twin) cover(a types.Account, balance int64) []Entry {
	left := balance
	return w.take(func(e Entry) bool {
		if e.Transfer.Sender != a || e.Restored {
			return false
		}
		left -= int64(e.Transfer.Amount + e.Transfer.Fee)
		return left < 0
	})
}

// sameEntries compares what left, in any order.
func sameEntries(t *rapid.T, what string, got, want []Entry) {
	byID := func(a, b Entry) int { return slices.Compare(a.ID[:], b.ID[:]) }
	got, want = slices.SortedFunc(slices.Values(got), byID), slices.SortedFunc(slices.Values(want), byID)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: %v, the twin says %v", what, seqs(got), seqs(want))
	}
}

func (w *twin) compare(t *rapid.T, p *Pool) {
	w.sort()
	i := 0
	for e := range p.Snapshot().Best() {
		if i >= len(w.list) || *e != w.list[i] {
			t.Fatalf("place %d of %d differs", i, len(w.list))
		}
		i++
	}
	if i != len(w.list) || p.Len() != i || p.Bytes() != w.bytes() {
		t.Fatalf("%d in order, %d in all, %d bytes; the twin has %d of %d bytes", i, p.Len(), p.Bytes(), len(w.list), w.bytes())
	}
	if p.Len() > w.limits.Transfers || p.Bytes() > w.limits.Bytes {
		t.Fatalf("%d transfers of %d bytes are over the limit", p.Len(), p.Bytes())
	}
	for _, e := range w.list {
		if got, ok := p.Get(e.ID); !ok || got != e {
			t.Fatalf("%d not found by id", e.Seq)
		}
		if got, ok := p.BySalt(e.Transfer.Sender, e.Transfer.Salt); !ok || got != e {
			t.Fatalf("%d not found by salt", e.Seq)
		}
	}
	for _, a := range []types.Account{"a", "b", "c"} {
		if got, want := p.Outgoing(a).Amount(), w.outgoing(a); got != want {
			t.Fatalf("outgoing of %s is %d, the twin says %d", a, got, want)
		}
	}
	w.compareParties(t, p)
	for name, n := range map[string]int{
		"by id": len(p.byID), "by sender": p.bySender.Len(), "by expiry": p.byExpiry.Len(), "by recipient": p.byRecipient.Len(),
	} {
		if n != i {
			t.Fatalf("%d entries %s, %d in the pool", n, name, i)
		}
	}
}

// compareParties compares what the pool says of each account.
func (w *twin) compareParties(t *rapid.T, p *Pool) {
	senders := map[types.Account]bool{}
	for _, a := range []types.Account{"a", "b", "c"} {
		var sent, received []Entry
		income := uint64(0)
		for _, e := range w.list {
			switch a {
			case e.Transfer.Sender:
				sent = append(sent, e)
			case e.Transfer.Recipient:
				received = append(received, e)
			}
			if e.Transfer.Recipient == a {
				income += e.Transfer.Amount
			}
			senders[e.Transfer.Sender] = true
		}
		slices.SortFunc(sent, func(a, b Entry) int { return cmp.Compare(a.Transfer.Salt, b.Transfer.Salt) })
		slices.SortFunc(received, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
		all := append(sent, received...)
		if got := p.Of(a, len(all)+1); !slices.Equal(got, all) {
			t.Fatalf("of %s: %v, the twin says %v", a, seqs(got), seqs(all))
		}
		if got := p.Of(a, len(all)/2); !slices.Equal(got, all[:len(all)/2]) {
			t.Fatalf("half of those of %s: %v, the twin says %v", a, seqs(got), seqs(all[:len(all)/2]))
		}
		in := p.Incoming(a, 1000)
		if p.Outgoing(a).Count != len(sent) || in.Amount() != int64(income) {
			t.Fatalf("%s sends %d and receives %d, the twin says %d and %d", a, p.Outgoing(a).Count, in.Amount(), len(sent), income)
		}
		if few := p.Incoming(a, in.Count/2); few.Count != in.Count/2 {
			t.Fatalf("counted %d of %d", few.Count, in.Count)
		}
	}
	if len(p.senders) != len(senders) {
		t.Fatalf("sums for %d accounts, the twin has %d", len(p.senders), len(senders))
	}
}

func TestAgainstTwin(t *testing.T) { rapid.Check(t, againstTwin(testRules(t))) }

func FuzzAgainstTwin(f *testing.F) { f.Fuzz(rapid.MakeFuzz(againstTwin(testRules(f)))) }

func againstTwin(rules *consensus.Rules) func(*rapid.T) {
	return func(t *rapid.T) {
		limits := Limits{
			Transfers: rapid.IntRange(1, 20).Draw(t, "most transfers"),
			Bytes:     int64(rapid.IntRange(600, 12000).Draw(t, "most bytes")),

			MinFeeRate: rapid.SampledFrom([]uint64{0, 10, 25}).Draw(t, "least rate"),
			PerAccount: rapid.SampledFrom([]int{0, 3}).Draw(t, "most of an account"),
		}
		p, w := New(rules, limits), &twin{limits: limits}
		account := rapid.SampledFrom([]types.Account{"a", "b", "c"})
		height, seq := uint32(1), uint64(0)
		balances := map[types.Account]int64{"a": 1000, "b": 200}
		entry := func(t *rapid.T) Entry {
			seq++
			tr := &types.Transfer{
				Sender: account.Draw(t, "sender"), Recipient: account.Draw(t, "recipient"),
				Amount: rapid.Uint64Range(0, 100).Draw(t, "amount"), Fee: rapid.Uint64Range(0, 5).Draw(t, "fee"),
				Expiry: height + rapid.Uint32Range(0, 8).Draw(t, "lifetime") - 1,
				Salt:   rapid.Uint64Range(0, 30).Draw(t, "salt"),
				Memo:   rapid.SampledFrom([]string{"", "memo", string(make([]byte, 200))}).Draw(t, "memo"),
			}
			return Entry{ID: tr.ID(), Transfer: tr, Seq: seq, Answered: height}
		}
		add := func(t *rapid.T, balance func(types.Account) int64) {
			e := entry(t)
			offer := func() ([]Entry, []Entry, error) { return p.Add(e, height, balance) }
			if balance == nil {
				offer = func() ([]Entry, []Entry, error) { return p.Restore(e, height) }
			}
			checked := p.Check(e, height, balance)
			evicted, replaced, err := offer()
			if balance != nil && fmt.Sprint(checked) != fmt.Sprint(err) {
				t.Fatalf("Check says %v, Add %v", checked, err)
			}
			wantEvicted, wantReplaced, wantErr := w.add(e, height, balance)
			if !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
				t.Fatalf("error %v, the twin says %v", err, wantErr)
			}
			sameEntries(t, "evicted", evicted, wantEvicted)
			sameEntries(t, "replaced", replaced, wantReplaced)
		}
		balance := func(a types.Account) int64 { return balances[a] }
		t.Repeat(map[string]func(*rapid.T){
			"":        func(t *rapid.T) { w.compare(t, p) },
			"add":     func(t *rapid.T) { add(t, balance) },
			"restore": func(t *rapid.T) { add(t, nil) },
			"remove": func(t *rapid.T) {
				if len(w.list) == 0 {
					t.Skip()
				}
				e := rapid.SampledFrom(w.list).Draw(t, "entry")
				got, ok := p.Remove(e.ID)
				w.take(func(x Entry) bool { return x.ID == e.ID })
				if _, again := p.Remove(e.ID); !ok || got != e || again {
					t.Fatalf("removed %v %v, again %v", got.Seq, ok, again)
				}
			},
			"remove all": func(t *rapid.T) {
				gone := make(map[types.Hash]bool)
				var ids []types.Hash
				for _, e := range w.list {
					if rapid.Bool().Draw(t, "gone") {
						gone[e.ID] = true
						ids = append(ids, e.ID)
					}
				}
				p.RemoveAll(append(ids, types.Hash{1})) // and one that is not there
				w.take(func(e Entry) bool { return gone[e.ID] })
			},
			"expire": func(t *rapid.T) {
				height++
				sameEntries(t, "expired", p.Expire(height), w.take(func(e Entry) bool { return e.Transfer.Expiry < height }))
			},
			"cover": func(t *rapid.T) {
				a := account.Draw(t, "account")
				balances[a] = rapid.Int64Range(0, 1000).Draw(t, "balance")
				sameEntries(t, "uncovered", p.Cover(a, balances[a]), w.cover(a, balances[a]))
			},
		})
	}
}
