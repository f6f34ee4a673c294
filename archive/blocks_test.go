package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// exported returns the block file of the sample's chain, and the node.
func exported(t testing.TB) ([]byte, *node) {
	t.Helper()
	_, n := sample(t)
	t.Cleanup(n.close)
	var file bytes.Buffer
	var last, total uint64
	if err := Export(t.Context(), n.store, &file, func(done, of uint64) { last, total = done, of }); err != nil {
		t.Fatal(err)
	}
	if last != 9 || total != 9 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	return file.Bytes(), n
}

// empty makes an empty node for the network of a file.
func empty(t testing.TB, rules *consensus.Rules) *node {
	t.Helper()
	n := create(t, filepath.Join(t.TempDir(), "data"), rules)
	t.Cleanup(n.close)
	return n
}

func mustRead(t testing.TB, r io.Reader) *Reader {
	t.Helper()
	file, err := NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// starts returns where the record of each block begins in a block file, and where
// the last one ends; that of genesis first.
func starts(file []byte) (at []int) {
	for i := len(magic); i < len(file); {
		at = append(at, i)
		i += 4 + int(binary.LittleEndian.Uint32(file[i:]))
	}
	return append(at, len(file))
}

func TestExportIsTheBlockFile(t *testing.T) {
	file, n := exported(t)
	want := bytes.NewBufferString("cairn blocks 1\n")
	record := func(data []byte) {
		want.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(data))))
		want.Write(data)
	}
	record(n.Builder.Rules.JSON())
	for _, name := range []string{"a1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9"} {
		record(n.Block(name).Encode())
	}
	if !bytes.Equal(file, want.Bytes()) {
		t.Error("the file is not what the protocol says")
	}
}

func TestImport(t *testing.T) {
	file, n := exported(t)
	// One byte at a time, as a slow pipe gives them.
	r := mustRead(t, iotest.OneByteReader(bytes.NewReader(file)))
	other := empty(t, r.Rules())
	var height uint32
	var offset int64
	got, err := Import(t.Context(), other.Manager, r, func(h uint32, bytes int64) { height, offset = h, bytes })
	if err != nil || got != 9 || height != 9 || offset != int64(len(file)) {
		t.Errorf("height %d (progress %d, %d bytes of %d): %v", got, height, offset, len(file), err)
	}
	if other.Tip() != n.Tip() {
		t.Errorf("tip %+v, want %+v", other.Tip(), n.Tip())
	}
	// Once more changes nothing.
	if got, err := Import(t.Context(), other.Manager, mustRead(t, bytes.NewReader(file)), nil); err != nil || got != 9 {
		t.Errorf("again: height %d, %v", got, err)
	}
	var back bytes.Buffer
	if err := Export(t.Context(), other.store, &back, nil); err != nil || !bytes.Equal(back.Bytes(), file) {
		t.Errorf("what was imported is not exported again: %v", err)
	}
}

func TestImportGoesOnWhereItEnded(t *testing.T) {
	file, n := exported(t)
	other := empty(t, n.Builder.Rules)
	at := starts(file)
	for i, end := range at[1:] {
		for _, cut := range []int{end, min(end+1, len(file)), min(end+3, len(file)), min(end+4, len(file)), min(end+90, len(file))} {
			whole := cut == end || cut == len(file)
			height, err := Import(t.Context(), other.Manager, mustRead(t, bytes.NewReader(file[:cut])), nil)
			if cut == len(file) {
				i = 9
			}
			if height != uint32(i) || (err == nil) != whole || err != nil && !errors.Is(err, ErrTruncated) {
				t.Fatalf("cut at %d: height %d, %v", cut, height, err)
			}
			if tip := other.Tip().Height; tip != uint32(i) {
				t.Fatalf("cut at %d: the tip has height %d", cut, tip)
			}
		}
	}
}

func TestImportNamesTheBlockAtFault(t *testing.T) {
	file, n := exported(t)
	at := starts(file)
	for _, c := range []struct {
		what  string
		spoil func(file []byte) []byte
		want  error
	}{
		{"nonce", func(b []byte) []byte { b[at[5]+4+76] ^= 1; return b }, nil}, // whichever rule it breaks first
		{"merkle root", func(b []byte) []byte { b[at[6]-1] ^= 1; return b }, consensus.ErrMerkleRoot},
		{"length", func(b []byte) []byte { b[at[5]+3] = 0xff; return b }, consensus.ErrBlockSize},
		{"encoding", func(b []byte) []byte { b[at[5]+4+80] = 0; return b }, types.ErrMalformed},
	} {
		t.Run(c.what, func(t *testing.T) {
			other := empty(t, n.Builder.Rules)
			height, err := Import(t.Context(), other.Manager, mustRead(t, bytes.NewReader(c.spoil(bytes.Clone(file)))), nil)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), "block 5") {
				t.Errorf("error %v, want %v in block 5", err, c.want)
			}
			if height != 4 || other.Tip().Hash != n.Hash("b4") {
				t.Errorf("height %d, the tip is at %d", height, other.Tip().Height)
			}
		})
	}
}

