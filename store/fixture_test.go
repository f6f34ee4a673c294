package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

// childVariable makes the test binary run one test as a process of its own.
const childVariable = "CAIRN_STORE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(m.Run()) // it may leave goroutines: that is why it is on its own
	}
	goleak.VerifyTestMain(m)
}

// child says whether this is the test's own process. Elsewhere it runs that
// process, and fails with it.
func child(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childVariable) == t.Name() {
		return true
	}
	if out, err := childCommand(t, t.Name()).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func childCommand(t *testing.T, name string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.v", fmt.Sprint("-test.short=", testing.Short()))
	cmd.Env = append(append(os.Environ(), childVariable+"="+name), env...)
	return cmd
}

const testDir = "data"

func mustCreate(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Create(testDir, consensus.Dev(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(testDir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// memoryStore returns a new store in memory that is closed with the test.
func memoryStore(t testing.TB) *Store {
	t.Helper()
	s := mustCreate(t, Options{FS: vfs.NewMem()})
	t.Cleanup(func() { mustClose(t, s) })
	return s
}

// commit makes one batch of what fill puts into it.
func commit(t testing.TB, s *Store, fill func(*Batch)) {
	t.Helper()
	b := s.NewBatch()
	defer b.Close()
	fill(b)
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

// Values of every kind, no two bytes alike where that is possible, so that a
// field in the wrong place shows.
var (
	sampleHash     = hashOf(0x10)
	sampleState    = consensus.State{Hash: sampleHash, Previous: hashOf(0x40), Height: 0x04030201, Time: 0x08070605, Bits: 0x0c0b0a09, Base: 0x100f0e0d, Work: consensus.Work{0x21, 0x22, 0x23, 0x24}}
	sampleLoc      = Loc{Height: 0x04030201, Position: 0x08070605}
	sampleTransfer = types.Transfer{Sender: "ann", Recipient: "bob", Amount: 3, Fee: 1, Expiry: 7, Salt: 9, Memo: "tea", Signature: [64]byte{0: 1, 63: 2}}
	sampleUndo     = Undo{
		Changes: []consensus.Change{{Party: consensus.NewParty("ann"), Before: -1, After: 0x0102030405060708}, {Party: consensus.NewParty("bob"), After: 5}},
		Salts:   []OverwrittenSalt{{Sender: "ann", Salt: 0x1112131415161718, Loc: sampleLoc}},
	}
	sampleMention = Mention{Height: 0x01020304, Positions: []uint32{0x04030201, consensus.RewardPosition}}
	sampleToken   = Token{Name: "shop", Scope: 2, Created: 0x0807060504030201, Sum: hashOf(0x30)}
	samplePeer    = PeerRecord{ID: "\x12\x20peer", Banned: 0x0807060504030201, Reason: "spam", Addresses: []string{"\x04\x7f\x00\x00\x01\x06\x17\x70"}}
	sampleNode    = history.Node{Level: 2, Index: 0x01020304, Sum: hashOf(0x60)}
)

func hashOf(first byte) (h types.Hash) {
	for i := range h {
		h[i] = first + byte(i)
	}
	return h
}

func sampleBlock() *types.Block {
	return &types.Block{
		Header:    types.Header{Version: 0x20000000, Nonce: 7},
		Reward:    types.Reward{Height: 1, Amount: 5, Recipient: "ann", Extra: []byte{}},
		Transfers: []types.Transfer{sampleTransfer},
	}
}

// putSamples puts one record of every kind into a batch.
func putSamples(b *Batch) {
	b.PutState(sampleState, HaveBody|Invalid)
	b.PutBlock(0x01020304, sampleHash, sampleBlock().Encode())
	b.PutUndo(0x01020304, sampleHash, sampleUndo)
	b.PutBest(0x01020304, sampleHash)
	b.PutRoot(0x01020304, hashOf(0x70))
	b.PutHistoryNode(sampleNode)
	b.PutAccount(consensus.NewParty("ann"), -0x01020304050607)
	b.PutSalt("ann", 0x0102030405060708, sampleLoc)
	b.PutTransfer(sampleHash, TransferRecord{sampleLoc, 0x0c0b0a09})
	b.PutMention(accounts.KeyOf("ann"), 0x01020304, sampleMention.Positions)
	b.PutPending(0x0102030405060708, 0x0c0b0a09, &sampleTransfer)
	b.PutNeighbour("http://127.0.0.1:5001")
	b.PutToken(sampleToken)
	b.PutPeer(samplePeer)
	b.PutGoal([]types.Hash{sampleHash, hashOf(0x40)})
}

// tree returns every file of a directory with its content.
func tree(t testing.TB, fsys vfs.FS, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fsys.PathJoin(dir, name)
		info, err := fsys.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if !info.IsDir() {
			files[path] = string(readFile(t, fsys, path))
			continue
		}
		files[path] = "directory"
		for path, content := range tree(t, fsys, path) {
			files[path] = content
		}
	}
	return files
}

func readFile(t testing.TB, fsys vfs.FS, path string) []byte {
	t.Helper()
	f, err := fsys.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, fsys vfs.FS, path string, data []byte) {
	t.Helper()
	f, err := fsys.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(data)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// dbFile returns the name of the one file of the database that the pattern picks.
func dbFile(t testing.TB, fsys vfs.FS, pattern string) string {
	t.Helper()
	names, err := fsys.List(fsys.PathJoin(testDir, dbName))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		if ok, _ := filepath.Match(pattern, name); ok {
			return dbName + "/" + name
		}
	}
	t.Fatalf("no %s among %v", pattern, names)
	return ""
}
