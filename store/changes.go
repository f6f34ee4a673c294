package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"sync"
)

// changes are records to be set or deleted, in the order of the calls. They are
// handed on in the order of their keys and each key once: Pebble takes in sorted
// keys much faster, and of the many balances that an account has in the course of
// one batch only the last is written.
type changes struct {
	bytes []byte // keys and values, one after another
	list  []change
}

// change is one of them.
type change struct {
	front   uint64 // the key's first bytes, which decide nearly every comparison
	start   int    // of the key in bytes; the value follows it
	value   uint32 // its length
	key     uint16 // its length
	deletes bool
}

// changesPool keeps the memory of large batches from one to the next.
var changesPool = sync.Pool{New: func() any { return new(changes) }}

// add copies what it is given.
func (c *changes) add(key, value []byte, deletes bool) {
	var front [8]byte
	copy(front[:], key)
	c.list = append(c.list, change{
		front: binary.BigEndian.Uint64(front[:]),
		start: len(c.bytes), key: uint16(len(key)), value: uint32(len(value)), deletes: deletes,
	})
	c.bytes = append(append(c.bytes, key...), value...)
}

func (c *changes) reset() { c.bytes, c.list = c.bytes[:0], c.list[:0] }

func (c *changes) keyOf(e *change) []byte { return c.bytes[e.start : e.start+int(e.key)] }

func (c *changes) valueOf(e *change) []byte {
	return c.bytes[e.start+int(e.key):][:e.value]
}

// sorted sorts the changes and goes through the last one of each key.
func (c *changes) sorted() iter.Seq2[*change, []byte] {
	slices.SortFunc(c.list, func(a, b change) int {
		if a.front != b.front {
			return cmp.Compare(a.front, b.front)
		}
		return cmp.Or(bytes.Compare(c.keyOf(&a), c.keyOf(&b)), cmp.Compare(a.start, b.start))
	})
	return func(yield func(*change, []byte) bool) {
		for i := range c.list {
			e, key := &c.list[i], c.keyOf(&c.list[i])
			if i+1 < len(c.list) && bytes.Equal(c.keyOf(&c.list[i+1]), key) {
				continue
			}
			if !yield(e, key) {
				return
			}
		}
	}
}
