package store

import (
	"errors"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/types"
)

// Examine lets look read the records of a data directory that may be damaged,
// and changes nothing in it. Where Open refuses a directory because a file or a
// record is not as it was written, the others may still be there to be looked at
// one by one. The view must not be used after look has returned.
//
// The errors are those of Open, ErrDamaged where the database or the network's
// rules cannot be read at all, and what look returns.
func Examine(dir string, o Options, look func(*consensus.Rules, *View) error) error {
	d, err := newDirectory(dir, o)
	if err != nil {
		return err
	}
	if _, err := d.marker(); err != nil {
		return d.advise(err)
	}
	lock, err := d.lock()
	if err != nil {
		return err
	}
	s := newStore(d, o)
	if err = s.openPebble(o.cacheBytes(), true); err != nil {
		err = FileFault{File: dbName, Reason: firstLine(err)}
	} else {
		if s.rules, err = must(&s.View, []byte(genesisKey), Record.rules); err == nil {
			err = look(s.rules, &s.View)
		}
		err = errors.Join(err, s.closePebble())
	}
	return errors.Join(err, lock.Close())
}

// The keys of records, for whoever has to name one that is not there.

// StateKey returns the key of a block's state.
func StateKey(hash types.Hash) []byte { return stateKey(newKey(), hash) }

// BodyKey returns the key of a block's encoding.
func BodyKey(height uint32, hash types.Hash) []byte {
	return blockKey(newKey(), PrefixBlock, height, hash)
}

// HeaderKey returns the key of a block's header.
func HeaderKey(height uint32, hash types.Hash) []byte {
	return blockKey(newKey(), PrefixHeader, height, hash)
}

// UndoKey returns the key of a block's undo record.
func UndoKey(height uint32, hash types.Hash) []byte {
	return blockKey(newKey(), PrefixUndo, height, hash)
}

// BestKey returns the key of the best chain's block at a height.
func BestKey(height uint32) []byte { return bestKey(newKey(), height) }

// RootKey returns the key of the root of the balances after a block.
func RootKey(height uint32) []byte { return rootKey(newKey(), height) }

// HistoryKey returns the key of a node of the history.
func HistoryKey(level uint8, index uint32) []byte { return historyKey(newKey(), level, index) }

// AccountKey returns the key of an account.
func AccountKey(key accounts.Key) []byte { return accountKey(newKey(), key) }

// SaltKey returns the key of a sender's salt.
func SaltKey(sender types.Account, salt uint64) []byte { return saltKey(newKey(), sender, salt) }

// TransferKey returns the key of a transfer's location.
func TransferKey(id types.Hash) []byte { return transferKey(newKey(), id) }

// MentionKey returns the key of what names an account in a block.
func MentionKey(key accounts.Key, height uint32) []byte { return mentionKey(newKey(), key, height) }

// PendingKey returns the key of a transfer that waits to be mined.
func PendingKey(seq uint64) []byte { return pendingKey(newKey(), seq) }

// GoalKey returns the key of the goal of a reorganisation.
func GoalKey() []byte { return []byte(goalKey) }

// TipKey returns the key of the best chain's last block.
func TipKey() []byte { return []byte(tipKey) }

// GenesisKey returns the key of the genesis file.
func GenesisKey() []byte { return []byte(genesisKey) }
