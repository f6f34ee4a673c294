package chain

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"cairn/consensus"
	"cairn/types"
)

const (
	// signatureChunk is how many signatures one core verifies in one batch, unless
	// the cores are enough for less than the rest. Larger batches are hardly faster
	// for each signature.
	signatureChunk = 1024
	// groupBlocks is the most small blocks that are checked as one task.
	groupBlocks = 64
	// groupSize is the size of encodings in bytes that makes a task worth handing
	// to another core, about that of a chunk of signatures.
	groupSize = 200 << 10
)

// pipeline checks the bodies of a run on all cores, a bounded number of tasks
// ahead of the block that take was last called for.
type pipeline struct {
	manager *Manager
	ahead   chan struct{} // a token for each group between its start and the take of its last block
	cancel  context.CancelFunc
	workers sync.WaitGroup
}

// group is a few small blocks of a run, or a large one: what is checked as one
// task. Their signatures are verified together.
type group struct {
	candidates []*candidate
	ready      chan struct{} // closed when each candidate has its body or err
}

// prepare starts on a run. The caller takes every candidate in order, or not
// all of them, and then stops the pipeline.
func (m *Manager) prepare(ctx context.Context, run []*candidate) *pipeline {
	ctx, cancel := context.WithCancel(ctx)
	p := &pipeline{manager: m, ahead: make(chan struct{}, m.lookAhead()), cancel: cancel}
	groups := makeGroups(run)
	p.workers.Go(func() {
		for _, g := range groups {
			select {
			case p.ahead <- struct{}{}:
				p.workers.Go(func() {
					p.check(ctx, g)
					close(g.ready)
				})
			case <-ctx.Done():
				g.fail(ctx.Err())
				close(g.ready)
			}
		}
	})
	return p
}

// makeGroups divides a run. A block that is still in the store has a group of its
// own: its size is not known.
func makeGroups(run []*candidate) []*group {
	var groups []*group
	for len(run) > 0 {
		n, size := 1, run[0].size()
		for n < min(len(run), groupBlocks) && size < groupSize && !run[n].inStore() && !run[0].inStore() {
			size += run[n].size()
			n++
		}
		g := &group{run[:n], make(chan struct{})}
		for _, c := range g.candidates {
			c.group = g
		}
		groups, run = append(groups, g), run[n:]
	}
	return groups
}

// lookAhead is how many groups are checked ahead of the block that is applied.
func (m *Manager) lookAhead() int {
	const bytes = 32 << 20
	return max(bytes/int(max(m.rules.MaxBlockSize, groupSize)), 2*runtime.GOMAXPROCS(0))
}

// take waits for the body of c, which belongs to the caller from then on.
func (p *pipeline) take(c *candidate) (*consensus.Body, error) {
	g := c.group
	<-g.ready
	if c == g.candidates[len(g.candidates)-1] {
		select {
		case <-p.ahead:
		default: // cancelled before it was started
		}
	}
	body, err := c.body, c.err
	c.body, c.block, c.group = nil, nil, nil // what has been applied need not stay in memory
	return body, err
}

// stop ends the pipeline and every goroutine of it.
func (p *pipeline) stop() {
	p.cancel()
	p.workers.Wait()
}

// onCore runs fn when a core is free. All pipelines share the cores.
func (m *Manager) onCore(ctx context.Context, fn func() error) error {
	select {
	case m.cores <- struct{}{}:
		defer func() { <-m.cores }()
		return fn()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *group) fail(err error) {
	for _, c := range g.candidates {
		if c.err == nil {
			c.err = err
		}
	}
}

// check does everything for the blocks of a group that needs no balances. A
// stored block has had its signatures checked when it was stored. A *BlockError
// says that a block is at fault; any other error is ours.
func (p *pipeline) check(ctx context.Context, g *group) {
	m := p.manager
	var open []*candidate // whose signatures are to be verified
	err := m.onCore(ctx, func() error {
		lap := m.times.lap()
		for _, c := range g.candidates {
			if c.err = m.checkBody(c); c.err == nil && !c.known {
				open = append(open, c)
			}
		}
		lap(Bodies)
		if len(open) > 1 {
			m.verifyTogether(open)
			open = nil
			lap(Signatures)
		}
		return nil
	})
	if err == nil && len(open) == 1 {
		open[0].err = m.verifyAlone(ctx, open[0])
	}
	if err != nil {
		g.fail(err)
	}
}

// checkBody makes what a candidate lacks: reads or decodes its block, checks the
// body, and encodes what is to be stored.
func (m *Manager) checkBody(c *candidate) (err error) {
	if c.body == nil {
		if err := m.read(c); err != nil {
			return err
		}
		var layout consensus.Layout
		err := sideBySide(len(c.block.Transfers), func() (err error) {
			c.body, err = m.rules.CheckContents(c.state.Height, c.block)
			return err
		}, func() error {
			layout = consensus.LayOut(c.block)
			return nil
		})
		if err != nil {
			return blockError(c.state, err)
		}
		c.body.Layout = layout
	}
	if !c.known && c.encoding == nil {
		c.encoding = c.body.Block.Encode()
	}
	return nil
}

// read reads or decodes a candidate's block.
func (m *Manager) read(c *candidate) (err error) {
	switch {
	case c.inStore():
		c.block, err = m.store.Block(c.state.Height, c.state.Hash)
	case c.block == nil:
		if c.block, err = types.DecodeBlock(c.encoding); err != nil {
			err = blockError(c.state, err)
		}
	}
	return err
}

// verifyTogether verifies the signatures of several small blocks in one batch,
// and only if one is wrong those of each block.
func (m *Manager) verifyTogether(blocks []*candidate) {
	if m.rules.Signatures {
		var all []types.Transfer
		for _, c := range blocks {
			all = append(all, c.body.Block.Transfers...)
		}
		if m.rules.VerifySignatures(all, nil) == nil {
			return
		}
	}
	for _, c := range blocks {
		if err := m.rules.VerifySignatures(c.body.Block.Transfers, nil); err != nil {
			c.err = blockError(c.state, err)
		}
	}
}

// verifyAlone verifies the signatures of one block, on several cores if there are
// many. Those that the pool holds were verified when they came in.
func (m *Manager) verifyAlone(ctx context.Context, c *candidate) error {
	transfers, verified := c.body.Block.Transfers, m.verified(c.body)
	if len(transfers) == 0 {
		return nil
	}
	cores := runtime.GOMAXPROCS(0)
	chunk := max(signatureChunk, (len(transfers)+cores-1)/cores)
	group, ctx := errgroup.WithContext(ctx)
	for from := 0; from < len(transfers); from += chunk {
		to := min(from+chunk, len(transfers))
		group.Go(func() error {
			return m.onCore(ctx, func() error {
				lap := m.times.lap()
				defer func() { lap(Signatures) }()
				known := func(i int) bool { return i < from || i >= to || verified != nil && verified[i] }
				if err := m.rules.VerifySignatures(transfers, known); err != nil {
					return blockError(c.state, err)
				}
				return nil
			})
		})
	}
	return group.Wait()
}

// verified tells for each transfer of a body whether the pool holds the very
// same one: its signature is in its id, and was verified when it came in.
func (m *Manager) verified(body *consensus.Body) []bool {
	if m.Pool().Transfers == 0 {
		return nil
	}
	verified := make([]bool, len(body.Block.Transfers))
	m.lookUp(len(verified), func(i int) { _, verified[i] = m.pool.Get(body.IDs[i+1]) })
	return verified
}