func TestImportRefusesAnotherNetwork(t *testing.T) {
	file, _ := exported(t)
	other := empty(t, consensus.Dev())
	if _, err := Import(t.Context(), other.Manager, mustRead(t, bytes.NewReader(file)), nil); !errors.Is(err, ErrOtherNetwork) {
		t.Errorf("error %v, want %v", err, ErrOtherNetwork)
	}
}

func TestImportWithoutTheStart(t *testing.T) {
	file, n := exported(t)
	at := starts(file)
	other := empty(t, n.Builder.Rules)
	rest := append(bytes.Clone(file[:at[1]]), file[at[3]:]...)
	height, err := Import(t.Context(), other.Manager, mustRead(t, bytes.NewReader(rest)), nil)
	if !errors.Is(err, chain.ErrUnknownParent) || height != 0 {
		t.Errorf("height %d, %v", height, err)
	}
}

func TestImportEndsWithItsContext(t *testing.T) {
	file, n := exported(t)
	other := empty(t, n.Builder.Rules)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Import(ctx, other.Manager, mustRead(t, bytes.NewReader(file)), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := Export(ctx, n.store, io.Discard, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestImportInBatches has more blocks than one batch holds.
func TestImportInBatches(t *testing.T) {
	if testing.Short() {
		t.Skip("makes thousands of blocks")
	}
	n := empty(t, shortRules(t))
	const count = runBlocks + 100
	if err := n.AddBlocks(t.Context(), n.Chain("a", chaintest.Genesis, count, chaintest.Spec{})); err != nil {
		t.Fatal(err)
	}
	// Through a pipe, as "cairn export | cairn import" does.
	r, w := io.Pipe()
	go func() { w.CloseWithError(Export(context.Background(), n.store, w, nil)) }()
	file := mustRead(t, r)
	other := empty(t, file.Rules())
	var heights []uint32
	height, err := Import(t.Context(), other.Manager, file, func(h uint32, _ int64) { heights = append(heights, h) })
	if err != nil || height != count || other.Tip() != n.Tip() {
		t.Errorf("height %d, %v", height, err)
	}
	if len(heights) != 2 || heights[0] != runBlocks {
		t.Errorf("progress %v", heights)
	}
}

func TestExportFails(t *testing.T) {
	_, n := exported(t)
	full := errors.New("no room")
	if err := Export(t.Context(), n.store, failing{full}, nil); !errors.Is(err, full) {
		t.Error(err)
	}
	b := n.store.NewBatch()
	defer b.Close()
	b.PutBlock(5, n.Hash("b5"), n.Block("b4").Encode())
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := Export(t.Context(), n.store, io.Discard, nil); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "block 5") {
		t.Error(err)
	}
}

// failing fails every write.
type failing struct{ err error }

func (w failing) Write([]byte) (int, error) { return 0, w.err }

func TestNewReaderRefuses(t *testing.T) {
	genesis := consensus.Dev().JSON()
	length := string(binary.LittleEndian.AppendUint32(nil, uint32(len(genesis))))
	for _, c := range []struct {
		what, file string
		want       error
	}{
		{"nothing", "", ErrNotBlockFile},
		{"something short", "cairn", ErrNotBlockFile},
		{"something else", strings.Repeat("cairn blocks 2\n", 3), ErrNotBlockFile},
		{"no genesis file", magic, ErrTruncated},
		{"half a genesis file", magic + length + string(genesis[:100]), ErrTruncated},
		{"too long a genesis file", magic + "\xff\xff\xff\xff", ErrNotBlockFile},
		{"no rules", magic + "\x02\x00\x00\x00{}", nil},
	} {
		if _, err := NewReader(strings.NewReader(c.file)); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.what, err, c.want)
		}
	}
	broken := errors.New("broken pipe")
	if _, err := NewReader(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// FuzzReader reads anything behind a genesis file: it ends with an error or at the
// end, and what it takes for a block is what stands there.
func FuzzReader(f *testing.F) {
	file, _ := exported(f)
	first := starts(file)[1]
	f.Add(file[first:])
	f.Add(file[first : len(file)-10])
	f.Fuzz(func(t *testing.T, blocks []byte) {
		data := append(bytes.Clone(file[:first]), blocks...)
		r := mustRead(t, bytes.NewReader(data))
		for {
			start := r.Offset()
			block, err := r.Next()
			if err != nil {
				return
			}
			if !bytes.Equal(block, data[start+4:r.Offset()]) {
				t.Fatal("a block is not what was read")
			}
		}
	})
}
