package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"cairn/chain"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// branch is what the headers of one neighbour show in one round: a valid run of
// blocks that hangs on one that is known here.
type branch struct {
	claim  claim           // the neighbour's, in the same answer
	first  uint32          // height of hashes[0]
	hashes []types.Hash    // of the run, bodies not seen yet
	tip    consensus.State // after the run; the block that it hangs on when it is empty
	shown  consensus.Work  // what the chain has at least, by these headers and those that were read ahead
	ahead  []types.Hash    // where the rounds that follow ended when they were read ahead, until there was enough work
	more   bool            // the round is full, and the neighbour's chain goes on
	fault  *failure        // why nothing more was read; nil if all is well
	tooNew error           // the same where nobody is to blame
}

// contains tells whether the run has a block of this height and hash.
func (b *branch) contains(height uint32, hash types.Hash) bool {
	return height >= b.first && uint64(height)-uint64(b.first) < uint64(len(b.hashes)) &&
		b.hashes[height-b.first] == hash
}

// errChanged says that a neighbour's chain is another one than when it was read
// before, and heavier by what it claims, so that it may have reorganised.
var errChanged = errors.New("the chain has changed")

// readBranch reads one round of at most max headers after the last block of
// locator that the neighbour has, and validates them as they come. They follow
// from, which need not be stored, or any block that is where that is zero. What
// claim the neighbour made before bounds what it may say now: the work of an honest
// node's chain never falls, and it leaves a chain only for one with more.
//
// A rule that is broken, or work that is not there, is the branch's fault; the
// valid part before it is returned. An error is a *failure of the neighbour that
// leaves nothing to go on with, errChanged, or this node's own.
func (s *Syncer) readBranch(ctx context.Context, src *source, from consensus.State, locator []types.Hash, max int, earlier claim) (*branch, error) {
	inTime, cancel := context.WithTimeoutCause(ctx, s.limits.headers, errStall)
	defer cancel()
	stream, err := src.headers(inTime, locator, max)
	if err != nil {
		return nil, src.failed(ctx, err)
	}
	defer stream.Close()
	b := &branch{claim: stream.claim, first: from.Height + 1, tip: from}
	switch {
	case b.claim.Chain != s.chain.Rules().ChainID():
		return nil, s.otherNetwork(b.claim)
	case b.claim.Work.Cmp(earlier.Work) < 0:
		return nil, fail(Lying, "claimed work %v at first, and %v when asked for headers", earlier.Work, b.claim.Work)
	}
	switch err := s.validate(b, stream.headerReader); {
	case errors.Is(err, errChanged) && b.claim.Work.Cmp(earlier.Work) > 0:
		return nil, err
	case errors.Is(err, errChanged):
		return nil, fail(Lying, "has block %d (%v) no longer, which it showed before, and claims no more work than then", from.Height, from.Hash)
	case err != nil:
		return nil, src.failed(ctx, err)
	}
	b.compare(stream.count, max)
	b.shown = b.tip.Work
	return b, nil
}

func (s *Syncer) otherNetwork(c claim) *failure {
	return fail(OtherNetwork, "its genesis block is %v; that of this network, %s, is %v",
		c.Chain, s.chain.Rules().Name, s.chain.Rules().ChainID())
}

// errOwn marks a failure of this node's disk on the way through src.failed.
type errOwn struct{ error }

func (e errOwn) Unwrap() error { return e.error }

// validate reads headers into b up to the first that is no good.
func (s *Syncer) validate(b *branch, headers *headerReader) error {
	rules, now := s.chain.Rules(), uint64(max(s.now().Unix(), 0))
	known := true // headers come parents first, so what follows an unknown one is unknown
	for {
		h, err := headers.next()
		if err == io.EOF {
			return s.hangOnClaim(b)
		}
		if err != nil {
			return err
		}
		if len(b.hashes) == 0 {
			if err := s.hangOn(b, h.Previous); err != nil || b.fault != nil {
				return err
			}
		}
		state, err := rules.ValidateHeader(b.tip, h, now)
		switch {
		case errors.Is(err, consensus.ErrTooNew):
			b.tooNew = fmt.Errorf("its chain is valid up to block %d; the next is not valid yet: %w", b.tip.Height, err)
			return nil
		case err != nil:
			b.fault = fail(Invalid, "block %d (%v): %v", b.tip.Height+1, h.Hash(), err)
			return nil
		}
		if known {
			if known, err = s.isKnown(b, state); err != nil || b.fault != nil {
				return err
			}
		}
		b.hashes = append(b.hashes, state.Hash)
		b.tip = state
	}
}

// hangOn looks up the block that the first header follows.
func (s *Syncer) hangOn(b *branch, parent types.Hash) error {
	switch b.tip.Hash {
	case types.Hash{}:
	case parent:
		return nil
	default:
		return errChanged
	}
	state, status, err := s.chain.State(parent)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return formatError("the headers follow a block that was not asked about")
	case err != nil:
		return errOwn{err}
	case status&store.Invalid != 0:
		b.fault = fail(Invalid, "block %d (%v): %v", state.Height, parent, chain.ErrInvalid)
	}
	b.tip, b.first = state, state.Height+1
	return nil
}

// hangOnClaim puts an empty branch where the neighbour says that its tip is.
func (s *Syncer) hangOnClaim(b *branch) error {
	if b.tip.Hash != (types.Hash{}) {
		return nil
	}
	state, _, err := s.chain.State(b.claim.Hash)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return errOwn{err}
	}
	b.tip = state
	return nil
}

// isKnown tells whether a block is stored here; one that is known to be invalid
// is the branch's fault.
func (s *Syncer) isKnown(b *branch, state consensus.State) (bool, error) {
	_, status, err := s.chain.State(state.Hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, errOwn{err}
	case status&store.Invalid != 0:
		b.fault = fail(Invalid, "block %d (%v): %v", state.Height, state.Hash, chain.ErrInvalid)
	}
	return true, nil
}

// compare holds what was shown against what was claimed.
func (b *branch) compare(count, max int) {
	if b.fault != nil || b.tooNew != nil {
		return
	}
	if b.more = count == max && b.tip.Height < b.claim.Height; b.more {
		return
	}
	if b.tip.Hash != b.claim.Hash || b.tip.Height != b.claim.Height || b.tip.Work != b.claim.Work {
		b.fault = fail(Lying, "claims work %v at height %d; its headers show %v at height %d",
			b.claim.Work, b.claim.Height, b.tip.Work, b.tip.Height)
	}
}

// leadsTo holds the round that follows b against what was read ahead: it ends as
// it did then, or carries by itself what the chain was to show.
func (b *branch) leadsTo(next *branch) bool {
	if len(b.ahead) > 0 && next.tip.Hash == b.ahead[0] {
		next.shown, next.ahead = b.shown, b.ahead[1:]
	}
	return next.shown.Cmp(b.shown) >= 0
}

// missing returns the part of a branch whose bodies are to be fetched. Stored
// blocks have stored parents, so those that are here are the front. The last is
// always asked for: handing it over makes the chain look at its branch again,
// should an earlier attempt have been cut short.
func (s *Syncer) missing(b *branch) (first uint32, hashes []types.Hash, err error) {
	n := sort.Search(len(b.hashes)-1, func(i int) bool {
		_, status, stateErr := s.chain.State(b.hashes[i])
		if stateErr != nil && !errors.Is(stateErr, store.ErrNotFound) {
			err = stateErr
		}
		return stateErr != nil || status&store.HaveBody == 0
	})
	return b.first + uint32(n), b.hashes[n:], err
}
