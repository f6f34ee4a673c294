package p2p

import (
	"context"
	"errors"
	"fmt"
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
	// assemblyTime is how long that may take for one, before the sync has to find it.
	assemblyTime = 30 * time.Second
	// patience is how long a peer that asks for a block's transfers is let wait for a
	// block that this node is still putting together itself.
	patience = 5 * time.Second
)

// assembly is the announced blocks that are being put together. A block is passed on
// before it is whole here, so that others may ask for it in the meantime.
type assembly struct {
	mu  sync.Mutex
	all map[types.Hash]*assembling
}

// assembling is one of them.
type assembling struct {
	hash  types.Hash
	part  *partial
	whole chan struct{} // closed when block is set, or never will be
	block *types.Block  // nil: it could not be put together
}

// begin takes in a block, unless it is there already or there are too many.
func (a *assembly) begin(hash types.Hash, p *partial) (*assembling, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all[hash] != nil || len(a.all) >= maxAssembling {
		return nil, false
	}
	if a.all == nil {
		a.all = make(map[types.Hash]*assembling)
	}
	b := &assembling{hash: hash, part: p, whole: make(chan struct{})}
	a.all[hash] = b
	return b, true
}

func (a *assembly) get(hash types.Hash) *assembling {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[hash]
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
	case errors.Is(err, consensus.ErrTooNew):
		n.log.Debug("a block is held until its time", "block", b.hash, "peer", from)
	case errors.As(err, &bad):
		n.blame(from, slight, err)
	case ctx.Err() != nil && n.ctx.Err() != nil:
	default:
		n.log.Debug("putting a block together", "block", b.hash, "peer", from, "error", err)
		n.peers.with(from, func(s *standing) { s.ahead = true })
		n.wakeSync()
	}
}

// assemble gets what is missing, from whoever announced the block, then from others.
func (n *Network) assemble(ctx context.Context, from peer.ID, b *assembling) (err error) {
	askable := slices.DeleteFunc(n.peers.friends(), func(id peer.ID) bool { return id == from })
	askable = append([]peer.ID{from}, askable[:min(len(askable), 3)]...)
	for _, id := range askable {
		if err = n.fill(ctx, id, b); err == nil || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, errFormat) || errors.Is(err, errWrongTransfer) {
			n.blame(id, grave, err)
		}
	}
	return err
}

// fill gets what is missing from one peer, or everything where what was in the pool
// turns out to be something else.
func (n *Network) fill(ctx context.Context, id peer.ID, b *assembling) (err error) {
	for range 2 {
		if missing := b.part.missing(); len(missing) > 0 {
			if err := n.want(ctx, id, b, missing); err != nil {
				return err
			}
		}
		if b.block, err = b.part.block(); err == nil {
			return nil
		}
		b.part = b.part.announced.fill(func(func(*mempool.Entry) bool) {})
	}
	return err
}

// want asks a peer for transfers of a block.
func (n *Network) want(ctx context.Context, id peer.ID, b *assembling, missing []uint32) error {
	answer, err := n.ask(ctx, id, wantsProtocol, wants{block: b.hash, positions: missing}.append(nil), n.maxBlock())
	if err != nil {
		return err
	}
	a, err := decodeTransfersAnswer(answer, n.maxBlock())
	switch {
	case err != nil:
		return err
	case !a.found:
		return fmt.Errorf("it does not have block %v", b.hash)
	}
	return b.part.put(missing, a.transfers)
}

func (n *Network) serveWants(_ peer.ID, s network.Stream) error {
	question, err := readFrame(s, maxWantsSize(n.maxBlock()))
	if err != nil {
		return err
	}
	w, err := decodeWants(question, n.maxBlock())
	if err != nil {
		return err
	}
	block, err := n.find(w.block)
	if err != nil {
		return err
	}
	if block == nil {
		return writeFrame(s, transfersAnswer{}.append(nil))
	}
	transfers, err := pick(block, w.positions)
	if err != nil {
		return err
	}
	return writeFrame(s, transfersAnswer{found: true, transfers: transfers}.append(nil))
}

// find returns a block that is stored or being put together; nil where there is none.
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
	if errors.Is(err, store.ErrNotFound) || err == nil && status&store.HaveBody == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return n.cfg.Store.Block(state.Height, hash)
}
