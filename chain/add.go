package chain

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// Incoming is a block that is to be added, as far as whoever brings it has read
// it. One of the three is enough; what is there is not made again, and what is
// there must be of one block.
type Incoming struct {
	Encoding []byte
	Block    *types.Block
	Body     *consensus.Body // checked for the height that the block will have
}

// candidate is a block on its way into the chain.
type candidate struct {
	state    consensus.State
	known    bool         // stored already
	encoding []byte       // nil: to be made, or not needed
	block    *types.Block // nil: to be decoded, or read from the store
	body     *consensus.Body
	err      error  // why there is no body
	group    *group // in which body and err are found
}

// inStore tells whether the block is to be read from the store, where its body
// has been checked.
func (c *candidate) inStore() bool { return c.encoding == nil && c.block == nil }

// size returns the length of the encoding in bytes; 0 if that is not known.
func (c *candidate) size() int {
	switch {
	case c.encoding != nil:
		return len(c.encoding)
	case c.block != nil:
		return c.block.Size()
	}
	return 0
}

// AddBlocks takes a run of blocks, each the child of the one before, the first
// one's parent known here. What is known already is passed over. When the run
// ends on more work than the tip has, its branch becomes the best chain before
// AddBlocks returns; otherwise it is stored as a side branch. Both are durable
// by then.
//
// The blocks before a faulty one are kept. The error is a *BlockError around
// the rule, consensus.ErrTooNew among them (the block is held and tried again),
// or ErrUnknownParent, ErrInvalid, ErrClosed, or a failure of the disk.
func (m *Manager) AddBlocks(ctx context.Context, blocks []*types.Block) error {
	incoming := make([]Incoming, len(blocks))
	for i, b := range blocks {
		incoming[i].Block = b
	}
	return m.link(ctx, incoming, nil).add(ctx)
}

// AddRuns adds one run after another, as AddBlocks does, each of which follows on
// the one before. While a run is added, the next is taken from runs and its bodies
// are checked, so that the cores do not wait for the disk. added, which may be
// nil, is called after each run; the first error ends it all.
func (m *Manager) AddRuns(ctx context.Context, runs iter.Seq[[]Incoming], added func()) error {
	ctx, cancel := context.WithCancel(ctx)
	linked := make(chan *run)
	go func() {
		defer close(linked)
		var before *consensus.State
		for blocks := range runs {
			r := m.link(ctx, blocks, before)
			select {
			case linked <- r:
			case <-ctx.Done():
				r.stop()
				return
			}
			if before = &r.last; r.err != nil {
				return
			}
		}
	}()
	defer func() {
		cancel()
		for r := range linked { // waits for the goroutine
			r.stop()
		}
	}()
	for r := range linked {
		if err := r.add(ctx); err != nil {
			return err
		}
		if added != nil {
			added()
		}
	}
	return ctx.Err()
}

// run is a run of linked blocks whose bodies are being checked.
type run struct {
	m          *Manager
	candidates []*candidate
	last       consensus.State // of the last block that was linked
	err        error           // why no more are
	pipeline   *pipeline
	linkedAt   uint64 // Manager.runs before
}

// stop ends what the run has under way.
func (r *run) stop() {
	if r.pipeline != nil {
		r.pipeline.stop()
	}
}

// add stores the run and, where it ends on the most work, makes its branch the
// best chain.
func (r *run) add(ctx context.Context) error {
	defer r.stop()
	if len(r.candidates) > 0 {
		if err := r.m.addRun(ctx, r); err != nil {
			return err
		}
	}
	return r.err
}

// link validates the headers of a run and starts on the bodies. before may be the
// state of the block in front of it, which then need not be stored yet. On an
// error the part before the faulty header remains.
func (m *Manager) link(ctx context.Context, blocks []Incoming, before *consensus.State) *run {
	r := &run{m: m, linkedAt: m.runs.Load()}
	r.err = r.linkHeaders(blocks, before)
	for len(r.candidates) > 1 && r.candidates[0].known {
		r.candidates = r.candidates[1:]
	}
	switch {
	case len(r.candidates) == 0:
	case !r.candidates[0].known:
		r.pipeline = m.prepare(ctx, r.candidates)
	case !heavier(r.candidates[0].state, m.Tip()):
		r.candidates = nil
	}
	return r
}

func (r *run) linkHeaders(blocks []Incoming, before *consensus.State) error {
	m := r.m
	now, fresh := m.unixNow(), false
	for i := range blocks {
		in := &blocks[i]
		header, err := in.header()
		if err != nil {
			return err
		}
		if i == 0 {
			hash := header.Hash()
			if hash == m.rules.ChainID() {
				return r.linkHeaders(blocks[1:], before)
			}
			if r.last, err = m.parent(header.Previous, before); err != nil {
				return err
			}
		}
		state, err := m.rules.ValidateHeader(r.last, header, now)
		if errors.Is(err, consensus.ErrTooNew) {
			return blockError(state, m.hold(in, state, err))
		}
		if err != nil {
			return &BlockError{Hash: header.Hash(), Height: r.last.Height + 1, Err: err}
		}
		if !fresh {
			if fresh, err = m.isNew(state); err != nil {
				return err
			}
		}
		c := &candidate{state: state, known: !fresh, encoding: in.Encoding, block: in.Block, body: in.Body}
		if c.body != nil {
			c.block = c.body.Block
		}
		r.candidates = append(r.candidates, c)
		r.last = state
	}
	return nil
}

// parent returns the state of the block that a run is to be added on.
func (m *Manager) parent(hash types.Hash, before *consensus.State) (consensus.State, error) {
	if before != nil && before.Hash == hash {
		return *before, nil
	}
	state, status, err := m.store.State(hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return state, fmt.Errorf("%w: %v", ErrUnknownParent, hash)
	case err == nil && status&store.Invalid != 0:
		return state, blockError(state, ErrInvalid)
	}
	return state, err
}

// isNew tells whether a block is not stored yet, and with it all that follow it.
func (m *Manager) isNew(state consensus.State) (bool, error) {
	_, status, err := m.store.State(state.Hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return true, nil
	case err == nil && status&store.Invalid != 0:
		return false, blockError(state, ErrInvalid)
	}
	return false, err
}

// header returns the header of a block that is perhaps not decoded yet.
func (in *Incoming) header() (types.Header, error) {
	switch {
	case in.Body != nil:
		return in.Body.Block.Header, nil
	case in.Block != nil:
		return in.Block.Header, nil
	}
	return types.DecodeHeader(in.Encoding[:min(len(in.Encoding), types.HeaderSize)])
}

// decoded returns the block as a whole.
func (in *Incoming) decoded() (*types.Block, error) {
	switch {
	case in.Body != nil:
		return in.Body.Block, nil
	case in.Block != nil:
		return in.Block, nil
	}
	return types.DecodeBlock(in.Encoding)
}
