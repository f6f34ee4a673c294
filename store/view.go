package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/types"
)

// View reads records. The one that a Store embeds sees every commit as soon as
// it is made; one from Snapshot stays as it was. Both may be used by many
// goroutines at once. A record that does not decode, or a file that Pebble
// cannot read, is ErrDamaged.
type View struct {
	reader pebble.Reader
	close  func() error // of a snapshot; nil in the live view
	note   func(error)  // of what could not be read
	cache  *cache
}

// Close releases a snapshot, at most once. On the live view it does nothing.
func (v *View) Close() error {
	if v.close == nil {
		return nil
	}
	return v.close()
}

// State returns a block's consensus state and what is known of it; ErrNotFound.
func (v *View) State(hash types.Hash) (consensus.State, Status, error) {
	s, err := must(v, stateKey(newKey(), hash), Record.State)
	return s.State, s.Status, err
}

// BlockBytes returns a block's encoding; ErrNotFound.
func (v *View) BlockBytes(height uint32, hash types.Hash) ([]byte, error) {
	return must(v, blockKey(newKey(), PrefixBlock, height, hash), func(r Record) ([]byte, error) {
		return bytes.Clone(r.Value), nil
	})
}

// Block returns a block; ErrNotFound. That it hashes to hash is not checked.
func (v *View) Block(height uint32, hash types.Hash) (*types.Block, error) {
	return must(v, blockKey(newKey(), PrefixBlock, height, hash), Record.Block)
}

// borrowed are blocks to overwrite.
var borrowed = sync.Pool{New: func() any { return new(types.Block) }}

// UseBlock calls use with a block; ErrNotFound. Neither the block nor any text in it
// may be kept when use has returned: it makes no garbage so.
func (v *View) UseBlock(height uint32, hash types.Hash, use func(*types.Block)) error {
	_, err := must(v, blockKey(newKey(), PrefixBlock, height, hash), func(r Record) (none struct{}, err error) {
		block := borrowed.Get().(*types.Block) // it holds nothing else
		defer borrowed.Put(block)
		if err = r.damaged(block.Borrow(r.Value)); err == nil {
			use(block)
		}
		return none, err
	})
	return err
}

// Reward returns the header and the reward of a block and how many transfers it has,
// without decoding those; ErrNotFound where there is no such block.
func (v *View) Reward(height uint32, hash types.Hash) (header types.Header, reward types.Reward, transfers int, err error) {
	reward, err = must(v, blockKey(newKey(), PrefixBlock, height, hash), func(r Record) (reward types.Reward, err error) {
		header, reward, transfers, err = types.DecodeRewardIn(r.Value)
		return reward, r.damaged(err)
	})
	return header, reward, transfers, err
}

// Transfer returns a transfer by its place in a block, and the block's header, without
// decoding the rest of the block; ErrNotFound where there is no such block.
func (v *View) Transfer(height uint32, hash types.Hash, position uint32) (header types.Header, t types.Transfer, err error) {
	t, err = must(v, blockKey(newKey(), PrefixBlock, height, hash), func(r Record) (types.Transfer, error) {
		var err error
		if header, err = types.DecodeHeader(r.Value[:min(len(r.Value), types.HeaderSize)]); err != nil {
			return types.Transfer{}, r.damaged(err)
		}
		t, err := types.DecodeTransferIn(r.Value, position)
		return t, r.damaged(err)
	})
	return header, t, err
}

// Header returns a block's header; ErrNotFound. That it hashes to hash is not
// checked.
func (v *View) Header(height uint32, hash types.Hash) (types.Header, error) {
	return must(v, blockKey(newKey(), PrefixHeader, height, hash), Record.Header)
}

// Undo returns what takes a block back; ErrNotFound.
func (v *View) Undo(height uint32, hash types.Hash) (Undo, error) {
	return must(v, blockKey(newKey(), PrefixUndo, height, hash), Record.Undo)
}

// BestHash returns the hash of the best chain's block at height; ErrNotFound.
func (v *View) BestHash(height uint32) (types.Hash, error) {
	return must(v, bestKey(newKey(), height), Record.hash)
}

