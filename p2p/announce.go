package p2p

import (
	"context"
	"time"

	"cairn/chain"
	"cairn/types"
)

// gatherTime is how long new transfers are gathered for one announcement.
const gatherTime = 25 * time.Millisecond

// announce tells peers of everything that became part of the chain or the pool here,
// from whatever side it came, but for what gossip passed on by itself.
func (n *Network) announce(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	look := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	defer n.chain.OnChange(look)()
	tip := n.chain.Tip().Hash
	_, next := n.chain.PoolSnapshot()
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		if now := n.chain.Tip().Hash; now != tip {
			if _, syncing := n.cfg.Syncer.Target(); syncing { // and the next block comes at once
				time.AfterFunc(time.Second, look)
			} else {
				tip = now
				n.announceTip(ctx, tip)
			}
		}
		next = n.announceTransfers(ctx, next)
		select { // what comes meanwhile shares a message
		case <-time.After(gatherTime):
		case <-ctx.Done():
			return nil
		}
	}
}

// announceTip tells of a new tip.
func (n *Network) announceTip(ctx context.Context, hash types.Hash) {
	if n.gossip.passed.has(hash) {
		return
	}
	block, err := n.find(hash)
	if err != nil || block == nil {
		n.log.Error("reading a block to announce", "block", hash, "error", err)
		return
	}
	if err := n.gossip.blocks.Publish(ctx, announce(block).append(nil)); err != nil && ctx.Err() == nil {
		n.log.Debug("announcing a block", "block", hash, "error", err)
	}
}

// announceTransfers tells of transfers that became pending since a change of the
// pool, and returns the change to go on from.
func (n *Network) announceTransfers(ctx context.Context, from uint64) (next uint64) {
	const atOnce = 8 * maxBatch
	for {
		changes, next, ok := n.chain.PoolChanges(make([]chain.PoolChange, 0, atOnce), from, atOnce)
		if !ok { // too far behind: those who connect will ask
			_, next = n.chain.PoolSnapshot()
			return next
		}
		var fresh []types.Transfer
		for _, c := range changes {
			if c.Dropped == nil && c.Entry.Transfer != nil && !n.gossip.passed.has(c.Entry.ID) {
				fresh = append(fresh, *c.Entry.Transfer)
			}
		}
		n.publishTransfers(ctx, fresh)
		if next-from < atOnce || ctx.Err() != nil {
			return next
		}
		from = next
	}
}
