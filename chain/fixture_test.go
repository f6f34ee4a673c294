package chain_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"cairn/accounts"
	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/store"
	"cairn/types"
)

// testRules are a network without signatures where anyone may spend, blocks are
// found at once, and the difficulty follows the pace.
func testRules(t testing.TB, change func(*consensus.Rules)) *consensus.Rules {
	t.Helper()
	r := consensus.Rules{
		Name: "test", Symbol: "TEST", AddressPrefix: "test",
		Time: 1_767_225_600, Bits: 0x207fffff, BlockInterval: 10, HalfLife: 120,
		Reward: 50, MaxBlockSize: 100_000, TxLifetime: 100,
		CreditLimit: types.MaxAmount,
	}
	if change != nil {
		change(&r)
	}
	rules, err := consensus.NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// fixture is a Manager on a file system in memory, beside a builder of blocks.
type fixture struct {
	*chain.Manager
	*chaintest.Builder
	t     testing.TB
	fs    *vfs.MemFS
	store *store.Store
	now   time.Time
	pool  mempool.Limits
	rules *consensus.Rules
}

func newFixture(t testing.TB, change func(*consensus.Rules)) *fixture {
	t.Helper()
	rules := testRules(t, change)
	f := &fixture{
		Builder: chaintest.New(rules), t: t, fs: vfs.NewCrashableMem(), rules: rules,
		now: time.Unix(int64(rules.Time)+1_000_000, 0),
	}
	s, err := store.Create("data", rules, f.options())
	if err != nil {
		t.Fatal(err)
	}
	f.start(s)
	t.Cleanup(func() { f.stop() })
	return f
}

func (f *fixture) options() store.Options {
	return store.Options{FS: f.fs, Log: slog.New(slog.DiscardHandler)}
}

func (f *fixture) start(s *store.Store) {
	f.t.Helper()
	f.store = s
	var err error
	f.Manager, err = chain.New(chain.Config{Store: s, Pool: f.pool, Now: func() time.Time { return f.now }})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) stop() {
	f.t.Helper()
	if f.store == nil {
		return
	}
	if err := f.Manager.Close(); err != nil {
		f.t.Error(err)
	}
	if err := f.store.Close(); err != nil {
		f.t.Error(err)
	}
	f.store = nil
}

// restart closes the node and opens it again.
func (f *fixture) restart() {
	f.t.Helper()
	f.stop()
	f.reopen(f.fs)
}

func (f *fixture) reopen(fs *vfs.MemFS) {
	f.t.Helper()
	f.fs = fs
	s, err := store.Open("data", f.options())
	if err != nil {
		f.t.Fatal(err)
	}
	f.start(s)
}

// State returns the builder's state after the named block.
func (f *fixture) State(name string) consensus.State { return f.Builder.State(name) }

// add hands the named blocks over in one run.
func (f *fixture) add(names ...string) error {
	return f.AddBlocks(context.Background(), f.Blocks(names...))
}

func (f *fixture) mustAdd(names ...string) {
	f.t.Helper()
	if err := f.add(names...); err != nil {
		f.t.Fatalf("adding %v: %v", names, err)
	}
}

// wantError checks that err is want, and about the block of that name.
func (f *fixture) wantError(err, want error, name string) {
	f.t.Helper()
	if !errors.Is(err, want) {
		f.t.Fatalf("got error %v, want %v", err, want)
	}
	var block *chain.BlockError
	if name != "" && (!errors.As(err, &block) || block.Hash != f.Hash(name)) {
		f.t.Fatalf("error %v is not about block %s", err, name)
	}
}

// wantTip checks that the best chain ends on the named block, and that all that
// is stored agrees with it.
func (f *fixture) wantTip(name string) {
	f.t.Helper()
	if tip := f.Tip(); tip != f.State(name) {
		f.t.Fatalf("tip is %s at height %d, want %s", f.Name(tip.Hash), tip.Height, name)
	}
	f.checkStored(name)
}

// checkStored compares the store with the chain that ends on the named block.
func (f *fixture) checkStored(name string) {
	f.t.Helper()
	s, err := f.Snapshot()
	if err != nil {
		f.t.Fatal(err)
	}
	defer s.Close()
	stored := make(map[types.Account]int64)
	for a, err := range s.Accounts() {
		if err != nil {
			f.t.Fatal(err)
		}
		stored[a.Account] = a.Balance
		if want := f.Balance(name, a.Account); want != a.Balance {
			f.t.Errorf("account %q holds %d, want %d", a.Account, a.Balance, want)
		}
	}
	transfers := 0
	named := make(map[types.Account][]store.Mention)
	hash := f.State(name).Hash
	for height := f.State(name).Height; ; height-- {
		best, err := s.BestHash(height)
		if err != nil || best != hash {
			f.t.Fatalf("best chain at height %d is %v (%v), want %s", height, best, err, f.Name(hash))
		}
		block, err := s.Block(height, hash)
		if err != nil {
			f.t.Fatal(err)
		}
		for i := range block.Transfers {
			t := &block.Transfers[i]
			if record, found, err := s.TransferLoc(t.ID()); err != nil || !found || record.Loc != (store.Loc{Height: height, Position: uint32(i)}) {
				f.t.Errorf("transfer %d of block %d is indexed at %v %v %v", i, height, record, found, err)
			}
			if _, found, err := s.SaltLoc(t.Sender, t.Salt); err != nil || !found {
				f.t.Errorf("salt of transfer %d of block %d is not indexed: %v", i, height, err)
			}
			transfers++
		}
		noteMentions(named, height, block)
		if height == 0 {
			break
		}
		hash = block.Header.Previous
	}
	for _, c := range []struct {
		what string
		key  byte
		want int
	}{
		{"transfers", store.PrefixTransfer, transfers},
		{"entries of accounts in blocks", store.PrefixMention, f.checkMentions(s, named)},
		{"entries of the best chain", store.PrefixBest, int(s.Tip.Height) + 1},
		{"roots of balances", store.PrefixRoot, int(s.Tip.Height)},
		{"undo records", store.PrefixUndo, int(s.Tip.Height)},
	} {
		if n := count(f.t, s, c.key); n != c.want {
			f.t.Errorf("%d %s, want %d", n, c.what, c.want)
		}
	}
}

// noteMentions adds to named, without any cleverness, which accounts a block names.
func noteMentions(named map[types.Account][]store.Mention, height uint32, block *types.Block) {
	if height == 0 {
		return
	}
	at := make(map[types.Account][]uint32)
	for i, t := range block.Transfers {
		at[t.Sender] = append(at[t.Sender], uint32(i))
		if t.Recipient != t.Sender {
			at[t.Recipient] = append(at[t.Recipient], uint32(i))
		}
	}
	at[block.Reward.Recipient] = append(at[block.Reward.Recipient], consensus.RewardPosition)
	for a, positions := range at {
		named[a] = append(named[a], store.Mention{Height: height, Positions: positions})
	}
}

// checkMentions compares the index of accounts with what blocks name, the last
// first, and returns how many entries there should be.
func (f *fixture) checkMentions(s *chain.Snapshot, named map[types.Account][]store.Mention) (n int) {
	f.t.Helper()
	for a, want := range named {
		var got []store.Mention
		for m, err := range s.Mentions(accounts.KeyOf(a), s.Tip.Height) {
			if err != nil {
				f.t.Fatal(err)
			}
			got = append(got, m)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			f.t.Errorf("where %q is named (-want +got):\n%s", a, diff)
		}
		n += len(want)
	}
	return n
}

// count returns how many records a prefix has.
func count(t testing.TB, s *chain.Snapshot, prefix byte) (n int) {
	t.Helper()
	for _, err := range s.Records(prefix) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// pay makes a transfer that is valid for long. Equal arguments make equal
// transfers.
func pay(from, to types.Account, amount uint64, salt uint64) types.Transfer {
	return types.Transfer{Sender: from, Recipient: to, Amount: amount, Expiry: 100, Salt: salt}
}

func (f *fixture) submit(ts ...types.Transfer) {
	f.t.Helper()
	for _, t := range ts {
		if _, err := f.AddTransfer(context.Background(), t); err != nil {
			f.t.Fatalf("submitting %v: %v", t, err)
		}
	}
}

// wantPending checks which transfers wait, in whatever order.
func (f *fixture) wantPending(ts ...types.Transfer) {
	f.t.Helper()
	for _, t := range ts {
		if _, ok := f.Pending(t.ID()); !ok {
			f.t.Errorf("transfer %s→%s %d, salt %d is not pending", t.Sender, t.Recipient, t.Amount, t.Salt)
		}
	}
	if n := f.Pool().Transfers; n != len(ts) {
		f.t.Errorf("%d transfers are pending, want %d", n, len(ts))
	}
}

// mine adds a block made from a template, and names nothing.
func (f *fixture) mine() *types.Block {
	f.t.Helper()
	block, err := f.Template(chaintest.Miner, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	target, err := consensus.CompactToTarget(block.Header.Bits)
	if err != nil {
		f.t.Fatal(err)
	}
	for !target.Meets(block.Header.Hash()) {
		block.Header.Nonce++
	}
	if err := f.AddBlocks(context.Background(), []*types.Block{block}); err != nil {
		f.t.Fatal(err)
	}
	return block
}

func names(prefix string, from, to int) (all []string) {
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprintf("%s%d", prefix, i))
	}
	return all
}
