package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"cairn/types"
)

// branches stores two bodies at each height from 1 to count, and returns the
// hashes of the best chain and of the others, by height. The least and the
// greatest hash of a height are the best chain's in turn.
func branches(t testing.TB, s *Store, count uint32) (best, side []types.Hash) {
	best, side = make([]types.Hash, count+1), make([]types.Hash, count+1)
	commit(t, s, func(b *Batch) {
		for height := uint32(1); height <= count; height++ {
			best[height][0], side[height][0] = byte(height%2), byte(1-height%2)
			b.PutBlock(height, best[height], encodingOf(height, 0))
			b.PutBlock(height, side[height], encodingOf(height, 1))
			b.PutBest(height, best[height])
		}
	})
	return best, side
}

// encodingOf is some bytes that tell a block from others.
func encodingOf(height uint32, branch byte) []byte {
	encoding := bytes.Repeat([]byte{branch}, int(100+height%50))
	binary.BigEndian.PutUint32(encoding, height)
	return encoding
}

func TestAppendHeaders(t *testing.T) {
	s := memoryStore(t)
	const count = 700
	branches(t, s, count)
	for _, c := range []struct{ from, count uint32 }{{1, count}, {1, 1}, {count, 1}, {300, 5}, {5, 0}, {count + 1, 0}} {
		want := []byte("before")
		for height := c.from; height < c.from+c.count; height++ {
			want = append(want, encodingOf(height, 0)[:types.HeaderSize]...)
		}
		got, err := s.AppendHeaders([]byte("before"), c.from, c.count)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d headers from %d: %d bytes, %v", c.count, c.from, len(got), err)
		}
	}
	genesis, err := s.AppendHeaders(nil, 0, 1)
	check(t, genesis, s.Rules().Genesis().Encode()[:types.HeaderSize], err)
	for _, c := range []struct{ from, count uint32 }{{count, 2}, {count + 1, 1}, {1<<32 - 1, 1}} {
		if _, err := s.AppendHeaders(nil, c.from, c.count); !errors.Is(err, ErrNotFound) {
			t.Errorf("%d headers from %d: error %v", c.count, c.from, err)
		}
	}
}

func TestAppendHeadersMissing(t *testing.T) {
	s := memoryStore(t)
	best, _ := branches(t, s, 9)
	commit(t, s, func(b *Batch) { b.delete(blockKey(nil, PrefixHeader, 5, best[5])) })
	if _, err := s.AppendHeaders(nil, 1, 9); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "header of block 5") {
		t.Errorf("without a header: %v", err)
	}
	commit(t, s, func(b *Batch) { b.DeleteBest(3) })
	if _, err := s.AppendHeaders(nil, 1, 9); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "best chain's block 3") {
		t.Errorf("with a gap: %v", err)
	}
}

func TestBodies(t *testing.T) {
	s := memoryStore(t)
	const count = 700
	best, side := branches(t, s, count)
	bodies, err := s.Bodies()
	if err != nil {
		t.Fatal(err)
	}
	defer bodies.Close()
	// Ascending, both branches, then back and to and fro.
	for _, heights := range [][]uint32{{1, 2, 3, 4, 600, 601, count}, {5, 4, 699, 1}} {
		for _, height := range heights {
			got, found, err := bodies.At(height, best[height])
			check(t, got, encodingOf(height, 0), err)
			check(t, found, true, nil)
			got, _, err = bodies.At(height, side[height])
			check(t, got, encodingOf(height, 1), err)
			if _, found, err := bodies.At(height, types.Hash{2}); found || err != nil {
				t.Errorf("a block %d that is not stored: %v, %v", height, found, err)
			}
			if _, found, err := bodies.At(height+count, best[height]); found || err != nil {
				t.Errorf("a block beyond the last: %v, %v", found, err)
			}
		}
	}
}
