package chain

import (
	"errors"

	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// Snapshot is the chain as it was at one moment: reads from it agree with each
// other and with Tip, whatever happens meanwhile. It holds disk space that would
// be freed otherwise, so it is to be closed soon.
type Snapshot struct {
	*store.View
	Tip    consensus.State
	shared *sharedView
	m      *Manager
}

// sharedView is a view with several readers. All but the view itself is guarded by
// Manager.mu.
type sharedView struct {
	view *store.View
	tip  consensus.State // read from view once
	refs int
}

// Snapshot returns the chain as it is now; Close it. ErrClosed comes after Close.
func (m *Manager) Snapshot() (*Snapshot, error) {
	m.mu.Lock()
	if m.ended {
		m.mu.Unlock()
		return nil, ErrClosed
	}
	shared := m.frozen
	if shared == nil {
		shared = &sharedView{view: m.store.Snapshot()}
	}
	shared.refs++
	s := &Snapshot{View: shared.view, Tip: shared.tip, shared: shared, m: m}
	m.mu.Unlock()
	if s.Tip.Hash != (types.Hash{}) {
		return s, nil
	}
	// The tip is the view's own: what is committed is on disk a moment before
	// it is the tip in memory.
	hash, err := s.View.Tip()
	if err == nil {
		s.Tip, _, err = s.State(hash)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	m.keep(s)
	return s, nil
}

// keep lets later readers share the view of a snapshot for as long as its tip is
// the present one: nothing else that a snapshot is for changes meanwhile.
func (m *Manager) keep(s *Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.shared.tip = s.Tip
	if m.frozen == nil && !m.ended && s.Tip.Hash == m.tip.Hash {
		s.shared.refs++
		m.frozen = s.shared
	}
}

// Close lets go of the snapshot.
func (s *Snapshot) Close() error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.shared.release()
}

func (v *sharedView) release() error {
	if v.refs--; v.refs > 0 {
		return nil
	}
	return v.view.Close()
}

// freeze makes new snapshots show the chain before a reorganisation that takes
// more than one batch. The state lock is not held.
func (m *Manager) freeze() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.frozen == nil {
		m.frozen = &sharedView{view: m.store.Snapshot(), refs: 1}
	}
}

// thaw lets new snapshots show what is committed. The state lock is held.
func (m *Manager) thaw() {
	if m.frozen != nil {
		// Closing a view only releases it; there is nothing to lose.
		_ = m.frozen.release()
		m.frozen = nil
	}
}

// Locator returns hashes of the best chain from the tip back to genesis: ten one
// by one, then at distances that double. A neighbour that knows any of them knows
// where the two chains part (getheaders in Bitcoin's protocol).
func (m *Manager) Locator() ([]types.Hash, error) {
	s, err := m.Snapshot()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var hashes []types.Hash
	height, step := int64(s.Tip.Height), int64(1)
	for height > 0 {
		hash, err := s.BestHash(uint32(height))
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
		if len(hashes) >= 10 {
			step *= 2
		}
		height -= step
	}
	return append(hashes, m.rules.ChainID()), nil
}

// Updates lead from one block to the tip, or part of the way.
type Updates struct {
	Reverted []consensus.State // no longer on the best chain, the last first
	Applied  []consensus.State // on the best chain since, in order
}

// UpdatesSince returns the shortest way from point, any block that was ever
// applied here, to the tip: which blocks to revert, then which to apply, together
// at most limit. A reader that was given fewer than it needs calls again with
// where it arrived; at the tip both are empty. They also are while a change is on
// its way to the disk, which OnChange tells of when it is there. store.ErrNotFound
// says that point is not known here.
func (m *Manager) UpdatesSince(point types.Hash, limit int) (Updates, error) {
	s, err := m.Snapshot()
	if err != nil {
		return Updates{}, err
	}
	defer s.Close()
	var u Updates
	at, _, err := s.State(point)
	if err != nil {
		return Updates{}, err
	}
	if s.Tip.Hash != m.Tip().Hash { // a view has a commit a moment before the disk
		return Updates{}, nil
	}
	for {
		best, err := s.BestHash(at.Height)
		if err == nil && best == at.Hash {
			break
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return Updates{}, err
		}
		if len(u.Reverted) == limit {
			return u, nil
		}
		u.Reverted = append(u.Reverted, at)
		if at, _, err = s.State(at.Previous); err != nil {
			return Updates{}, err
		}
	}
	for height := at.Height + 1; height <= s.Tip.Height && height != 0; height++ {
		if len(u.Reverted)+len(u.Applied) >= limit {
			break
		}
		hash, err := s.BestHash(height)
		if err != nil {
			return Updates{}, err
		}
		state, _, err := s.State(hash)
		if err != nil {
			return Updates{}, err
		}
		u.Applied = append(u.Applied, state)
	}
	return u, nil
}
