// Package p2p makes nodes of one network find each other and stay in agreement,
// on libp2p. It decides whom to talk to and what to believe of whom; what is valid
// is decided by package chain, and how to catch up by package syncer.
//
// A connection begins with a handshake (hello.go) in which both sides say which
// network they are of and how much work their chain has. Blocks and transfers then
// travel by gossip (gossip.go): a block as its header and short ids of its
// transfers (compact.go), which most peers hold already, and what they lack they
// ask for (wants.go). Whoever hears of more work than its chain has wakes the sync
// (sync.go), the same routine that neighbours use, over streams. Peers come from
// invites, from the local network, and from other peers (discovery.go); those who
// break rules are scored down and banned (peers.go). All that is new here, from
// whatever side it came, is announced by one announcer (announce.go).
//
// Nothing here costs in proportion to the size of the network: a node has at most
// MaxPeers peers and remembers a bounded number of others. The formats are
// docs/p2p.md, and wire.go.
package p2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"

	"cairn/chain"
	"cairn/consensus"
	"cairn/store"
	"cairn/syncer"
)

// Config is what a Network is made of. Chain, Store and Syncer are required.
type Config struct {
	Chain  *chain.Manager
	Store  *store.Store   // where the node's key, good peers and bans are kept
	Syncer *syncer.Syncer // fetches chains, and serves this node's

	Listen   []string // multiaddrs, such as /ip4/0.0.0.0/tcp/6000
	Key      []byte   // 32 bytes that only members of a closed network have; nil: an open one
	Peers    []string // multiaddrs with /p2p/ID of nodes to stay connected to
	MaxPeers int      // connected at once; default 64

	Version string       // of the program, for peers
	Log     *slog.Logger // nothing is logged by default
	Host    host.Host    // instead of one made of Listen and Key: for tests
}

// Network is this node's place in the network. All its methods may be called
// concurrently.
type Network struct {
	cfg    Config
	chain  *chain.Manager
	rules  *consensus.Rules
	log    *slog.Logger
	host   host.Host
	server *http.Server      // the chain, over streams
	client http.RoundTripper // of others' chains
	gossip *gossip
	book   *book
	peers  peers
	blocks assembly
	wake   chan struct{} // capacity 1: there may be something to sync
	look   chan struct{} // capacity 1: there may be somebody to connect to

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	ending sync.Mutex     // so that nothing begins while Close waits
	work   sync.WaitGroup // what ends with ctx
}

// Self says how this node is reached.
type Self struct {
	ID        string   // peer ID
	Addresses []string // multiaddrs with /p2p/ID
}

var (
	// ErrPeerAddress says that an address or an ID cannot be a peer's; its text says
	// what would be right.
	ErrPeerAddress = errors.New("not the address of a peer")
	// ErrUnreachable says that no connection to a peer came about, and why.
	ErrUnreachable = errors.New("cannot connect to the peer")
)

// New opens the host, which listens from now on; Run makes it take part.
func New(cfg Config) (*Network, error) {
	cfg.MaxPeers = cmp.Or(cfg.MaxPeers, 64)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	n := &Network{
		cfg:   cfg,
		chain: cfg.Chain,
		rules: cfg.Chain.Rules(),
		log:   cfg.Log,
		wake:  make(chan struct{}, 1),
		look:  make(chan struct{}, 1),
		peers: peers{all: make(map[peer.ID]*standing), left: make(map[peer.ID]*standing)},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Network) open() error {
	var err error
	if n.book, err = newBook(n.cfg.Store); err != nil {
		return err
	}
	for _, address := range n.cfg.Peers {
		info, err := parseAddress(address)
		if err != nil {
			return err
		}
		n.book.keep(info)
	}
	n.host = n.cfg.Host
	if n.host == nil {
		if n.host, err = newHost(&n.cfg, gater{n.book.isBanned}); err != nil {
			return err
		}
	}
	if err := n.joinGossip(); err != nil {
		return err
	}
	n.serve(helloProtocol, n.serveHello)
	n.serve(wantsProtocol, n.serveWants)
	n.serve(poolProtocol, n.servePool)
	n.serve(addressProtocol, n.serveAddresses)
	n.host.Network().Notify(&network.NotifyBundle{ConnectedF: n.onConnected, DisconnectedF: n.onDisconnected})
	return n.serveChain()
}

// Run takes part in the network until ctx ends, or this node's disk fails.
func (n *Network) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.announce(ctx) })
	g.Go(func() error { return n.discover(ctx) })
	g.Go(func() error { return n.follow(ctx) })
	g.Go(func() error { return n.refresh(ctx) })
	return g.Wait()
}

