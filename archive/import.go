package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cairn/chain"
)

// What is handed to the chain at a time: enough for it to check many blocks in
// parallel, and little enough to hold twice.
const (
	runBytes  = 8 << 20
	runBlocks = 4096
)

// mark is where a run of blocks ends in the file.
type mark struct {
	first, last uint32 // heights in the file's count
	offset      int64
}

// Import adds the blocks of a file to a chain, which checks them like blocks from
// anywhere. Blocks that are known already are passed over, so an import that was
// interrupted is simply started again. It returns the height up to which the
// file's blocks are in the chain now, on the best chain or beside it.
//
// progress, which may be nil, is told that height and how many bytes of the file
// have been dealt with. The errors are ErrOtherNetwork before anything is
// imported, then those of Reader.Next and of chain.Manager.AddRuns, both with
// the block's height; what came before the block at fault is imported.
func Import(ctx context.Context, m *chain.Manager, r *Reader, progress func(height uint32, bytes int64)) (height uint32, err error) {
	if theirs, ours := r.Rules(), m.Rules(); theirs.ChainID() != ours.ChainID() {
		return 0, fmt.Errorf("%w: %s (chain %s), and this is %s (chain %s)", ErrOtherNetwork,
			theirs.Name, theirs.ChainID(), ours.Name, ours.ChainID())
	}
	var readErr error
	marks := make(chan mark, 4) // of the runs that are read and not added; AddRuns takes few
	err = m.AddRuns(ctx, func(yield func([]chain.Incoming) bool) {
		for {
			var blocks []chain.Incoming
			var end mark
			blocks, end, readErr = readRun(r)
			if len(blocks) > 0 {
				marks <- end
			}
			if len(blocks) > 0 && !yield(blocks) || readErr != nil {
				return
			}
		}
	}, func() {
		end := <-marks
		height = end.last
		if progress != nil {
			progress(height, end.offset)
		}
	})
	switch {
	case err != nil && len(marks) > 0:
		return importError(err, <-marks)
	case err == nil && readErr != io.EOF:
		err = readErr // what was read before came first
	}
	return height, err
}

// readRun reads the next blocks of a file. An error comes beside those before it.
func readRun(r *Reader) (blocks []chain.Incoming, end mark, err error) {
	start := r.Offset()
	end.first = r.Height() + 1
	for r.Offset()-start < runBytes && len(blocks) < runBlocks {
		encoding, err := r.Next()
		if err != nil {
			return blocks, end, err
		}
		blocks = append(blocks, chain.Incoming{Encoding: encoding})
		end.last, end.offset = r.Height(), r.Offset()
	}
	return blocks, end, nil
}

// importError returns the height below the block that an error is about, and the
// error with that block's name. Where the error has no name for it, what is added
// of the run that failed is not known.
func importError(err error, failed mark) (height uint32, named error) {
	var block *chain.BlockError
	if errors.As(err, &block) && block.Height > 0 {
		return block.Height - 1, err
	}
	return failed.first - 1, fmt.Errorf("blocks %d to %d of the file: %w", failed.first, failed.last, err)
}
