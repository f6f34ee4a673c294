package p2p

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"cairn/consensus"
)

// Peer is a node that this one is connected to.
type Peer struct {
	ID        string
	Address   string // multiaddr of the connection
	Inbound   bool   // it called
	Agent     string // what it says it runs
	Height    uint32 // of its chain, as it said last
	Work      consensus.Work
	Score     float64       // 0 is neutral; below 0 it did wrong
	Latency   time.Duration // of a round trip; 0 until measured
	Connected time.Time
}

// What a fault weighs. A peer is banned at banAt; faults lose half of their weight
// in halfLife, so that an honest peer's rare mistake is forgotten.
const (
	slight = 10 // what an honest peer may pass on, as a block that was not validated yet
	grave  = 35 // what no honest peer sends
	// mostSlight is the most that slight faults weigh together: those that an honest
	// peer can be made to commit may not have it banned, however many they are.
	mostSlight = 3 * slight

	banAt    = 100
	halfLife = 10 * time.Minute
	banTime  = 24 * time.Hour
)

// What is taken of one peer's messages, in a second and at once. More is passed over.
const (
	transferRate  = 2000
	transferBurst = 20_000
	blockRate     = 50
	blockBurst    = 500
	wantsRate     = 20
	wantsBurst    = 200
)

// peers are the nodes that are connected now.
type peers struct {
	mu   sync.Mutex
	all  map[peer.ID]*standing
	left map[peer.ID]*standing // those that left lately
}

// standing is how a connected peer does. It is guarded by peers.mu.
type standing struct {
	Peer
	address  ma.Multiaddr
	hello    bool      // it is of this network
	said     time.Time // when it told of its chain last
	faults   float64
	faulted  time.Time     // when faults was right
	gossip   float64       // gossipsub's score
	serving  int           // questions that are being answered
	transfer *rate.Limiter // of its messages
	block    *rate.Limiter // likewise
	wants    *rate.Limiter // of its questions for transfers of a block
	proved   bool          // the last block that it announced first was a good one
	summary  time.Time     // when it asked for the pool last
	shared   time.Time     // when it asked for addresses last
	asked    time.Time     // when it was asked for them last, but for the first time
	notYet   time.Time     // not to be synced with before
	ahead    bool          // it has a block that hangs on nothing known here
}

// connected takes a peer in, if it is not there yet.
func (p *peers) connected(id peer.ID, address ma.Multiaddr, inbound bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all[id] != nil {
		return
	}
	s := &standing{
		Peer:     Peer{ID: id.String(), Address: address.String(), Inbound: inbound, Connected: time.Now()},
		address:  address,
		transfer: rate.NewLimiter(transferRate, transferBurst),
		block:    rate.NewLimiter(blockRate, blockBurst),
		wants:    rate.NewLimiter(wantsRate, wantsBurst),
	}
	if before := p.left[id]; before != nil { // to reconnect makes nothing good
		s.faults, s.faulted, s.summary, s.shared = before.faults, before.faulted, before.summary, before.shared
		s.transfer, s.block, s.wants, s.notYet = before.transfer, before.block, before.wants, before.notYet
		delete(p.left, id)
	}
	p.all[id] = s
}

// maxLeft is how many peers that have left are remembered.
const maxLeft = 1024

// disconnected lets a peer go, unless it still is connected, and tells whether it did.
func (p *peers) disconnected(id peer.ID, still func() bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.all[id]
	if s == nil || still() {
		return false
	}
	delete(p.all, id)
	p.left[id] = s
	for other := range p.left { // Go goes through a map from a random place
		if len(p.left) <= maxLeft {
			break
		}
		delete(p.left, other)
	}
	return true
}

// outbound returns where the peers are that this node connected to itself.
func (p *peers) outbound() (addresses []ma.Multiaddr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.all {
		if !s.Inbound {
			addresses = append(addresses, s.address)
		}
	}
	return addresses
}

// meet notes what a peer said of itself: whether it is the first time, and whether
// it is connected at all.
func (p *peers) meet(id peer.ID, h hello, latency time.Duration) (first, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.all[id]
	if s == nil {
		return false, false
	}
	first, s.hello = !s.hello, true
	s.Agent, s.Height, s.Work, s.said = h.agent, h.height, h.work, time.Now()
	if latency > 0 {
		s.Latency = latency
	}
	return first, true
}

// saw notes that a peer has a chain of so much work.
func (p *peers) saw(id peer.ID, height uint32, work consensus.Work) {
	p.with(id, func(s *standing) {
		if work.Cmp(s.Work) > 0 {
			s.Height, s.Work = height, work
		}
	})
}

// with runs do on a peer that is connected.
func (p *peers) with(id peer.ID, do func(*standing)) (found bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.all[id]
	if s != nil {
		do(s)
	}
	return s != nil
}

func (p *peers) get(id peer.ID) (copy standing, found bool) {
	found = p.with(id, func(s *standing) { copy = *s })
	return copy, found
}

func (p *peers) welcomed(id peer.ID) bool {
	s, found := p.get(id)
	return found && s.hello
}

