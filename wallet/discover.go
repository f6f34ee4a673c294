package wallet

import (
	"fmt"

	"cairn/types"
)

const (
	// gapLimit is the number of unused accounts in a row behind which no used one
	// is looked for (BIP 44).
	gapLimit = 20
	// maxDiscovered bounds what a node that lies can make of a search.
	maxDiscovered = 10_000
)

// Discover returns the indexes of the accounts of words that are in use,
// ascending; 0 always is one of them. used says whether an account ever was
// paid; it is called for one account after the other, from 0 on, until 20 in a
// row were not. The errors are those of used, and ErrDiscover.
func Discover(words Words, used func(types.Account) (bool, error)) ([]uint32, error) {
	seed := words.seed()
	found := []uint32{0}
	for index, gap := uint32(0), 0; gap < gapLimit; index++ {
		yes, err := used(accountAt(seed, index))
		switch {
		case err != nil:
			return nil, err
		case !yes:
			gap++
			continue
		case len(found) == maxDiscovered:
			return nil, fmt.Errorf("%w: %d; ask another node", ErrDiscover, maxDiscovered)
		case index > 0:
			found = append(found, index)
		}
		gap = 0
	}
	return found, nil
}
