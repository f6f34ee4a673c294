package chain

import (
	"errors"
	"maps"
	"slices"

	"cairn/consensus"
	"cairn/mempool"
	"cairn/store"
	"cairn/types"
)

// PoolInfo says how full the pool is.
type PoolInfo struct {
	Transfers int
	Bytes     int64 // memory, by mempool's estimate
}

// Pool returns the pool's present size.
func (m *Manager) Pool() PoolInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	return PoolInfo{Transfers: m.pool.Len(), Bytes: m.pool.Bytes()}
}

// Pending returns the pending transfer with this id.
func (m *Manager) Pending(id types.Hash) (mempool.Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pool.Get(id)
}

// PendingBySalt returns the pending transfer of this sender and salt: there is
// at most one.
func (m *Manager) PendingBySalt(sender types.Account, salt uint64) (mempool.Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pool.BySalt(sender, salt)
}

// publish lets readers see a committed piece of work, and brings the pool to the
// new tip. Both happen under the writer lock, so no template comes between.
func (m *Manager) publish(w *work) {
	m.mu.Lock()
	m.tip = w.ledger.tip
	m.thaw()
	for _, id := range w.mined {
		m.pool.Remove(id)
	}
	arrivals := m.arrivals
	m.arrivals = []mempool.Entry{}
	m.mu.Unlock()

	m.dropMined(arrivals)
	returned := slices.SortedFunc(maps.Values(w.returned), func(a, b mempool.Entry) int {
		return int(min(max(int64(a.Seq-b.Seq), -1), 1))
	})

	m.mu.Lock()
	defer m.mu.Unlock()
	next := w.ledger.tip.Height + 1
	m.discard(m.pool.Expire(next)...)
	if !w.undone {
		// After a reorganisation, what paid for a transfer may be pending again:
		// then it stays.
		for account, balance := range w.spent {
			m.discard(m.pool.Cover(account, balance)...)
		}
	}
	for _, e := range returned {
		evicted, replaced, err := m.pool.Restore(e, next)
		m.discard(evicted...)
		m.discard(replaced...)
		if err != nil {
			m.discard(e)
		}
	}
	w.mined = nil
	clear(w.returned)
	clear(w.spent)
}

// dropMined takes transfers out of the pool that a block took in while they
// were on their way into it.
func (m *Manager) dropMined(arrivals []mempool.Entry) {
	for _, e := range arrivals {
		_, mined, err := m.store.SaltLoc(e.Transfer.Sender, e.Transfer.Salt)
		if err != nil || !mined {
			continue // an error of the disk will show where it matters
		}
		m.mu.Lock()
		if _, pooled := m.pool.Remove(e.ID); pooled {
			m.discard(e)
		}
		m.mu.Unlock()
	}
}

// discard has the records of transfers that left the pool deleted with the next
// commit. Until then a crash only brings them back for New to look at again. The
// state lock is held.
func (m *Manager) discard(entries ...mempool.Entry) {
	for _, e := range entries {
		m.stale = append(m.stale, e.Seq)
	}
}

// deleteStale puts what discard noted into a batch.
func (m *Manager) deleteStale(batch *store.Batch) {
	m.mu.Lock()
	stale := m.stale
	m.stale = nil
	m.mu.Unlock()
	for _, seq := range stale {
		batch.DeletePending(seq)
	}
}

// reserveSeq returns the first of n numbers for pending transfers.
func (m *Manager) reserveSeq(n uint64) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := m.seq
	m.seq += n
	return first
}

// loadPending takes the stored pending transfers into the pool, as far as they
// are still good for the tip.
func (m *Manager) loadPending() error {
	var records []store.PendingRecord
	for r, err := range m.store.Pending() {
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	transfers := make([]types.Transfer, len(records))
	for i := range records {
		transfers[i] = records[i].Transfer
		m.seq = max(m.seq, records[i].Seq+1)
	}
	faults := m.rules.VerifyEach(transfers)
	for i, r := range records {
		e := mempool.Entry{ID: r.Transfer.ID(), Transfer: &transfers[i], Seq: r.Seq, Answered: r.Answered}
		loc, mined, err := m.store.SaltLoc(r.Transfer.Sender, r.Transfer.Salt)
		if err != nil {
			return err
		}
		if mined && consensus.CheckReplay(&transfers[i], m.rules.TxLifetime, m.tip.Height+1, loc.Height) != nil {
			m.discard(e)
			continue
		}
		if faults[i] != nil {
			m.discard(e)
			continue
		}
		evicted, replaced, err := m.pool.Restore(e, m.tip.Height+1)
		m.discard(evicted...)
		m.discard(replaced...)
		if err != nil && !errors.Is(err, mempool.ErrKnown) {
			m.discard(e)
		}
	}
	return nil
}
