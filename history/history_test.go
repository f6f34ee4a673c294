package history

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/types"
)

// vectors are the published test vectors. They were made from the text of the
// protocol by a program that shares nothing with this package.
type vectors struct {
	Leaves []struct {
		Hash     types.Hash
		Height   uint32
		Time     uint32
		NextBase uint32 `json:"next_base"`
		Work     string
		Sum      string
	}
	Roots  []string
	Proofs []struct {
		Len, Leaf uint32
		Proof     string
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("testdata/history.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Leaves) == 0 || len(v.Roots) != len(v.Leaves)+1 || len(v.Proofs) == 0 {
		t.Fatal("testdata/history.json lacks vectors")
	}
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	v := readVectors(t)
	var r Range
	var sums [][32]byte
	for n := range v.Roots {
		if root := r.Root(); hex.EncodeToString(root[:]) != v.Roots[n] {
			t.Errorf("root of %d leaves is %x, want %s", n, root, v.Roots[n])
		}
		if n == len(v.Leaves) {
			break
		}
		l := v.Leaves[n]
		work, _ := new(big.Int).SetString(l.Work, 10)
		leaf := Leaf{Hash: l.Hash, Height: l.Height, Time: l.Time, NextBase: l.NextBase}
		work.FillBytes(leaf.Work[:])
		slices.Reverse(leaf.Work[:])
		sum := leaf.Sum()
		if hex.EncodeToString(sum[:]) != l.Sum {
			t.Errorf("leaf %d is %x, want %s", n, sum, l.Sum)
		}
		sums = append(sums, sum)
		r, _ = r.Append(sum)
	}
	nodes := nodesOf(sums)
	for _, c := range v.Proofs {
		p, err := Prove(c.Len, c.Leaf, nodes.read)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(p.Append(nil)); got != c.Proof {
			t.Errorf("proof of leaf %d of %d is\n%s, want\n%s", c.Leaf, c.Len, got, c.Proof)
		}
		p, err = DecodeProof(unhex(t, c.Proof))
		if err != nil {
			t.Fatal(err)
		}
		root := [32]byte(unhex(t, v.Roots[c.Len]))
		if err := p.Verify(root, c.Len, c.Leaf, sums[c.Leaf]); err != nil {
			t.Error(err)
		}
	}
}

// naiveRoot is the definition: split off the largest complete subtree, fold it
// onto the root of the rest.
func naiveRoot(sums [][32]byte) [32]byte {
	if len(sums) == 0 {
		return [32]byte{}
	}
	if len(sums) == 1 {
		return sums[0]
	}
	left := 1
	for 2*left < len(sums) {
		left *= 2
	}
	a, b := naiveRoot(sums[:left]), naiveRoot(sums[left:])
	return sha256.Sum256(slices.Concat([]byte{1}, a[:], b[:]))
}

// nodes is a store of complete nodes.
type nodes map[[2]uint32][32]byte

var errMissing = errors.New("no such node")

func (s nodes) read(level uint8, index uint32) ([32]byte, error) {
	sum, ok := s[[2]uint32{uint32(level), index}]
	if !ok {
		return sum, errMissing
	}
	return sum, nil
}

func (s nodes) add(list []Node) {
	for _, n := range list {
		s[[2]uint32{uint32(n.Level), n.Index}] = n.Sum
	}
}

func nodesOf(sums [][32]byte) nodes {
	s := nodes{}
	var r Range
	for _, sum := range sums {
		var list []Node
		r, list = r.Append(sum)
		s.add(list)
	}
	return s
}

func randomSums(rng *rand.Rand, n int) [][32]byte {
	sums := make([][32]byte, n)
	for i := range sums {
		for j := range sums[i] {
			sums[i][j] = byte(rng.Uint32())
		}
	}
	return sums
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func TestRootEqualsNaiveTwin(t *testing.T) {
	rng := seeded(1)
	sums := randomSums(rng, 1100)
	var r Range
	for n := range len(sums) {
		if got, want := r.Root(), naiveRoot(sums[:n]); got != want {
			t.Fatalf("root of %d leaves is %x, the twin says %x", n, got, want)
		}
		if r.Len() != uint32(n) {
			t.Fatalf("Len is %d, want %d", r.Len(), n)
		}
		r, _ = r.Append(sums[n])
	}
}

// Every complete node is given out exactly once, and is the root of its leaves.
func TestAppendGivesOutEveryNode(t *testing.T) {
	const n = 300
	sums := randomSums(seeded(2), n)
	seen := map[[2]uint32]bool{}
	var r Range
	for i, sum := range sums {
		var list []Node
		r, list = r.Append(sum)
		for level, node := range list {
			if int(node.Level) != level {
				t.Fatalf("leaf %d: node %d has level %d", i, level, node.Level)
			}
			key := [2]uint32{uint32(node.Level), node.Index}
			if seen[key] {
				t.Fatalf("node %v came twice", key)
			}
			seen[key] = true
			from, to := node.Index<<node.Level, (node.Index+1)<<node.Level
			if to != uint32(i+1) {
				t.Fatalf("node %v became complete with leaf %d", key, i)
			}
			if want := naiveRoot(sums[from:to]); node.Sum != want {
				t.Fatalf("node %v is %x, want %x", key, node.Sum, want)
			}
		}
	}
	want := 0
	for size := 1; size <= n; size *= 2 {
		want += n / size
	}
	if len(seen) != want {
		t.Errorf("%d nodes, want %d", len(seen), want)
	}
}

// A branch goes back to an earlier length and on with other leaves, as in a
// reorganisation; the nodes of the old branch stay in the store until they are
// written over.
func TestLoadAfterTruncation(t *testing.T) {
	rng := seeded(3)
	store := nodes{}
	var sums [][32]byte
	var r Range
	for range 400 {
		if rng.IntN(3) == 0 && len(sums) > 0 {
			sums = sums[:rng.IntN(len(sums)+1)]
			loaded, err := Load(uint32(len(sums)), store.read)
			if err != nil {
				t.Fatal(err)
			}
			r = loaded
		}
		for _, sum := range randomSums(rng, rng.IntN(20)) {
			before, root := r, r.Root()
			var list []Node
			r, list = r.Append(sum)
			store.add(list)
			sums = append(sums, sum)
			if before.Root() != root {
				t.Fatal("Append changed the range it was called on")
			}
		}
		if got, want := r.Root(), naiveRoot(sums); got != want {
			t.Fatalf("root of %d leaves is %x, want %x", len(sums), got, want)
		}
		loaded, err := Load(uint32(len(sums)), store.read)
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(loaded, r, cmp.AllowUnexported(Range{})) {
			t.Fatalf("loaded range of %d leaves differs from the appended one", len(sums))
		}
	}
}

// Two ranges grown from one do not write into each other's peaks.
func TestBranchesAreIndependent(t *testing.T) {
	sums := randomSums(seeded(4), 40)
	for n := range 20 {
		var base Range
		for _, sum := range sums[:n] {
			base, _ = base.Append(sum)
		}
		a, _ := base.Append(sums[20])
		b, _ := base.Append(sums[21])
		a2, _ := a.Append(sums[22])
		for _, c := range []struct {
			r    Range
			tail [][32]byte
		}{{base, nil}, {a, sums[20:21]}, {b, sums[21:22]}, {a2, [][32]byte{sums[20], sums[22]}}} {
			if c.r.Root() != naiveRoot(slices.Concat(sums[:n], c.tail)) {
				t.Fatalf("%d leaves and %d more: wrong root", n, len(c.tail))
			}
		}
	}
}

func TestReadErrorsArePassedOn(t *testing.T) {
	sums := randomSums(seeded(5), 21)
	full := nodesOf(sums)
	for key := range full {
		damaged := nodes{}
		for k, v := range full {
			if k != key {
				damaged[k] = v
			}
		}
		if r, err := Load(21, damaged.read); err != nil {
			if !errors.Is(err, errMissing) {
				t.Fatalf("Load: %v", err)
			}
		} else if r.Root() != naiveRoot(sums) {
			t.Fatalf("Load without node %v gives another range", key)
		}
		for i := range uint32(21) {
			p, err := Prove(21, i, damaged.read)
			if err == nil {
				err = p.Verify(naiveRoot(sums), 21, i, sums[i])
			} else if errors.Is(err, errMissing) {
				err = nil
			}
			if err != nil {
				t.Fatalf("Prove(21, %d) without node %v: %v", i, key, err)
			}
		}
	}
}

func TestFullRangePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a leaf beyond the last possible one was taken")
		}
	}()
	Range{n: 1<<32 - 1}.Append([32]byte{})
}
