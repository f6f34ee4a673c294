package chain_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/store"
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