// Close ends what New opened.
func (n *Network) Close() error {
	n.ending.Lock()
	n.cancel()
	n.ending.Unlock()
	var err error
	if n.host != nil { // first, so that an answer that is cut off does not look like a faulty one
		err = n.host.Close()
	}
	if n.server != nil {
		n.server.Close() // there is nothing to do about its error
	}
	if t, ok := n.client.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
	n.work.Wait()
	return err
}

// Protocols of streams. Each is one question and its answer.
const (
	helloProtocol   protocol.ID = "/cairn/hello/1"
	wantsProtocol   protocol.ID = "/cairn/wants/1"
	poolProtocol    protocol.ID = "/cairn/pool/1"
	addressProtocol protocol.ID = "/cairn/addresses/1"
	httpProtocol    protocol.ID = "/cairn/http/1"
)

// streamTime is how long a question and its answer may take, and stepTime how long the
// answer may take to begin, and for every stepBytes more.
const (
	streamTime = 20 * time.Second
	stepTime   = 5 * time.Second
	stepBytes  = 16 << 10
)

// served is how many questions of one peer are answered at a time.
const served = 8

// serve answers a protocol's questions: answer reads one from the stream and writes
// the answer. Only those who have said hello are answered, but for hello itself. An
// error resets the stream, and is the peer's fault where it is one of the format.
func (n *Network) serve(id protocol.ID, answer func(peer.ID, network.Stream) error) {
	n.host.SetStreamHandler(id, func(s network.Stream) {
		from := s.Conn().RemotePeer()
		leave, ok := n.peers.enter(from, id == helloProtocol)
		if !ok {
			_ = s.Reset()
			return
		}
		defer leave()
		_ = s.SetDeadline(time.Now().Add(streamTime)) // fails on a closed stream, and then all does
		if err := answer(from, s); err != nil {
			n.log.Debug("peer's question", "protocol", id, "peer", from, "error", err)
			if errors.Is(err, errFormat) {
				n.blame(from, grave, err)
			}
			_ = s.Reset()
			return
		}
		_ = s.Close()
	})
}

// ask sends a question to a peer that is connected and returns the answer, of at most
// most bytes. The answer ends the stream.
func (n *Network) ask(ctx context.Context, to peer.ID, id protocol.ID, question []byte, most int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "a question to a peer"), streamTime)
	defer cancel()
	s, err := n.host.NewStream(ctx, to, id)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	if err := writeFrame(s, question); err != nil {
		_ = s.Reset()
		return nil, err
	}
	answer, err := readFrame(&steady{Stream: s}, most)
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	_ = s.Close()
	return answer, nil
}

// steady reads an answer that has to keep coming.
type steady struct {
	network.Stream
	left int // bytes until there is time anew
}

// Read implements io.Reader.
func (s *steady) Read(p []byte) (int, error) {
	if s.left <= 0 {
		s.left = stepBytes
		_ = s.SetReadDeadline(time.Now().Add(stepTime)) // fails on a closed stream, and then all does
	}
	n, err := s.Stream.Read(p)
	s.left -= n
	return n, err
}

// background runs do, and Close waits for it.
func (n *Network) background(do func(ctx context.Context)) {
	n.ending.Lock()
	defer n.ending.Unlock()
	if n.ctx.Err() == nil {
		n.work.Go(func() { do(n.ctx) })
	}
}

// now is the clock in the form that the rules take.
func now() uint64 { return uint64(max(time.Now().Unix(), 0)) }

// Self returns how this node is reached.
func (n *Network) Self() Self {
	self := Self{ID: n.host.ID().String()}
	for _, a := range n.host.Addrs() {
		self.Addresses = append(self.Addresses, fmt.Sprintf("%s/p2p/%s", a, self.ID))
	}
	return self
}

// Invite returns what a newcomer needs to join: the genesis file, addresses of this
// node and of good peers, the work so far.
func (n *Network) Invite() Invite {
	i := Invite{ChainID: n.rules.ChainID(), Genesis: n.rules.JSON(), Work: n.chain.Tip().Work}
	own := slices.DeleteFunc(n.Self().Addresses, func(a string) bool { return !strings.Contains(a, "/tcp/") })
	far := slices.DeleteFunc(slices.Clone(own), func(a string) bool {
		return strings.HasPrefix(a, "/ip4/127.") || strings.HasPrefix(a, "/ip6/::1/")
	})
	if len(far) > 0 { // otherwise it is for this machine alone
		own = far
	}
	slices.SortStableFunc(own, func(a, b string) int { return private(a) - private(b) })
	i.Peers = own[:min(len(own), maxInvitePeers/2)]
	i.Peers = append(i.Peers, n.book.good(maxInvitePeers-len(i.Peers))...)
	return i
}

// private is 0 for addresses that anybody on the internet can reach, as far as they
// tell, and 1 for others.
func private(address string) int {
	if a, err := ma.NewMultiaddr(address); err == nil && manet.IsPublicAddr(a) {
		return 0
	}
	return 1
}
