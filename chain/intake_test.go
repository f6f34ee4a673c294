package chain_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/store"
	"cairn/types"
)

// stuckDisk makes the fixture's disk sync nothing from hold to release.
type stuckDisk struct {
	mu sync.Mutex
}

func newStuckFixture(t *testing.T) (*fixture, *stuckDisk) {
	f := newFixture(t, nil)
	f.stop()
	var disk stuckDisk
	o := f.options()
	o.FS = errorfs.Wrap(f.fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo {
			disk.mu.Lock()
			defer disk.mu.Unlock()
		}
		return nil
	}))
	s, err := store.Open("data", o)
	if err != nil {
		t.Fatal(err)
	}
	f.start(s)
	return f, &disk
}

func (d *stuckDisk) hold()    { d.mu.Lock() }
func (d *stuckDisk) release() { d.mu.Unlock() }

// A transfer that is on its way to the disk is not answered to a second caller
// before it is there.
func TestSameTransferWhileItIsRecorded(t *testing.T) {
	f, disk := newStuckFixture(t)
	p := pay("x", "y", 1, 1)
	disk.hold()
	first, second := make(chan error, 1), make(chan error, 1)
	add := func(answer chan error) {
		_, err := f.AddTransfer(context.Background(), p)
		answer <- err
	}
	go add(first)
	for f.Pool().Transfers == 0 {
		time.Sleep(time.Millisecond)
	}
	go add(second)
	select {
	case <-first:
		t.Error("answered before it was durable")
	case <-second:
		t.Error("the second call was answered before the transfer was durable")
	case <-time.After(100 * time.Millisecond):
	}
	disk.release()
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
}

// Callers that leave while they wait keep nobody from an answer. One of them is at
// work on the round when they do, and gets its answer at the end of that.
func TestCallersThatLeave(t *testing.T) {
	f, disk := newStuckFixture(t)
	ctx, leave := context.WithCancel(context.Background())
	const callers = 20
	answers := make(chan error, callers)
	disk.hold()
	for i := range uint64(callers) {
		go func() {
			_, err := f.AddTransfer(ctx, pay("x", "y", 1, i))
			answers <- err
		}()
	}
	for f.Pool().Transfers == 0 {
		time.Sleep(time.Millisecond)
	}
	leave()
	for range callers - 1 {
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that left got %v", err)
		}
	}
	disk.release()
	if err := <-answers; err != nil {
		t.Error(err)
	}
	for i := range uint64(3) {
		if _, err := f.AddTransfer(t.Context(), pay("x", "y", 1, callers+i)); err != nil {
			t.Error(err)
		}
	}
}

// A transfer that comes while its block is on the way to the disk gets its first
// answer for good, though the block was applied without knowing of it.
//
//	genesis ── a1 ── a2 ── a3{p}
func TestFirstAnswerWhileTheBlockIsRecorded(t *testing.T) {
	f, disk := newStuckFixture(t)
	p := pay("x", "y", 1, 1)
	f.Add("a1", chaintest.Genesis, chaintest.Spec{})
	f.Add("a2", "a1", chaintest.Spec{})
	f.Add("a3", "a2", chaintest.Spec{Transfers: []types.Transfer{p}})
	before, err := f.Snapshot() // what the pool will go by
	if err != nil {
		t.Fatal(err)
	}
	disk.hold()
	added := make(chan error, 1)
	go func() { added <- f.add("a1", "a2", "a3") }()
	for tip := before.Tip.Hash; tip != f.Hash("a3"); {
		time.Sleep(time.Millisecond)
		if tip, err = f.store.Tip(); err != nil {
			t.Fatal(err)
		}
	}
	answer := make(chan chain.Receipt, 1)
	go func() {
		receipt, err := f.AddTransfer(context.Background(), p)
		if err != nil {
			t.Error(err)
		}
		answer <- receipt
	}()
	for f.Pool().Transfers == 0 {
		time.Sleep(time.Millisecond)
	}
	disk.release()
	if err := errors.Join(<-added, before.Close()); err != nil {
		t.Fatal(err)
	}
	first := <-answer
	if first.NextHeight != 1 {
		t.Errorf("the first answer is %d, want 1", first.NextHeight)
	}
	first.Mined = true // by now
	again := func() {
		t.Helper()
		if second, err := f.AddTransfer(t.Context(), p); err != nil || second != first {
			t.Errorf("the second answer is %v, %v, not %v", second, err, first)
		}
	}
	again()
	f.wantTip("a3")
	f.wantPending()
	f.restart()
	again()
}

