package p2p

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/gostream"

	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/syncer"
	"cairn/types"
)

var simSeed = flag.Uint64("p2p.seed", 0, "TestSimulation runs with this seed alone")

const (
	simNodes = 22
	simSpan  = 4 * time.Minute // of faults
)

// TestSimulation lets a network of real nodes run through faults that are drawn from a
// seed, and then looks whether it is whole again. The same seed gives the same
// topology, latencies and schedule. Not the same run: goroutines take turns as they
// like, keys and nonces are random, and so it is chance which packet is lost.
//
//	go test ./p2p -run TestSimulation -p2p.seed=7 -v
func TestSimulation(t *testing.T) {
	seeds := []uint64{1, 2, 6} // 6 ends in a tie
	if testing.Short() {
		seeds = seeds[:1]
	}
	if *simSeed != 0 {
		seeds = []uint64{*simSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

// event is one thing that happens in a simulation.
type event struct {
	at   time.Duration
	what string
	node int     // a number of one of the nodes, or of one of those that run
	loss float64 // of packets, from now on
	half []bool  // who is apart from whom, from now on
}

// schedule draws what happens.
func schedule(dice *rand.Rand) (events []event) {
	add := func(at time.Duration, what string) *event {
		events = append(events, event{at: at, what: what, node: dice.IntN(simNodes)})
		return &events[len(events)-1]
	}
	within := func(least, most time.Duration) time.Duration {
		return least + time.Duration(dice.Int64N(int64(most-least)))
	}
	for at := within(0, 5*time.Second); at < simSpan*7/8; at += within(time.Second, 13*time.Second) {
		add(at, "mine")
	}
	for range 120 { // the last ones wait in the pools
		add(within(0, simSpan), "pay")
	}
	for _, from := range []time.Duration{within(0, simSpan/4), within(simSpan/2, simSpan*3/4)} {
		add(from, "loss").loss = 0.01 + 0.14*dice.Float64()
		add(from+within(simSpan/16, simSpan/2), "loss").loss = 0
	}
	half := make([]bool, simNodes)
	for i := range half {
		half[i] = dice.IntN(3) == 0
	}
	parted := within(simSpan/4, simSpan*3/4)
	add(parted, "part").half = half
	add(parted+within(simSpan/16, simSpan/2), "heal")
	late := simNodes - 1
	for _, node := range dice.Perm(late)[:5] {
		down := within(10*time.Second, simSpan*3/4)
		add(down, "stop").node = node
		add(down+within(5*time.Second, simSpan/2), "start").node = node
	}
	add(within(simSpan/2, simSpan), "start").node = late
	events = slices.DeleteFunc(events, func(e event) bool { return e.at > simSpan }) // then all faults end anyway
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	return events
}

func simulate(t *testing.T, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, seed, simNodes, testRules(t, nil))
	check := func(what string, ok func() bool) {
		t.Helper()
		for range 600 {
			if ok() {
				return
			}
			time.Sleep(time.Second)
		}
		for _, n := range w.nodes {
			t.Logf("%s: height %d, %d pending, %d peers, bans %v", n.name, n.chain.Tip().Height, n.chain.Pool().Transfers, len(n.Peers()), n.Bans())
		}
		t.Fatalf("seed %d: ten minutes after the last fault, not yet: %s", seed, what)
	}

	var most consensus.Work // that any node's chain ever had
	var mu sync.Mutex
	start := func(at int) {
		n := w.start(at)
		n.chain.OnChange(func() {
			mu.Lock()
			defer mu.Unlock()
			if work := n.chain.Tip().Work; work.Cmp(most) > 0 {
				most = work
			}
		})
	}
	for at, n := range w.nodes {
		if at > 0 {
			n.peers = dice.Perm(at)[:min(at, 2+dice.IntN(2))]
		}
		if at < simNodes-1 {
			start(at)
		}
	}

	began := time.Now()
	var paid []types.Hash
	var loss float64
	var half []bool
	for _, e := range schedule(dice) {
		time.Sleep(e.at - time.Since(began))
		running := w.running()
		some := running[e.node%len(running)]
		switch e.what {
		case "mine":
			some.mine(1)
		case "pay":
			paid = append(paid, some.pay())
		case "stop":
			w.nodes[e.node].end()
		case "start":
			start(e.node)
		case "loss":
			loss = e.loss
		case "part", "heal":
			half = e.half
		}
		w.faults(loss, half)
		if e.what != "pay" {
			t.Logf("%v %s, node %d, loss %.2f, apart %v", e.at, e.what, e.node, e.loss, e.half != nil)
		}
	}

	w.faults(0, nil)
	for at, n := range w.nodes {
		if !n.running {
			start(at)
		}
	}
	check("all nodes have as much work as any ever had", func() bool { // maybe not the same: a tie stays one
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc(w.nodes, func(n *simNode) bool { return n.chain.Tip().Work != most })
	})
	w.nodes[dice.IntN(simNodes)].mine(1)
	first := w.nodes[0].chain
	oneChain := func() bool {
		return !slices.ContainsFunc(w.nodes, func(n *simNode) bool { return n.chain.Tip() != first.Tip() })
	}
	check("all nodes are on one chain", oneChain)
	check("all nodes know of every transfer", func() bool {
		return !slices.ContainsFunc(w.nodes, func(n *simNode) bool {
			return slices.ContainsFunc(paid, func(id types.Hash) bool {
				found, err := n.chain.Find(id)
				return err != nil || found.Pending == nil && found.Mined == nil
			})
		})
	})
	w.nodes[dice.IntN(simNodes)].mine(1)
	check("all nodes are on one chain again", oneChain)
	t.Logf("seed %d: settled after %v: height %d, %d transfers", seed, time.Since(began), first.Tip().Height, len(paid))

	for _, n := range w.nodes {
		// Each transfer gives the shop 1, so that they are in the chain once each.
		if shop, err := n.chain.Account("shop"); err != nil || shop.Balance != int64(len(paid)) {
			t.Errorf("seed %d: %s has %d in the shop after %d transfers, error %v", seed, n.name, shop.Balance, len(paid), err)
		}
		for _, id := range paid {
			if found, err := n.chain.Find(id); err != nil || found.Mined == nil {
				t.Errorf("seed %d: transfer %v is not in the chain of %s, error %v", seed, id, n.name, err)
			}
		}
		for _, owner := range w.nodes {
			a, _ := first.Account(types.Account(owner.name))
			if b, err := n.chain.Account(types.Account(owner.name)); err != nil || a.Balance != b.Balance {
				t.Errorf("seed %d: %s has %d on %s and %d on %s, error %v", seed, owner.name, a.Balance, w.nodes[0].name, b.Balance, n.name, err)
			}
		}
		if bans := n.Bans(); len(bans) > 0 {
			t.Errorf("seed %d: %s has banned %v, and all are honest", seed, n.name, bans)
		}
	}
}

// A block that is being put together is not fetched whole at the same time from those
// who say that they have it.
func TestNoSyncForAnnounced(t *testing.T) {
	rules := testRules(t, nil)
	a, b := startNode(t, "a", rules, nil, nil), startNode(t, "b", rules, nil, nil)
	b.join(a)
	hash, work := types.Hash{1}, b.chain.Tip().Work.Add(consensus.Work{1})
	b.peers.saw(a.host.ID(), 1, work)
	assembling, _ := b.blocks.begin(hash, work, attempt{})
	if ids := b.heavier(); len(ids) > 0 {
		t.Errorf("it would sync with %v", ids)
	}
	b.peers.saw(a.host.ID(), 2, work.Add(consensus.Work{1}))
	if ids := b.heavier(); len(ids) != 1 {
		t.Errorf("more than the announced block is to be had from one, not from %v", ids)
	}
	b.peers.with(a.host.ID(), func(s *standing) { s.Work = work })
	b.blocks.end(assembling)
	if ids := b.heavier(); len(ids) != 1 {
		t.Errorf("the block could not be put together, but is to be had from one, not from %v", ids)
	}
}

// What gossip missed comes to others all the same, in time.
func TestPoolsCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, testRules(t, nil))
		a := w.start(0)
		w.nodes[1].peers = []int{0}
		b := w.start(1)
		time.Sleep(time.Minute)
		p := types.Transfer{Sender: "a", Recipient: "shop", Amount: 1, Expiry: 100, Salt: 1}
		a.gossip.passed.add(p.ID()) // so that it is not announced
		if _, err := a.chain.AddTransfer(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if _, found := b.chain.Pending(p.ID()); found {
			t.Error("it was announced")
		}
		time.Sleep(summaryEvery + compareEvery)
		if _, found := b.chain.Pending(p.ID()); !found {
			t.Error("it was forgotten")
		}
	})
}

