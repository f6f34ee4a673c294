package store

import (
	"iter"

	"cairn/types"
)

// BestBlocks goes through the best chain's blocks from one height to another, both
// included, as BestBodies does. The block is the same one each time: neither it
// nor any text in it may be kept when the next one comes.
func (v *View) BestBlocks(from, to uint32) iter.Seq2[*types.Block, error] {
	return func(yield func(*types.Block, error) bool) {
		block := new(types.Block)
		for r, err := range v.BestBodies(from, to) {
			if err == nil {
				err = v.fault(r.damaged(block.Borrow(r.Value)))
			}
			if !yield(block, err) || err != nil {
				return
			}
		}
	}
}