// enter takes one of the places of a peer's questions.
func (p *peers) enter(id peer.ID, stranger bool) (leave func(), ok bool) {
	var its *standing // who reconnects meanwhile has another
	p.with(id, func(s *standing) {
		if ok = (s.hello || stranger) && s.serving < served; ok {
			s.serving++
			its = s
		}
	})
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		its.serving--
	}, ok
}

// seldom tells whether so much time has passed since a moment in a peer's standing,
// and then makes that now.
func (p *peers) seldom(id peer.ID, field func(*standing) *time.Time, every time.Duration) (ok bool) {
	p.with(id, func(s *standing) {
		at := field(s)
		if ok = time.Since(*at) >= every; ok {
			*at = time.Now()
		}
	})
	return ok
}

// friends returns the IDs of peers of this network, sorted.
func (p *peers) friends() []peer.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []peer.ID
	for id, s := range p.all {
		if s.hello {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// fading is what is left of the weight of faults.
func (s *standing) fading() float64 {
	return s.faults * math.Exp2(-float64(time.Since(s.faulted))/float64(halfLife))
}

// score is what gossipsub adds to its own for what it cannot see.
func (p *peers) score(id peer.ID) (score float64) {
	p.with(id, func(s *standing) { score = -s.fading() })
	return score
}

// Peers returns the peers of this network that are connected, sorted by ID.
func (n *Network) Peers() []Peer {
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	var all []Peer
	for _, s := range n.peers.all {
		if s.hello {
			s.Score = s.gossip - s.fading() + 0 // never -0
			all = append(all, s.Peer)
		}
	}
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// blame notes a peer's fault, tells the log who and why, and bans whoever has
// committed too many.
func (n *Network) blame(id peer.ID, weight float64, why error) {
	banned := false
	if !n.peers.with(id, func(s *standing) {
		before := s.fading()
		s.faults, s.faulted = before+weight, time.Now()
		if weight == slight {
			s.faults = max(before, min(s.faults, mostSlight))
		}
		banned = s.faults >= banAt
	}) {
		return
	}
	n.log.Warn("peer is at fault", "peer", id, "weight", weight, "reason", why)
	if banned {
		n.background(func(context.Context) {
			if err := n.ban(id, why.Error(), banTime); err != nil {
				n.log.Error("banning a peer", "error", err)
			}
		})
	}
}

// Connect connects to the peer at a multiaddr with /p2p/ID and keeps the connection
// for as long as this node runs. Errors: ErrPeerAddress, ErrUnreachable.
func (n *Network) Connect(ctx context.Context, address string) error {
	info, err := parseAddress(address)
	if err != nil {
		return err
	}
	if info.ID == n.host.ID() {
		return fmt.Errorf("%w: it is this node's own", ErrPeerAddress)
	}
	n.book.keep(info)
	return n.dial(ctx, info)
}

// Disconnect ends the connections to a peer and does not keep them any longer. It
// tells whether there was one, or was to be. Error: ErrPeerAddress where id is none.
func (n *Network) Disconnect(id string) (bool, error) {
	p, err := parseID(id)
	if err != nil {
		return false, err
	}
	kept := n.book.drop(p)
	_, found := n.peers.get(p)
	_ = n.host.Network().ClosePeer(p) // it may be gone already
	return found || kept, nil
}

// Ban is a peer that is not talked to.
type Ban struct {
	ID     string
	Reason string
	Until  time.Time
}

// Bans returns who is banned, sorted by ID.
func (n *Network) Bans() []Ban { return n.book.bans() }

// Ban ends the connections to a peer, and has none for so long, also over restarts.
// Error: ErrPeerAddress where id is none, or of the store.
func (n *Network) Ban(id, reason string, d time.Duration) error {
	p, err := parseID(id)
	if err != nil {
		return err
	}
	return n.ban(p, reason, d)
}

func (n *Network) ban(id peer.ID, reason string, d time.Duration) error {
	n.log.Warn("peer is banned", "peer", id, "for", d, "reason", reason)
	err := n.book.ban(id, reason, time.Now().Add(d))
	_ = n.host.Network().ClosePeer(id) // it may be gone already
	return err
}

// Unban lifts a ban. It tells whether there was one. Error: ErrPeerAddress where id
// is none, or of the store.
func (n *Network) Unban(id string) (bool, error) {
	p, err := parseID(id)
	if err != nil {
		return false, err
	}
	return n.book.unban(p)
}

func parseID(id string) (peer.ID, error) {
	p, err := peer.Decode(id)
	if err != nil {
		return "", fmt.Errorf("%w: %q is no peer ID; one looks like 12D3KooW… and `cairn peers` lists them", ErrPeerAddress, id)
	}
	return p, nil
}

func parseAddress(address string) (peer.AddrInfo, error) {
	info, err := peer.AddrInfoFromString(address)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("%w: %q; one looks like /ip4/192.0.2.7/tcp/6000/p2p/12D3KooW… (%v)", ErrPeerAddress, address, err)
	}
	if len(info.Addrs) == 0 {
		return peer.AddrInfo{}, fmt.Errorf("%w: %q names a peer, but not where it is: write /ip4/ADDRESS/tcp/PORT in front", ErrPeerAddress, address)
	}
	return *info, nil
}
