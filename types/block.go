package types

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Block is a header and the transactions that its Merkle root names: the
// reward, then the transfers in the order in which they apply. Once made, a
// block is never changed; everything that holds one relies on that.
type Block struct {
	Header    Header
	Reward    Reward
	Transfers []Transfer
}

// IDs returns the id of every transaction, the reward's first.
func (b *Block) IDs() []Hash {
	ids := make([]Hash, 1, 1+len(b.Transfers))
	ids[0] = b.Reward.ID()
	for i := range b.Transfers {
		ids = append(ids, b.Transfers[i].ID())
	}
	return ids
}

// Size returns the length of the encoding in bytes.
func (b *Block) Size() int {
	n := HeaderSize + countSize(1+len(b.Transfers)) + b.Reward.Size()
	for i := range b.Transfers {
		n += b.Transfers[i].Size()
	}
	return n
}

// Encode returns the block's bytes.
func (b *Block) Encode() []byte {
	header := b.Header.Encode()
	out := append(make([]byte, 0, b.Size()), header[:]...)
	out = AppendCount(out, uint64(1+len(b.Transfers)))
	out = b.Reward.Append(out)
	for i := range b.Transfers {
		out = b.Transfers[i].Append(out)
	}
	return out
}

// DecodeBlock reads one block that fills b; otherwise ErrMalformed, and
// ErrRewardPosition with it where the reward is missing or not alone. The caller
// bounds len(b); what is allocated is in proportion to it.
func DecodeBlock(b []byte) (*Block, error) {
	block := new(Block)
	if err := block.decode(decoder{b: b}); err != nil {
		return nil, err
	}
	return block, nil
}

// DecodeTransferIn reads transfer i, from 0, of a block's encoding and skips over
// those before it; ErrMalformed where there is none. What comes after it is not
// looked at.
func DecodeTransferIn(block []byte, i uint32) (t Transfer, err error) {
	d := decoder{b: block, borrow: true}
	var reward Reward
	d.header()
	count := d.count()
	d.reward(&reward)
	if d.err == nil && uint64(i)+1 >= count {
		d.fail("a block of %d transactions has no transfer %d", count, i)
	}
	for range i {
		if d.transfer(&t); d.err != nil {
			break
		}
	}
	d.borrow = false
	d.transfer(&t)
	return t, d.err
}

// DecodeRewardIn reads the header and the reward of a block's encoding, and how many
// transfers follow, which are not looked at.
func DecodeRewardIn(block []byte) (h Header, r Reward, transfers int, err error) {
	d := decoder{b: block}
	h = d.header()
	count := d.count()
	d.reward(&r)
	if d.err == nil && (count == 0 || count-1 > uint64(len(d.b)/MinTransferSize)) {
		d.fail("%d transactions cannot be in a block of %d bytes", count, len(block))
	}
	return h, r, int(max(count, 1) - 1), d.err
}

// Borrow does what DecodeBlock does without making garbage: it overwrites b, whose
// memory it uses again, and the accounts and memos in it are those of encoding, so
// that b is good only for as long as encoding does not change. After an error it is
// good for nothing but to be overwritten. It is for whoever goes through many
// blocks and keeps none.
func (b *Block) Borrow(encoding []byte) error {
	return b.decode(decoder{b: encoding, borrow: true})
}

func (b *Block) decode(d decoder) error {
	b.Header = d.header()
	count := d.count()
	if d.err == nil && (count == 0 || d.version() != rewardVersion) {
		return fmt.Errorf("%w: %w", ErrMalformed, ErrRewardPosition)
	}
	d.reward(&b.Reward)
	if d.err == nil && count-1 > uint64(len(d.b)/MinTransferSize) {
		d.fail("%d transfers cannot fit into %d bytes", count-1, len(d.b))
	}
	if d.err != nil {
		return d.err
	}
	if b.Transfers = b.Transfers[:0]; count > 1 {
		b.Transfers = slices.Grow(b.Transfers, int(count-1))[:count-1]
	}
	for i := range b.Transfers {
		if d.version() == rewardVersion {
			return fmt.Errorf("%w: transaction %d: %w", ErrMalformed, i+1, ErrRewardPosition)
		}
		d.transfer(&b.Transfers[i])
		if d.err != nil {
			return fmt.Errorf("transaction %d: %w", i+1, d.err)
		}
	}
	return d.end()
}

// version looks at the version of the next transaction without reading it; 0
// when there is none.
func (d *decoder) version() uint32 {
	if len(d.b) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(d.b)
}
