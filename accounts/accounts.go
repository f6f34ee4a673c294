// Package accounts is the authenticated map from account to balance: a compact
// sparse Merkle tree over SHA-256 of the account, whose root stands in the
// commitment of every block. The root depends on the balances alone, not on how
// they came about, and any balance, or the absence of an account, has a short
// proof. The format is section 5 of docs/protocol.md.
//
// The leaves are kept by whoever owns storage, under their keys, so that any
// subtree is one range of them. What a Tree holds in memory is derived from them:
// the upper part of the tree and, below it, small subtrees that were changed of
// late; every other small subtree is a stub, a hash that stands for up to 16
// leaves and is read back through a Reader when it is needed. The package knows
// no clock and no storage, and the same calls give the same results.
package accounts

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"cairn/types"
)

// ErrStale says that the leaves that a Reader returned are not those that the
// tree was made of: the storage is damaged, or it has moved on and the tree is
// one of an earlier state.
var ErrStale = errors.New("stored accounts do not match the account tree")

// Key is the place of an account in the tree, most significant bit first.
type Key [32]byte

// keyBits is the depth that no subtree of more than one leaf reaches.
const keyBits = 8 * len(Key{})

// KeyOf returns SHA-256 of the account's bytes.
func KeyOf(account types.Account) Key { return sha256.Sum256([]byte(account)) }

// bit returns the bit that decides between left (0) and right (1) at a depth.
func (k *Key) bit(depth int) int { return int(k[depth/8] >> (7 - depth%8) & 1) }

// Leaf is an account's key and its balance in base units. As a change, it says
// what the balance is to be; 0 deletes the account.
type Leaf struct {
	Key     Key
	Balance int64
}

// Reader gives access to the stored leaves. Leaves returns all whose key begins
// with the first bits of prefix, in ascending order of key; the caller may change
// the slice. It is called from several goroutines at a time.
type Reader interface {
	Leaves(prefix Key, bits int) ([]Leaf, error)
}

// Sessions is a Reader that reads many leaves in ascending order more cheaply in a
// session.
type Sessions interface {
	Reader
	Session() Session
}

// Session is a Reader for one goroutine, to be closed after use. Others can begin
// one of their own.
type Session interface {
	Sessions
	Close() error
}

// session returns the tree on a reader for one goroutine that reads much, and what
// ends that; its error is one of reading.
func (t Tree) session() (Tree, func() error) {
	if s, ok := t.reader.(Sessions); ok {
		session := s.Session()
		t.reader = session
		return t, session.Close
	}
	return t, func() error { return nil }
}

// Tree is the map at one moment. It is a small immutable value: Update, Load and
// Trim return another one, which shares what is the same. All methods may be called
// from any number of goroutines at once, on one tree or on several of one
// descent.
//
// A tree is usable while its Reader returns, for each stub of it that a call
// meets, the leaves of this tree. So a tree that Update returned is usable at
// once, though what was changed is not stored yet, because none of that is in a
// stub; it stays so when those changes are stored; from then on the trees before
// it may answer ErrStale, never a wrong result.
type Tree struct {
	reader     Reader
	root       subtree
	generation uint32 // counts updates
}

// New returns the empty tree. Only stubs are read, so r may be nil for a tree that
// is never trimmed.
func New(r Reader) Tree { return Tree{reader: r} }

// Root returns the hash over all balances; zero for the empty tree.
func (t Tree) Root() [32]byte { return t.root.sum }

// Count returns the number of accounts.
func (t Tree) Count() uint64 { return t.root.count }

// Loaded returns the number of accounts whose leaves are in memory, at about 250
// bytes each.
func (t Tree) Loaded() int { return int(t.root.loaded) }

// Get returns the balance under a key in base units; 0 when there is none. Its
// errors are the Reader's and ErrStale.
func (t Tree) Get(key Key) (int64, error) {
	found, err := t.find(key, func(*subtree) {})
	if err != nil || found == nil || found.Key != key {
		return 0, err
	}
	return found.Balance, nil
}

// find walks towards a key, calling pass with each sibling on the way, and
// returns the leaf that stands there, perhaps of another key, or nil.
func (t Tree) find(key Key, pass func(sibling *subtree)) (*Leaf, error) {
	at := t.root
	for depth := 0; ; depth++ {
		if at.isStub() {
			expanded, err := t.expand(&at, key, depth)
			if err != nil {
				return nil, err
			}
			at = expanded
		}
		if at.halves == nil {
			return at.leaf, nil
		}
		side := key.bit(depth)
		pass(&at.halves[1-side])
		at = at.halves[side]
	}
}

// expand reads the leaves of a stub, which is at a depth on the path of prefix.
func (t Tree) expand(stub *subtree, prefix Key, depth int) (subtree, error) {
	leaves, err := t.reader.Leaves(prefix, depth)
	if err != nil {
		return subtree{}, fmt.Errorf("accounts below %d bits of %x: %w", depth, prefix, err)
	}
	if uint64(len(leaves)) != stub.count {
		return subtree{}, fmt.Errorf("%w: %d below %d bits of %x, not %d", ErrStale, len(leaves), depth, prefix, stub.count)
	}
	if !ascending(leaves) {
		return subtree{}, fmt.Errorf("%w: those below %d bits of %x do not ascend", ErrStale, depth, prefix)
	}
	var s subtree
	if err := t.update(&s, &subtree{}, depth, leaves); err != nil {
		return subtree{}, err
	}
	if s.sum != stub.sum {
		return subtree{}, fmt.Errorf("%w: those below %d bits of %x hash to %x, not %x", ErrStale, depth, prefix, s.sum, stub.sum)
	}
	return s, nil
}
