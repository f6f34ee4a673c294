package archive

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"cairn/accounts"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/history"
	"cairn/store"
	"cairn/types"
)

// forge writes blocks on the genesis block into the store as package chain would
// if it knew no rules: every record agrees with them.
func forge(t *testing.T, s *store.Store, blocks ...*types.Block) {
	t.Helper()
	rules := s.Rules()
	parent := rules.GenesisState()
	balances := make(map[types.Account]int64)
	for _, c := range rules.GenesisBalances() {
		balances[c.Account] = c.After
	}
	past, _ := history.Range{}.Append(parent.HistoryLeaf().Sum())
	salts := make(map[saltKey]store.Loc)
	b := s.NewBatch()
	defer b.Close()
	tree, err := accounts.New(nil).Update(consensus.LeavesAfter(rules.GenesisBalances()))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks {
		h := block.Header
		state := consensus.State{
			Hash: h.Hash(), Previous: parent.Hash, Height: parent.Height + 1, Time: h.Time, Bits: h.Bits,
			Base: rules.NextBase(parent, h.Time), Work: parent.Work.Add(consensus.WorkOf(h.Bits)),
		}
		b.PutState(state, store.HaveBody|store.Applied)
		b.PutBlock(state.Height, state.Hash, block.Encode())
		b.PutBest(state.Height, state.Hash)
		b.PutTip(state.Hash)
		var nodes []history.Node
		past, nodes = past.Append(state.HistoryLeaf().Sum())
		for _, n := range nodes {
			b.PutHistoryNode(n)
		}
		var undo store.Undo
		layout := consensus.LayOut(block)
		for p, positions := range layout.Mentions() {
			b.PutMention(p.Key, state.Height, positions)
		}
		for _, p := range layout.Parties {
			undo.Changes = append(undo.Changes, consensus.Change{Party: p, Before: balances[p.Account]})
		}
		for i, tr := range block.Transfers {
			balances[tr.Sender] -= int64(tr.Amount + tr.Fee)
			balances[tr.Recipient] += int64(tr.Amount)
			key, loc := saltKey{tr.Sender, tr.Salt}, store.Loc{Height: state.Height, Position: uint32(i)}
			if earlier, ok := salts[key]; ok {
				undo.Salts = append(undo.Salts, store.OverwrittenSalt{Sender: tr.Sender, Salt: tr.Salt, Loc: earlier})
			}
			salts[key] = loc
			b.PutSalt(tr.Sender, tr.Salt, loc)
			b.PutTransfer(tr.ID(), store.TransferRecord{Loc: loc})
		}
		balances[block.Reward.Recipient] += int64(block.Reward.Amount)
		for i := range undo.Changes {
			c := &undo.Changes[i]
			c.After = balances[c.Account]
			b.PutAccount(c.Party, c.After)
		}
		undo.Changes = slices.DeleteFunc(undo.Changes, func(c consensus.Change) bool { return c.Before == c.After })
		b.PutUndo(state.Height, state.Hash, undo)
		if tree, err = tree.Update(consensus.LeavesAfter(undo.Changes)); err != nil {
			t.Fatal(err)
		}
		b.PutRoot(state.Height, tree.Root())
		parent = state
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyChecksEveryRule verifies chains whose records all agree with their
// blocks, and whose second block breaks a rule.
func TestVerifyChecksEveryRule(t *testing.T) {
	alice, bob := types.Account(make([]byte, 32)), types.Account(make([]byte, 32))
	alice, bob = "\x03"+alice[1:], "\x09"+bob[1:] // keys like any others
	for _, c := range []struct {
		name   string
		want   error // nil: it is sound
		change func(*consensus.Rules)
		spec   chaintest.Spec
		spoil  func(*types.Block) // after everything else, and mined again
	}{
		{name: "none"},
		{name: "none, with a transfer", spec: chaintest.Spec{Transfers: []types.Transfer{pay(2, "early", "bob", 1, 5)}}},
		{
			name: "signature", want: consensus.ErrSignature,
			change: func(r *consensus.Rules) {
				r.Signatures, r.CreditLimit = true, 0
				r.Allocations = []consensus.Allocation{{Account: alice, Amount: 100}}
			},
			spec: chaintest.Spec{Miner: bob, Transfers: []types.Transfer{pay(2, alice, bob, 1, 5)}},
		},
		{
			name: "no signature", want: consensus.ErrUnexpectedSignature,
			spec: chaintest.Spec{Transfers: []types.Transfer{{Sender: "early", Recipient: "bob", Expiry: 2, Signature: [64]byte{1}}}},
		},
		{
			name: "replay", want: consensus.ErrReplay,
			spec: chaintest.Spec{Transfers: []types.Transfer{pay(2, "early", "bob", 1, 1)}},
		},
		{
			name: "balance", want: consensus.ErrInsufficient,
			change: func(r *consensus.Rules) { r.CreditLimit = 0 },
			spec: chaintest.Spec{Spoil: func(b *types.Block) {
				b.Transfers = []types.Transfer{pay(2, "early", "bob", 10_000, 5)}
				b.Reward.Amount++
			}},
		},
		{
			name: "lifetime", want: consensus.ErrExpired,
			spec: chaintest.Spec{Spoil: func(b *types.Block) {
				b.Transfers = []types.Transfer{pay(0, "early", "bob", 1, 5)}
				b.Reward.Amount++
			}},
		},
		{
			name: "reward", want: consensus.ErrRewardAmount,
			spec: chaintest.Spec{Spoil: func(b *types.Block) { b.Reward.Amount++ }},
		},
		{
			name: "reward's height", want: consensus.ErrRewardHeight,
			spec: chaintest.Spec{Spoil: func(b *types.Block) { b.Reward.Height++ }},
		},
		{
			name: "commitment", want: consensus.ErrCommitment,
			spoil: func(b *types.Block) {
				b.Reward.Commitment[0]++
				b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
			},
		},
		{
			name: "Merkle root", want: consensus.ErrMerkleRoot,
			spoil: func(b *types.Block) { b.Reward.Commitment[0]++ },
		},
		{
			name: "time", want: consensus.ErrTimeBeforeParent,
			spoil: func(b *types.Block) { b.Header.Time -= 11 },
		},
		{
			name: "bits", want: consensus.ErrBits,
			spoil: func(b *types.Block) { b.Header.Bits = 0x207ffffe },
		},
		{
			name: "version", want: consensus.ErrVersion,
			spoil: func(b *types.Block) { b.Header.Version = 1 },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := *shortRules(t)
			if c.change != nil {
				c.change(&rules)
			}
			network, err := consensus.NewRules(rules)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "data")
			s, err := store.Create(dir, network, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			b := chaintest.New(network)
			first := chaintest.Spec{Miner: c.spec.Miner}
			if !network.Signatures {
				first.Transfers = []types.Transfer{pay(1, "early", "bob", 1, 1)}
			}
			b.Add("a1", chaintest.Genesis, first)
			c.spec.Tamper = c.spoil
			b.Add("a2", "a1", c.spec)
			blocks := b.Blocks("a1", "a2")
			if c.want == nil {
				b.Add("a3", "a2", chaintest.Spec{})
				blocks = append(blocks, b.Block("a3"))
			}
			forge(t, s, blocks...)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			r := mustVerify(t, dir)
			if c.want == nil {
				if !r.Sound() {
					t.Error(r.Faults)
				}
				return
			}
			key := store.BodyKey(2, b.Hash("a2"))
			if len(r.Faults) == 0 || !errors.Is(r.Faults[0].Reason, c.want) || string(r.Faults[0].Key) != string(key) || r.Faults[0].Height != 2 {
				t.Errorf("faults %v, want %v", r.Faults, c.want)
			}
		})
	}
}

// TestVerifyChecksProofOfWork is like the above: what chaintest makes is mined.
func TestVerifyChecksProofOfWork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := store.Create(dir, shortRules(t), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	block := chaintest.New(s.Rules()).Add("a1", chaintest.Genesis, chaintest.Spec{})
	target, _ := consensus.CompactToTarget(block.Header.Bits)
	for target.Meets(block.Header.Hash()) {
		block.Header.Nonce++
	}
	forge(t, s, block)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := mustVerify(t, dir); len(r.Faults) != 1 || !errors.Is(r.Faults[0].Reason, consensus.ErrProofOfWork) {
		t.Errorf("faults %v", r.Faults)
	}
}

// TestVerifyFindsWhatTheListsPassOver repeats a salt four times, each time within
// its rights; then an undo record passes over one of them.
func TestVerifyFindsWhatTheListsPassOver(t *testing.T) {
	rules := *shortRules(t)
	rules.TxLifetime = 1
	network, err := consensus.NewRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	s, err := store.Create(dir, network, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := chaintest.New(network)
	parent := chaintest.Genesis
	for h := range uint32(7) {
		var spec chaintest.Spec
		if h%2 == 0 {
			spec.Transfers = []types.Transfer{pay(h+1, "early", "bob", 1, 1)}
		}
		name := names("a", 7)[h]
		b.Add(name, parent, spec)
		parent = name
	}
	forge(t, s, b.Blocks(names("a", 7)...)...)
	undo, err := s.Undo(5, b.Hash("a5"))
	if err != nil || len(undo.Salts) != 1 {
		t.Fatal(undo, err)
	}
	undo.Salts[0].Loc.Height = 1 // it was 3
	batch := s.NewBatch()
	defer batch.Close()
	batch.PutUndo(5, b.Hash("a5"), undo)
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := mustVerify(t, dir); len(r.Faults) != 1 || string(r.Faults[0].Key) != string(store.UndoKey(5, b.Hash("a5"))) {
		t.Errorf("faults %v", r.Faults)
	}
}
