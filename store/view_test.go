package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// TestAbsent reads what is not there.
func TestAbsent(t *testing.T) {
	s := memoryStore(t)
	_, _, stateErr := s.State(sampleHash)
	_, blockErr := s.Block(1, sampleHash)
	useErr := s.UseBlock(1, sampleHash, func(*types.Block) { t.Error("a block that is not there was given out") })
	_, bytesErr := s.BlockBytes(1, sampleHash)
	_, headerErr := s.Header(1, sampleHash)
	_, headersErr := s.AppendHeaders(nil, 1, 1)
	bodiesErr := lastError(s.BestBodies(1, 1))
	_, undoErr := s.Undo(1, sampleHash)
	_, bestErr := s.BestHash(1)
	_, historyErr := s.HistoryNode(0, 1)
	for _, err := range []error{stateErr, blockErr, useErr, bytesErr, headerErr, headersErr, bodiesErr, undoErr, bestErr, historyErr} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
	}
	if balance, err := s.Account("nobody"); balance != 0 || err != nil {
		t.Errorf("balance %d, %v", balance, err)
	}
	if _, found, err := s.SaltLoc("nobody", 1); found || err != nil {
		t.Errorf("salt found %v, %v", found, err)
	}
	if _, found, err := s.TransferLoc(sampleHash); found || err != nil {
		t.Errorf("transfer found %v, %v", found, err)
	}
	if goal, err := s.Goal(); goal != nil || err != nil {
		t.Errorf("goal %v, %v", goal, err)
	}
	if urls, err := s.Neighbours(); urls != nil || err != nil {
		t.Errorf("neighbours %v, %v", urls, err)
	}
}

// TestDelete deletes each sample and finds only what Create put there.
func TestDelete(t *testing.T) {
	s := memoryStore(t)
	before := allRecords(t, &s.View)
	commit(t, s, putSamples)
	commit(t, s, func(b *Batch) {
		b.DeleteUndo(0x01020304, sampleHash)
		b.DeleteBest(0x01020304)
		b.DeleteHistoryNode(sampleNode.Level, sampleNode.Index)
		b.PutAccount(consensus.NewParty("ann"), 0)
		b.DeleteSalt("ann", 0x0102030405060708)
		b.DeleteTransfer(sampleHash)
		b.DeleteRoot(0x01020304)
		b.DeleteMention(accounts.KeyOf("ann"), 0x01020304)
		b.DeleteToken("shop")
		b.DeletePeer(samplePeer.ID)
		b.DeletePending(0x0102030405060708)
		b.DeleteNeighbour("http://127.0.0.1:5001")
		b.ClearGoal()
	})
	after := allRecords(t, &s.View)
	// A block and what is known of it are never forgotten.
	delete(after, string(stateKey(nil, sampleHash)))
	delete(after, string(blockKey(nil, PrefixBlock, 0x01020304, sampleHash)))
	delete(after, string(blockKey(nil, PrefixHeader, 0x01020304, sampleHash)))
	check(t, after, before, nil)
}

func allRecords(t *testing.T, v *View) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for r, err := range v.Records(0) {
		if err != nil {
			t.Fatal(err)
		}
		all[string(r.Key)] = string(r.Value)
	}
	return all
}

// TestDamagedRecord puts bytes into the database that no record has, and reads
// them by every way.
func TestDamagedRecord(t *testing.T) {
	s := memoryStore(t)
	s.failure.open.Store(false) // the first fault would end all writing
	commit(t, s, putSamples)
	before := allRecords(t, &s.View)
	commit(t, s, func(b *Batch) {
		for key := range before {
			b.set([]byte(key), []byte("?"))
		}
	})
	defer commit(t, s, func(b *Batch) {
		for key, value := range before {
			b.set([]byte(key), []byte(value))
		}
	})
	reads := map[string]func() error{
		"state": func() error { _, _, err := s.State(sampleHash); return err },
		"block": func() error { _, err := s.Block(0x01020304, sampleHash); return err },
		"used block": func() error {
			return s.UseBlock(0x01020304, sampleHash, func(*types.Block) { t.Error("a damaged block was given out") })
		},
		"header":     func() error { _, err := s.Header(0x01020304, sampleHash); return err },
		"headers":    func() error { _, err := s.AppendHeaders(nil, 0x01020304, 0x01020304); return err },
		"bodies":     func() error { return lastError(s.BestBodies(0x01020304, 0x01020304)) },
		"undo":       func() error { _, err := s.Undo(0x01020304, sampleHash); return err },
		"best":       func() error { _, err := s.BestHash(0x01020304); return err },
		"tip":        func() error { _, err := s.Tip(); return err },
		"goal":       func() error { _, err := s.Goal(); return err },
		"node":       func() error { _, err := s.NodeID(); return err },
		"account":    func() error { _, err := s.Account("ann"); return err },
		"salt":       func() error { _, _, err := s.SaltLoc("ann", 0x0102030405060708); return err },
		"transfer":   func() error { _, _, err := s.TransferLoc(sampleHash); return err },
		"history":    func() error { _, err := s.HistoryNode(2, 0x01020304); return err },
		"leaves":     func() error { _, err := s.Leaves(accounts.Key{}, 0); return err },
		"neighbours": func() error { _, err := s.Neighbours(); return err },
		"all leaves": func() error { return lastError(s.AllLeaves()) },
		"peers":      func() error { _, err := s.Peers(); return err },
		"accounts":   func() error { return lastError(s.Accounts()) },
		"pending":    func() error { return lastError(s.Pending()) },
	}
	for name, read := range reads {
		err := read()
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "(key ") {
			t.Errorf("%s: error %v, want ErrDamaged and the key", name, err)
		}
	}
}

