package p2p

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/gostream"

	"cairn/chain"
	"cairn/store"
	"cairn/syncer"
)

const (
	// sources is how many peers a chain is fetched from.
	sources = 8
	// restTime is how long a peer is not synced with again that was of no use.
	restTime = 30 * time.Second
	// briefRest is the same for one that has the chain that this node has.
	briefRest = 2 * time.Second
	// longRest is how long one that took long is not.
	longRest = 10 * time.Minute
	// greetEvery is how often peers are greeted anew, by turns: gossip may have missed
	// something.
	greetEvery = 30 * time.Second
	// compareEvery is how often the pool is compared with that of one of the peers:
	// gossip passes over what is too much at once.
	compareEvery = time.Minute
)

// serveChain serves the chain over streams, with the same handler as to neighbours.
func (n *Network) serveChain() error {
	listener, err := gostream.Listen(n.host, httpProtocol)
	if err != nil {
		return err
	}
	n.client = &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			name, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			id, err := peer.Decode(name)
			if err != nil {
				return nil, err
			}
			return gostream.Dial(network.WithNoDial(ctx, "a chain is fetched from peers"), n.host, id, httpProtocol)
		},
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        time.Minute,
	}
	n.server = &http.Server{
		Handler:           n.onlyFriends(n.cfg.Syncer.Handler()),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	n.work.Go(func() { _ = n.server.Serve(listener) }) // ends with Close
	return nil
}

// onlyFriends serves peers of this network, a few questions at a time. Strangers who
// hold an invite may ask for the genesis file.
func (n *Network) onlyFriends(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := peer.Decode(r.RemoteAddr)
		if err != nil {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		leave, ok := n.peers.enter(id, r.URL.Path == syncer.Path+"genesis")
		if !ok {
			http.Error(w, "say hello first, and ask less at a time", http.StatusServiceUnavailable)
			return
		}
		defer leave()
		h.ServeHTTP(w, r)
	})
}

// wakeSync has follow look whether a peer has more than this node.
func (n *Network) wakeSync() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// follow fetches chains from peers that have more work, until ctx ends.
func (n *Network) follow(ctx context.Context) error {
	for {
		select {
		case <-n.wake:
			if err := n.catchUp(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// refresh asks peers now and then what they have, until ctx ends.
func (n *Network) refresh(ctx context.Context) error {
	greet := time.NewTicker(greetEvery)
	defer greet.Stop()
	compare := time.NewTicker(compareEvery)
	defer compare.Stop()
	for {
		select {
		case <-greet.C:
			n.background(n.greetSome)
		case <-compare.C:
			if friends := n.peers.friends(); len(friends) > 0 {
				n.background(func(ctx context.Context) { n.reconcile(ctx, friends[rand.N(len(friends))]) })
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// catchUp syncs with the peers that have more work than this node. The error is this
// node's own.
func (n *Network) catchUp(ctx context.Context) error {
	ids := n.heavier()
	if len(ids) == 0 {
		return nil
	}
	before := n.chain.Tip()
	addresses := make([]string, len(ids))
	for i, id := range ids {
		addresses[i] = "http://" + id.String()
	}
	result, err := n.cfg.Syncer.SyncWith(ctx, n.client, addresses)
	switch {
	case ctx.Err() != nil || errors.Is(err, chain.ErrClosed):
		return nil
	case errors.Is(err, store.ErrFailed):
		return err
	case err != nil:
		n.log.Error("sync with peers", "error", err)
		return nil
	}
	for i, r := range result.Neighbours {
		n.judge(ids[i], r)
	}
	if n.chain.Tip().Hash != before.Hash {
		n.background(n.greetAll) // some may have heard less
		n.wakeSync()             // some may have more by now
	}
	if len(ids) == sources { // nor were all asked
		n.wakeSync()
	}
	return nil
}

// heavier returns peers to fetch from: of those that say they have more work some at
// random, since liars say they have most. What is being put together already is not
// fetched once more, whole.
func (n *Network) heavier() []peer.ID {
	most := n.blocks.most(n.chain.Tip().Work)
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	var ids []peer.ID
	for id, s := range n.peers.all {
		if s.hello && !time.Now().Before(s.notYet) && (s.ahead || s.Work.Cmp(most) > 0) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(len(ids), sources)]
	for _, id := range ids {
		n.peers.all[id].ahead = false
	}
	return ids
}

// judge draws the consequences of what came of a peer in a sync.
func (n *Network) judge(id peer.ID, r syncer.NeighbourResult) {
	rest := restTime
	switch r.Result {
	case syncer.Adopted:
		return
	case syncer.Same: // it has no more, whatever it said
		rest = briefRest
		tip := n.chain.Tip()
		n.peers.with(id, func(s *standing) { s.Height, s.Work = tip.Height, tip.Work })
	case syncer.Lying, syncer.Invalid, syncer.OtherNetwork:
		n.blame(id, banAt, errors.New(r.Result+": "+r.Detail))
	case syncer.Malformed, syncer.Withheld: // an answer that a stopping node cut off can look like it
		n.blame(id, grave, errors.New(r.Result+": "+r.Detail))
	case syncer.Slow: // it held up all the others
		rest = longRest
		n.blame(id, slight, errors.New(r.Result+": "+r.Detail))
	}
	n.log.Debug("sync with a peer", "peer", id, "result", r.Result, "detail", r.Detail)
	n.peers.with(id, func(s *standing) { s.notYet = time.Now().Add(rest) })
	time.AfterFunc(rest, n.wakeSync) // it may have got more meanwhile
}

// greetAll greets every peer anew.
func (n *Network) greetAll(ctx context.Context) { n.greet(ctx, n.peers.friends()) }

// greetSome greets those peers anew that have said nothing for longest.
func (n *Network) greetSome(ctx context.Context) {
	said := make(map[peer.ID]time.Time)
	for _, id := range n.peers.friends() {
		if s, ok := n.peers.get(id); ok && time.Since(s.said) > greetEvery {
			said[id] = s.said
		}
	}
	ids := make([]peer.ID, 0, len(said))
	for id := range said {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b peer.ID) int { return cmp.Or(said[a].Compare(said[b]), cmp.Compare(a, b)) })
	n.greet(ctx, ids[:min(len(ids), sources)])
	n.wakeSync() // some rest no longer
}

// greet says hello to peers, a few at a time.
func (n *Network) greet(ctx context.Context, ids []peer.ID) {
	for some := range slices.Chunk(ids, sources) {
		done := make(chan struct{}, len(some))
		for _, id := range some {
			go func() {
				defer func() { done <- struct{}{} }()
				if err := n.sayHello(ctx, id); err != nil {
					n.log.Debug("greeting a peer", "peer", id, "error", err)
				}
			}()
		}
		for range some {
			<-done
		}
	}
}
