package store

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"cairn/accounts"
	"cairn/types"
)

// Seeker finds many records one after another, quicker than a View does and best
// in ascending order. It sees what was stored when it first looked. It is for one
// goroutine, and to be closed soon: what it sees is kept on disk until then.
type Seeker struct {
	view *View
	it   *pebble.Iterator // nil before the first look
	key  [keyRoom]byte

	bounded bool // the iterator is, by what was read last
}

// Seeker returns a Seeker that has not looked yet.
func (v *View) Seeker() *Seeker { return &Seeker{view: v} }

// iterator opens what the Seeker looks through.
func (s *Seeker) iterator() (*pebble.Iterator, error) {
	if s.it != nil {
		return s.it, nil
	}
	// Pebble's own Get does not ask the filters of the lowest level, where nearly
	// everything is; and most salts that are looked up are nowhere.
	it, err := s.view.reader.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err == nil {
		s.it = it
	}
	return it, s.view.fault(err)
}

// SaltLoc is View.SaltLoc.
func (s *Seeker) SaltLoc(sender types.Account, salt uint64) (loc Loc, found bool, err error) {
	it, err := s.iterator()
	if err != nil {
		return Loc{}, false, err
	}
	if s.bounded {
		it.SetBounds(nil, nil)
		s.bounded = false
	}
	key := saltKey(s.key[:0], sender, salt)
	if !it.SeekPrefixGE(key) || !bytes.Equal(it.Key(), key) {
		return Loc{}, false, s.view.fault(it.Error())
	}
	value, err := it.ValueAndErr()
	if err == nil {
		loc, err = Record{key, value}.loc()
	}
	return loc, err == nil, s.view.fault(err)
}

// Leaves is View.Leaves.
func (s *Seeker) Leaves(prefix accounts.Key, bits int) ([]accounts.Leaf, error) {
	it, err := s.iterator()
	if err != nil {
		return nil, err
	}
	s.bounded = true
	it.SetBounds(leafRange(s.key[:0], prefix, bits)) // without them, tables that have none are read too
	var leaves []accounts.Leaf
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		var leaf accounts.Leaf
		if err == nil {
			leaf, err = Record{it.Key(), value}.leaf()
		}
		if err != nil {
			return nil, s.view.fault(err)
		}
		leaves = append(leaves, leaf)
	}
	return leaves, s.view.fault(it.Error())
}

// Close ends the Seeker. Its error is one of reading, which has not been returned
// before.
func (s *Seeker) Close() error {
	if s.it == nil {
		return nil
	}
	err := s.it.Close()
	s.it = nil
	return s.view.fault(err)
}

// Session makes a View an accounts.Sessions.
func (v *View) Session() accounts.Session { return v.Seeker() }

// Session is another Seeker of the same view.
func (s *Seeker) Session() accounts.Session { return s.view.Seeker() }
