package archive

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"

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
	out := bufio.NewWriterSize(w, bufferSize)
	if _, err := out.WriteString(magic); err != nil {
		return err
	}
	if err := writeRecord(out, s.Rules().JSON()); err != nil {
		return err
	}
	for height := uint64(1); height <= uint64(state.Height); height++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		block, err := blockBytes(view, uint32(height))
		if err != nil {
			return err
		}
		if err := writeRecord(out, block); err != nil {
			return err
		}
		if progress != nil {
			progress(height, uint64(state.Height))
		}
	}
	return out.Flush()
}

// blockBytes reads a block of the best chain and checks that it is the one.
func blockBytes(view *store.View, height uint32) ([]byte, error) {
	hash, err := view.BestHash(height)
	if err != nil {
		return nil, err
	}
	block, err := view.BlockBytes(height, hash)
	if err != nil {
		return nil, err
	}
	if len(block) < types.HeaderSize || types.Sum(block[:types.HeaderSize]) != hash {
		return nil, fmt.Errorf("%w: what is stored as block %d, %s, has another hash; see \"cairn verify\"",
			store.ErrDamaged, height, hash)
	}
	return block, nil
}

func writeRecord(w io.Writer, data []byte) error {
	var prefix [4]byte
	binary.LittleEndian.PutUint32(prefix[:], uint32(len(data)))
	if _, err := w.Write(prefix[:]); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}
