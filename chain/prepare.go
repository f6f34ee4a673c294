package chain

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"cairn/consensus"
)

// signatureChunk is how many signatures one core verifies in one batch. Larger
// batches are hardly faster for each signature, and divide less evenly.
const signatureChunk = 1024

// pipeline checks the bodies of a run on all cores, a bounded number of blocks
// ahead of the one that take was last called for.
type pipeline struct {
	manager *Manager
	ahead   chan struct{} // a token for each block between its start and its take
	cores   chan struct{} // a token for each core at work
	cancel  context.CancelFunc
	workers sync.WaitGroup
}

// prepare starts on a run. The caller takes every candidate in order, or not
// all of them, and then stops the pipeline.
func (m *Manager) prepare(ctx context.Context, run []*candidate) *pipeline {
	ctx, cancel := context.WithCancel(ctx)
	p := &pipeline{
		manager: m,
		ahead:   make(chan struct{}, m.lookAhead()),
		cores:   make(chan struct{}, runtime.GOMAXPROCS(0)),
		cancel:  cancel,
	}
	for _, c := range run {
		c.ready = make(chan struct{})
	}
	p.workers.Go(func() {
		for _, c := range run {
			select {
			case p.ahead <- struct{}{}:
				p.workers.Go(func() {
					c.body, c.err = p.check(ctx, c)
					close(c.ready)
				})
			case <-ctx.Done():
				c.err = ctx.Err()
				close(c.ready)
			}
		}
	})
	return p
}

// take waits for the body of c, which belongs to the caller from then on.
func (p *pipeline) take(c *candidate) (*consensus.Body, error) {
	<-c.ready
	body, err := c.body, c.err
	c.body, c.block = nil, nil // what has been applied need not stay in memory
	select {
	case <-p.ahead:
	default: // cancelled before it was started
	}
	return body, err
}

// stop ends the pipeline and every goroutine of it.
func (p *pipeline) stop() {
	p.cancel()
	p.workers.Wait()
}

// onCore runs fn when a core is free.
func (p *pipeline) onCore(ctx context.Context, fn func() error) error {
	select {
	case p.cores <- struct{}{}:
		defer func() { <-p.cores }()
		return fn()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check does everything for a block that needs no balances. A stored block has
// had its signatures checked when it was stored. A *BlockError says that the
// block is at fault; any other error is ours.
func (p *pipeline) check(ctx context.Context, c *candidate) (body *consensus.Body, err error) {
	m := p.manager
	err = p.onCore(ctx, func() error {
		block := c.block
		if block == nil {
			if block, err = m.store.Block(c.state.Height, c.state.Hash); err != nil {
				return err
			}
		}
		if body, err = m.rules.CheckBody(c.state.Height, block); err != nil {
			return blockError(c.state, err)
		}
		return nil
	})
	if err != nil || c.known {
		return body, err
	}
	transfers, verified := body.Block.Transfers, m.verified(body)
	group, ctx := errgroup.WithContext(ctx)
	for from := 0; from < len(transfers); from += signatureChunk {
		to := min(from+signatureChunk, len(transfers))
		group.Go(func() error {
			return p.onCore(ctx, func() error {
				known := func(i int) bool { return i < from || i >= to || verified != nil && verified[i] }
				if err := m.rules.VerifySignatures(transfers, known); err != nil {
					return blockError(c.state, err)
				}
				return nil
			})
		})
	}
	return body, group.Wait()
}

// verified tells for each transfer of a body whether the pool holds the very
// same one: its signature is in its id, and was verified when it came in.
func (m *Manager) verified(body *consensus.Body) []bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pool.Len() == 0 {
		return nil
	}
	verified := make([]bool, len(body.Block.Transfers))
	for i := range verified {
		_, verified[i] = m.pool.Get(body.IDs[i+1])
	}
	return verified
}
