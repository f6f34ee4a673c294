package chain

import (
	"errors"
	"fmt"

	"cairn/consensus"
	"cairn/types"
)

var (
	// ErrUnknownParent says that a block's parent is not stored here. It is
	// nobody's fault: the branch between has to be fetched first.
	ErrUnknownParent = errors.New("the parent of the block is not known here")
	// ErrInvalid says that a block, or one of its ancestors, broke a rule when
	// it was tried before. It is the sender's fault.
	ErrInvalid = errors.New("the block, or one before it, is known to be invalid")
	// ErrClosed says that the node is stopping. It is ours, and nobody's fault.
	ErrClosed = errors.New("the node is stopping")
)

// BlockError says which block an error is about. It wraps the rule that was
// broken, so errors.Is sees through it.
type BlockError struct {
	Hash   types.Hash
	Height uint32
	Err    error
}

// Error names the block and then what is wrong with it.
func (e *BlockError) Error() string {
	return fmt.Sprintf("block %d (%v): %v", e.Height, e.Hash, e.Err)
}

// Unwrap returns the error without the block's name.
func (e *BlockError) Unwrap() error { return e.Err }

func blockError(s consensus.State, err error) error {
	return &BlockError{Hash: s.Hash, Height: s.Height, Err: err}
}
