package archive

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"cairn/accounts"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

func mustVerify(t testing.TB, dir string) *Report {
	t.Helper()
	r, err := Verify(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerifySound(t *testing.T) {
	dir, n := sample(t)
	tip := n.Tip()
	n.close()
	stages := make(map[string]uint64)
	r, err := Verify(t.Context(), dir, func(stage string, done, total uint64) {
		if done < stages[stage] || done > total {
			t.Errorf("%s: %d of %d after %d", stage, done, total, stages[stage])
		}
		stages[stage] = done
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Faults {
		t.Error(f)
	}
	if !r.Sound() || r.Network != "short" || r.Tip != tip.Hash || r.Height != 9 || r.Blocks != 10 ||
		r.Side != 9 || r.Transfers != 8 || r.Accounts != 6 || r.Pending != 2 {
		t.Errorf("report %+v", r)
	}
	if stages["files"] == 0 || stages["blocks"] != 19 || stages["records"] == 0 {
		t.Errorf("progress %v", stages)
	}
}

// raw opens the database of a directory without the store.
func raw(t testing.TB, dir string, change func(*pebble.DB)) {
	t.Helper()
	db, err := pebble.Open(filepath.Join(dir, "db"), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: silent{t}})
	if err != nil {
		t.Fatal(err)
	}
	change(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

type silent struct{ t testing.TB }

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (s silent) Fatalf(text string, args ...any) { s.t.Fatalf(text, args...) }

// records returns all records of a directory.
func records(t testing.TB, dir string) (all []store.Record) {
	t.Helper()
	err := store.Examine(dir, store.Options{}, func(_ *consensus.Rules, v *store.View) error {
		for r, err := range v.Records(0) {
			if err != nil {
				return err
			}
			all = append(all, store.Record{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// changed copies a directory, puts a value under a key or deletes it (nil), and
// verifies the copy. It returns the faults of records.
func changed(t testing.TB, dir string, key, value []byte) (faults []Fault) {
	t.Helper()
	other := filepath.Join(t.TempDir(), "changed")
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(other)
	raw(t, other, func(db *pebble.DB) {
		var err error
		if value == nil {
			err = db.Delete(key, pebble.Sync)
		} else {
			err = db.Set(key, value, pebble.Sync)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	for _, f := range mustVerify(t, other).Faults {
		if f.File == "" || f.File == "db" {
			faults = append(faults, f)
		}
	}
	return faults
}

// blind tells where a change cannot be seen, because nothing else that is stored
// depends on it: it is of what this node alone knows.
func blind(r store.Record, at int) bool {
	switch r.Key[0] {
	case store.PrefixTransfer:
		return at >= 8 // the first answer's block index
	case store.PrefixPending, store.PrefixNeighbour:
		return true
	case store.PrefixGeneral:
		return string(r.Key) == "gnode"
	}
	return false
}

// TestVerifyNamesEveryChange deletes each record and flips bits in it. All that
// follows from the blocks is missed and named, and nothing but that.
func TestVerifyNamesEveryChange(t *testing.T) {
	dir, n := sample(t)
	side := make(map[string]bool) // records of blocks beside the best chain
	for _, name := range []string{"a2", "aa1", "aa2", "c7", "c8", "d8", "d9", "d10", "e10"} {
		side[string(store.StateKey(n.Hash(name)))] = true
	}
	forgotten := string(store.StateKey(n.Hash("e10"))) // nothing else is known of it, or needs it
	n.close()
	for _, r := range records(t, dir) {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			if !blind(r, len(r.Value)) && string(r.Key) != forgotten || r.Key[0] == store.PrefixTransfer {
				// Without its state, a block beside the chain is only missed by others.
				check(t, "delete", r, changed(t, dir, r.Key, nil), !side[string(r.Key)])
			}
			if testing.Short() {
				return
			}
			for _, at := range []int{0, len(r.Value) / 3, len(r.Value) * 2 / 3, len(r.Value) - 1} {
				if at < 0 || blind(r, at) {
					continue
				}
				value := bytes.Clone(r.Value)
				value[at] ^= 1
				check(t, fmt.Sprint("flip a bit of byte ", at), r, changed(t, dir, r.Key, value), true)
			}
		})
	}
}

// check expects a fault of the record that was changed, and no other unless it
// cannot be told which one is at fault.
func check(t *testing.T, what string, r store.Record, faults []Fault, named bool) {
	t.Helper()
	if len(faults) == 0 {
		t.Errorf("%s in %s: no fault", what, r)
	}
	for _, f := range faults {
		if named && !bytes.Equal(f.Key, r.Key) && !strings.Contains(f.String(), fmt.Sprintf("%x", r.Key)) &&
			!strings.Contains(f.String(), r.String()) {
			t.Errorf("%s in %s: %s", what, r, f)
		}
	}
}

// TestVerifyNamesWhatIsTooMuch adds records that nothing calls for.
func TestVerifyNamesWhatIsTooMuch(t *testing.T) {
	dir, n := sample(t)
	tip, below, side, branch := n.Hash("b9"), n.Hash("b6"), n.Hash("c7"), n.Hash("aa2")
	genesis := n.Builder.Rules.JSON()
	state := n.Builder.State("c7")
	state.Hash[5]++
	state.Previous[5]++
	encoded := state.Encode()
	body := n.Block("b9").Encode()
	bare, bareHeader := n.Hash("e10"), n.Block("e10").Header.Encode()
	n.close()
	loc := []byte{1, 0, 0, 0, 0, 0, 0, 0} // transfer 0 of block 1
	stray := accounts.KeyOf("stray")
	pending := pay(10, "a", "0", 1, 1)
	for _, c := range []struct {
		what  string
		key   []byte
		value []byte
	}{
		{"salt of nobody", store.SaltKey("nobody", 1), loc},
		{"salt of the wrong number", store.SaltKey("early", 99), loc},
		{"salt of a sender that is not one", append(store.SaltKey("early", 99), 1), loc},
		{"transfer", store.TransferKey(tip), append(loc, 0, 0, 0, 0)},
		{"account", store.AccountKey(stray), append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, "stray"...)},
		{"account under another key", store.AccountKey(accounts.Key{}), append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, "stray"...)},
		{"node of the history", store.HistoryKey(2, 2), make([]byte, 32)},
		{"node of the history too high", store.HistoryKey(40, 0), make([]byte, 32)},
		{"block of the best chain", store.BestKey(10), side[:]},
		{"far block of the best chain", store.BestKey(4_000_000_000), side[:]},
		{"body at another height", store.BodyKey(10, tip), body},
		{"body of another block", store.BodyKey(9, types.Hash{1}), body},
		{"header at another height", store.HeaderKey(10, tip), body[:types.HeaderSize]},
		{"header of another block", store.HeaderKey(9, types.Hash{1}), body[:types.HeaderSize]},
		{"header of a branch at another height", store.HeaderKey(8, side), body[:types.HeaderSize]},
		{"header of a block without a body", store.HeaderKey(10, bare), bareHeader[:]},
		{"header without a height", []byte("h"), body[:types.HeaderSize]},
		{"undo record of a branch", store.UndoKey(7, side), []byte{0, 0}},
		{"undo record of genesis", store.UndoKey(0, n.Builder.Rules.ChainID()), []byte{0, 0}},
		{"state without a parent", store.StateKey(state.Hash), append(encoded[:], 1)},
		{"state that is none", store.StateKey(types.Hash{1}), []byte{1}},
		{"pending transfer to nobody", store.PendingKey(1000), pending.Append([]byte{5, 0, 0, 0})},
		{"pending transfer cut off", store.PendingKey(1000), pending.Append([]byte{5, 0, 0, 0})[:50]},
		{"pending transfer without an answer", store.PendingKey(1000),
			(&types.Transfer{Sender: "a", Recipient: "b", Expiry: 9}).Append(make([]byte, 4))},
		{"neighbour", []byte("nftp://example.com"), []byte{}},
		{"neighbour with a value", []byte("nhttp://example.com"), []byte{1}},
		{"general record", []byte("gextra"), []byte{}},
		{"goal", store.GoalKey(), make([]byte, 64)},
		{"body of a branch at another height", store.BodyKey(8, side), body},
		{"genesis file in another form", store.GenesisKey(), append(genesis, ' ')},
		{"tip below the tip", store.TipKey(), below[:]},
		{"tip of another branch", store.TipKey(), branch[:]},
		{"tip that is no block", store.TipKey(), make([]byte, 32)},
		{"unknown prefix", []byte("z1"), []byte{}},
		{"first key of all", []byte{0}, []byte{}},
		{"last key of all", []byte{255, 255}, []byte{}},
		{"empty key", []byte{}, []byte{}},
	} {
		faults := changed(t, dir, c.key, c.value)
		if len(faults) != 1 || !bytes.Equal(faults[0].Key, c.key) {
			t.Errorf("%s: faults %v", c.what, faults)
		}
	}
}

// TestVerifyFollowsSalts changes records about salts to others that make sense by
// themselves. Three transfers have salt 1 of "early": in blocks 1, 5 and 9.
func TestVerifyFollowsSalts(t *testing.T) {
	at := func(height, position uint32) store.Loc { return store.Loc{Height: height, Position: position} }
	undo := func(height uint32, change func(*store.Undo)) func(*node, *store.Batch) []byte {
		return func(n *node, b *store.Batch) []byte {
			hash := n.Hash(fmt.Sprint("b", height))
			u, err := n.store.Undo(height, hash)
			if err != nil {
				t.Fatal(err)
			}
			change(&u)
			b.PutUndo(height, hash, u)
			return store.UndoKey(height, hash)
		}
	}
	for _, c := range []struct {
		what   string
		change func(*node, *store.Batch) (key []byte)
	}{
		{"index names an earlier one", func(_ *node, b *store.Batch) []byte {
			b.PutSalt("early", 1, at(5, 0))
			return store.SaltKey("early", 1)
		}},
		{"index names another's", func(_ *node, b *store.Batch) []byte {
			b.PutSalt("early", 1, at(9, 1))
			return store.SaltKey("early", 1)
		}},
		{"index goes on", func(_ *node, b *store.Batch) []byte {
			b.PutSalt("early", 1, at(10, 0))
			return store.SaltKey("early", 1)
		}},
		{"one was overwritten that was not there", undo(9, func(u *store.Undo) {
			u.Salts = append(u.Salts, store.OverwrittenSalt{Sender: "dave", Salt: 9, Loc: at(1, 0)})
		})},
		{"one was overwritten that the block has not", undo(6, func(u *store.Undo) {
			u.Salts = append(u.Salts, store.OverwrittenSalt{Sender: "early", Salt: 1, Loc: at(1, 0)})
		})},
		{"none was overwritten", undo(9, func(u *store.Undo) { u.Salts = nil })},
		{"the one before was passed over", undo(9, func(u *store.Undo) { u.Salts[0].Loc = at(1, 0) })},
		{"a block overwrote its own", undo(9, func(u *store.Undo) { u.Salts[0].Loc = at(9, 0) })},
		{"a later one was overwritten", undo(5, func(u *store.Undo) { u.Salts[0].Loc = at(9, 0) })},
		{"none was overwritten below", undo(5, func(u *store.Undo) { u.Salts = nil })},
	} {
		dir, n := sample(t)
		b := n.store.NewBatch()
		key := c.change(n, b)
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		b.Close()
		n.close()
		if r := mustVerify(t, dir); len(r.Faults) != 1 || !bytes.Equal(r.Faults[0].Key, key) {
			t.Errorf("%s: faults %v", c.what, r.Faults)
		}
	}
}

// TestVerifyReplaysBranches changes what is remembered of blocks beside the best
// chain, or adds some.
func TestVerifyReplaysBranches(t *testing.T) {
	const valid, invalid = store.HaveBody | store.Applied, store.HaveBody | store.Invalid
	state := func(n *node, name string) consensus.State {
		s, _, err := n.store.State(n.Hash(name))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	add := func(n *node, b *store.Batch, name, parent string, height uint32, status store.Status, salts ...uint64) {
		var spec chaintest.Spec
		for _, salt := range salts {
			spec.Transfers = append(spec.Transfers, pay(height, "early", "bob", 1, salt))
		}
		block := n.Add(name, parent, spec)
		b.PutState(n.Builder.State(name), status)
		b.PutBlock(height, n.Hash(name), block.Encode())
	}
	for _, c := range []struct {
		what   string
		change func(*node, *store.Batch) (key []byte)
	}{
		{"valid, marked invalid", func(n *node, b *store.Batch) []byte {
			b.PutState(state(n, "c8"), invalid)
			return store.StateKey(n.Hash("c8"))
		}},
		{"valid after one marked invalid", func(n *node, b *store.Batch) []byte {
			b.PutState(state(n, "c7"), invalid)
			return store.StateKey(n.Hash("c7"))
		}},
		{"invalid, marked applied", func(n *node, b *store.Batch) []byte {
			b.PutState(state(n, "d10"), valid)
			return store.StateKey(n.Hash("d10"))
		}},
		{"applied and invalid", func(n *node, b *store.Batch) []byte {
			b.PutState(state(n, "d10"), valid|invalid)
			return store.StateKey(n.Hash("d10"))
		}},
		{"nothing is known of it", func(n *node, b *store.Batch) []byte {
			b.PutState(state(n, "e10"), 0)
			return store.StateKey(n.Hash("e10"))
		}},
		{"another base", func(n *node, b *store.Batch) []byte {
			s := state(n, "e10")
			s.Base++
			b.PutState(s, store.Invalid)
			return store.StateKey(n.Hash("e10"))
		}},
		{"another height", func(n *node, b *store.Batch) []byte {
			s := state(n, "e10")
			s.Height++
			b.PutState(s, store.Invalid)
			return store.StateKey(n.Hash("e10"))
		}},
		{"earlier than its parent", func(n *node, b *store.Batch) []byte {
			s := state(n, "e10")
			s.Time -= 100
			b.PutState(s, store.Invalid)
			return store.StateKey(n.Hash("e10"))
		}},
		{"applied on one that is invalid", func(n *node, b *store.Batch) []byte {
			add(n, b, "f7", "b6", 7, invalid, 1)
			add(n, b, "f8", "f7", 8, valid)
			return store.StateKey(n.Hash("f8"))
		}},
		{"salt is used again after the fork", func(n *node, b *store.Batch) []byte {
			add(n, b, "f5", "b4", 5, valid, 1) // the best chain has it at 1, and after the fork
			add(n, b, "f6", "f5", 6, valid, 2)
			return nil
		}},
		{"salt is repeated from before the fork", func(n *node, b *store.Batch) []byte {
			add(n, b, "f7", "b6", 7, valid, 1)
			return store.StateKey(n.Hash("f7"))
		}},
		{"salt is repeated on the branch", func(n *node, b *store.Batch) []byte {
			add(n, b, "f7", "b6", 7, valid, 100)
			add(n, b, "f8", "f7", 8, valid)
			add(n, b, "f9", "f8", 9, valid, 100)
			return store.StateKey(n.Hash("f9"))
		}},
		{"salt is repeated, and that is remembered", func(n *node, b *store.Batch) []byte {
			add(n, b, "f7", "b6", 7, invalid, 1)
			return nil
		}},
	} {
		dir, n := sample(t)
		b := n.store.NewBatch()
		key := c.change(n, b)
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		b.Close()
		n.close()
		r := mustVerify(t, dir)
		if key == nil && !r.Sound() || key != nil && (len(r.Faults) != 1 || !bytes.Equal(r.Faults[0].Key, key)) {
			t.Errorf("%s: faults %v", c.what, r.Faults)
		}
	}
}

// TestVerifyGoesOn checks that where one record hides others, what can still be
// checked is, and is not blamed.
func TestVerifyGoesOn(t *testing.T) {
	dir, n := sample(t)
	b5 := n.Hash("b5")
	n.close()
	raw(t, dir, func(db *pebble.DB) {
		for _, key := range [][]byte{store.BodyKey(5, b5), store.UndoKey(5, b5), store.AccountKey(accounts.KeyOf("bob"))} {
			if err := db.Delete(key, pebble.Sync); err != nil {
				t.Fatal(err)
			}
		}
	})
	want := map[string]bool{
		string(store.BodyKey(5, b5)): true, string(store.UndoKey(5, b5)): true,
		"a": true, // the balances, among them the account that is gone, cannot be checked
	}
	r := mustVerify(t, dir)
	for _, f := range r.Faults {
		if f.File == "" && !want[string(f.Key)] {
			t.Error("also", f)
		}
		delete(want, string(f.Key))
	}
	if len(want) > 0 || r.Blocks != 10 {
		t.Errorf("not named: %q, of %d blocks", slices.Collect(maps.Keys(want)), r.Blocks)
	}
}

// TestVerifyBlamesTheUndoRecord checks that an undo record which has to fill in
// for a body is itself held to the commitment of the next block.
func TestVerifyBlamesTheUndoRecord(t *testing.T) {
	dir, n := sample(t)
	b5 := n.Hash("b5")
	n.close()
	raw(t, dir, func(db *pebble.DB) {
		if err := db.Delete(store.BodyKey(5, b5), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	})
	for _, r := range records(t, dir) {
		if bytes.Equal(r.Key, store.UndoKey(5, b5)) {
			r.Value[len("\x04\x03bob")+8+2]++ // a balance after the block
			for _, f := range changed(t, dir, r.Key, r.Value) {
				if bytes.Equal(f.Key, r.Key) && errors.Is(f.Reason, consensus.ErrCommitment) {
					return
				}
				t.Log(f)
			}
		}
	}
	t.Error("the undo record is not blamed")
}

func TestVerifyFiles(t *testing.T) {
	dir, n := sample(t)
	if _, err := Verify(t.Context(), dir, nil); !errors.Is(err, store.ErrBusy) {
		t.Errorf("while a node runs: %v", err)
	}
	n.close()
	if _, err := Verify(t.Context(), t.TempDir(), nil); !errors.Is(err, store.ErrNoData) {
		t.Errorf("an empty directory: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "db"))
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"cairn.txt"}
	for _, e := range entries {
		files = append(files, "db/"+e.Name())
	}
	for _, name := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) == 0 {
			continue
		}
		broken := bytes.Clone(data)
		broken[len(data)/2] ^= 0x10
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		r := mustVerify(t, dir)
		if !slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.File == name && f.Reason != nil }) {
			t.Errorf("a bit of %s flipped: %v", name, r.Faults)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := mustVerify(t, dir); !r.Sound() {
		t.Error(r.Faults)
	}
}

func TestVerifyPendingSignature(t *testing.T) {
	rules := *shortRules(t)
	rules.Signatures, rules.CreditLimit = true, 0
	public, private, _ := ed25519.GenerateKey(nil)
	rules.Allocations = []consensus.Allocation{{Account: types.Account(public), Amount: 100}}
	network, err := consensus.NewRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	n := create(t, dir, network)
	good := pay(1, types.Account(public), types.Account(public), 1, 1)
	network.Sign(&good, private)
	if _, err := n.AddTransfer(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	bad := good
	bad.Salt++
	b := n.store.NewBatch()
	b.PutPending(9, 1, &bad)
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	b.Close()
	n.close()
	r := mustVerify(t, dir)
	if len(r.Faults) != 1 || !errors.Is(r.Faults[0].Reason, consensus.ErrSignature) || !bytes.Equal(r.Faults[0].Key, store.PendingKey(9)) {
		t.Errorf("faults %v", r.Faults)
	}
}

// TestVerifySaltsUsedAgain has the same few salts in every other block, so each
// transfer is on a long list.
func TestVerifySaltsUsedAgain(t *testing.T) {
	rules := *shortRules(t)
	rules.TxLifetime = 1
	network, err := consensus.NewRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	n := create(t, dir, network)
	parent := chaintest.Genesis
	for h := range uint32(200) {
		var spec chaintest.Spec
		for salt := range uint64(3) {
			if salt == uint64(h%2) || salt == 2 && h%7 == 0 {
				spec.Transfers = append(spec.Transfers, pay(h+1, "early", "bob", 1, salt))
			}
		}
		name := fmt.Sprint("a", h+1)
		n.Add(name, parent, spec)
		parent = name
	}
	n.mustAdd(names("a", 200)...)
	n.close()
	if r := mustVerify(t, dir); !r.Sound() || r.Transfers != 229 {
		t.Errorf("%d transfers, faults %v", r.Transfers, r.Faults)
	}
}

// TestVerifyManyFaults checks that all are counted and the first are kept.
func TestVerifyManyFaults(t *testing.T) {
	dir, n := sample(t)
	n.close()
	raw(t, dir, func(db *pebble.DB) {
		for i := range 300 {
			if err := db.Set(fmt.Appendf(nil, "z%d", i), nil, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
	})
	if r := mustVerify(t, dir); r.Count < 300 || r.Count > 310 || len(r.Faults) != maxFaults {
		t.Errorf("%d faults, %d kept", r.Count, len(r.Faults))
	}
}
