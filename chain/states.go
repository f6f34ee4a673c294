package chain

import (
	"sync"

	"cairn/consensus"
	"cairn/types"
)

// maxStates is how many states are remembered before those that nobody asked for
// lately are forgotten: about a megabyte in all.
const maxStates = 4096

// states are those of blocks of the best chain that were asked for: the state of a
// block never changes, but whether a view has the block is for the view to say. They are kept in two generations: when the young one is full, the old one,
// whose members nobody asked for since, is dropped.
type states struct {
	mu         sync.Mutex
	young, old map[types.Hash]consensus.State
}

func (c *states) get(hash types.Hash) (s consensus.State, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok = c.young[hash]; ok {
		return s, true
	}
	if s, ok = c.old[hash]; ok {
		c.add(s)
	}
	return s, ok
}

func (c *states) put(s consensus.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(s)
}

// add takes up a state. The lock is held.
func (c *states) add(s consensus.State) {
	if c.young == nil || len(c.young) == maxStates {
		c.old, c.young = c.young, make(map[types.Hash]consensus.State)
	}
	c.young[s.Hash] = s
}
