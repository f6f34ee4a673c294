package archive

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// Export writes the best chain as a block file. It reads one state of the store,
// whatever happens meanwhile. progress, which may be nil, is told how many blocks
// are written of how many. Its errors are those of ctx, of w and of the store: a
// stored block that is not the one that the chain names is store.ErrDamaged.
func Export(ctx context.Context, s *store.Store, w io.Writer, progress func(done, total uint64)) error {
	view := s.Snapshot()
	defer view.Close()
	tip, err := view.Tip()
	if err != nil {
		return err
	}
	state, _, err := view.State(tip)
	if err != nil {
		return err
	}
	out, err := NewWriter(w, s.Rules())
	if err != nil {
		return err
	}
	height := uint64(0)
	for r, err := range view.BestBodies(1, state.Height) {
		if err == nil {
			err = checkName(r)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = out.Write(r.Value)
		}
		if err != nil {
			return err
		}
		if height++; progress != nil {
			progress(height, uint64(state.Height))
		}
	}
	return out.Flush()
}

// checkName checks that a stored body is that of the block whose name it has.
func checkName(r store.Record) error {
	height, hash, err := r.BlockName()
	if err == nil && (len(r.Value) < types.HeaderSize || types.Sum(r.Value[:types.HeaderSize]) != hash) {
		err = fmt.Errorf("%w: what is stored as block %d, %s, has another hash; see \"cairn verify\"",
			store.ErrDamaged, height, hash)
	}
	return err
}

// Writer writes a block file.
type Writer struct{ w *bufio.Writer }

// NewWriter writes the beginning of a block file of the network that rules
// describe. Its errors, and those of the Writer, are w's.
func NewWriter(w io.Writer, rules *consensus.Rules) (*Writer, error) {
	b := &Writer{bufio.NewWriterSize(w, bufferSize)}
	if _, err := b.w.WriteString(magic); err != nil {
		return nil, err
	}
	return b, b.Write(rules.JSON())
}

// Write writes the encoding of the next block.
func (b *Writer) Write(encoding []byte) error {
	var prefix [4]byte
	binary.LittleEndian.PutUint32(prefix[:], uint32(len(encoding)))
	if _, err := b.w.Write(prefix[:]); err != nil {
		return err
	}
	_, err := b.w.Write(encoding)
	return err
}

// Flush hands on what is still buffered.
func (b *Writer) Flush() error { return b.w.Flush() }
