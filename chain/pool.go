package chain

import (
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
	m.noteMined(w.mined)
	m.pool.RemoveAll(idsOf(w.mined))
	arrivals := m.arrivals
	m.arrivals = []mempool.Entry{}
	m.mu.Unlock()

	m.dropMined(arrivals, w.ledger.tip.Height+1)
	returned := slices.SortedFunc(maps.Values(w.returned), func(a, b mempool.Entry) int {
		return int(min(max(int64(a.Seq-b.Seq), -1), 1))
	})

	m.mu.Lock()
	defer m.mu.Unlock()
	next := w.ledger.tip.Height + 1
	m.drop(expiredAt(next), m.pool.Expire(next)...)
	if !w.undone {
		// After a reorganisation, what paid for a transfer may be pending again:
		// then it stays.
		for account, balance := range w.spent {
			m.drop(errUncovered, m.pool.Cover(account, balance)...)
		}
	}
	for _, e := range returned {
		evicted, replaced, err := m.pool.Restore(e, next)
		m.drop(errEvicted, evicted...)
		if len(replaced) > 0 {
			m.drop(replacedBy(&e), replaced...)
		}
		if err != nil {
			m.drop(err, e)
		} else {
			m.note(e, nil)
		}
	}
}

// dropMined takes transfers out of the pool that a block took in while they
// were on their way into it.
func (m *Manager) dropMined(arrivals []mempool.Entry, height uint32) {
	var mined []mempool.Entry
	others := make(map[types.Hash]bool) // of them, those whose place another has
	for _, e := range arrivals {
		if held, err := m.isMined(e.Transfer, height); err == nil && held {
			mined = append(mined, e)
			_, found, err := m.store.TransferLoc(e.ID)
			others[e.ID] = err == nil && !found
		} // an error of the disk will show where it matters
	}
	if m.noteAnswers(mined) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range mined {
		if _, pooled := m.pool.Remove(e.ID); !pooled {
			continue
		}
		if others[e.ID] {
			m.drop(ErrOtherMined, e)
		} else {
			// Readers may have heard of it since its block, and would keep it.
			m.changes.mined(e.ID)
			m.drop(ErrMined, e)
		}
	}
}

// noteAnswers enters the first answers to pending transfers into the index, where
// the blocks that hold them were applied before they were pending. They stay in
// the pool until then, for whoever asks again.
func (m *Manager) noteAnswers(mined []mempool.Entry) error {
	batch := m.store.NewBatch()
	defer batch.Close()
	for _, e := range mined {
		record, found, err := m.store.TransferLoc(e.ID)
		if err != nil {
			return err
		}
		if found && record.Answered == 0 {
			record.Answered = e.Answered
			batch.PutTransfer(e.ID, record)
		}
	}
	if len(mined) == 0 {
		return nil
	}
	return batch.Commit()
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

// isMined tells whether a block within the lifetime before height holds the
// sender and salt of a transfer.
func (m *Manager) isMined(t *types.Transfer, height uint32) (bool, error) {
	loc, used, err := m.store.SaltLoc(t.Sender, t.Salt)
	if err != nil || !used {
		return false, err
	}
	return consensus.CheckReplay(t, m.rules.TxLifetime, height, loc.Height) != nil, nil
}

// loadPending takes the stored pending transfers into the pool, whatever the
// chain says of them: it may be about to change.
func (m *Manager) loadPending() error {
	const atOnce = 4096
	var records []store.PendingRecord
	for r, err := range m.store.Pending() {
		if err != nil {
			return err
		}
		m.seq = max(m.seq, r.Seq+1)
		if records = append(records, r); len(records) == atOnce {
			if err := m.poolRecords(records); err != nil {
				return err
			}
			records = nil
		}
	}
	return m.poolRecords(records)
}

// poolRecords takes records into the pool in the order in which they arrived.
// What its sender can pay for comes in as any transfer does; what not was
// returned by a reorganisation, and is treated as such.
func (m *Manager) poolRecords(records []store.PendingRecord) error {
	transfers := make([]*types.Transfer, len(records))
	for i := range records {
		t := records[i].Transfer // its own, which the pool keeps
		transfers[i] = &t
	}
	faults := m.rules.VerifyEach(transfers)
	for i, r := range records {
		t := transfers[i]
		e := mempool.Entry{ID: t.ID(), Transfer: t, Seq: r.Seq, Answered: r.Answered}
		if faults[i] != nil {
			m.discard(e)
			continue
		}
		balances := make(consensus.Balances)
		if err := m.ledger.supply(balances, t); err != nil {
			return err
		}
		height := m.tip.Height + 1
		evicted, replaced, err := m.pool.Add(e, height, func(a types.Account) int64 { return balances[a] })
		if err != nil {
			// An expired one comes back too, at the height where it was good: the
			// chain may be about to get shorter.
			evicted, replaced, err = m.pool.Restore(e, min(height, t.Expiry))
		}
		m.discard(evicted...)
		m.discard(replaced...)
		if err != nil {
			m.discard(e)
		}
	}
	return nil
}

// prunePending takes what the chain holds already, and what is too late for it,
// out of a pool that loadPending filled.
func (m *Manager) prunePending() error {
	next := m.tip.Height + 1
	m.discard(m.pool.Expire(next)...)
	var mined []mempool.Entry
	for e := range m.pool.Snapshot().Best() {
		held, err := m.isMined(e.Transfer, next)
		if err != nil {
			return err
		}
		if held {
			m.pool.Remove(e.ID)
			mined = append(mined, *e)
		}
	}
	m.discard(mined...)
	return m.noteAnswers(mined)
}
