package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"cairn/store"
	"cairn/types"
)

// errStop ends a run early: what is left cannot be checked, and a fault says why.
var errStop = errors.New("nothing more can be checked")

// findPath finds the best chain from its tip down to genesis. It takes the word of
// several records for each step, so that one that is damaged does not hide the
// blocks below: replay will name it.
func (v *verifier) findPath() error {
	hash, height, err := v.findTip()
	if err != nil {
		return err
	}
	for hash != v.rules.ChainID() {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		v.path = append(v.path, hash)
		previous, ok := v.previous(height, hash)
		if height == 0 || !ok {
			v.record(store.BestKey(max(height, 1)-1), max(height, 1)-1, fmt.Errorf(
				"nothing leads from block %s to the genesis block %s, so the chain cannot be checked", hash, v.rules.ChainID()))
			return errStop
		}
		hash, height = previous, height-1
	}
	v.path = append(v.path, hash)
	slices.Reverse(v.path)
	v.report.Height, v.report.Tip = uint32(len(v.path)-1), v.path[len(v.path)-1]
	return nil
}

// findTip returns the best chain's last block: what the record of the tip says, if
// the index of the best chain or an undo record agrees; otherwise the end of the
// index.
func (v *verifier) findTip() (types.Hash, uint32, error) {
	tip, err := v.view.Tip()
	if err == nil {
		if height, ok := v.applied(tip); ok {
			end, last := v.follow(tip, height)
			if end != tip {
				v.own(store.TipKey(), fmt.Errorf("it names block %d, %s, and the best chain goes on to block %d, %s", height, tip, last, end))
			}
			return end, last, nil
		}
	}
	var last types.Hash
	var height uint32
	found := false
	for r, scanErr := range v.view.Records(store.PrefixBest) {
		if scanErr != nil {
			return last, 0, scanErr
		}
		if h, hash, badErr := r.Best(); badErr == nil {
			last, height, found = hash, h, true
			if err == nil && hash == tip {
				return tip, h, nil
			}
		}
	}
	if err == nil {
		err = fmt.Errorf("it names block %s, which is not on the best chain", tip)
	}
	v.own(store.TipKey(), missing(err))
	if !found {
		return last, 0, errStop
	}
	return last, height, nil
}

// applied tells whether a block is on the best chain, as far as single records
// can tell, and at what height.
func (v *verifier) applied(hash types.Hash) (height uint32, ok bool) {
	s, _, err := v.view.State(hash)
	if err != nil {
		return 0, false
	}
	if _, ok := v.storedHeader(s.Height, hash); !ok {
		return 0, false
	}
	if best, err := v.view.BestHash(s.Height); err == nil && best == hash {
		return s.Height, true
	}
	_, err = v.view.Undo(s.Height, hash)
	return s.Height, err == nil
}

// follow goes up the best chain from a block on it for as long as the index, the
// headers and the undo records agree: to the tip.
func (v *verifier) follow(hash types.Hash, height uint32) (types.Hash, uint32) {
	for height < math.MaxUint32 {
		next, err := v.view.BestHash(height + 1)
		if err != nil {
			break
		}
		h, ok := v.storedHeader(height+1, next)
		if _, err := v.view.Undo(height+1, next); !ok || err != nil || h.Previous != hash {
			break
		}
		hash, height = next, height+1
	}
	return hash, height
}

// previous returns the block before one of the best chain. Where the block's
// state and the index disagree or fail, the header decides.
func (v *verifier) previous(height uint32, hash types.Hash) (types.Hash, bool) {
	state, _, stateErr := v.view.State(hash)
	best, bestErr := v.view.BestHash(height - 1)
	if stateErr == nil && bestErr == nil && state.Previous == best {
		return best, true
	}
	if h, ok := v.storedHeader(height, hash); ok {
		return h.Previous, true
	}
	if bestErr == nil {
		return best, true
	}
	return state.Previous, stateErr == nil
}

// storedHeader reads the header of a block, if it is really that block's: from
// its own record, or else from the body.
func (v *verifier) storedHeader(height uint32, hash types.Hash) (types.Header, bool) {
	if h, err := v.view.Header(height, hash); err == nil && h.Hash() == hash {
		return h, true
	}
	data, err := v.view.BlockBytes(height, hash)
	if err != nil || len(data) < types.HeaderSize {
		return types.Header{}, false
	}
	h, err := types.DecodeHeader(data[:types.HeaderSize])
	return h, err == nil && h.Hash() == hash
}

// findSide finds the blocks beside the best chain: those that have a state of
// their own. Where a state is of no use, the block's body says where it belongs.
func (v *verifier) findSide() error {
	// Eight bytes tell any two blocks apart that somebody has found.
	best := make([]uint64, len(v.path))
	for i := range v.path {
		best[i] = binary.LittleEndian.Uint64(v.path[i][:])
	}
	slices.Sort(best)
	v.side = make(map[types.Hash]*sideBlock)
	lost := 0
	for r, err := range v.view.Records(store.PrefixState) {
		if err == nil {
			err = v.ctx.Err()
		}
		if err != nil {
			return err
		}
		var hash types.Hash
		if copy(hash[:], r.Key[1:]) != len(hash) || len(r.Key) != 1+len(hash) {
			continue // sweep names it
		}
		if _, ok := slices.BinarySearch(best, binary.LittleEndian.Uint64(hash[:])); ok {
			continue
		}
		b := &sideBlock{hash: hash}
		if b.stored, b.fault = r.State(); !v.place(b) {
			lost++
		}
		v.side[hash] = b
	}
	if lost > 0 {
		if err := v.placeByBodies(); err != nil {
			return err
		}
	}
	v.children = make(map[types.Hash][]*sideBlock)
	for _, b := range v.side {
		v.children[b.previous] = append(v.children[b.previous], b)
	}
	return nil
}

// place finds where a block belongs by its state and, if it has one there, its
// body.
func (v *verifier) place(b *sideBlock) bool {
	if b.fault != nil {
		return false
	}
	b.height, b.previous = b.stored.Height, b.stored.Previous
	if b.stored.Status&store.HaveBody == 0 {
		return true
	}
	h, ok := v.storedHeader(b.height, b.hash)
	if ok {
		b.previous = h.Previous
	}
	return ok
}

// placeByBodies goes through all bodies to place the blocks whose states are of no
// use.
func (v *verifier) placeByBodies() error {
	for r, err := range v.view.Records(store.PrefixBlock) {
		if err == nil {
			err = v.ctx.Err()
		}
		if err != nil {
			return err
		}
		height, hash, err := r.BlockName()
		if b := v.side[hash]; err == nil && b != nil {
			if h, ok := v.storedHeader(height, hash); ok {
				b.height, b.previous = height, h.Previous
			}
		}
	}
	return nil
}
