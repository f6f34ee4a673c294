package chain

import (
	"context"
	"errors"
	"fmt"

	"cairn/consensus"
	"cairn/history"
	"cairn/proof"
	"cairn/store"
	"cairn/types"
)

// fewHeaders is how many headers a short proof shows on top, at the most.
const fewHeaders = 20

// ErrTooLong says that a proof with all headers would be larger than anyone reads.
var ErrTooLong = errors.New("the chain is too long for a proof with all its headers")

// ErrTooFresh says that nothing is on a block yet that could vouch for it.
var ErrTooFresh = errors.New("no block is on it yet that could vouch for it")

// evidence is a proof in the making, of the chain as it was at one moment.
type evidence struct {
	*Snapshot
	document *proof.Document
	first    uint32 // height of the first header
}

// ProveTransfer returns the proof that the best chain holds a transfer: with all
// headers from genesis, or a few and the history. store.ErrNotFound says that no
// block holds it.
func (m *Manager) ProveTransfer(id types.Hash, few bool) (*proof.Document, error) {
	e, err := m.evidence()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	record, found, err := e.TransferLoc(id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w in a block: transfer %s", store.ErrNotFound, id)
	}
	if err := e.headers(m.rules, few, 1); err != nil {
		return nil, err
	}
	state, block, err := e.bestBlock(record.Height)
	if err != nil {
		return nil, err
	}
	e.document.Transaction = proof.TransactionOf(block, int(record.Position)+1)
	if record.Height < e.first {
		e.document.Block, err = proof.BlockBefore(e.first, block.Header, state, e.HistoryNode)
	}
	return e.document, err
}

// ProveBlock returns the short proof that a block is on the best chain. Its errors
// are store.ErrNotFound, ErrTooFresh for the tip, and ErrNoBlock for genesis, which
// needs no proof.
func (m *Manager) ProveBlock(height uint32) (*proof.Document, error) {
	e, err := m.evidence()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	switch {
	case height == 0:
		return nil, fmt.Errorf("%w to be proven: genesis is in every proof", ErrNoBlock)
	case height == e.Tip.Height:
		return nil, fmt.Errorf("block %d: %w", height, ErrTooFresh)
	}
	state, block, err := e.bestBlock(height)
	if err != nil {
		return nil, err
	}
	if err := e.headers(m.rules, true, height+1); err != nil {
		return nil, err
	}
	e.document.Block, err = proof.BlockBefore(e.first, block.Header, state, e.HistoryNode)
	return e.document, err
}

// ProveAccount returns the proof of what an account holds after the tip, which may be
// nothing. ErrTooFresh says that there is no block yet but genesis.
//
// It waits for a block that is being added, and only one such call does at a time, so
// that blocks need not wait for many; others wait until ctx ends.
func (m *Manager) ProveAccount(ctx context.Context, a types.Account, few bool) (*proof.Document, error) {
	select {
	case m.proving <- struct{}{}:
		defer func() { <-m.proving }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := m.lockWriter(); err != nil {
		return nil, err
	}
	err := m.repair()
	var e *evidence
	if err == nil {
		e, err = m.evidence()
	}
	if err != nil {
		m.writer.Unlock()
		return nil, err
	}
	defer e.Close()
	// The tree reads from what is stored, which is that of its tip only for as long as
	// the writer lock is held.
	account, err := proof.AccountIn(m.ledger.tree, a, m.ledger.tip.Height)
	m.writer.Unlock()
	if err != nil {
		return nil, err
	}
	if err := e.headers(m.rules, few, 1); err != nil {
		return nil, err
	}
	e.document.Account = account
	return e.document, e.commit(e.Tip.Height)
}

func (m *Manager) evidence() (*evidence, error) {
	s, err := m.Snapshot()
	if err != nil {
		return nil, err
	}
	return &evidence{Snapshot: s, document: &proof.Document{Rules: m.rules}}, nil
}

// headers adds the headers up to the tip: from height 1, or a few with what they
// stand on, the first of them not below least.
func (e *evidence) headers(rules *consensus.Rules, few bool, least uint32) error {
	tip := e.Tip.Height
	if tip == 0 {
		return fmt.Errorf("genesis: %w", ErrTooFresh)
	}
	e.first = 1
	if few {
		e.first = max(least, tip-min(tip, fewHeaders)+1)
	} else if 2*types.HeaderSize*uint64(tip)+uint64(len(rules.JSON())) > proof.MaxSize-1<<20 {
		return fmt.Errorf("%w: %d blocks", ErrTooLong, tip)
	}
	encoded, err := e.AppendHeaders(nil, e.first, tip)
	if err != nil {
		return err
	}
	for len(encoded) > 0 {
		h, err := types.DecodeHeader(encoded[:types.HeaderSize])
		if err != nil {
			return err
		}
		e.document.Headers = append(e.document.Headers, h)
		encoded = encoded[types.HeaderSize:]
	}
	if e.first == 1 {
		return nil
	}
	parent, _, err := e.BlockAt(nil, e.first-1)
	if err != nil {
		return err
	}
	if e.document.Start, err = proof.StartAfter(parent, e.HistoryNode); err != nil {
		return err
	}
	return e.commit(e.first)
}

// commit adds what the block at a height commits to.
func (e *evidence) commit(height uint32) error {
	for _, c := range e.document.Commitments {
		if c.Height == height {
			return nil
		}
	}
	_, block, err := e.bestBlock(height)
	if err != nil {
		return err
	}
	accounts, err := e.BalancesRoot(height)
	if err != nil {
		return err
	}
	past, err := history.Load(height, e.HistoryNode)
	if err != nil {
		return err
	}
	e.document.Commitments = append(e.document.Commitments, proof.CommitmentOf(block, accounts, past.Root()))
	return nil
}

func (e *evidence) bestBlock(height uint32) (consensus.State, *types.Block, error) {
	state, _, err := e.BlockAt(nil, height)
	if err != nil {
		return state, nil, err
	}
	block, err := e.Block(state.Height, state.Hash)
	return state, block, err
}
