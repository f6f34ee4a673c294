package miner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/miner/sha256d"
	"cairn/store"
	"cairn/types"
)

const (
	atOnce = 0x207fffff // every other hash is a block
	hard   = 0x1e0fffff // one hash in a million: most of a second
	never  = 0x1700ffff // more than this computer will ever do
)

// start makes a miner on a new chain in memory. Its genesis is old, and the
// difficulty is fixed.
func start(t testing.TB, bits uint32, recipient types.Account) *Miner {
	t.Helper()
	r := *consensus.Dev()
	r.Name, r.Bits, r.Time = "test", bits, uint32(time.Now().Unix())-1_000_000
	rules, err := consensus.NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Create("data", rules, store.Options{FS: vfs.NewMem(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := chain.New(chain.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(Config{Chain: m, Recipient: recipient})
}

func TestMineOne(t *testing.T) {
	m := start(t, atOnce, "miner")
	transfer := types.Transfer{Sender: "a", Recipient: "b", Amount: 3, Expiry: 100, Salt: 1}
	if _, err := m.chain.AddTransfer(t.Context(), transfer); err != nil {
		t.Fatal(err)
	}
	block, state, err := m.MineOne(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state != m.chain.Tip() || state.Height != 1 || state.Hash != block.Header.Hash() {
		t.Errorf("state %+v, the tip is %+v", state, m.chain.Tip())
	}
	if block.Reward.Recipient != "miner" || len(block.Transfers) != 1 || block.Transfers[0] != transfer {
		t.Errorf("block %+v", block)
	}
}

func TestNoRecipient(t *testing.T) {
	m := start(t, atOnce, "")
	if _, _, err := m.MineOne(t.Context()); !errors.Is(err, ErrNoRecipient) {
		t.Errorf("error %v, want %v", err, ErrNoRecipient)
	}
	if err := m.Run(t.Context()); !errors.Is(err, ErrNoRecipient) {
		t.Errorf("error %v, want %v", err, ErrNoRecipient)
	}
}

func TestCallsTakeTurns(t *testing.T) {
	m := start(t, atOnce, "miner")
	const n = 50
	var heights [n + 1]bool
	var wait sync.WaitGroup
	var mu sync.Mutex
	for range n {
		wait.Go(func() {
			_, state, err := m.MineOne(t.Context())
			mu.Lock()
			defer mu.Unlock()
			if err != nil || heights[state.Height] {
				t.Errorf("height %d twice, or %v", state.Height, err)
			}
			heights[state.Height] = true
		})
	}
	wait.Wait()
	if tip := m.chain.Tip(); tip.Height != n {
		t.Errorf("height %d after %d blocks were answered", tip.Height, n)
	}
}

func TestSearchEndsWithItsClient(t *testing.T) {
	m := start(t, never, "miner")
	searching, leave := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, _, err := m.MineOne(searching)
		done <- err
	}()
	// Whoever waits for a turn may leave too, and holds nobody up.
	waiting, leaveQueue := context.WithCancel(t.Context())
	leaveQueue()
	busy := func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.busy }
	for !busy() {
		time.Sleep(time.Millisecond)
	}
	if _, _, err := m.MineOne(waiting); !errors.Is(err, context.Canceled) {
		t.Errorf("in the queue: %v", err)
	}
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("in the search: %v", err)
	}
}

func TestSearchEndsWithItsTemplate(t *testing.T) {
	m := start(t, never, "miner")
	m.age = time.Millisecond
	if block, err := m.search(t.Context()); block != nil || err != nil {
		t.Errorf("block %v, %v", block, err)
	}
}

// A search may be fast enough to win before the other block comes, but not every
// time.
func TestSearchEndsWithTheTip(t *testing.T) {
	for range 10 {
		if searchEndsWithTheTip(t) {
			return
		}
	}
	t.Error("the search went on below the tip, ten times")
}

func searchEndsWithTheTip(t *testing.T) bool {
	m := start(t, hard, "miner")
	other, err := m.chain.Template("other", nil)
	if err != nil {
		t.Fatal(err)
	}
	target, _ := consensus.CompactToTarget(other.Header.Bits)
	header := other.Header.Encode()
	other.Header.Nonce, _ = sha256d.Search(&header, target, 0, 1<<31)
	type result struct {
		block *types.Block
		err   error
	}
	done := make(chan result)
	go func() {
		block, err := m.search(t.Context())
		done <- result{block, err}
	}()
	if err := m.chain.AddBlocks(t.Context(), []*types.Block{other}); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	// Or it began after the other block came, and found the next one.
	return r.block == nil || r.block.Header.Previous == other.Header.Hash()
}

func TestBeatenBlockIsNotAnswered(t *testing.T) {
	m := start(t, atOnce, "miner")
	ours, err := m.search(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs := chaintest.New(m.chain.Rules()).Add("theirs", chaintest.Genesis, chaintest.Spec{})
	if err := m.chain.AddBlocks(t.Context(), []*types.Block{theirs}); err != nil {
		t.Fatal(err)
	}
	state, err := m.submit(t.Context(), ours)
	if err != nil || state != (consensus.State{}) {
		t.Errorf("state %+v, %v", state, err)
	}
	if _, state, err = m.MineOne(t.Context()); err != nil || state.Height != 2 || state.Previous != theirs.Header.Hash() {
		t.Errorf("state %+v, %v", state, err)
	}
}

func TestRunKeepsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, atOnce, "miner")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := m.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		// Blocks are due every ten seconds; the first one at once.
		if height := m.chain.Tip().Height; height < 59 || height > 61 {
			t.Errorf("%d blocks in ten minutes", height)
		}
	})
}

// BenchmarkMineOne is what a node makes of blocks where they are found at once.
func BenchmarkMineOne(b *testing.B) {
	m := start(b, atOnce, "miner")
	for b.Loop() {
		if _, _, err := m.MineOne(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