// BalancesRoot returns the root of the balances after the best chain's block at a
// height above 0; ErrNotFound.
func (v *View) BalancesRoot(height uint32) ([32]byte, error) {
	root, err := must(v, rootKey(newKey(), height), Record.hash)
	return root, err
}

// Tip returns the hash of the best chain's last block.
func (v *View) Tip() (types.Hash, error) { return must(v, []byte(tipKey), Record.hash) }

// NodeID returns the 32 hex digits that name this node, drawn at random when the
// directory was made.
func (v *View) NodeID() (string, error) { return must(v, []byte(nodeKey), Record.nodeID) }

// Goal returns the blocks on the way to the tip of an interrupted
// reorganisation, as PutGoal stored them; nil when there is none.
func (v *View) Goal() ([]types.Hash, error) {
	goal, _, err := look(v, []byte(goalKey), Record.hashes)
	return goal, err
}

// Account returns an account's balance in base units; 0 when it does not exist.
func (v *View) Account(account types.Account) (int64, error) {
	leaf, _, err := look(v, accountKey(newKey(), accounts.KeyOf(account)), Record.leaf)
	return leaf.Balance, err
}

// SaltLoc returns where the last transfer with this sender and salt is on the
// best chain; false when there is none.
func (v *View) SaltLoc(sender types.Account, salt uint64) (Loc, bool, error) {
	return look(v, saltKey(newKey(), sender, salt), Record.loc)
}

// TransferLoc returns where a transfer is on the best chain; false when it is
// not there.
func (v *View) TransferLoc(id types.Hash) (TransferRecord, bool, error) {
	return look(v, transferKey(newKey(), id), Record.transfer)
}

// Mention returns where in the best chain's block at a height an account is named;
// false when it is not.
func (v *View) Mention(key accounts.Key, height uint32) (Mention, bool, error) {
	return look(v, mentionKey(newKey(), key, height), func(r Record) (Mention, error) {
		_, m, err := r.Mention()
		return m, err
	})
}

// Mentions goes through the blocks of the best chain that name an account, from the
// one at a height down. It ends after the first error.
func (v *View) Mentions(key accounts.Key, from uint32) iter.Seq2[Mention, error] {
	return func(yield func(Mention, error) bool) {
		lower, upper := mentionKey(newKey(), key, 0), append(mentionKey(newKey(), key, from), 0)
		it, err := v.reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			yield(Mention{}, v.fault(err))
			return
		}
		more := true
		for ok := it.Last(); ok && more; ok = it.Prev() {
			value, err := it.ValueAndErr()
			if err != nil {
				break // Error returns it too
			}
			_, m, err := Record{Key: it.Key(), Value: value}.Mention()
			more = yield(m, v.fault(err)) && err == nil
		}
		err = errors.Join(it.Error(), it.Close())
		if err != nil && more {
			yield(Mention{}, v.fault(err))
		}
	}
}

// HistoryNode returns the sum of a node of the best chain's history; ErrNotFound.
func (v *View) HistoryNode(level uint8, index uint32) ([32]byte, error) {
	sum, err := must(v, historyKey(newKey(), level, index), Record.hash)
	return sum, err
}

// Leaves returns, ascending, the leaves of all accounts whose key begins with
// the first bits bits of prefix: it makes a View an accounts.Reader.
func (v *View) Leaves(prefix accounts.Key, bits int) ([]accounts.Leaf, error) {
	lower, upper := leafRange(newKey(), prefix, bits)
	var leaves []accounts.Leaf
	for r, err := range v.scan(lower, upper) {
		if err != nil {
			return nil, err
		}
		leaf, err := r.leaf()
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, leaf)
	}
	return leaves, nil
}

// leafRange returns, the first in b, between which keys the leaves are that begin
// with the first bits bits of prefix; the second is not one of them.
func leafRange(b []byte, prefix accounts.Key, bits int) (lower, upper []byte) {
	last := prefix
	for i := bits; i < 8*len(prefix); i++ {
		prefix[i/8] &^= 0x80 >> (i % 8)
		last[i/8] |= 0x80 >> (i % 8)
	}
	return accountKey(b, prefix), append(accountKey(newKey(), last), 0)
}

