package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"unsafe"
)

// changes are records to be set or deleted, in the order of the calls. They are
// handed on in the order of their keys and each key once: Pebble takes in sorted
// keys much faster, and of the many balances that an account has in the course of
// one batch only the last is written.
type changes struct {
	bytes []byte // keys and values, one after another
	list  []change
	room  []change // for sorting
	value []byte   // room for one value
}

// change is one of them.
type change struct {
	front   uint64 // eight bytes of the key, by which it is being sorted
	start   int    // of the key in bytes; the value follows it
	value   uint32 // its length
	key     uint16 // its length
	deletes bool
}

// unused keeps the memory of large batches from one to the next. It is not a
// sync.Pool, which the garbage collector empties: what a full block needs would be made
// again by doubling it for each, and be most of what there is to collect.
var unused = make(chan *changes, 2)

// keptBytes is the most memory of a batch that is kept.
const keptBytes = 16 << 20

func takeChanges() *changes {
	select {
	case c := <-unused:
		return c
	default:
		return new(changes)
	}
}

func (c *changes) give() {
	const each = int(unsafe.Sizeof(change{}))
	if cap(c.bytes)+cap(c.value)+each*(cap(c.list)+cap(c.room)) > keptBytes {
		return
	}
	c.reset()
	select {
	case unused <- c:
	default:
	}
}

// add copies what it is given.
func (c *changes) add(key, value []byte, deletes bool) {
	c.list = append(c.list, change{
		front: front(key, 0),
		start: len(c.bytes), key: uint16(len(key)), value: uint32(len(value)), deletes: deletes,
	})
	c.bytes = append(append(c.bytes, key...), value...)
}

// front returns the eight bytes of a key from a place on, with zeros behind its
// end.
func front(key []byte, at int) uint64 {
	var b [8]byte
	copy(b[:], key[min(at, len(key)):])
	return binary.BigEndian.Uint64(b[:])
}

func (c *changes) reset() { c.bytes, c.list = c.bytes[:0], c.list[:0] }

func (c *changes) keyOf(e *change) []byte { return c.bytes[e.start : e.start+int(e.key)] }

func (c *changes) valueOf(e *change) []byte {
	return c.bytes[e.start+int(e.key):][:e.value]
}

// sorted sorts the changes and goes through the last one of each key.
func (c *changes) sorted() iter.Seq2[*change, []byte] {
	c.room = slices.Grow(c.room[:0], len(c.list))[:len(c.list)]
	c.sort(c.list, c.room, 0)
	return func(yield func(*change, []byte) bool) {
		for i := range c.list {
			e, key := &c.list[i], c.keyOf(&c.list[i])
			if i+1 < len(c.list) && c.list[i+1].front == e.front && bytes.Equal(c.keyOf(&c.list[i+1]), key) {
				continue
			}
			if !yield(e, key) {
				return
			}
		}
	}
}

const (
	// fewChanges are sorted by comparisons.
	fewChanges = 48
	// digits is how many bytes of the fronts a radix sort goes by: a prefix and a
	// height, or a prefix and as much of a hash as tells a million from each other.
	digits = 5
)

// sort sorts changes by key, and those of one key by their order. Their keys have
// the same bytes before a place, from which on they have their fronts.
func (c *changes) sort(list, room []change, at int) {
	if len(list) < fewChanges {
		slices.SortFunc(list, func(a, b change) int {
			if a.front != b.front {
				return cmp.Compare(a.front, b.front)
			}
			return cmp.Or(bytes.Compare(c.keyOf(&a), c.keyOf(&b)), cmp.Compare(a.start, b.start))
		})
		return
	}
	sortByFront(list, room)
	for len(list) > 0 {
		n, longest := 1, list[0].key
		for n < len(list) && (list[n].front^list[0].front)>>(64-8*digits) == 0 {
			longest = max(longest, list[n].key)
			n++
		}
		switch group := list[:n]; {
		case n == 1:
		case int(longest) > at+digits:
			for i := range group {
				group[i].front = front(c.keyOf(&group[i]), at+digits)
			}
			c.sort(group, room[:n], at+digits)
		default: // the keys differ in the number of zeros at their end, if at all
			slices.SortStableFunc(group, func(a, b change) int { return cmp.Compare(a.key, b.key) })
		}
		list = list[n:]
	}
}

// sortByFront is a radix sort by the first bytes of the fronts, the last of them
// first. It keeps the order of those that are equal.
func sortByFront(list, room []change) {
	digitOf := func(c *change, digit int) byte { return byte(c.front >> (64 - 8*digits + 8*digit)) }
	var counts [digits][256]int
	for i := range list {
		for digit := range counts {
			counts[digit][digitOf(&list[i], digit)]++
		}
	}
	from, to := list, room
	for digit := range counts {
		count := &counts[digit]
		if count[digitOf(&list[0], digit)] == len(list) {
			continue // all have the same
		}
		next := 0
		for i, n := range count {
			count[i], next = next, next+n
		}
		for i := range from {
			place := &count[digitOf(&from[i], digit)]
			to[*place] = from[i]
			*place++
		}
		from, to = to, from
	}
	if &from[0] != &list[0] {
		copy(list, from)
	}
}
