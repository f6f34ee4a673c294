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

// bestEncodings is the start of each encoding of branches' best chain.
func bestEncodings(from, to uint32, size int) (all []byte) {
	for height := from; height <= to; height++ {
		encoding := encodingOf(height, 0)
		all = append(all, encoding[:min(size, len(encoding))]...)
	}
	return all
}

func TestBest(t *testing.T) {
	s := memoryStore(t)
	const count = 700
	best, _ := branches(t, s, count)
	for _, c := range []struct{ from, to uint32 }{{1, count}, {1, 1}, {count, count}, {300, 304}, {5, 4}, {count + 1, count}} {
		headers, err := s.AppendHeaders([]byte("before"), c.from, c.to)
		check(t, headers, append([]byte("before"), bestEncodings(c.from, c.to, types.HeaderSize)...), err)
		var bodies []byte
		next := c.from
		for r, err := range s.BestBodies(c.from, c.to) {
			height, hash, nameErr := r.BlockName()
			if err != nil || nameErr != nil || height != next || hash != best[height] {
				t.Fatalf("%s, %v, %v", r, err, nameErr)
			}
			bodies, next = append(bodies, r.Value...), next+1
		}
		check(t, bodies, bestEncodings(c.from, c.to, 1000), nil)
	}
	genesis, err := s.AppendHeaders(nil, 0, 0)
	check(t, genesis, s.Rules().Genesis().Encode()[:types.HeaderSize], err)
	for _, c := range []struct{ from, to uint32 }{{count, count + 1}, {count + 1, count + 1}, {1<<32 - 1, 1<<32 - 1}} {
		if _, err := s.AppendHeaders(nil, c.from, c.to); !errors.Is(err, ErrNotFound) {
			t.Errorf("headers from %d to %d: error %v", c.from, c.to, err)
		}
	}
}

func TestBestMissing(t *testing.T) {
	s := memoryStore(t)
	best, _ := branches(t, s, 9)
	commit(t, s, func(b *Batch) {
		b.delete(blockKey(nil, PrefixHeader, 5, best[5]))
		b.delete(blockKey(nil, PrefixBlock, 6, best[6]))
	})
	if _, err := s.AppendHeaders(nil, 1, 9); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "header of block 5") {
		t.Errorf("without a header: %v", err)
	}
	if err := lastError(s.BestBodies(1, 9)); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "body of block 6") {
		t.Errorf("without a body: %v", err)
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
