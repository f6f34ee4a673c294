package api

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/api/client"
	"cairn/chain/chaintest"
	"cairn/mempool"
	"cairn/types"
)

// reader follows a node by its events, and keeps what every account holds.
type reader struct {
	t        testing.TB
	client   *client.Client
	mu       sync.Mutex
	at       types.Hash
	balances map[types.Account]int64
	events   int
	turns    int // reorganisations
	last     string
	sittings int // streams that it opened by itself
}

// follow takes up the events after where it is, until ctx ends. Now and then it
// leaves the stream and begins another with the last cursor.
func (r *reader) follow(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		left := rng.IntN(200)
		r.mu.Lock()
		after := r.at
		r.sittings++
		r.mu.Unlock()
		for e, err := range r.client.Events(ctx, client.EventsOptions{After: after}) {
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				r.t.Errorf("the events ended: %v", err)
				return
			}
			if !r.take(ctx, e) {
				return
			}
			if left--; left < 0 {
				break
			}
		}
	}
}

// take checks that an event follows on the one before, and enters it.
func (r *reader) take(ctx context.Context, e client.Event) bool {
	b := e.Block
	if b == nil {
		r.t.Errorf("an event %s without a block", e.Type)
		return false
	}
	block, ok := r.fetch(ctx, b.Hash)
	if !ok {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to, sign := b.Previous, b.Hash, int64(1)
	if e.Type == client.BlockReverted {
		from, to, sign = b.Hash, b.Previous, -1
		if r.last == client.BlockApplied {
			r.turns++
		}
	}
	r.last = e.Type
	if from != r.at || e.Cursor != to || block.Previous != b.Previous || block.Height != b.Height {
		r.t.Errorf("%s of %v on %v at height %d, cursor %v; the reader is at %v", e.Type, b.Hash, b.Previous, b.Height, e.Cursor, r.at)
		return false
	}
	for _, t := range block.Transfers {
		r.enter(t.Sender, -sign*int64(t.Amount+t.Fee))
		r.enter(t.Recipient, sign*int64(t.Amount))
	}
	r.enter(block.Reward.Recipient, sign*int64(block.Reward.Amount))
	r.at = to
	r.events++
	return true
}

func (r *reader) enter(account string, change int64) {
	a := types.Account(account)
	if r.balances[a] += change; r.balances[a] == 0 {
		delete(r.balances, a)
	}
}

// fetch gets a block, however often the node is away meanwhile.
func (r *reader) fetch(ctx context.Context, hash types.Hash) (client.BlockData, bool) {
	for ctx.Err() == nil {
		if block, err := r.client.Block(ctx, hash.String()); err == nil {
			return block, true
		}
	}
	return client.BlockData{}, false
}

func (r *reader) isAt(hash types.Hash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at == hash || r.t.Failed()
}

// Readers follow a chain through reorganisations, broken connections and restarts,
// from wherever they begin, and end with the balances that the node has.
func TestFollow(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			f := &followed{live: newLive(t, liveRules(t, nil), mempool.Limits{}), rng: rand.New(rand.NewPCG(seed, 7)), names: []string{chaintest.Genesis}}
			f.run()
		})
	}
}

// followed is a node whose chain is changed at random while readers follow it.
type followed struct {
	*live
	rng     *rand.Rand
	names   []string // of all blocks
	salt    uint64
	readers []*reader
	wait    sync.WaitGroup
}

func (f *followed) run() {
	ctx, cancel := context.WithCancel(f.t.Context())
	defer f.wait.Wait()
	defer cancel()
	f.follow(ctx, chaintest.Genesis)
	const steps = 300
	for step := range steps {
		f.grow()
		switch step % 100 {
		case 20, 70:
			f.server.CloseClientConnections()
		case 45:
			f.restart()
		case 10, 60:
			f.follow(ctx, f.names[f.rng.IntN(len(f.names))])
		case 99:
			f.compare()
		}
		if f.rng.IntN(4) > 0 { // else the first one has several changes before it as well
			tip := f.chain.Tip().Hash
			eventually(f.t, "the first reader at the tip", func() bool { return f.readers[0].isAt(tip) })
		}
	}
	f.compare()
	for _, r := range f.readers {
		f.t.Logf("%d events, %d reorganisations, %d sittings", r.events, r.turns, r.sittings)
	}
	if turns := f.readers[0].turns; turns < 80 {
		f.t.Errorf("only %d reorganisations", turns)
	}
}

// follow starts a reader at the named block.
func (f *followed) follow(ctx context.Context, name string) {
	r := &reader{t: f.t, client: f.client(), at: f.Hash(name), balances: make(map[types.Account]int64)}
	for _, a := range f.accounts() {
		if balance := f.Balance(name, a); balance != 0 {
			r.balances[a] = balance
		}
	}
	f.readers = append(f.readers, r)
	rng := rand.New(rand.NewPCG(f.rng.Uint64(), 0))
	f.wait.Go(func() { r.follow(ctx, rng) })
}

func (f *followed) accounts() []types.Account {
	all := []types.Account{chaintest.Miner}
	for i := range byte(5) {
		all = append(all, f.person(i))
	}
	return all
}

// grow adds one to four blocks on one of the latest, together or one by one.
func (f *followed) grow() {
	parent := f.names[max(0, len(f.names)-1-f.rng.IntN(9))]
	var added []string
	for range 1 + f.rng.IntN(4) {
		name := fmt.Sprint("b", len(f.names))
		spec := chaintest.Spec{Instant: f.rng.IntN(3) == 0}
		if f.rng.IntN(3) == 0 {
			spec.Interval = 2 * f.Rules.BlockInterval
		}
		for range f.rng.IntN(4) {
			f.salt++
			spec.Transfers = append(spec.Transfers, types.Transfer{
				Sender: f.person(byte(f.rng.IntN(5))), Recipient: f.person(byte(f.rng.IntN(5))),
				Amount: f.rng.Uint64N(1000), Fee: f.rng.Uint64N(10), Expiry: 9000, Salt: f.salt,
			})
		}
		f.Add(name, parent, spec)
		f.names = append(f.names, name)
		added = append(added, name)
		parent = name
	}
	if f.rng.IntN(2) == 0 {
		f.add(added...)
		return
	}
	for _, name := range added {
		f.add(name)
	}
}

// compare waits until all readers are where the node is, and compares what they
// made of the events with what it stores.
func (f *followed) compare() {
	f.t.Helper()
	tip := f.chain.Tip().Hash
	snapshot, err := f.chain.Snapshot()
	if err != nil {
		f.t.Fatal(err)
	}
	defer snapshot.Close()
	want := make(map[types.Account]int64)
	for a, err := range snapshot.Accounts() {
		if err != nil {
			f.t.Fatal(err)
		}
		if a.Balance != 0 {
			want[a.Account] = a.Balance
		}
	}
	for i, r := range f.readers {
		eventually(f.t, fmt.Sprintf("reader %d at the tip", i), func() bool { return r.isAt(tip) })
		r.mu.Lock()
		got := maps.Clone(r.balances)
		r.mu.Unlock()
		if diff := cmp.Diff(want, got); diff != "" {
			f.t.Fatalf("reader %d (-node +reader):\n%s", i, diff)
		}
	}
}