// A stranger who passes on another's block first, and then does not give its
// transfers, keeps nobody from it: whoever has it is asked soon.
func TestWithheldByStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3, testRules(t, nil))
		a := w.start(0)
		w.nodes[1].peers = []int{0}
		b := w.start(1)
		stranger := w.stranger(2, a)
		defer stranger.Close()
		asked := make(chan network.Stream, 1)
		stranger.SetStreamHandler(wantsProtocol, func(s network.Stream) { asked <- s }) // it stays open
		stranger.join(t, a)
		time.Sleep(10 * time.Second)

		block := chaintest.New(w.rules).Add("block", chaintest.Genesis, chaintest.Spec{Transfers: transfers("x", 3)})
		began := time.Now()
		var validating sync.WaitGroup
		defer validating.Wait()
		validating.Go(func() {
			a.validateBlock(t.Context(), stranger.ID(), &pubsub.Message{Message: &pb.Message{Data: announce(block).append(nil)}})
		})
		<-asked
		b.gossip.passed.add(block.Header.Hash()) // an announcement of the same bytes would be passed over
		if err := b.chain.AddBlocks(t.Context(), []*types.Block{block}); err != nil {
			t.Fatal(err)
		}
		for a.chain.Tip() != b.chain.Tip() {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > 2*soon {
			t.Errorf("the block took %v", took)
		}
	})
}

