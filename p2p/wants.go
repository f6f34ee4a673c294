package p2p

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/chain"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/store"
	"cairn/types"
)

const (
	// maxAssembling is how many announced blocks are put together at a time.
	maxAssembling = 8
	// maxOfOne is how many of them one peer announced first, so that it cannot take all
	// places with blocks that never come.
	maxOfOne = 2
	// maxTries is how many announcements of one block are looked at.
	maxTries = 4
	// assemblyTime is how long that may take for one, before the sync has to find it.
	assemblyTime = 30 * time.Second
	// patience is how long a peer that asks for a block's transfers is let wait for a
	// block that this node is still putting together itself: less than stepTime.
	patience = 3 * time.Second
	// soon is how long one who was asked for transfers of a block is waited for alone,
	// and soonEach for each of the transfers more.
	soon     = time.Second
	soonEach = time.Millisecond
)

// assembly is the announced blocks that are being put together. A block is passed on
// before it is whole here, so that others may ask for it in the meantime.
type assembly struct {
	mu  sync.Mutex
	all map[types.Hash]*assembling
}

// assembling is one of them. Nothing in an announcement vouches for its short ids, so
// that anybody can put others under a good header: whoever passes that on, before the
// block is whole, does not know it, nor does whoever is asked for what it names. So
// nobody is blamed for that, and what others announce of the same block counts too.
type assembling struct {
	hash  types.Hash
	work  consensus.Work // of the chain that it makes
	tries []attempt      // guarded by assembly.mu
	ready chan *partial  // gets the first further announcement of which nothing is missing
	whole chan struct{}  // closed when block is set, or never will be
	block *types.Block   // nil: it could not be put together
}

// attempt is one announcement of a block, filled from the pool.
type attempt struct {
	from peer.ID
	part *partial
}

// begin takes in an announcement, and tells whether it is the first of its block. Of
// others a few are kept; where there are too many blocks, none is.
func (a *assembly) begin(hash types.Hash, work consensus.Work, t attempt) (b *assembling, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b = a.all[hash]; b != nil {
		if len(b.tries) < maxTries {
			b.tries = append(b.tries, t)
		}
		if len(t.part.missing()) == 0 {
			select {
			case b.ready <- t.part:
			default:
			}
		}
		return b, false
	}
	ofOne := 0
	for _, other := range a.all {
		if other.tries[0].from == t.from {
			ofOne++
		}
	}
	if len(a.all) >= maxAssembling || ofOne >= maxOfOne {
		return nil, false
	}
	if a.all == nil {
		a.all = make(map[types.Hash]*assembling)
	}
	b = &assembling{hash: hash, work: work, tries: []attempt{t}, ready: make(chan *partial, 1), whole: make(chan struct{})}
	a.all[hash] = b
	return b, true
}

// try returns one of the announcements of a block.
func (a *assembly) try(b *assembling, number int) (t attempt, found bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if number < len(b.tries) {
		return b.tries[number], true
	}
	return attempt{}, false
}

// full tells whether another announcement of a block would not be looked at.
func (a *assembly) full(hash types.Hash) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.all[hash]
	return b != nil && len(b.tries) >= maxTries
}

func (a *assembly) get(hash types.Hash) *assembling {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[hash]
}

// most returns the most work of a chain that it makes, if that is more than least.
func (a *assembly) most(least consensus.Work) consensus.Work {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.all {
		if b.work.Cmp(least) > 0 {
			least = b.work
		}
	}
	return least
}

func (a *assembly) end(b *assembling) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, b.hash)
}

// complete puts a block together and adds it to the chain. What a peer passed on
// before it could know better weighs little; the block is not asked for again. Where
// nobody gives what is missing, the sync has to find the block.
func (n *Network) complete(ctx context.Context, from peer.ID, b *assembling) {
	defer n.blocks.end(b)
	ctx, cancel := context.WithTimeout(ctx, assemblyTime)
	defer cancel()
	err := n.assemble(ctx, from, b)
	close(b.whole)
	if err == nil {
		err = n.chain.AddBlocks(ctx, []*types.Block{b.block})
	}
	var bad *chain.BlockError
	switch {
	case err == nil:
		n.peers.with(from, func(s *standing) { s.proved = true })
	case errors.Is(err, consensus.ErrTooNew):
		n.log.Debug("a block is held until its time", "block", b.hash, "peer", from)
	case errors.As(err, &bad):
		n.peers.with(from, func(s *standing) { s.proved = false })
		n.blame(from, slight, err)
	case ctx.Err() != nil && n.ctx.Err() != nil:
	default:
		n.log.Debug("putting a block together", "block", b.hash, "peer", from, "error", err)
		n.peers.with(from, func(s *standing) { s.ahead = true })
		n.wakeSync()
		n.background(func(ctx context.Context) { // gossip passes over another's announcement that is like this one
			select {
			case <-time.After(stepTime):
				n.greetAll(ctx)
			case <-ctx.Done():
			}
		})
	}
}

