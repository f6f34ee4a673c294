package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"cairn/chain"
	"cairn/types"
)

// What is handed to the chain at a time: enough for it to check many blocks in
// parallel, and little enough to hold twice.
const (
	batchBytes  = 16 << 20
	batchBlocks = 4096
)

// batch is a run of blocks, and where the file stood after it.
type batch struct {
	blocks []*types.Block
	last   uint32 // height of the last one in the file's count
	offset int64
}

// Import adds the blocks of a file to a chain, which checks them like blocks from
// anywhere. Blocks that are known already are passed over, so an import that was
// interrupted is simply started again. It returns the height up to which the
// file's blocks are in the chain now, on the best chain or beside it.
//
// progress, which may be nil, is told that height and how many bytes of the file
// have been dealt with. The errors are ErrOtherNetwork before anything is
// imported, then those of Reader.Next and of chain.Manager.AddBlocks, both with
// the block's height; what came before the block at fault is imported.
func Import(ctx context.Context, m *chain.Manager, r *Reader, progress func(height uint32, bytes int64)) (height uint32, err error) {
	if theirs, ours := r.Rules(), m.Rules(); theirs.ChainID() != ours.ChainID() {
		return 0, fmt.Errorf("%w: %s (chain %s), and this is %s (chain %s)", ErrOtherNetwork,
			theirs.Name, theirs.ChainID(), ours.Name, ours.ChainID())
	}
	// The next batch is read while one is added.
	batches := make(chan batch)
	group, ctx := errgroup.WithContext(ctx)
	var readErr error
	group.Go(func() error {
		defer close(batches)
		readErr = readBatches(ctx, r, batches)
		return nil // what was read before comes first
	})
	group.Go(func() error {
		for b := range batches {
			if err := m.AddBlocks(ctx, b.blocks); err != nil {
				height, err = importError(err, b)
				return err
			}
			height = b.last
			if progress != nil {
				progress(height, b.offset)
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return height, err
	}
	return height, readErr
}

// readBatches reads until the file ends; an error comes after what is before it.
func readBatches(ctx context.Context, r *Reader, batches chan<- batch) error {
	for {
		b, err := readBatch(r)
		if len(b.blocks) > 0 {
			select {
			case batches <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func readBatch(r *Reader) (b batch, err error) {
	start := r.Offset()
	for r.Offset()-start < batchBytes && len(b.blocks) < batchBlocks {
		block, err := r.Next()
		if err != nil {
			return b, err
		}
		b.blocks = append(b.blocks, block)
		b.last, b.offset = r.Height(), r.Offset()
	}
	return b, nil
}

// importError returns the height below the block that an error is about, and the
// error with that block's name. Where the error has no name for it, what is added
// of the batch is not known.
func importError(err error, b batch) (height uint32, named error) {
	var block *chain.BlockError
	if errors.As(err, &block) && block.Height > 0 {
		return block.Height - 1, err
	}
	first := b.last - uint32(len(b.blocks)) + 1
	return first - 1, fmt.Errorf("blocks %d to %d of the file: %w", first, b.last, err)
}
