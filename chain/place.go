package chain

import (
	"errors"
	"time"

	"cairn/consensus"
	"cairn/mempool"
	"cairn/store"
	"cairn/types"
)

// Found is what is known of a transfer at one moment: it is in a block of the best
// chain (Mined), pending (Pending), left the pool lately (Dropped), or none of them.
type Found struct {
	Tip      consensus.State
	Transfer *types.Transfer // nil: it is not known here
	Mined    *Place          // the block that holds it
	Pending  *mempool.Entry
	Dropped  error // why it left the pool; errors.Is finds consensus.ErrExpired, ErrReplaced and so on
}

// Find looks for a transfer by its id.
func (m *Manager) Find(id types.Hash) (Found, error) {
	// The pool first: what leaves it for a block between the two looks is found in
	// the block.
	e, pooled := m.Pending(id)
	snapshot, err := m.Snapshot()
	if err != nil {
		return Found{}, err
	}
	defer snapshot.Close()
	f := Found{Tip: snapshot.Tip}
	record, mined, err := snapshot.TransferLoc(id)
	switch {
	case err != nil:
		return f, err
	case mined:
		f.Mined, f.Transfer, err = snapshot.TransferAt(record.Loc)
		return f, err
	case pooled:
		f.Pending, f.Transfer = &e, e.Transfer
		return f, nil
	}
	if change, ok := m.Dropped(id); ok {
		f.Dropped, f.Transfer = change.Dropped, change.Entry.Transfer
	}
	return f, nil
}

// Place is a place in the best chain.
type Place struct {
	store.Loc
	Hash types.Hash // of the block
	Time uint32     // of the block, Unix seconds
}

// TransferAt reads a transfer of the best chain, and of what block it is.
func (s *Snapshot) TransferAt(loc store.Loc) (*Place, *types.Transfer, error) {
	hash, err := s.BestHash(loc.Height)
	if err != nil {
		return nil, nil, err
	}
	header, t, err := s.Transfer(loc.Height, hash, loc.Position)
	return &Place{loc, hash, header.Time}, &t, err
}

// Obstacle is what stands between a pending transfer and the next block.
type Obstacle struct {
	Ahead int   // bytes of transfers that pay more for each byte, up to maxAhead blocks
	Err   error // the rule that keeps it out of the next block as things are; nil: only its place does
}

// maxAhead is how many blocks of transfers are looked through to find the place of
// one.
const maxAhead = 10

// Obstacle says why a pending transfer is still pending.
func (m *Manager) Obstacle(e *mempool.Entry) (Obstacle, error) {
	var o Obstacle
	pool, _ := m.PoolSnapshot()
	for other := range pool.Best() {
		if other.ID == e.ID || o.Ahead > maxAhead*int(m.rules.MaxBlockSize) {
			break
		}
		o.Ahead += other.Size
	}
	snapshot, err := m.Snapshot()
	if err != nil {
		return o, err
	}
	defer snapshot.Close()
	if o.Err = m.rules.CheckTransfer(e.Transfer, snapshot.Tip.Height+1); o.Err != nil {
		return o, nil
	}
	balances := make(consensus.Balances)
	for _, a := range []types.Account{e.Transfer.Sender, e.Transfer.Recipient} {
		if balances[a], err = snapshot.Account(a); err != nil {
			return o, err
		}
	}
	o.Err = m.rules.ApplyTransfer(balances, e.Transfer)
	return o, nil
}

// maxCounted bounds the work of adding up pending income.
const maxCounted = 10_000

// AccountInfo is an account at one moment.
type AccountInfo struct {
	Tip     consensus.State
	Balance int64 // base units, after the block Tip
	// Out is what its pending transfers take from it, fees included; In what
	// pending transfers to it bring, which cannot be counted on; of those, at most
	// maxCounted are added up.
	Out, In mempool.Sum
}

// Spendable returns the base units that the account can send now, fee included.
func (i *AccountInfo) Spendable(rules *consensus.Rules) uint64 {
	limit := i.Balance + int64(rules.CreditLimit) // both are below 2^53
	return uint64(max(limit-min(i.Out.Amount(), limit), 0))
}

// Account returns what an account holds and what is pending for it.
func (m *Manager) Account(a types.Account) (AccountInfo, error) {
	for {
		if i, same, err := m.account(a); same || err != nil {
			return i, err
		}
		time.Sleep(50 * time.Microsecond) // as in admit
	}
}

// account tells whether balance and pool are of the same moment.
func (m *Manager) account(a types.Account) (i AccountInfo, same bool, err error) {
	snapshot, err := m.Snapshot()
	if err != nil {
		return i, false, err
	}
	defer snapshot.Close()
	i.Tip = snapshot.Tip
	if i.Balance, err = snapshot.Account(a); err != nil {
		return i, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i.Out, i.In = m.pool.Outgoing(a), m.pool.Incoming(a, maxCounted)
	return i, m.tip.Hash == snapshot.Tip.Hash, nil
}

// PendingOf returns pending transfers from and to an account, at most limit.
func (m *Manager) PendingOf(a types.Account, limit int) []mempool.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pool.Of(a, limit)
}

// PoolLimits returns the bounds of the pool.
func (m *Manager) PoolLimits() mempool.Limits { return m.limits }

// ErrNoBlock says that no block of that hash or height is known here.
var ErrNoBlock = errors.New("there is no such block here")

// BlockAt returns the state of a block by its hash, on whatever branch, or of the
// best chain's block at a height when hash is nil; best tells whether it is on the
// best chain. ErrNoBlock where there is none.
func (s *Snapshot) BlockAt(hash *types.Hash, height uint32) (state consensus.State, best bool, err error) {
	if hash == nil {
		h, err := s.BestHash(height)
		if err != nil {
			return state, false, noBlock(err)
		}
		hash = &h
	}
	if state, ok := s.m.states.get(*hash); ok {
		if best, err := s.onBest(&state); best || err != nil {
			return state, best, err
		}
	}
	state, status, err := s.State(*hash)
	if err == nil && status&store.HaveBody == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return state, false, noBlock(err)
	}
	if best, err = s.onBest(&state); best {
		s.m.states.put(state)
	}
	return state, best, err
}

// onBest tells whether a block is on the best chain.
func (s *Snapshot) onBest(state *consensus.State) (bool, error) {
	at, err := s.BestHash(state.Height)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return at == state.Hash, err
}

func noBlock(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ErrNoBlock
	}
	return err
}
