package store

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"cairn/types"
)

// BestBodies goes through the bodies of the best chain's blocks from one height
// to another, both included: records of PrefixBlock, each valid until the next
// one. It is much faster than to read them one by one, but keeps memory from
// being freed until it ends: a server must not wait for its client meanwhile. It
// ends after the first error, which is ErrNotFound where the chain ends before.
func (v *View) BestBodies(from, to uint32) iter.Seq2[Record, error] {
	return v.best(PrefixBlock, from, to)
}

// AppendHeaders appends to b the encoded headers of the best chain's blocks from
// one height to another, both included. It returns ErrNotFound where the chain
// ends before.
func (v *View) AppendHeaders(b []byte, from, to uint32) ([]byte, error) {
	for r, err := range v.best(PrefixHeader, from, to) {
		if err == nil && len(r.Value) != types.HeaderSize {
			err = v.fault(r.damaged(fmt.Errorf("a header of %d bytes", len(r.Value))))
		}
		if err != nil {
			return b, err
		}
		b = append(b, r.Value...)
	}
	return b, nil
}

// best goes through those records of a prefix whose key is made by blockKey that
// are the best chain's.
func (v *View) best(prefix byte, from, to uint32) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s, err := v.sequence(prefix)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer s.Close()
		next := uint64(from)
		for r, err := range v.scan(bestKey(newKey(), from), append(bestKey(newKey(), to), 0)) {
			var value []byte
			if err == nil {
				value, err = s.ofBest(r, uint32(next))
			}
			if !yield(Record{s.key, value}, err) || err != nil {
				return
			}
			next++
		}
		if next <= uint64(to) {
			yield(Record{}, fmt.Errorf("%w: %s", ErrNotFound, Record{Key: bestKey(newKey(), uint32(next))}))
		}
	}
}

// ofBest looks up the record of the best chain's block at height, which r is to
// name.
func (s *sequence) ofBest(r Record, height uint32) ([]byte, error) {
	at, hash, err := r.Best()
	if err != nil {
		return nil, s.view.fault(err)
	}
	if at != height {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, Record{Key: bestKey(newKey(), height)})
	}
	value, found, err := s.at(height, hash)
	if err == nil && !found {
		err = fmt.Errorf("%w: %s", ErrNotFound, Record{Key: s.key})
	}
	return value, err
}

// Bodies reads the encodings of blocks by height and hash, and those that follow
// each other much faster than BlockBytes does. It is for one goroutine, and keeps
// memory from being freed until it is closed.
type Bodies struct{ *sequence }

// Bodies returns a reader of bodies as they are now.
func (v *View) Bodies() (Bodies, error) {
	s, err := v.sequence(PrefixBlock)
	return Bodies{s}, err
}

// At returns a block's encoding, valid until the next call; false when it is not
// stored.
func (b Bodies) At(height uint32, hash types.Hash) (encoding []byte, found bool, err error) {
	return b.at(height, hash)
}

// sequence looks up records whose keys are made by blockKey. One that comes soon
// after the last costs little.
type sequence struct {
	view   *View
	prefix byte
	it     *pebble.Iterator
	key    []byte // looked up last
}

func (v *View) sequence(prefix byte) (*sequence, error) {
	it, err := v.reader.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return nil, v.fault(err)
	}
	return &sequence{v, prefix, it, newKey()}, nil
}

func (s *sequence) at(height uint32, hash types.Hash) (value []byte, found bool, err error) {
	s.key = blockKey(s.key[:0], s.prefix, height, hash)
	// What follows the last record is nearly always the one that is wanted.
	if !(s.it.Valid() && s.it.Next() && bytes.Equal(s.it.Key(), s.key)) && !s.it.SeekGE(s.key) {
		return nil, false, s.view.fault(s.it.Error())
	}
	if !bytes.Equal(s.it.Key(), s.key) {
		return nil, false, nil
	}
	value, err = s.it.ValueAndErr()
	return value, err == nil, s.view.fault(err)
}

// Close ends the use of it. What could not be read has been said before.
func (s *sequence) Close() { _ = s.it.Close() }