// Calls of all sizes come together, large ones while others are recorded: each gets
// its own answers, and what was taken is on disk once.
func TestCallsOfAllSizes(t *testing.T) {
	f := newFixture(t, nil)
	const each = 2000 // of one caller; the next one submits half of them too
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			size := 1
			for at := 0; at < each; at += size {
				size = min(size*3%1501, each-at)
				ts := make([]*types.Transfer, size)
				for i := range ts {
					t := pay("x", "y", 1, uint64(caller*each/2+at+i))
					ts[i] = &t
				}
				ts[0].Signature[0] = byte(at % 2) // wrong here
				answers, err := f.AddTransfers(t.Context(), ts)
				if err != nil {
					t.Error(err)
					return
				}
				for i, a := range answers {
					if wrong := i == 0 && at%2 == 1; a.Receipt.ID != ts[i].ID() || (a.Err != nil) != wrong {
						t.Errorf("caller %d, transfer %d of %d: %+v", caller, i, size, a)
					}
				}
			}
		})
	}
	callers.Wait()
	pending := f.Pool().Transfers
	if pending < 5*each/2-50 || pending > 5*each/2 {
		t.Errorf("%d are pending", pending)
	}
	f.restart()
	if got := f.Pool().Transfers; got != pending {
		t.Errorf("%d are pending after a restart, %d before", got, pending)
	}
}

// What is verified ahead of its turn enters the pool when the round before it is on
// disk, and not earlier.
func TestNextRoundWaits(t *testing.T) {
	f, disk := newStuckFixture(t)
	disk.hold()
	var calls sync.WaitGroup
	call := func(from, to uint64) {
		var ts []*types.Transfer
		for i := from; i < to; i++ {
			p := pay("x", "y", 1, i)
			ts = append(ts, &p)
		}
		calls.Go(func() {
			answers, err := f.AddTransfers(context.Background(), ts)
			if err != nil {
				t.Error(err)
			}
			for _, a := range answers {
				if a.Err != nil {
					t.Error(a.Err)
				}
			}
		})
	}
	call(0, 1)
	for f.Pool().Transfers == 0 {
		time.Sleep(time.Millisecond)
	}
	call(0, 600)
	call(600, 1200)
	time.Sleep(100 * time.Millisecond)
	if n := f.Pool().Transfers; n != 1 {
		t.Errorf("%d are pending while the first is being recorded", n)
	}
	disk.release()
	calls.Wait()
	if n := f.Pool().Transfers; n != 1200 {
		t.Errorf("%d are pending", n)
	}
}

// When the tip moves while a round goes into the pool, the rest of it is looked at
// anew.
//
//	genesis ── a1{150}
func TestTipMovesWithinARound(t *testing.T) {
	f := newFixture(t, nil)
	ts := make([]*types.Transfer, 200)
	for i := range ts {
		p := pay("x", "y", 1, uint64(i))
		ts[i] = &p
	}
	f.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: []types.Transfer{*ts[150]}})
	times := 0
	chain.OnEntering(t, func() {
		if times++; times == 2 {
			f.mustAdd("a1")
		}
	})
	answers, err := f.AddTransfers(t.Context(), ts)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		want := chain.Receipt{ID: ts[i].ID(), NextHeight: 2}
		switch {
		case i < 64:
			want.NextHeight = 1
		case i == 150:
			want.NextHeight, want.Mined = 1, true
		}
		if a.Err != nil || a.Receipt != want {
			t.Errorf("transfer %d: %+v, %v", i, a.Receipt, a.Err)
		}
	}
	if n := f.Pool().Transfers; n != 199 {
		t.Errorf("%d are pending", n)
	}
}