// assemble puts a block together, by asking for what is missing, unless meanwhile one
// announces it of whose announcement nothing is.
func (n *Network) assemble(ctx context.Context, from peer.ID, b *assembling) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var block *types.Block
	gathered := make(chan error, 1)
	go func() {
		var err error
		block, err = n.gather(ctx, from, b)
		gathered <- err
	}()
	select {
	case err = <-gathered:
		b.block = block
	case p := <-b.ready:
		cancel()
		<-gathered
		b.block, err = p.block()
	}
	return err
}

// gather makes a block of one of its announcements, with what is missing from whoever
// sent that, then from others. One who takes long may still answer while the next is
// asked: a stranger who passes on another's block first, and then says nothing, must
// not keep this node from it.
func (n *Network) gather(ctx context.Context, from peer.ID, b *assembling) (*types.Block, error) {
	others := slices.DeleteFunc(n.peers.friends(), func(id peer.ID) bool { return id == from })
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	others = others[:min(len(others), maxTries)]
	ctx, cancel := context.WithCancel(ctx)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	type result struct {
		block *types.Block
		err   error
	}
	results := make(chan result, maxTries*(1+maxTries)) // nobody waits
	var err error
	for turn, asking := 0, 0; ; {
		wait := soon
		t, found := n.blocks.try(b, turn/(1+len(others)))
		switch {
		case found:
			id := t.from
			if i := turn % (1 + len(others)); i > 0 {
				id = others[i-1]
			}
			p := t.part.clone()
			wait += time.Duration(len(p.missing())) * soonEach
			turn++
			asking++
			asked.Go(func() {
				block, err := n.fill(ctx, id, b.hash, p)
				if errors.Is(err, errFormat) && ctx.Err() == nil {
					n.blame(id, grave, err)
				}
				results <- result{block, err}
			})
		case asking == 0:
			return nil, err
		}
		select {
		case r := <-results:
			if r.err == nil {
				return r.block, nil
			}
			err = r.err
			asking--
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fill gets what is missing from one peer, or everything where what was in the pool
// turns out to be something else.
func (n *Network) fill(ctx context.Context, id peer.ID, hash types.Hash, p *partial) (block *types.Block, err error) {
	for range 2 {
		if missing := p.missing(); len(missing) > 0 {
			if err := n.want(ctx, id, hash, p, missing); err != nil {
				return nil, err
			}
		}
		if block, err = p.block(); err == nil {
			return block, nil
		}
		*p = *p.announced.fill(func(func(*mempool.Entry) bool) {})
	}
	return nil, err
}

// want asks a peer for transfers of a block.
func (n *Network) want(ctx context.Context, id peer.ID, hash types.Hash, p *partial, missing []uint32) error {
	answer, err := n.ask(ctx, id, wantsProtocol, wants{block: hash, positions: missing}.append(nil), n.maxBlock())
	if err != nil {
		return err
	}
	a, err := decodeTransfersAnswer(answer, n.maxBlock())
	switch {
	case err != nil:
		return err
	case !a.found:
		return fmt.Errorf("it does not have block %v", hash)
	}
	return p.put(missing, a.transfers)
}

func (n *Network) serveWants(from peer.ID, s network.Stream) error {
	question, err := readFrame(s, maxWantsSize(n.maxBlock()))
	if err != nil {
		return err
	}
	w, err := decodeWants(question, n.maxBlock())
	if err != nil {
		return err
	}
	allowed := false
	n.peers.with(from, func(s *standing) { allowed = s.wants.Allow() })
	if !allowed {
		return errors.New("it asks for too many transfers of blocks")
	}
	block, err := n.find(w.block)
	if err != nil {
		return err
	}
	var a transfersAnswer
	if block != nil {
		a.transfers, a.found = pick(block, w.positions)
	}
	return writeFrame(s, a.append(nil))
}

// find returns a block that is being put together, or is stored and not far from the
// tip; nil where there is none.
func (n *Network) find(hash types.Hash) (*types.Block, error) {
	if b := n.blocks.get(hash); b != nil {
		select {
		case <-b.whole:
			return b.block, nil
		case <-time.After(patience):
			return nil, nil
		case <-n.ctx.Done():
			return nil, n.ctx.Err()
		}
	}
	state, status, err := n.chain.State(hash)
	const near = 100
	if errors.Is(err, store.ErrNotFound) || err == nil && (status&store.HaveBody == 0 || n.chain.Tip().Height > state.Height+near) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return n.cfg.Store.Block(state.Height, hash)
}
