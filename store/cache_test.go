package store

import (
	"testing"

	"cairn/types"
)

// TestKeepCache reads bodies that together are larger than what may pass through
// the cache: it grows by them, unless it is kept from growing.
func TestKeepCache(t *testing.T) {
	s := memoryStore(t)
	const blocks, size = 400, 20 << 10
	b := s.NewBatch()
	for height := range uint32(blocks) {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(i * int(height+1) >> 3) // nothing that compresses well
		}
		b.PutBlock(height, types.Hash{1}, body)
		b.PutBest(height, types.Hash{1})
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	read := func() int64 {
		for _, err := range s.BestBodies(0, blocks-1) {
			if err != nil {
				t.Fatal(err)
			}
		}
		return s.cache.Size()
	}
	first, second := s.KeepCache(), s.KeepCache()
	if got := read(); got > 2*passing {
		t.Errorf("two keep the cache: it has %d bytes after reading %d", got, blocks*size)
	}
	first()
	if got := read(); got > 2*passing {
		t.Errorf("one keeps the cache: it has %d bytes after reading %d", got, blocks*size)
	}
	second()
	if got := read(); got < blocks*size/2 {
		t.Errorf("nobody keeps the cache: it has %d bytes after reading %d", got, blocks*size)
	}
}