// Nor do blocks of a stranger that never come keep the announcements of others waiting,
// or out: so many of one peer are looked at at a time, and there is room for more.
func TestWithheldBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3, testRules(t, nil))
		a := w.start(0)
		w.nodes[1].peers, w.nodes[2].peers = []int{0}, []int{0}
		b, bad := w.start(1), w.start(2)
		asked := make(chan network.Stream, 100)
		bad.host.SetStreamHandler(wantsProtocol, func(s network.Stream) { asked <- s }) // it stays open
		time.Sleep(10 * time.Second)

		chain := chaintest.New(w.rules)
		for i := range 10 {
			block := chain.Add(fmt.Sprint(i), chaintest.Genesis, chaintest.Spec{Transfers: transfers("x", 3)})
			if err := bad.gossip.blocks.Publish(t.Context(), announce(block).append(nil)); err != nil {
				t.Fatal(err)
			}
		}
		<-asked
		began := time.Now()
		b.mine(1)
		for a.chain.Tip() != b.chain.Tip() {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the block took %v", took)
		}
		a.blocks.mu.Lock()
		defer a.blocks.mu.Unlock()
		if got := len(a.blocks.all); got != maxOfOne {
			t.Errorf("%d of the stranger's blocks are being put together", got)
		}
	})
}

// Connections that a node made itself are not given up for others' sake. Whoever leaves
// has no such right when it calls back, but the node remembers where it is.
func TestOwnConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 8, testRules(t, nil))
		a := w.start(0)
		var own, others []*simHost
		for at := 1; at < 8; at++ {
			stranger := w.stranger(at, a)
			if at > 1 { // the first leaves before
				defer stranger.Close()
			}
			if at <= 2 {
				own = append(own, stranger)
				if err := a.dial(t.Context(), stranger.info()); err != nil {
					t.Fatal(err)
				}
			} else {
				others = append(others, stranger)
				stranger.join(t, a)
			}
		}
		time.Sleep(2 * time.Minute) // new ones are left alone
		a.host.ConnManager().TrimOpenConns(t.Context())
		connected := func(h *simHost) bool { return a.host.Network().Connectedness(h.ID()) == network.Connected }
		for i, h := range own {
			if !connected(h) {
				t.Errorf("own connection %d was given up", i)
			}
		}
		if !slices.ContainsFunc(others, func(h *simHost) bool { return !connected(h) }) {
			t.Error("none was given up: this test shows nothing")
		}

		id := own[0].ID()
		own[0].Close()
		time.Sleep(time.Minute)
		if connected(own[0]) || a.host.ConnManager().IsProtected(id, ownTag) {
			t.Error("who left still has a place")
		}
		for when, b := range map[string]*book{"now": a.book, "after a restart": a.book.reopened(t)} {
			if !slices.ContainsFunc(b.sample(maxNodes), func(i peer.AddrInfo) bool { return i.ID == id }) {
				t.Errorf("it is not remembered %s", when)
			}
		}
	})
}

