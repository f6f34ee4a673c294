package p2p

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/dchest/siphash"

	"cairn/mempool"
	"cairn/types"
)

// A new block is announced by its header, its reward and 8 bytes for each transfer.
// Who reads that takes the transfers from its pool, asks the announcer for those
// that it lacks, and compares the Merkle root, which alone says whether they are
// the right ones. It is the idea of Bitcoin's BIP 152.

var (
	// errWrongTransfer says that a peer answered with other transfers than those that
	// were announced. It is to blame if it made the announcement; what someone else
	// made may be forged, since no header vouches for short ids.
	errWrongTransfer = errors.New("not the transfers that were asked for")
	// errCollision says that transfers with the announced.short ids are not those of
	// the block. That can come about by chance: nobody is to blame, and the whole
	// block is to be fetched.
	errCollision = errors.New("other transfers than the block's have their short ids")
)

// shortKey is a key of SipHash.
type shortKey [16]byte

// blockKey returns the key of a block's announcement, the first half of the SHA-256
// of its header: nobody can make transfers whose short ids collide under it before
// the block is found.
func blockKey(h types.Header) shortKey {
	b := h.Encode()
	sum := sha256.Sum256(b[:])
	return shortKey(sum[:16])
}

// shortID returns the SipHash-2-4 of a transfer's id, its 32 bytes in the order in
// which they are hashed.
func shortID(key shortKey, id types.Hash) uint64 {
	return siphash.Hash(binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:]), id[:])
}

func announce(b *types.Block) announcement {
	key := blockKey(b.Header)
	short := make([]uint64, len(b.Transfers))
	for i := range b.Transfers {
		short[i] = shortID(key, b.Transfers[i].ID())
	}
	return announcement{header: b.Header, reward: b.Reward, short: short}
}

// partial is an announced block of which some transfers may be missing.
type partial struct {
	announced announcement
	key       shortKey
	transfers []*types.Transfer // nil: missing
	ids       []types.Hash      // of the transactions, the reward's first
}

// fill takes from the pool what the announcement names. Where two transfers have the
// same short id, in the pool or in the announcement, it takes neither. It stops
// when nothing more can be found.
func (a announcement) fill(pool iter.Seq[*mempool.Entry]) *partial {
	p := &partial{
		announced: a,
		key:       blockKey(a.header),
		transfers: make([]*types.Transfer, len(a.short)),
		ids:       make([]types.Hash, 1+len(a.short)),
	}
	p.ids[0] = a.reward.ID()
	const twice = -1
	wanted := make(map[uint64]int, len(a.short)) // to the position, or twice
	left := 0                                    // short ids that nothing has been found for
	for i, id := range a.short {
		at, known := wanted[id]
		switch {
		case !known:
			wanted[id] = i
			left++
		case at != twice:
			wanted[id] = twice
			left--
		}
	}
	if left == 0 {
		return p
	}
	for e := range pool {
		id := shortID(p.key, e.ID)
		at, known := wanted[id]
		switch {
		case !known || at == twice:
		case p.transfers[at] != nil:
			wanted[id] = twice
			p.transfers[at] = nil
		default:
			p.set(at, e.Transfer, e.ID)
			if left--; left == 0 {
				return p
			}
		}
	}
	return p
}

func (p *partial) set(at int, t *types.Transfer, id types.Hash) {
	p.transfers[at], p.ids[1+at] = t, id
}

// clone returns one that can be filled beside p.
func (p *partial) clone() *partial {
	c := *p
	c.transfers, c.ids = slices.Clone(p.transfers), slices.Clone(p.ids)
	return &c
}

// missing returns the positions to ask for.
func (p *partial) missing() (positions []uint32) {
	for i, t := range p.transfers {
		if t == nil {
			positions = append(positions, uint32(i))
		}
	}
	return positions
}

// put takes the answer for positions that were asked for; otherwise
// errWrongTransfer, if it is not for each of them a transfer with the short id that
// was announced.
func (p *partial) put(positions []uint32, transfers []types.Transfer) error {
	if len(transfers) != len(positions) {
		return fmt.Errorf("%w: %d of them for %d positions", errWrongTransfer, len(transfers), len(positions))
	}
	for i, at := range positions {
		id := transfers[i].ID()
		if shortID(p.key, id) != p.announced.short[at] {
			return fmt.Errorf("%w: %v at position %d", errWrongTransfer, id, at)
		}
		p.set(int(at), &transfers[i], id)
	}
	return nil
}

// block returns the block, of which nothing may be missing; otherwise errCollision,
// if the transfers are not those that the header's Merkle root is over.
func (p *partial) block() (*types.Block, error) {
	header := p.announced.header
	if root, mutated := types.MerkleRoot(p.ids); mutated || root != header.MerkleRoot {
		return nil, fmt.Errorf("%w: block %v", errCollision, header.Hash())
	}
	b := &types.Block{Header: header, Reward: p.announced.reward, Transfers: make([]types.Transfer, len(p.transfers))}
	for i, t := range p.transfers {
		b.Transfers[i] = *t
	}
	return b, nil
}

// pick returns what wants asks for; false where the block has no such position, as whoever
// was told of more transfers than it has may think.
func pick(b *types.Block, positions []uint32) ([]types.Transfer, bool) {
	transfers := make([]types.Transfer, len(positions))
	for i, at := range positions {
		if int64(at) >= int64(len(b.Transfers)) {
			return nil, false
		}
		transfers[i] = b.Transfers[at]
	}
	return transfers, true
}
