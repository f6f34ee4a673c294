package p2p

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/gologshim"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"

	"cairn/store"
)

// memory is what connections and streams may take in all, in bytes, by the
// resource manager's count.
const memory = 96 << 20

// newHost makes a libp2p host whose key is kept in the store: TCP and QUIC, with
// Noise or TLS, or TCP alone in a closed network (the pre-shared key has no form
// for QUIC). It refuses banned peers at the first moment at which they are known.
func newHost(cfg *Config, gate gater) (host.Host, error) {
	key, err := loadKey(cfg.Store)
	if err != nil {
		return nil, err
	}
	resources, err := newResources(cfg.MaxPeers)
	if err != nil {
		return nil, err
	}
	conns, err := connmgr.NewConnManager(cfg.MaxPeers*3/4, cfg.MaxPeers)
	if err != nil {
		return nil, err
	}
	gologshim.SetDefaultHandler(demoted{cfg.Log.Handler()})
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent("cairn/" + cfg.Version),
		libp2p.ListenAddrStrings(cfg.Listen...),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.ConnectionGater(gate),
		libp2p.NoTransports,
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	}
	if cfg.Key != nil {
		options = append(options, libp2p.PrivateNetwork(cfg.Key))
	} else {
		options = append(options, libp2p.Transport(quic.NewTransport))
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return nil, fmt.Errorf("listening for peers on %v: %w", cfg.Listen, err)
	}
	return h, nil
}

// newResources bounds what peers can take before anything of theirs is looked at.
// The limit for one address leaves room for a classroom behind one router.
func newResources(maxPeers int) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	fixed := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns:        rcmgr.LimitVal(2 * maxPeers),
			ConnsInbound: rcmgr.LimitVal(maxPeers + maxPeers/2),
		},
		PeerDefault: rcmgr.ResourceLimits{Conns: 4, ConnsInbound: 4, Streams: 128, StreamsInbound: 64},
	}.Build(limits.Scale(memory, 4*maxPeers))
	perSubnet := func(prefix int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: prefix, ConnCount: maxPeers}}
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(fixed),
		rcmgr.WithMetricsDisabled(), rcmgr.WithLimitPerSubnet(perSubnet(32), perSubnet(64)))
}

// loadKey returns the key that names this node among peers, made at the first
// start.
func loadKey(s *store.Store) (crypto.PrivKey, error) {
	seed, found, err := s.PeerSeed()
	if err != nil {
		return nil, err
	}
	if !found {
		rand.Read(seed[:]) // never fails
		batch := s.NewBatch()
		defer batch.Close()
		batch.PutPeerSeed(seed)
		if err := batch.Commit(); err != nil {
			return nil, err
		}
	}
	return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
}

// demoted logs what libp2p has to say where nobody reads it who does not look for it:
// what is an error to a transport is everyday life to a node among strangers.
type demoted struct{ slog.Handler }

// Enabled implements slog.Handler.
func (d demoted) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (d demoted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoted{d.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (d demoted) WithGroup(name string) slog.Handler { return demoted{d.Handler.WithGroup(name)} }

// gater refuses connections with banned peers. It implements libp2p's
// connmgr.ConnectionGater.
type gater struct{ banned func(peer.ID) bool }

// InterceptPeerDial is asked before a peer is dialled.
func (g gater) InterceptPeerDial(id peer.ID) bool { return !g.banned(id) }

// InterceptAddrDial is asked before an address is dialled.
func (g gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept is asked before anything is known of who calls.
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured is asked when it is known who is at the other end.
func (g gater) InterceptSecured(_ network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	return !g.banned(id)
}

// InterceptUpgraded is asked at the end of a handshake.
func (g gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