func lastError[T any](seq func(func(T, error) bool)) (last error) {
	for _, err := range seq {
		last = errors.Join(last, err)
	}
	return last
}

// TestStopEarly breaks out of every kind of iteration: the fixture's Close says
// if an iterator were left open.
func TestStopEarly(t *testing.T) {
	s := memoryStore(t)
	commit(t, s, func(b *Batch) {
		b.PutAccount(consensus.NewParty("ann"), 1)
		b.PutAccount(consensus.NewParty("bob"), 1)
		b.PutPending(1, 0, &sampleTransfer)
		b.PutPending(2, 0, &sampleTransfer)
	})
	for range s.AllLeaves() {
		break
	}
	for range s.Pending() {
		break
	}
	for range s.Records(0) {
		break
	}
	for range s.BestBodies(0, 0) {
		break
	}
}

func TestPendingOrder(t *testing.T) {
	s := memoryStore(t)
	seqs := []uint64{1 << 63, 0, 255, 256, 1<<32 - 1, 1 << 32, 1<<64 - 1}
	commit(t, s, func(b *Batch) {
		for _, seq := range seqs {
			b.PutPending(seq, uint32(seq), &sampleTransfer)
		}
	})
	var got []uint64
	for p, err := range s.Pending() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Seq)
	}
	slices.Sort(seqs)
	check(t, got, seqs, nil)
}

// TestLeaves compares range reads with a list that is filtered bit by bit.
func TestLeaves(t *testing.T) {
	s := memoryStore(t)
	var all []accounts.Leaf
	commit(t, s, func(b *Batch) {
		for i := range 300 {
			name := types.Account(fmt.Sprint("account ", i))
			b.PutAccount(consensus.NewParty(name), int64(i+1))
			all = append(all, accounts.Leaf{Key: accounts.KeyOf(name), Balance: int64(i + 1)})
		}
	})
	slices.SortFunc(all, func(a, b accounts.Leaf) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	got := []accounts.Leaf{}
	for leaf, err := range s.AllLeaves() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, leaf)
	}
	check(t, got, all, nil)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom(all).Draw(t, "prefix").Key
		bits := rapid.OneOf(rapid.IntRange(0, 12), rapid.IntRange(0, 256)).Draw(t, "bits")
		flip := rapid.IntRange(0, 255).Draw(t, "flip")
		prefix[flip/8] ^= 0x80 >> (flip % 8)
		var want []accounts.Leaf
		for _, leaf := range all {
			if samePrefix(leaf.Key, prefix, bits) {
				want = append(want, leaf)
			}
		}
		got, err := s.Leaves(prefix, bits)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%d leaves under %d bits of %x, want %d; error %v", len(got), bits, prefix, len(want), err)
		}
	})
}

func samePrefix(a, b accounts.Key, bits int) bool {
	for i := range bits {
		if (a[i/8]^b[i/8])&(0x80>>(i%8)) != 0 {
			return false
		}
	}
	return true
}

// TestLeavesAtTheEdges has the least and the greatest of all keys.
func TestLeavesAtTheEdges(t *testing.T) {
	s := memoryStore(t)
	first, last := accounts.Key{}, accounts.Key{}
	for i := range last {
		last[i] = 0xff
	}
	commit(t, s, func(b *Batch) {
		b.set(accountKey(nil, first), appendAccount(nil, 1, "first"))
		b.set(accountKey(nil, last), appendAccount(nil, 2, "last"))
	})
	for _, c := range []struct {
		prefix accounts.Key
		bits   int
		want   int
	}{{first, 0, 2}, {last, 0, 2}, {first, 1, 1}, {last, 1, 1}, {first, 256, 1}, {last, 256, 1}} {
		if leaves, err := s.Leaves(c.prefix, c.bits); err != nil || len(leaves) != c.want {
			t.Errorf("%d leaves under %d bits of %x, want %d; error %v", len(leaves), c.bits, c.prefix, c.want, err)
		}
	}
}

