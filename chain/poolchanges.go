package chain

import (
	"errors"
	"fmt"

	"cairn/consensus"
	"cairn/mempool"
	"cairn/types"
)

// Why a transfer left the pool, other than for a block. That it expired comes as
// consensus.ErrExpired.
var (
	// ErrEvicted says that the pool was full, and others paid more.
	ErrEvicted = errors.New("put out of the full pool")
	// ErrReplaced says that another transfer took its place.
	ErrReplaced = errors.New("replaced by another transfer with the same sender and salt")
	// ErrUncovered says that its sender can no longer pay for it.
	ErrUncovered = errors.New("no longer covered by its sender's balance")
	// ErrOtherMined says that a block holds another transfer in its place.
	ErrOtherMined = errors.New("another transfer with the same sender and salt was mined")
	// ErrMined says that it came into the pool while a block that holds it was added.
	ErrMined = errors.New("a block holds it already")
)

var (
	errEvicted   = fmt.Errorf("%w by transfers that pay more for each byte", ErrEvicted)
	errUncovered = fmt.Errorf("%w: a block spent what it had", ErrUncovered)
)

func replacedBy(e *mempool.Entry) error {
	return fmt.Errorf("%w, which pays more: %s", ErrReplaced, e.ID)
}

func expiredAt(next uint32) error {
	return fmt.Errorf("%w: the next block has height %d", consensus.ErrExpired, next)
}

// PoolChange says that a transfer became pending, or that it left the pool
// without being mined. That it was mined is said by the block.
type PoolChange struct {
	Entry   mempool.Entry
	Dropped error // why it left; nil when it became pending
}

// keptChanges is how many changes of the pool are remembered: a reader who is
// further behind starts anew, and nobody learns any more why an older one left.
const keptChanges = 1 << 14

// poolChanges are the latest changes of the pool, in a ring. It is guarded by
// Manager.mu.
type poolChanges struct {
	next  uint64 // number of the next change
	ring  []PoolChange
	index map[types.Hash]uint64 // number of the last change of each
}

func (c *poolChanges) add(change PoolChange) {
	if c.index == nil {
		c.index = make(map[types.Hash]uint64)
	}
	if len(c.ring) < keptChanges {
		c.ring = append(c.ring, change)
	} else {
		old := &c.ring[c.next%keptChanges]
		if at, ok := c.index[old.Entry.ID]; ok && at == c.next-keptChanges {
			delete(c.index, old.Entry.ID)
		}
		*old = change
	}
	c.index[change.Entry.ID] = c.next
	c.next++
}

// mined takes back that a transfer became pending, from those who have not heard of
// it yet: they hear of the block first, and would keep it for ever.
func (c *poolChanges) mined(id types.Hash) {
	if at, ok := c.index[id]; ok && c.ring[at%keptChanges].Dropped == nil {
		c.ring[at%keptChanges].Entry.Transfer = nil
		delete(c.index, id)
	}
}

// note remembers a change. The state lock is held.
func (m *Manager) note(e mempool.Entry, dropped error) {
	m.changes.add(PoolChange{e, dropped})
}

// drop discards transfers that left the pool, and remembers why. The state lock is
// held.
func (m *Manager) drop(why error, entries ...mempool.Entry) {
	m.discard(entries...)
	for _, e := range entries {
		m.note(e, why)
	}
}

// noteMined remembers those that lost their place to another transfer, and takes back
// what was said of those that did not. The state lock is held.
func (m *Manager) noteMined(mined []minedEntry) {
	for i := range mined {
		e := &mined[i]
		if e.ID == e.by {
			m.changes.mined(e.ID)
			continue
		}
		if _, pooled := m.pool.Get(e.ID); pooled {
			m.note(e.Entry, fmt.Errorf("%w: %s", ErrOtherMined, e.by))
		}
	}
}

func idsOf(mined []minedEntry) []types.Hash {
	ids := make([]types.Hash, len(mined))
	for i := range mined {
		ids[i] = mined[i].ID
	}
	return ids
}

// PoolSnapshot returns the pool as it is, and the number of the next change, for
// PoolChanges.
func (m *Manager) PoolSnapshot() (mempool.Snapshot, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pool.Snapshot(), m.changes.next
}

// PoolChanges appends to dst the changes of the pool from the one with this number
// on, and returns the number after the last; at most limit. It is false when some
// of them are no longer remembered. A transfer that was mined meanwhile is left out:
// whoever asks after UpdatesSince is told of no transfer that those blocks hold.
func (m *Manager) PoolChanges(dst []PoolChange, from uint64, limit int) (changes []PoolChange, next uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.changes
	if from+uint64(len(c.ring)) < c.next || from > c.next {
		return dst, c.next, false
	}
	for ; from < c.next && limit > 0; from, limit = from+1, limit-1 {
		if change := &c.ring[from%keptChanges]; change.Entry.Transfer != nil {
			dst = append(dst, *change)
		}
	}
	return dst, from, true
}

// Dropped returns why a transfer left the pool lately without being mined, and the
// transfer.
func (m *Manager) Dropped(id types.Hash) (PoolChange, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.changes.index[id]
	if !ok || m.changes.ring[at%keptChanges].Dropped == nil {
		return PoolChange{}, false
	}
	return m.changes.ring[at%keptChanges], true
}
