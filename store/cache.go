package store

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// cache holds blocks of tables that were read. Pebble puts everything there, also
// what is read once from end to end; so whoever reads like that has it kept from
// growing.
type cache struct {
	*pebble.Cache
	db *pebble.DB

	mu       sync.Mutex
	keepers  int
	released func() // lets it grow again
}

// passing is what may be in the cache while it is kept from growing, if there is
// not more already: the parts of tables that say where things are.
const passing = 1 << 20

// KeepCache keeps the memory for what was read from growing until release is
// called, for a caller that reads much which nobody will soon ask for again: the
// whole chain, most of all. What is there already mostly stays.
func (v *View) KeepCache() (release func()) {
	c := v.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keepers++; c.keepers == 1 {
		memTables := c.db.Metrics().MemTable
		writing := int64(memTables.Size + memTables.ZombieSize)
		room := c.MaxSize() - writing - max(c.Size(), passing)
		c.released = c.Reserve(int(max(room, 0)))
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.keepers--; c.keepers == 0 {
			c.released()
		}
	}
}
