package mempool

import (
	"fmt"
	"runtime"
	"testing"

	"cairn/types"
)

// manyEntries makes n entries, each with its own sender, as decoding does: every
// string has its own memory.
func manyEntries(n int, memo int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		t := &types.Transfer{
			Sender:    types.Account(fmt.Sprintf("%032x", uint64(i)*0x9e3779b97f4a7c15)),
			Recipient: types.Account(fmt.Sprintf("%032x", i)),
			Amount:    1, Fee: uint64(i) * 7919 % 100_003, Expiry: 100, Salt: uint64(i), Memo: string(make([]byte, memo)),
		}
		entries[i] = Entry{ID: t.ID(), Transfer: t, Seq: uint64(i)}
	}
	return entries
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemory holds the estimate to the truth: never below it, and not wasteful.
func TestMemory(t *testing.T) {
	// Maps double and trees split: the share of each transfer is largest just
	// after, which is so for 125,000 as for 500,000.
	for _, c := range []struct{ n, memo int }{{100_000, 0}, {100_000, 100}, {125_000, 0}} {
		before := heap()
		p := New(testRules(t), Limits{})
		for _, e := range manyEntries(c.n, c.memo) {
			if _, _, err := p.Add(e, 10, rich); err != nil {
				t.Fatal(err)
			}
		}
		real := heap() - before
		t.Logf("memo of %d: %d bytes for each transfer, %d by the estimate", c.memo, real/int64(p.Len()), p.Bytes()/int64(p.Len()))
		if real > p.Bytes() || real < p.Bytes()*7/10 {
			t.Errorf("memo of %d: the heap grew by %d bytes, the estimate says %d", c.memo, real, p.Bytes())
		}
		runtime.KeepAlive(p)
	}
}

const benchSize = DefaultTransfers

func filled(b *testing.B, entries []Entry) *Pool {
	p := New(testRules(b), Limits{Bytes: 1 << 40})
	for _, e := range entries {
		if _, _, err := p.Add(e, 10, rich); err != nil {
			b.Fatal(err)
		}
	}
	return p
}

// BenchmarkAdd adds to a full pool, so each that enters puts another out.
func BenchmarkAdd(b *testing.B) {
	entries := manyEntries(2*benchSize, 0)
	p := filled(b, entries[:benchSize])
	for i, e := range entries[benchSize:] {
		e.Transfer.Fee += 100_003
		entries[benchSize+i].ID = e.Transfer.ID()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i == benchSize {
			b.Skip("more rounds than entries")
		}
		if _, _, err := p.Add(entries[benchSize+i], 10, rich); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSelect fills a block of 1,000,000 bytes.
func BenchmarkSelect(b *testing.B) {
	p := filled(b, manyEntries(benchSize, 0))
	b.ReportAllocs()
	for b.Loop() {
		p.Snapshot().Select(1_000_000, func(*Entry) error { return nil })
	}
}

// BenchmarkSnapshot takes a snapshot and makes a change after it.
func BenchmarkSnapshot(b *testing.B) {
	p := filled(b, manyEntries(benchSize, 0))
	e, _ := p.Get(manyEntries(1, 0)[0].ID)
	b.ReportAllocs()
	for b.Loop() {
		p.Snapshot()
		p.Remove(e.ID)
		if _, _, err := p.Add(e, 10, rich); err != nil {
			b.Fatal(err)
		}
	}
}