// AllLeaves goes through the leaves of all accounts, ascending by key; only one
// is held at a time. It ends after the first error.
func (v *View) AllLeaves() iter.Seq2[accounts.Leaf, error] {
	return each(v, PrefixAccount, Record.leaf)
}

// Accounts goes through all accounts in the order of their keys, which is no
// order of their names. It ends after the first error.
func (v *View) Accounts() iter.Seq2[AccountBalance, error] {
	return each(v, PrefixAccount, Record.Account)
}

// Pending goes through the transfers that wait to be mined in the order in which
// they arrived. It ends after the first error.
func (v *View) Pending() iter.Seq2[PendingRecord, error] {
	return each(v, PrefixPending, Record.Pending)
}

// Neighbours returns the URLs of the registered neighbours, sorted.
func (v *View) Neighbours() ([]string, error) {
	var urls []string
	for url, err := range each(v, PrefixNeighbour, Record.Neighbour) {
		if err != nil {
			return nil, err
		}
		urls = append(urls, url)
	}
	return urls, nil
}

// Tokens returns the API tokens, sorted by name.
func (v *View) Tokens() ([]Token, error) {
	var tokens []Token
	for t, err := range each(v, PrefixToken, Record.Token) {
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// Peers returns what is remembered of peers, sorted by ID.
func (v *View) Peers() ([]PeerRecord, error) {
	var peers []PeerRecord
	for p, err := range each(v, PrefixPeer, Record.Peer) {
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	return peers, nil
}

// PeerSeed returns the seed of this node's key among peers; false where it has none
// yet.
func (v *View) PeerSeed() (seed [32]byte, found bool, err error) {
	return look(v, []byte(peerSeed), Record.seed)
}

// Records goes through every record whose key begins with prefix, ascending, or
// through all that is stored when prefix is 0. Key and value are valid until the
// next one. It ends after the first error, which says that a file is damaged.
func (v *View) Records(prefix byte) iter.Seq2[Record, error] {
	if prefix == 0 {
		return v.scan(nil, nil)
	}
	return v.scan([]byte{prefix}, []byte{prefix + 1})
}

// look reads one record; false when there is none.
func look[T any](v *View, key []byte, decode func(Record) (T, error)) (t T, found bool, err error) {
	value, done, err := v.reader.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return t, false, nil
	}
	if err == nil {
		t, err = decode(Record{key, value})
		err = errors.Join(err, done.Close())
	}
	return t, err == nil, v.fault(err)
}

// must reads one record; ErrNotFound when there is none.
func must[T any](v *View, key []byte, decode func(Record) (T, error)) (T, error) {
	t, found, err := look(v, key, decode)
	if err == nil && !found {
		err = fmt.Errorf("%w: %s", ErrNotFound, Record{Key: key})
	}
	return t, err
}

// each decodes the records of one prefix until one does not decode.
func each[T any](v *View, prefix byte, decode func(Record) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range v.Records(prefix) {
			var t T
			if err == nil {
				t, err = decode(r)
				err = v.fault(err)
			}
			if !yield(t, err) || err != nil {
				return
			}
		}
	}
}

// scan goes through the records from lower up to, not including, upper.
func (v *View) scan(lower, upper []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		it, err := v.reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			yield(Record{}, v.fault(err))
			return
		}
		more := true
		for ok := it.First(); ok && more; ok = it.Next() {
			value, err := it.ValueAndErr()
			if err != nil {
				break // Error returns it too
			}
			more = yield(Record{Key: it.Key(), Value: value}, nil)
		}
		err = errors.Join(it.Error(), it.Close())
		if err != nil && more {
			yield(Record{}, v.fault(err))
		}
	}
}

// fault is what a read returns for err, nil included. It tells the store.
func (v *View) fault(err error) error {
	if err == nil {
		return nil
	}
	err = readError(err)
	if v.note != nil {
		v.note(err)
	}
	return err
}

// readError makes ErrDamaged of what Pebble calls corruption.
func readError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %s", ErrDamaged, firstLine(err))
	}
	return err
}

// firstLine leaves out what Pebble adds to some errors for itself.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
