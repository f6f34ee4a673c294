package p2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio"

	"cairn/chain"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// gossip is this node's part in the two topics of its network. Their names hold the
// chain ID, so that nodes of other networks share none.
type gossip struct {
	blocks, transfers *pubsub.Topic

	// passed are blocks and transfers that came by gossip and were passed on by it, so
	// that they need no announcement of this node's.
	passed recent
}

// cutOff hears of streams that gossipsub cut off because of what came on them: a
// message that is too long, or none at all. Its log is the only place where it says
// so. It implements slog.Handler.
type cutOff struct{ *Network }

// Enabled implements slog.Handler.
func (c cutOff) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (c cutOff) Handle(_ context.Context, r slog.Record) error {
	var from peer.ID
	var fault error
	r.Attrs(func(a slog.Attr) bool {
		switch v := a.Value.Any().(type) {
		case peer.ID:
			from = v
		case error:
			fault = v
		}
		return true
	})
	if fault != nil && (r.Level >= slog.LevelWarn || errors.Is(fault, msgio.ErrMsgTooLarge)) {
		c.blame(from, grave, fmt.Errorf("gossip: %w", fault))
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (c cutOff) WithAttrs([]slog.Attr) slog.Handler { return c }

// WithGroup implements slog.Handler.
func (c cutOff) WithGroup(string) slog.Handler { return c }

// validatorTime is how long looking at one message may take.
const validatorTime = 10 * time.Second

// joinGossip joins the topics. What a message's name is, is its content alone.
func (n *Network) joinGossip() error {
	ps, err := pubsub.NewGossipSub(n.ctx, n.host,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string {
			id := types.Sum(m.Data)
			return string(id[:])
		}),
		pubsub.WithMaxMessageSize(max(maxAnnouncementSize(n.maxBlock()), maxBatchSize)+4096),
		pubsub.WithSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(n.topic("blocks"), n.topic("transfers"))),
		pubsub.WithFloodPublish(false), // D peers pass a message on as quickly as all would
		pubsub.WithValidateQueueSize(512),
		pubsub.WithPeerOutboundQueueSize(256),
		pubsub.WithLogger(slog.New(demoted{n.log.Handler()})),
		pubsub.WithRPCLogger(slog.New(cutOff{n})),
		pubsub.WithPeerScore(n.scoring()),
		pubsub.WithPeerScoreInspect(n.noteScores, 5*time.Second),
	)
	if err != nil {
		return err
	}
	g := new(gossip)
	n.gossip = g // validators may run before this returns
	for _, t := range []struct {
		name     string
		topic    **pubsub.Topic
		validate pubsub.ValidatorEx
		at       int // a time
	}{
		{"blocks", &g.blocks, n.validateBlock, 4 * maxAssembling}, // those that wait for transfers may not take all
		{"transfers", &g.transfers, n.validateTransfers, 32},      // they wait for a common commit
	} {
		name := n.topic(t.name)
		if err := ps.RegisterTopicValidator(name, t.validate, pubsub.WithValidatorConcurrency(t.at), pubsub.WithValidatorTimeout(validatorTime)); err != nil {
			return err
		}
		if *t.topic, err = ps.Join(name); err != nil {
			return err
		}
		sub, err := (*t.topic).Subscribe()
		if err != nil {
			return err
		}
		n.background(func(ctx context.Context) { // all is done by the validator
			for {
				if _, err := sub.Next(ctx); err != nil {
					return
				}
			}
		})
	}
	return nil
}

func (n *Network) topic(name string) string {
	return fmt.Sprintf("/cairn/%v/%s/1", n.rules.ChainID(), name)
}

func (n *Network) maxBlock() int { return int(n.rules.MaxBlockSize) }

