package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

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
	var key [maxKey]byte
	value, done, err := v.get(stateKey(key[:0], hash))
	if err != nil {
		return consensus.State{}, 0, err
	}
	defer done.Close()
	return Record{stateKey(key[:0], hash), value}.State()
}

// BlockBytes returns a block's encoding; ErrNotFound.
func (v *View) BlockBytes(height uint32, hash types.Hash) ([]byte, error) {
	var key [maxKey]byte
	value, done, err := v.get(blockKey(key[:0], PrefixBlock, height, hash))
	if err != nil {
		return nil, err
	}
	defer done.Close()
	return bytes.Clone(value), nil
}

// Block returns a block; ErrNotFound. That it hashes to hash is not checked.
func (v *View) Block(height uint32, hash types.Hash) (*types.Block, error) {
	var key [maxKey]byte
	value, done, err := v.get(blockKey(key[:0], PrefixBlock, height, hash))
	if err != nil {
		return nil, err
	}
	defer done.Close()
	return Record{blockKey(key[:0], PrefixBlock, height, hash), value}.Block()
}

// Undo returns what takes a block back; ErrNotFound.
func (v *View) Undo(height uint32, hash types.Hash) (Undo, error) {
	var key [maxKey]byte
	value, done, err := v.get(blockKey(key[:0], PrefixUndo, height, hash))
	if err != nil {
		return Undo{}, err
	}
	defer done.Close()
	return Record{blockKey(key[:0], PrefixUndo, height, hash), value}.Undo()
}

// BestHash returns the hash of the best chain's block at height; ErrNotFound.
func (v *View) BestHash(height uint32) (types.Hash, error) {
	var key [maxKey]byte
	value, done, err := v.get(bestKey(key[:0], height))
	if err != nil {
		return types.Hash{}, err
	}
	defer done.Close()
	return Record{bestKey(key[:0], height), value}.Hash()
}

// Tip returns the hash of the best chain's last block.
func (v *View) Tip() (types.Hash, error) {
	value, done, err := v.get([]byte(tipKey))
	if err != nil {
		return types.Hash{}, err
	}
	defer done.Close()
	return Record{[]byte(tipKey), value}.Hash()
}

// Goal returns the blocks on the way to the tip of an interrupted
// reorganisation, as PutGoal stored them; nil when there is none.
func (v *View) Goal() ([]types.Hash, error) {
	value, done, err := v.get([]byte(goalKey))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer done.Close()
	return Record{[]byte(goalKey), value}.hashes()
}

// NodeID returns the 32 hex digits that name this node, drawn at random when the
// directory was made.
func (v *View) NodeID() (string, error) {
	value, done, err := v.get([]byte(nodeKey))
	if err != nil {
		return "", err
	}
	defer done.Close()
	return Record{[]byte(nodeKey), value}.nodeID()
}

// Account returns an account's balance in base units; 0 when it does not exist.
func (v *View) Account(account types.Account) (int64, error) {
	var key [maxKey]byte
	value, done, err := v.get(accountKey(key[:0], accounts.KeyOf(account)))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer done.Close()
	balance, stored, err := decodeAccount(value)
	if err == nil && string(stored) != string(account) {
		err = fmt.Errorf("it is of account %q", stored)
	}
	if err != nil {
		return 0, Record{Key: accountKey(key[:0], accounts.KeyOf(account))}.damaged(err)
	}
	return balance, nil
}

// SaltLoc returns where the last transfer with this sender and salt is on the
// best chain; false when there is none.
func (v *View) SaltLoc(sender types.Account, salt uint64) (Loc, bool, error) {
	var key [maxKey]byte
	value, done, err := v.get(saltKey(key[:0], sender, salt))
	if errors.Is(err, ErrNotFound) {
		return Loc{}, false, nil
	}
	if err != nil {
		return Loc{}, false, err
	}
	defer done.Close()
	loc, err := decodeLoc(value)
	if err != nil {
		return Loc{}, false, Record{Key: saltKey(key[:0], sender, salt)}.damaged(err)
	}
	return loc, true, nil
}

// TransferLoc returns where a transfer is on the best chain; false when it is
// not there.
func (v *View) TransferLoc(id types.Hash) (TransferRecord, bool, error) {
	var key [maxKey]byte
	value, done, err := v.get(transferKey(key[:0], id))
	if errors.Is(err, ErrNotFound) {
		return TransferRecord{}, false, nil
	}
	if err != nil {
		return TransferRecord{}, false, err
	}
	defer done.Close()
	t, err := decodeTransferRecord(value)
	if err != nil {
		return TransferRecord{}, false, Record{Key: transferKey(key[:0], id)}.damaged(err)
	}
	return t, true, nil
}

// HistoryNode returns the sum of a node of the best chain's history; ErrNotFound.
func (v *View) HistoryNode(level uint8, index uint32) ([32]byte, error) {
	var key [maxKey]byte
	value, done, err := v.get(historyKey(key[:0], level, index))
	if err != nil {
		return [32]byte{}, err
	}
	defer done.Close()
	return Record{historyKey(key[:0], level, index), value}.Hash()
}

// Leaves returns, ascending, the leaves of all accounts whose key begins with
// the first bits bits of prefix: it makes a View an accounts.Reader.
func (v *View) Leaves(prefix accounts.Key, bits int) ([]accounts.Leaf, error) {
	last := prefix
	for i := bits; i < 8*len(prefix); i++ {
		prefix[i/8] &^= 0x80 >> (i % 8)
		last[i/8] |= 0x80 >> (i % 8)
	}
	lower := accountKey(nil, prefix)
	upper := append(accountKey(nil, last), 0) // just above the last key of all
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

// AllLeaves goes through the leaves of all accounts, ascending by key. Each is
// one record; nothing is held. It ends after the first error.
func (v *View) AllLeaves() iter.Seq2[accounts.Leaf, error] {
	return each(v, PrefixAccount, Record.leaf)
}

// AccountBalance is an account that exists, and its balance in base units.
type AccountBalance struct {
	Account types.Account
	Balance int64
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

// Records goes through every record whose key begins with prefix, ascending, or
// through all that is stored when prefix is 0. Key and value are valid until the
// next one. It ends after the first error, which says that a file is damaged.
func (v *View) Records(prefix byte) iter.Seq2[Record, error] {
	if prefix == 0 {
		return v.scan(nil, nil)
	}
	return v.scan([]byte{prefix}, []byte{prefix + 1})
}

// get returns the value of a key, valid until done is closed; ErrNotFound.
func (v *View) get(key []byte) (value []byte, done closer, err error) {
	value, done, err = v.reader.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return nil, nil, fmt.Errorf("%w: %s", ErrNotFound, Record{Key: key})
	case err != nil:
		return nil, nil, readError(err)
	}
	return value, done, nil
}

type closer interface{ Close() error }

// scan goes through the records from lower up to, not including, upper.
func (v *View) scan(lower, upper []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		it, err := v.reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			yield(Record{}, readError(err))
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
			yield(Record{}, readError(err))
		}
	}
}

// each decodes the records of one prefix until one does not decode.
func each[T any](v *View, prefix byte, decode func(Record) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range v.Records(prefix) {
			var t T
			if err == nil {
				t, err = decode(r)
			}
			if !yield(t, err) || err != nil {
				return
			}
		}
	}
}

func readError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

