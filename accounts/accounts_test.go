package accounts

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"cairn/types"
)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func randomKey(rng *rand.Rand) (k Key) {
	for i := range k {
		k[i] = byte(rng.Uint32())
	}
	return k
}

func randomLeaves(rng *rand.Rand, n int) []Leaf {
	leaves := make([]Leaf, n)
	for i := range leaves {
		leaves[i] = Leaf{randomKey(rng), int64(rng.Uint64()>>11) + 1}
	}
	return leaves
}

// closeKeys returns keys of which many share long prefixes, up to 255 bits.
func closeKeys(rng *rand.Rand, n int) []Key {
	keys := []Key{randomKey(rng)}
	for len(keys) < n {
		k := keys[rng.IntN(len(keys))]
		bit := rng.IntN(256)
		k[bit/8] ^= 0x80 >> (bit % 8)
		switch rng.IntN(4) {
		case 0:
			k = randomKey(rng)
		case 1: // other from there on
			tail := randomKey(rng)
			copy(k[bit/8+1:], tail[bit/8+1:])
		}
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// balances is the whole state in a map. It is the naive twin of a tree, and what
// a tree reads from.
type balances map[Key]int64

func (b balances) leaves() []Leaf {
	var leaves []Leaf
	for k, v := range b {
		leaves = append(leaves, Leaf{k, v})
	}
	slices.SortFunc(leaves, func(x, y Leaf) int { return bytes.Compare(x.Key[:], y.Key[:]) })
	return leaves
}

func (b balances) apply(changes []Leaf) balances {
	after := maps.Clone(b)
	for _, c := range changes {
		after[c.Key] = c.Balance
		if c.Balance == 0 {
			delete(after, c.Key)
		}
	}
	return after
}

func (b balances) root() [32]byte { return naiveRoot(b.leaves(), 0) }

// naiveRoot is the definition, word for word.
func naiveRoot(leaves []Leaf, depth int) [32]byte {
	if len(leaves) == 0 {
		return [32]byte{}
	}
	if len(leaves) == 1 {
		b := append([]byte{0}, leaves[0].Key[:]...)
		return sha256.Sum256(binary.LittleEndian.AppendUint64(b, uint64(leaves[0].Balance)))
	}
	var halves [2][]Leaf
	for _, l := range leaves {
		bit := l.Key[depth/8] >> (7 - depth%8) & 1
		halves[bit] = append(halves[bit], l)
	}
	left, right := naiveRoot(halves[0], depth+1), naiveRoot(halves[1], depth+1)
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

func (b balances) Leaves(prefix Key, bits int) ([]Leaf, error) {
	var leaves []Leaf
	for _, l := range b.leaves() {
		if commonBits(&l.Key, &prefix) >= bits {
			leaves = append(leaves, l)
		}
	}
	return leaves, nil
}

// readerFunc is a Reader of one function.
type readerFunc func(prefix Key, bits int) ([]Leaf, error)

func (f readerFunc) Leaves(prefix Key, bits int) ([]Leaf, error) { return f(prefix, bits) }

// checkShape fails the test where a tree breaks one of its own promises.
func checkShape(t *testing.T, tree Tree) {
	t.Helper()
	var check func(s *subtree, depth int)
	check = func(s *subtree, depth int) {
		switch {
		case s.count == 0:
			if *s != (subtree{}) {
				t.Fatalf("an empty subtree is %+v", *s)
			}
		case s.leaf != nil:
			if s.count != 1 || s.loaded != 1 || s.halves != nil || s.sum != leafSum(s.leaf) {
				t.Fatalf("a leaf is %+v", *s)
			}
		case s.isStub():
			if s.count > maxStub || s.loaded != 0 {
				t.Fatalf("a stub is %+v", *s)
			}
		default:
			l, r := &s.halves[0], &s.halves[1]
			if s.count < 2 || s.count != l.count+r.count || s.loaded != l.loaded+r.loaded {
				t.Fatalf("%d leaves, %d in memory, over %d, %d and %d, %d", s.count, s.loaded, l.count, l.loaded, r.count, r.loaded)
			}
			if s.sum != innerSum(&l.sum, &r.sum) {
				t.Fatalf("wrong sum at depth %d", depth)
			}
			check(l, depth+1)
			check(r, depth+1)
		}
	}
	check(&tree.root, 0)
}

// checkStubs fails the test unless all small subtrees are stubs.
func checkStubs(t *testing.T, s *subtree) {
	t.Helper()
	if s.count > maxStub {
		checkStubs(t, &s.halves[0])
		checkStubs(t, &s.halves[1])
	} else if s.count > 0 && !s.isStub() {
		t.Fatalf("%d leaves are no stub", s.count)
	}
}

func mustUpdate(t testing.TB, tree Tree, changes []Leaf) Tree {
	t.Helper()
	updated, err := tree.Update(changes)
	if err != nil {
		t.Fatal(err)
	}
	return updated
}

func mustBuild(t testing.TB, b balances) Tree {
	t.Helper()
	tree, err := Build(b, sequence(b.leaves()))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func sequence(leaves []Leaf) func(func(Leaf, error) bool) {
	return func(yield func(Leaf, error) bool) {
		for _, l := range leaves {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// vectors are the published test vectors. They were made from the text of the
// protocol by a program that shares nothing with this package.
type vectors struct {
	Keys  []struct{ Account, Key string }
	Cases []struct {
		Name   string
		Leaves []struct {
			Key     string
			Balance int64
		}
		Root   string
		Proofs []struct {
			Key     string
			Balance int64
			Proof   string
		}
	}
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("testdata/accounts.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Keys) == 0 || len(v.Cases) == 0 {
		t.Fatal("testdata/accounts.json lacks vectors")
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	v := readVectors(t)
	for _, k := range v.Keys {
		if got := KeyOf(types.Account(k.Account)); hex.EncodeToString(got[:]) != k.Key {
			t.Errorf("key of %q is %x, want %s", k.Account, got, k.Key)
		}
	}
	for _, c := range v.Cases {
		stored := balances{}
		for _, l := range c.Leaves {
			stored[Key(unhex(t, l.Key))] = l.Balance
		}
		root := [32]byte(unhex(t, c.Root))
		for _, tree := range []Tree{mustBuild(t, stored), mustUpdate(t, New(stored), stored.leaves())} {
			if tree.Root() != root {
				t.Errorf("%s: root %x, want %x", c.Name, tree.Root(), root)
			}
			for _, p := range c.Proofs {
				key := Key(unhex(t, p.Key))
				proof, err := tree.Prove(key)
				if err != nil {
					t.Fatal(err)
				}
				if got := hex.EncodeToString(proof.Append(nil)); got != p.Proof {
					t.Errorf("%s: proof of %s is\n%s, want\n%s", c.Name, p.Key, got, p.Proof)
				}
				if err := proof.Verify(root, key, p.Balance); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
				if got, err := tree.Get(key); err != nil || got != p.Balance {
					t.Errorf("%s: Get(%s) = %d, %v, want %d", c.Name, p.Key, got, err, p.Balance)
				}
			}
		}
	}
}

// world is one history of random calls. Trees run ahead of what is stored, as
// they do while a block is checked, and are given up, stored, undone or trimmed.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	keys   []Key
	stored *balances // what the tree reads from
	tree   Tree
	now    balances // what the tree holds
	ahead  bool     // not all of the tree is stored
}

var errBroken = errors.New("broken")

func newWorld(t *testing.T, seed uint64) *world {
	rng := seeded(seed)
	stored := &balances{}
	read := readerFunc(func(prefix Key, bits int) ([]Leaf, error) { return stored.Leaves(prefix, bits) })
	return &world{t: t, rng: rng, keys: closeKeys(rng, 2+rng.IntN(120)), stored: stored, tree: New(read), now: balances{}}
}

func (w *world) changes() []Leaf {
	n := 1 + w.rng.IntN(1+w.rng.IntN(len(w.keys)))
	deletions := w.rng.IntN(4)
	var changes []Leaf
	for _, i := range w.rng.Perm(len(w.keys))[:n] {
		balance := w.rng.Int64N(7) - 3
		if w.rng.IntN(3) < deletions {
			balance = 0
		}
		changes = append(changes, Leaf{w.keys[i], balance})
	}
	return changes
}

func (w *world) step() {
	switch w.rng.IntN(8) {
	default:
		changes := w.changes()
		if w.rng.IntN(3) == 0 {
			w.load(changes)
		}
		passed := slices.Clone(changes)
		w.tree = mustUpdate(w.t, w.tree, passed)
		if !slices.Equal(passed, changes) {
			w.t.Fatal("Update changed its argument")
		}
		w.now = w.now.apply(changes)
		w.ahead = true
	case 0: // an update that comes to nothing
		if _, err := w.tree.Update(w.changes()); err != nil {
			w.t.Fatal(err)
		}
	case 1, 2:
		*w.stored, w.ahead = w.now, false
	case 3:
		if !w.ahead {
			w.trim(w.rng.IntN(len(w.now) + 2))
		}
	case 4:
		if !w.ahead {
			rebuilt := mustBuild(w.t, w.now)
			if rebuilt.Root() != w.tree.Root() || rebuilt.Loaded() != 0 {
				w.t.Fatal("Build gives another root, or holds leaves")
			}
			checkShape(w.t, rebuilt)
			checkStubs(w.t, &rebuilt.root)
			if w.rng.IntN(4) == 0 {
				w.tree.root = rebuilt.root
			}
		}
	}
	w.check()
}

// load loads the accounts of changes, after which an update of them reads nothing.
func (w *world) load(changes []Leaf) {
	want := slices.SortedFunc(slices.Values(changes), compareKeys)
	loaded, err := w.tree.Load(want)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range want {
		if l.Balance != w.now[l.Key] {
			w.t.Fatalf("Load says %d of %x, want %d", l.Balance, l.Key, w.now[l.Key])
		}
	}
	if loaded.Root() != w.tree.Root() || loaded.Count() != w.tree.Count() {
		w.t.Fatal("Load changed the tree")
	}
	checkShape(w.t, loaded)
	reader := loaded.reader
	loaded.reader = readerFunc(func(Key, int) ([]Leaf, error) { return nil, errBroken })
	// Deleting an account may open the stub beside it; every other change is covered.
	kept := slices.DeleteFunc(slices.Clone(changes), func(l Leaf) bool { return l.Balance == 0 })
	if _, err := loaded.Update(kept); err != nil {
		w.t.Fatalf("an update after Load reads: %v", err)
	}
	loaded.reader = reader
	w.tree = loaded
}

func (w *world) trim(max int) {
	trimmed := w.tree.Trim(max)
	if trimmed.Root() != w.tree.Root() || trimmed.Count() != w.tree.Count() {
		w.t.Fatalf("Trim(%d) changed the tree", max)
	}
	least, most := max-max/8-maxStub+1, max-max/8
	if w.tree.Loaded() <= max {
		least, most = w.tree.Loaded(), w.tree.Loaded()
	}
	if trimmed.Loaded() < least || trimmed.Loaded() > most {
		w.t.Fatalf("Trim(%d) left %d of %d leaves, want %d to %d", max, trimmed.Loaded(), w.tree.Loaded(), least, most)
	}
	w.tree = trimmed
}

func (w *world) check() {
	w.t.Helper()
	if got, want := w.tree.Root(), w.now.root(); got != want {
		w.t.Fatalf("root %x, the twin says %x", got, want)
	}
	if w.tree.Count() != uint64(len(w.now)) {
		w.t.Fatalf("Count is %d, want %d", w.tree.Count(), len(w.now))
	}
	checkShape(w.t, w.tree)
	for range 3 {
		key := w.keys[w.rng.IntN(len(w.keys))]
		got, err := w.tree.Get(key)
		if err != nil || got != w.now[key] {
			w.t.Fatalf("Get(%x) = %d, %v, want %d", key, got, err, w.now[key])
		}
		proof, err := w.tree.Prove(key)
		if err == nil {
			err = proof.Verify(w.tree.Root(), key, w.now[key])
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if proof.Verify(w.tree.Root(), key, w.now[key]+1) == nil {
			w.t.Fatal("a proof shows a wrong balance")
		}
	}
}

func TestTreeEqualsNaiveTwin(t *testing.T) {
	for seed := range uint64(25) {
		w := newWorld(t, seed)
		for range 100 {
			w.step()
		}
		// Everything goes, a few at a time.
		for len(w.now) > 0 {
			var gone []Leaf
			for _, l := range w.now.leaves() {
				if len(gone) == 0 || w.rng.IntN(10) == 0 {
					gone = append(gone, Leaf{Key: l.Key})
				}
			}
			w.tree, w.now = mustUpdate(t, w.tree, gone), w.now.apply(gone)
			w.check()
		}
		if w.tree.Root() != [32]byte{} {
			t.Fatal("the root of an empty tree is not zero")
		}
	}
}

// Batches that are large enough to be split over goroutines, over keys as they
// come from SHA-256.
func TestLargeUpdates(t *testing.T) {
	rng := seeded(100)
	leaves := randomLeaves(rng, 5000)
	now := balances{}
	tree := mustUpdate(t, New(nil), nil)
	for round := range 6 {
		var changes []Leaf
		for _, i := range rng.Perm(len(leaves))[:500+round*500] {
			changes = append(changes, Leaf{leaves[i].Key, rng.Int64N(3)})
		}
		now = now.apply(changes)
		tree = mustUpdate(t, tree, changes)
		tree.reader = now
		if round%2 == 1 {
			tree = tree.Trim(len(leaves) / 4)
		}
		if tree.Root() != now.root() || tree.Count() != uint64(len(now)) {
			t.Fatalf("round %d: wrong root or count", round)
		}
		checkShape(t, tree)
	}
}

// Writing the balances of before a block gives the tree of before the block.
func TestUndo(t *testing.T) {
	w := newWorld(t, 101)
	for range 200 {
		before, root := w.now, w.tree.Root()
		changes := w.changes()
		undo := slices.Clone(changes)
		for i := range undo {
			undo[i].Balance = before[undo[i].Key]
		}
		tree := mustUpdate(t, mustUpdate(t, w.tree, changes), undo)
		if tree.Root() != root {
			t.Fatal("undoing gives another root")
		}
		w.step()
	}
}

// A stub of one leaf whose siblings are deleted is one leaf higher up, where
// storage that is behind has more.
func TestStubLeftAlone(t *testing.T) {
	rng := seeded(106)
	for side := range byte(2) {
		alone := Leaf{Key{side << 7}, 5}
		stored := balances{alone.Key: alone.Balance}
		var gone []Leaf
		for _, l := range randomLeaves(rng, 2*maxStub) {
			l.Key[0] = l.Key[0]&0x7f | (1-side)<<7
			stored[l.Key] = l.Balance
			gone = append(gone, Leaf{Key: l.Key})
		}
		tree := mustBuild(t, stored)
		if opened := tree.root.halves[side]; opened.count != 1 || !opened.isStub() {
			t.Fatal("the test needs a stub of one leaf")
		}
		updated := mustUpdate(t, tree, gone)
		if updated.Root() != (balances{alone.Key: alone.Balance}).root() {
			t.Error("wrong root")
		}
		if got, err := updated.Get(alone.Key); err != nil || got != alone.Balance {
			t.Errorf("Get = %d, %v, want %d", got, err, alone.Balance)
		}

		tree.reader = readerFunc(func(prefix Key, bits int) ([]Leaf, error) {
			if bits == 1 && prefix.bit(0) == int(side) {
				return nil, errBroken
			}
			return stored.Leaves(prefix, bits)
		})
		if _, err := tree.Update(gone); !errors.Is(err, errBroken) {
			t.Errorf("error %v, want the Reader's", err)
		}
	}
}

func TestUpdateRefusesKeyTwice(t *testing.T) {
	rng := seeded(102)
	keys := closeKeys(rng, 20)
	for _, tree := range []Tree{New(nil), mustUpdate(t, New(nil), []Leaf{{keys[0], 1}, {keys[1], 2}})} {
		for _, key := range keys {
			if _, err := tree.Update([]Leaf{{key, 3}, {keys[5], 4}, {key, 3}}); err == nil {
				t.Error("Update took a key twice")
			}
		}
	}
}

// A tree whose storage has moved on gives the balances of its own time or
// ErrStale.
func TestLoadWantsOrder(t *testing.T) {
	keys := closeKeys(seeded(1), 2)
	slices.SortFunc(keys, func(a, b Key) int { return bytes.Compare(a[:], b[:]) })
	tree := mustUpdate(t, New(nil), []Leaf{{keys[0], 1}, {keys[1], 2}})
	for _, want := range [][]Leaf{{{Key: keys[1]}, {Key: keys[0]}}, {{Key: keys[0]}, {Key: keys[0]}}} {
		if _, err := tree.Load(want); err == nil {
			t.Errorf("no error for %x", want)
		}
	}
}

func TestOldTreesAreNeverWrong(t *testing.T) {
	w := newWorld(t, 103)
	type old struct {
		tree Tree
		now  balances
	}
	var olds []old
	stale := 0
	for range 300 {
		w.step()
		olds = append(olds, old{w.tree, w.now})
		o := olds[w.rng.IntN(len(olds))]
		for _, key := range w.keys {
			got, err := o.tree.Get(key)
			switch {
			case errors.Is(err, ErrStale):
				stale++
			case err != nil || got != o.now[key]:
				t.Fatalf("Get(%x) = %d, %v, want %d or ErrStale", key, got, err, o.now[key])
			}
		}
		changes := w.changes()
		if updated, err := o.tree.Update(changes); err == nil {
			if updated.Root() != o.now.apply(changes).root() {
				t.Fatal("Update of an old tree gives a wrong root")
			}
		} else if !errors.Is(err, ErrStale) {
			t.Fatal(err)
		}
	}
	if stale == 0 {
		t.Error("the test never met ErrStale")
	}
}

func TestLyingReaders(t *testing.T) {
	rng := seeded(104)
	keys := closeKeys(rng, 60)
	stored := balances{}
	for i, k := range keys[:50] {
		stored[k] = int64(i + 1)
	}
	honest := mustBuild(t, stored)

	lies := []struct {
		name string
		lie  func([]Leaf) ([]Leaf, error)
		want error
	}{
		{"error", func([]Leaf) ([]Leaf, error) { return nil, errBroken }, errBroken},
		{"nothing", func([]Leaf) ([]Leaf, error) { return nil, nil }, ErrStale},
		{"one missing", func(l []Leaf) ([]Leaf, error) { return l[1:], nil }, ErrStale},
		{"one more", func(l []Leaf) ([]Leaf, error) { return append(l, Leaf{keys[55], 1}), nil }, ErrStale},
		{"one twice", func(l []Leaf) ([]Leaf, error) { l[0] = l[len(l)-1]; return l, nil }, ErrStale},
		{"other balance", func(l []Leaf) ([]Leaf, error) { l[len(l)-1].Balance++; return l, nil }, ErrStale},
		{"no balance", func(l []Leaf) ([]Leaf, error) { l[0].Balance = 0; return l, nil }, ErrStale},
		{"other key", func(l []Leaf) ([]Leaf, error) { l[0].Key[31] ^= 1; return l, nil }, ErrStale},
		{"key outside", func(l []Leaf) ([]Leaf, error) { l[0].Key[0] ^= 0x80; return l, nil }, ErrStale},
	}
	for _, c := range lies {
		tree := honest
		tree.reader = readerFunc(func(prefix Key, bits int) ([]Leaf, error) {
			leaves, err := stored.Leaves(prefix, bits)
			if err != nil {
				return nil, err
			}
			return c.lie(leaves)
		})
		for _, key := range keys[:50] {
			if c.name == "one twice" && mustLeaves(t, honest, key) < 2 {
				continue // the same leaf in its own place is no lie
			}
			_, getErr := tree.Get(key)
			_, proveErr := tree.Prove(key)
			_, updateErr := tree.Update([]Leaf{{key, 1000}})
			_, loadErr := tree.Load([]Leaf{{Key: key}})
			for _, err := range []error{getErr, proveErr, updateErr, loadErr} {
				if !errors.Is(err, c.want) {
					t.Fatalf("%s: error %v, want %v", c.name, err, c.want)
				}
			}
		}
	}
	// In a large batch, the fault of either half is reported.
	broken := honest
	broken.reader = readerFunc(func(prefix Key, _ int) ([]Leaf, error) { return nil, errBroken })
	for side := range byte(2) {
		var changes []Leaf
		for _, l := range randomLeaves(rng, 2*forkLeaves) {
			l.Key[0] = l.Key[0]&0x7f | side<<7
			changes = append(changes, l)
		}
		if _, err := broken.Update(changes); !errors.Is(err, errBroken) {
			t.Errorf("side %d: error %v, want the Reader's", side, err)
		}
		slices.SortFunc(changes, compareKeys)
		if _, err := broken.Load(changes); !errors.Is(err, errBroken) {
			t.Errorf("side %d: Load's error %v, want the Reader's", side, err)
		}
	}
}

// mustLeaves returns how many leaves the stub over a key stands for.
func mustLeaves(t *testing.T, tree Tree, key Key) int {
	t.Helper()
	n := -1
	reader := tree.reader
	tree.reader = readerFunc(func(prefix Key, bits int) ([]Leaf, error) {
		leaves, err := reader.Leaves(prefix, bits)
		n = len(leaves)
		return leaves, err
	})
	if _, err := tree.Get(key); err != nil || n < 0 {
		t.Fatalf("no stub over %x: %v", key, err)
	}
	return n
}

func TestBuildRefuses(t *testing.T) {
	a, b := Key{1}, Key{2}
	for _, c := range []struct {
		name   string
		leaves []Leaf
	}{
		{"descending", []Leaf{{b, 1}, {a, 1}}},
		{"twice", []Leaf{{a, 1}, {a, 1}}},
		{"no balance", []Leaf{{a, 1}, {b, 0}}},
	} {
		if _, err := Build(nil, sequence(c.leaves)); !errors.Is(err, ErrStale) {
			t.Errorf("%s: error %v, want ErrStale", c.name, err)
		}
	}

	_, err := Build(nil, func(yield func(Leaf, error) bool) {
		_ = yield(Leaf{a, 1}, nil) && yield(Leaf{}, errBroken)
	})
	if !errors.Is(err, errBroken) {
		t.Errorf("error %v, want the sequence's", err)
	}
}

// A block reads every account that it touches.
func TestGetDoesNotAllocate(t *testing.T) {
	leaves := randomLeaves(seeded(107), 1000)
	tree := mustUpdate(t, New(nil), leaves)
	i := 0
	n := testing.AllocsPerRun(len(leaves), func() {
		if got, err := tree.Get(leaves[i%len(leaves)].Key); err != nil || got != leaves[i%len(leaves)].Balance {
			t.Errorf("Get = %d, %v", got, err)
		}
		i++
	})
	if n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
}

// Trim forgets first what was not changed for longest.
func TestTrimForgetsTheOldest(t *testing.T) {
	rng := seeded(105)
	stored := balances{}
	for _, l := range randomLeaves(rng, 4000) {
		stored[l.Key] = l.Balance
	}
	tree := mustUpdate(t, New(stored), stored.leaves())
	leaves := stored.leaves()
	slices.SortFunc(leaves, func(a, b Leaf) int { return cmp.Compare(a.Balance, b.Balance) }) // a random order
	old, recent := leaves[:100], leaves[100:150]
	for _, batch := range [][]Leaf{old, recent} {
		for i := range batch {
			batch[i].Balance++
			stored[batch[i].Key]++
		}
		tree = mustUpdate(t, tree, batch)
	}
	tree = tree.Trim(1000)
	reads := 0
	tree.reader = readerFunc(func(prefix Key, bits int) ([]Leaf, error) {
		reads++
		return stored.Leaves(prefix, bits)
	})
	for _, l := range recent {
		if got, err := tree.Get(l.Key); err != nil || got != l.Balance {
			t.Fatalf("Get = %d, %v, want %d", got, err, l.Balance)
		}
	}
	if reads != 0 {
		t.Errorf("%d of %d recent accounts were forgotten before older ones", reads, len(recent))
	}
	if tree = tree.Trim(0); tree.Loaded() != 0 {
		t.Errorf("Trim(0) left %d leaves", tree.Loaded())
	}
	if tree.Root() != stored.root() {
		t.Error("Trim changed the root")
	}
}
