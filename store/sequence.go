package store

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"cairn/types"
)

// AppendHeaders appends the encoded headers of count blocks of the best chain to
// b, the first one's height being from. It returns ErrNotFound where the chain
// ends before.
func (v *View) AppendHeaders(b []byte, from, count uint32) ([]byte, error) {
	if count == 0 {
		return b, nil
	}
	headers, err := v.sequence(PrefixHeader)
	if err != nil {
		return b, err
	}
	defer headers.Close()
	next, last := from, from+(count-1)
	upper := append(bestKey(newKey(), last), 0) // the next key after the last
	for r, err := range v.scan(bestKey(newKey(), from), upper) {
		if err != nil {
			return b, err
		}
		height, hash, err := r.Best()
		if err != nil {
			return b, v.fault(err)
		}
		if height != next {
			break
		}
		header, found, err := headers.at(height, hash)
		if err == nil && !found {
			err = fmt.Errorf("%w: %s", ErrNotFound, Record{Key: headers.key})
		}
		if err == nil && len(header) != types.HeaderSize {
			err = v.fault(Record{Key: headers.key}.damaged(fmt.Errorf("a header of %d bytes", len(header))))
		}
		if err != nil {
			return b, err
		}
		b = append(b, header...)
		if height == last {
			return b, nil
		}
		next++
	}
	return b, fmt.Errorf("%w: %s", ErrNotFound, Record{Key: bestKey(nil, next)})
}

// Bodies reads the encodings of many blocks, and those that follow each other
// much faster than BlockBytes does. It is for one goroutine, and to be closed
// soon, since it keeps memory from being freed.
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

// sequence looks up records whose keys are those of blockKey. A record that
// comes soon after the last one costs little.
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
	if !s.it.SeekGE(s.key) {
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