// scoring is gossipsub's part of a peer's score. Messages that a validator rejects
// weigh; those that it ignores do not, nor does silence, since there may be nothing to
// say; nor does how many peers share an address, since a classroom does.
func (n *Network) scoring() (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	topic := func() *pubsub.TopicScoreParams {
		return &pubsub.TopicScoreParams{
			TopicWeight:                    1,
			TimeInMeshWeight:               0.01,
			TimeInMeshQuantum:              time.Second,
			TimeInMeshCap:                  500,
			FirstMessageDeliveriesWeight:   0.1,
			FirstMessageDeliveriesDecay:    pubsub.ScoreParameterDecay(10 * time.Minute),
			FirstMessageDeliveriesCap:      50,
			InvalidMessageDeliveriesWeight: -1, // blame counts them too; who is not heard any more is never banned
			InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(10 * time.Minute),
		}
	}
	return &pubsub.PeerScoreParams{
			Topics:                    map[string]*pubsub.TopicScoreParams{n.topic("blocks"): topic(), n.topic("transfers"): topic()},
			TopicScoreCap:             20,
			AppSpecificScore:          n.peers.score,
			AppSpecificWeight:         1,
			BehaviourPenaltyWeight:    -1,
			BehaviourPenaltyThreshold: 6,
			BehaviourPenaltyDecay:     pubsub.ScoreParameterDecay(10 * time.Minute),
			DecayInterval:             time.Second,
			DecayToZero:               0.01,
			RetainScore:               time.Hour,
		}, &pubsub.PeerScoreThresholds{
			GossipThreshold:             -40,
			PublishThreshold:            -60,
			GraylistThreshold:           -80,
			OpportunisticGraftThreshold: 1,
		}
}

// noteScores is told of the scores now and then.
func (n *Network) noteScores(scores map[peer.ID]float64) {
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	for id, score := range scores {
		if s := n.peers.all[id]; s != nil {
			s.gossip = score + s.fading() // without the part that it got from here
		}
	}
}

// reject is the answer to what no honest peer sends.
func (n *Network) reject(from peer.ID, why error) pubsub.ValidationResult {
	n.blame(from, grave, why)
	return pubsub.ValidationReject
}

// validateBlock decides on an announcement. One that follows the tip is passed on
// after its proof of work, and after its Merkle root where nothing is missing; what
// follows then is this node's own matter. Any other has to become the best chain
// first, and so has one of a peer whose last block was not a good one, or that has
// announced none yet: whoever wants a bad block passed on has to be the first with a
// good one before. What is known, too new, no heavier, or hangs on nothing known here is
// nobody's fault; nor is a bad block itself, which was passed on before that was known,
// but one on top of it is.
func (n *Network) validateBlock(ctx context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	if from == n.host.ID() {
		return pubsub.ValidationAccept
	}
	a, err := decodeAnnouncement(msg.Data, n.maxBlock())
	if err != nil {
		return n.reject(from, err)
	}
	hash := a.header.Hash()
	if _, _, err := n.chain.State(hash); !errors.Is(err, store.ErrNotFound) {
		return pubsub.ValidationIgnore
	}
	parent, status, err := n.chain.State(a.header.Previous)
	switch {
	case errors.Is(err, store.ErrNotFound):
		n.peers.with(from, func(s *standing) { s.ahead = true })
		n.wakeSync()
		return pubsub.ValidationIgnore
	case err != nil:
		return pubsub.ValidationIgnore // this node's disk, which others will tell of
	case status&store.Invalid != 0:
		return n.reject(from, fmt.Errorf("block %v hangs on %v: %w", hash, parent.Hash, chain.ErrInvalid))
	}
	state, err := n.rules.ValidateHeader(parent, a.header, now())
	tooNew := errors.Is(err, consensus.ErrTooNew)
	if err != nil && !tooNew {
		return n.reject(from, fmt.Errorf("block %v: %w", hash, err))
	}
	tip := n.chain.Tip()
	if state.Work.Cmp(tip.Work) <= 0 || n.blocks.full(hash) {
		return pubsub.ValidationIgnore
	}
	allowed, proved := false, false
	n.peers.with(from, func(s *standing) {
		if allowed, proved = s.block.Allow(), s.proved; !allowed {
			s.ahead = true
		}
	})
	if !allowed { // what follows costs something
		n.wakeSync()
		return pubsub.ValidationIgnore
	}
	n.peers.saw(from, state.Height, state.Work)
	part := n.take(a)
	if len(part.missing()) == 0 {
		if _, err := part.block(); err != nil { // nothing vouches for the short ids: see assembling
			return pubsub.ValidationIgnore
		}
	}
	b, first := n.blocks.begin(hash, state.Work, attempt{from, part})
	if b == nil { // it is one too many: the sync has to find it
		n.peers.with(from, func(s *standing) { s.ahead = true })
		n.wakeSync()
	}
	if !first {
		return pubsub.ValidationIgnore
	}
	if tooNew || parent.Hash != tip.Hash || !proved {
		n.complete(ctx, from, b)
		if n.chain.Tip().Hash != hash {
			return pubsub.ValidationIgnore
		}
		n.gossip.passed.add(hash)
		return pubsub.ValidationAccept
	}
	n.gossip.passed.add(hash)
	n.background(func(ctx context.Context) { n.complete(ctx, from, b) })
	return pubsub.ValidationAccept
}