// TestSnapshot reads from snapshots while batches are committed: each sees all of
// one batch and nothing of another.
func TestSnapshot(t *testing.T) {
	s := memoryStore(t)
	const names = 20
	put := func(round int64) {
		commit(t, s, func(b *Batch) {
			for i := range names {
				b.PutAccount(consensus.NewParty(types.Account(fmt.Sprint(i))), round)
			}
		})
	}
	put(1)
	old := s.Snapshot()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					readOneRound(t, s, names)
				}
			}
		})
	}
	for round := range int64(200) {
		put(round + 2)
	}
	close(stop)
	readers.Wait()
	for a, err := range old.Accounts() {
		if err != nil || a.Balance != 1 {
			t.Errorf("the old snapshot has %v, %v", a, err)
		}
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if balance, err := s.Account("7"); balance != 201 || err != nil {
		t.Errorf("the present has %d, %v", balance, err)
	}
}

func readOneRound(t *testing.T, s *Store, names int) {
	v := s.Snapshot()
	defer v.Close()
	var n int
	var round int64
	for a, err := range v.Accounts() {
		if err != nil || n > 0 && a.Balance != round {
			t.Errorf("%v among balances %d, %v", a, round, err)
		}
		n, round = n+1, a.Balance
	}
	if n != names {
		t.Errorf("%d accounts", n)
	}
	if balance, err := v.Account("3"); balance != round || err != nil {
		t.Errorf("balance %d, %v, others have %d", balance, err, round)
	}
}

// TestGenesis checks what Create stores.
func TestGenesis(t *testing.T) {
	dev := *consensus.Dev()
	dev.Allocations = []consensus.Allocation{{Account: "ann", Amount: 7}, {Account: "bob", Amount: 8}}
	rules, err := consensus.NewRules(dev)
	if err != nil {
		t.Fatal(err)
	}
	mem := vfs.NewMem()
	s, err := Create(testDir, rules, Options{FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		checkGenesis(t, s, rules)
		id, err := s.NodeID()
		if err != nil || len(id) != 32 {
			t.Errorf("node id %q, %v", id, err)
		}
		mustClose(t, s)
		s = mustOpen(t, Options{FS: mem})
		again, err := s.NodeID()
		check(t, again, id, err)
	}
	mustClose(t, s)
}

func checkGenesis(t *testing.T, s *Store, rules *consensus.Rules) {
	t.Helper()
	want := rules.GenesisState()
	if s.Rules().ChainID() != rules.ChainID() || want.Hash != rules.ChainID() {
		t.Errorf("chain %s, want %s", s.Rules().ChainID(), rules.ChainID())
	}
	tip, err := s.Tip()
	check(t, tip, want.Hash, err)
	state, status, err := s.State(tip)
	check(t, state, want, err)
	check(t, status, HaveBody|Applied, nil)
	best, err := s.BestHash(0)
	check(t, best, tip, err)
	block, err := s.Block(0, tip)
	check(t, block, rules.Genesis(), err)
	past, err := history.Load(1, s.HistoryNode)
	wantPast, _ := history.Range{}.Append(want.HistoryLeaf().Sum())
	check(t, past.Root(), wantPast.Root(), err)
	tree, err := accounts.Build(s, s.AllLeaves())
	if err != nil {
		t.Fatal(err)
	}
	if root := consensus.Commitment(tree.Root(), history.Range{}.Root()); root != block.Reward.Commitment {
		t.Errorf("the accounts give commitment %x, the block has %x", root, block.Reward.Commitment)
	}
}

// What a batch was given after a mark is gone when it was rolled back.
func TestRollback(t *testing.T) {
	s := memoryStore(t)
	commit(t, s, func(b *Batch) {
		b.PutBest(1, hashOf(1))
		mark := b.Mark()
		b.PutBest(1, hashOf(2))
		b.PutBest(2, hashOf(2))
		b.Rollback(mark)
		b.PutBest(3, hashOf(3))
	})
	for height, want := range map[uint32]types.Hash{1: hashOf(1), 3: hashOf(3)} {
		if got, err := s.BestHash(height); got != want || err != nil {
			t.Errorf("at %d there is %v, %v", height, got, err)
		}
	}
	if got, err := s.BestHash(2); !errors.Is(err, ErrNotFound) {
		t.Errorf("at 2 there is %v, %v", got, err)
	}
}