// A chain that comes from a neighbour is announced to peers, who hear of it at once, and
// not when they are greeted the next time.
func TestNeighboursChainAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 3, testRules(t, nil))
		a := w.start(0)
		w.nodes[1].peers = []int{0}
		b, neighbour := w.start(1), w.start(2)
		neighbour.mine(3)
		carrier := roundTripper(func(r *http.Request) (*http.Response, error) {
			answer := httptest.NewRecorder()
			neighbour.cfg.Syncer.Handler().ServeHTTP(answer, r)
			return answer.Result(), nil
		})
		time.Sleep(10 * time.Second) // the greetings of the beginning
		classic, err := syncer.New(syncer.Config{Chain: a.chain, Store: a.store, Transport: carrier})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := classic.AddNeighbour("http://neighbour"); err != nil {
			t.Fatal(err)
		}
		if r, err := classic.Sync(t.Context()); err != nil || !r.Replaced {
			t.Fatal(r, err)
		}
		time.Sleep(5 * time.Second)
		if b.chain.Tip() != neighbour.chain.Tip() {
			t.Errorf("the peer is at height %d", b.chain.Tip().Height)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// One that says that it has more work, and then has this node's chain, is taken at the
// word of its chain until it says so again: it is not asked on and on.
func TestClaimCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, testRules(t, nil))
		a := w.start(0)
		liar := w.stranger(1, a)
		defer liar.Close()
		liar.SetStreamHandler(helloProtocol, func(s network.Stream) {
			h := a.hello()
			h.work, h.height = much, 1_000_000_000
			if _, err := readFrame(s, maxHelloSize); err == nil {
				_ = writeFrame(s, h.append(nil))
			}
			_ = s.Close()
		})
		listener, err := gostream.Listen(liar, httpProtocol)
		if err != nil {
			t.Fatal(err)
		}
		var asked atomic.Int32
		chain := a.cfg.Syncer.Handler()
		server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			answer := httptest.NewRecorder()
			chain.ServeHTTP(answer, r)
			tip := answer.Body.Bytes()
			tip[32]++ // another instance
			rw.Header().Set("Content-Type", "application/octet-stream")
			rw.Write(tip)
		})}
		var serving sync.WaitGroup
		defer serving.Wait()
		serving.Go(func() { server.Serve(listener) })
		defer server.Close()
		liar.join(t, a)
		const span = 10 * time.Minute
		time.Sleep(span)
		if got, most := int(asked.Load()), 3+int(span/greetEvery); got == 0 || got > most {
			t.Errorf("it was asked %d times, where it said %d times that it has more", got, most)
		}
		if faults, _ := a.Network.peers.get(liar.ID()); faults.faults > 0 {
			t.Error("it was blamed, and may have thought so")
		}
	})
}

// Faults, and what a peer has had of its share, stay with one that leaves and comes back.
func TestReconnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, testRules(t, nil))
		a := w.start(0)
		stranger := w.stranger(1, a)
		defer stranger.Close()
		id := stranger.ID()
		for left := banAt; left > 0; left -= grave {
			if a.book.isBanned(id) {
				t.Error("it is banned too early")
			}
			stranger.join(t, a)
			if its, _ := a.Network.peers.get(id); left < banAt && time.Now().After(its.notYet) {
				t.Error("it would be synced with again")
			}
			a.blame(id, grave, errors.New("nonsense"))
			a.judge(id, syncer.NeighbourResult{Result: syncer.Unreachable})
			time.Sleep(time.Second) // the ban is another goroutine's
			if err := stranger.Network().ClosePeer(a.host.ID()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if bans := a.Bans(); len(bans) != 1 || bans[0].Reason != "nonsense" {
			t.Errorf("bans %v", bans)
		}
	})
}