// take looks for the announced transfers in the pool.
func (n *Network) take(a announcement) *partial {
	snapshot, _ := n.chain.PoolSnapshot()
	return a.fill(snapshot.Best())
}

// atFault are what makes a transfer one that no honest peer passes on, whatever chain
// it is on.
var atFault = []error{
	consensus.ErrAccount, consensus.ErrSystemAccount, consensus.ErrSmallOrder, consensus.ErrAmount, consensus.ErrFee,
	consensus.ErrSum, consensus.ErrSignature, consensus.ErrUnexpectedSignature,
}

// validateTransfers decides on a batch. It is passed on where at least half of it was
// new here, so that nobody can have the network carry old transfers again and again
// by putting a new one beside them; what was new goes out in another batch then.
func (n *Network) validateTransfers(ctx context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	if from == n.host.ID() {
		return pubsub.ValidationAccept
	}
	all, err := decodeBatch(msg.Data)
	if err != nil {
		return n.reject(from, err)
	}
	allowed := false
	n.peers.with(from, func(s *standing) { allowed = s.transfer.AllowN(time.Now(), len(all)) })
	if !allowed {
		return pubsub.ValidationIgnore
	}
	fresh, err := n.pool(ctx, all)
	if err == nil && len(fresh) > 0 && 2*len(fresh) >= len(all) {
		return pubsub.ValidationAccept
	}
	if len(fresh) > 0 {
		n.background(func(ctx context.Context) { n.publishTransfers(ctx, fresh) })
	}
	if err != nil && !errors.Is(err, errOwn) {
		return n.reject(from, err)
	}
	return pubsub.ValidationIgnore
}

// errOwn marks what is not a peer's fault: this node is stopping, or its disk fails.
var errOwn = errors.New("this node's own")

// pool offers transfers of a peer to the pool and returns those that were new to it.
// The error is the peer's fault, or errOwn.
func (n *Network) pool(ctx context.Context, all []types.Transfer) (fresh []types.Transfer, err error) {
	unknown := make([]*types.Transfer, 0, len(all))
	for i := range all {
		id := all[i].ID()
		if _, pending := n.chain.Pending(id); !pending {
			t := all[i] // by itself: the pool keeps it
			unknown = append(unknown, &t)
			n.gossip.passed.add(id) // before the announcer can see it
		}
	}
	if len(unknown) == 0 {
		return nil, nil
	}
	answers, err := n.chain.AddTransfers(ctx, unknown)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOwn, err)
	}
	var fault error
	for i, a := range answers {
		switch {
		case a.Err == nil && !a.Receipt.Mined:
			fresh = append(fresh, *unknown[i])
		case a.Err != nil:
			n.gossip.passed.remove(unknown[i].ID()) // it may become good
			for _, e := range atFault {
				if errors.Is(a.Err, e) {
					fault = cmp.Or(fault, fmt.Errorf("transfer %v: %w", unknown[i].ID(), a.Err))
				}
			}
		}
	}
	return fresh, fault
}

// publishTransfers announces transfers, in as many batches as they need. A message that
// went out before is not sent again.
func (n *Network) publishTransfers(ctx context.Context, all []types.Transfer) {
	for len(all) > 0 {
		count, size := 0, 3
		for count < len(all) && count < maxBatch && size+all[count].Size() <= maxBatchSize {
			size += all[count].Size()
			count++
		}
		if err := n.gossip.transfers.Publish(ctx, batch(all[:count]).append(nil)); err != nil && ctx.Err() == nil {
			n.log.Debug("announcing transfers", "error", err)
		}
		all = all[count:]
	}
}

// recent is a set of hashes that forgets the oldest.
type recent struct {
	mu       sync.Mutex
	new, old map[types.Hash]struct{}
}

// maxRecent is how many hashes recent holds at least, once it has seen so many.
const maxRecent = 1 << 16

func (r *recent) add(h types.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.new == nil || len(r.new) >= maxRecent {
		r.old, r.new = r.new, make(map[types.Hash]struct{})
	}
	r.new[h] = struct{}{}
}

func (r *recent) remove(h types.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.new, h)
	delete(r.old, h)
}

func (r *recent) has(h types.Hash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.new[h]
	if !ok {
		_, ok = r.old[h]
	}
	return ok
}
