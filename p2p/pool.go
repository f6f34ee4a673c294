package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/types"
)

// summaryEvery is how often one peer is told of the pool.
const summaryEvery = 5 * time.Minute

// reconcile asks a peer for what is in its pool and not in this node's: what was
// announced before the two met, when both sides do so, or what gossip missed since.
// What it costs has a bound however large the pools are, those who pay most first.
func (n *Network) reconcile(ctx context.Context, id peer.ID) {
	var q summary
	rand.Read(q.key[:]) // never fails
	snapshot, _ := n.chain.PoolSnapshot()
	for e := range snapshot.Best() {
		if len(q.short) == maxSummary {
			break
		}
		q.short = append(q.short, shortID(q.key, e.ID))
	}
	slices.Sort(q.short)
	q.short = slices.Compact(q.short)
	answer, err := n.ask(ctx, id, poolProtocol, q.append(nil), maxSummaryAnswerSize)
	if err != nil {
		n.log.Debug("asking a peer for its pool", "peer", id, "error", err)
		return
	}
	transfers, err := decodeSummaryAnswer(answer)
	for len(transfers) > 0 && err == nil {
		some := transfers[:min(len(transfers), maxBatch)]
		transfers = transfers[len(some):]
		var fresh []types.Transfer
		if fresh, err = n.pool(ctx, some); err == nil {
			n.publishTransfers(ctx, fresh) // others may be where this node was
		}
	}
	if err != nil && !errors.Is(err, errOwn) {
		n.blame(id, grave, err)
	}
}

func (n *Network) servePool(from peer.ID, s network.Stream) error {
	if !n.peers.seldom(from, func(s *standing) *time.Time { return &s.summary }, summaryEvery) {
		return errors.New("it asked for the pool a moment ago")
	}
	question, err := readFrame(s, maxSummarySize)
	if err != nil {
		return err
	}
	q, err := decodeSummary(question)
	if err != nil {
		return err
	}
	var answer summaryAnswer
	size := 3
	snapshot, _ := n.chain.PoolSnapshot()
	looked := 0
	for e := range snapshot.Best() {
		if looked++; looked > maxSummary || len(answer) == maxSummaryAnswer || size+e.Transfer.Size() > maxSummaryAnswerSize {
			break
		}
		if _, has := slices.BinarySearch(q.short, shortID(q.key, e.ID)); !has {
			answer = append(answer, *e.Transfer)
			size += e.Transfer.Size()
		}
	}
	return writeFrame(s, answer.append(nil))
}
