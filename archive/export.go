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
	height := uint64(0)
	for r, err := range view.BestBodies(1, state.Height) {
		if err == nil {
			err = checkName(r)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = writeRecord(out, r.Value)
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

func writeRecord(w io.Writer, data []byte) error {
	var prefix [4]byte
	binary.LittleEndian.PutUint32(prefix[:], uint32(len(data)))
	if _, err := w.Write(prefix[:]); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}
