package p2p

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/marcopolo/simnet"
	"github.com/quic-go/quic-go"

	"cairn/consensus"
	"cairn/store"
)

// world is a simulated network for nodes of one process: real QUIC over packets that
// take their time, and may be lost. It lives in a bubble of synctest, where time passes
// only while all wait: computing takes none.
type world struct {
	t     testing.TB
	seed  uint64
	rules *consensus.Rules
	net   *simnet.Simnet
	nodes []*simNode // by their number

	mu    sync.Mutex
	dice  *rand.Rand // for losses
	loss  float64    // the part of all packets
	apart []bool     // by number: which half of a partition; nil: there is none
}

// simNode is a place in the world, where a node may run.
type simNode struct {
	*testNode // nil until it starts for the first time
	running   bool
	fs        vfs.FS
	stored    bool // its data is there
	address   string
	peers     []int // whom it is told to stay connected to
	sent      atomic.Int64
}

func newWorld(t testing.TB, seed uint64, count int, rules *consensus.Rules) *world {
	w := &world{t: t, seed: seed, rules: rules, dice: rand.New(rand.NewPCG(seed, 1))}
	for range count {
		w.nodes = append(w.nodes, &simNode{fs: vfs.NewMem()})
	}
	w.net = &simnet.Simnet{LatencyFunc: func(p *simnet.Packet) time.Duration { return w.latency(placeOf(p.From), placeOf(p.To)) }}
	w.net.Start()
	t.Cleanup(w.net.Close) // after the nodes' ends
	return w
}

// ip is where a node is, each in a /16 of its own.
func ip(at int) net.IP { return net.IPv4(20, byte(at), 0, 1) }

func placeOf(a net.Addr) int { return int(a.(*net.UDPAddr).IP.To4()[1]) }

// latency is one way's, between 5 and 75 ms, and the same both ways.
func (w *world) latency(a, b int) time.Duration {
	dice := rand.New(rand.NewPCG(w.seed, uint64(min(a, b))<<8|uint64(max(a, b))))
	return 5*time.Millisecond + time.Duration(dice.Int64N(int64(70*time.Millisecond)))
}

// bandwidth is a node's, between 20 and 50 Mbit/s.
func (w *world) bandwidth(at int) simnet.NodeBiDiLinkSettings {
	link := simnet.LinkSettings{BitsPerSecond: 1e6 * (20 + rand.New(rand.NewPCG(w.seed, 1<<32|uint64(at))).IntN(31))}
	return simnet.NodeBiDiLinkSettings{Uplink: link, Downlink: link}
}

// lost tells whether a packet is.
func (w *world) lost(from, to int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.apart != nil && w.apart[from] != w.apart[to] || w.loss > 0 && w.dice.Float64() < w.loss
}

// faults sets what part of packets is lost, and who is apart from whom.
func (w *world) faults(loss float64, apart []bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loss, w.apart = loss, apart
}

// start runs a node, with the data that it had when it ran before.
func (w *world) start(at int) *simNode {
	n := w.nodes[at]
	o := store.Options{FS: n.fs, CacheBytes: 1}
	var s *store.Store
	var err error
	if n.stored {
		s, err = store.Open("data", o)
	} else {
		s, err = store.Create("data", w.rules, o)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	before := n.testNode
	n.testNode = startOn(w.t, fmt.Sprintf("n%d", at), s, w.host(at, s), func(c *Config) {
		for _, peer := range n.peers {
			c.Peers = append(c.Peers, w.nodes[peer].address)
		}
	})
	if before != nil {
		n.salt.Store(before.salt.Load())
	}
	n.running, n.stored, n.address = true, true, n.Self().Addresses[0]
	return n
}

func (n *simNode) end() {
	n.stop()
	n.running = false
}

// running returns the nodes that run, by their numbers.
func (w *world) running() (nodes []*simNode) {
	for _, n := range w.nodes {
		if n.running {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// stranger is a bare host that says hello in the words of a node, and nothing more
// unless it is taught to. It ends with the caller.
func (w *world) stranger(at int, like *simNode) *simHost {
	s, err := store.Create("data", w.rules, store.Options{FS: w.nodes[at].fs})
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	h := w.host(at, s)
	h.SetStreamHandler(helloProtocol, func(s network.Stream) {
		if _, err := readFrame(s, maxHelloSize); err == nil {
			_ = writeFrame(s, like.hello().append(nil))
		}
		_ = s.Close()
	})
	return h
}

// join connects a stranger to a node and says hello.
func (h *simHost) join(t *testing.T, n *simNode) {
	t.Helper()
	if err := h.Connect(t.Context(), peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	s, err := h.NewStream(t.Context(), n.host.ID(), helloProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFrame(s, n.hello().append(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := readFrame(s, maxHelloSize); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

// info is where a stranger is.
func (h *simHost) info() peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// host makes a libp2p host in the world with the key in a store.
func (w *world) host(at int, s *store.Store) *simHost {
	key, err := loadKey(s)
	if err != nil {
		w.t.Fatal(err)
	}
	trims, err := connmgr.NewConnManager(1, 1000) // to one, where a test says so
	if err != nil {
		w.t.Fatal(err)
	}
	var conns *quicreuse.ConnManager
	h, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%v/udp/6000/quic-v1", ip(at))),
		libp2p.NoTransports, libp2p.Transport(libp2pquic.NewTransport),
		libp2p.QUICReuse(func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (_ *quicreuse.ConnManager, err error) {
			conns, err = quicreuse.NewConnManager(reset, token,
				quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return place(at), nil }),
				quicreuse.OverrideListenUDP(func(_ string, address *net.UDPAddr) (net.PacketConn, error) {
					return &endpoint{w.net.NewEndpoint(address, w.bandwidth(at)), w, at}, nil
				}))
			return conns, err
		}),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.ConnectionManager(trims),
		libp2p.DisableIdentifyAddressDiscovery(), // it never lets a bubble rest
		libp2p.DisableRelay(), libp2p.DisableMetrics(),
	)
	if err != nil {
		w.t.Fatal(err)
	}
	return &simHost{h, conns}
}

// place is where packets of a node come from. It implements quicreuse.SourceIPSelector.
type place int

func (p place) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return ip(int(p)), nil }

// simHost closes what libp2p leaves to those who bring it along.
type simHost struct {
	host.Host
	conns *quicreuse.ConnManager
}

func (h *simHost) Close() error { return errors.Join(h.Host.Close(), h.conns.Close()) }

// endpoint loses packets, and counts the bytes of the others with what UDP and IP add.
type endpoint struct {
	*simnet.SimConn
	w  *world
	at int
}

func (e *endpoint) WriteTo(p []byte, to net.Addr) (int, error) {
	e.w.nodes[e.at].sent.Add(int64(len(p)) + 28)
	if e.w.lost(e.at, placeOf(to)) {
		return len(p), nil
	}
	return e.SimConn.WriteTo(p, to)
}
