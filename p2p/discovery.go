package p2p

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// outbound is how many connections a node makes by itself. Others may fill the
	// rest of its places, but not these.
	outbound = 8
	// lookEvery is how often it is looked whether more are needed, give or take half.
	lookEvery = 5 * time.Second
	// dialTime is how long making one may take.
	dialTime = 15 * time.Second
	// askBelow is how many known nodes are too few.
	askBelow = 4 * outbound
	// shareEvery is how often one peer is told addresses.
	shareEvery = 20 * time.Second
)

// discover keeps enough connections until ctx ends.
func (n *Network) discover(ctx context.Context) error {
	if stop := n.startLocal(); stop != nil {
		defer stop()
	}
	for {
		n.dialMore(ctx)
		pause := lookEvery/2 + rand.N(lookEvery)
		select {
		case <-time.After(pause):
		case <-n.look:
		case <-ctx.Done():
			return nil
		}
	}
}

// dialMore makes the connections that are missing, and asks for addresses where too
// few are known.
func (n *Network) dialMore(ctx context.Context) {
	own := n.peers.outbound()
	want := min(outbound, n.cfg.MaxPeers) - len(own) // however many there are of others
	var dials sync.WaitGroup
	for _, info := range n.book.next(want, own, func(id peer.ID) bool {
		return id == n.host.ID() || n.host.Network().Connectedness(id) == network.Connected
	}) {
		dials.Go(func() {
			if err := n.dial(ctx, info); err != nil {
				n.log.Debug("dialling a peer", "peer", info.ID, "error", err)
			}
		})
	}
	dials.Wait()
	if want <= 0 || n.book.size() >= askBelow {
		return
	}
	for _, id := range n.peers.friends() {
		if n.peers.seldom(id, func(s *standing) *time.Time { return &s.asked }, shareEvery+lookEvery) {
			n.askAddresses(ctx, id)
			return
		}
	}
}

// dial connects to a node, and waits until it has said that it is of this network.
func (n *Network) dial(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if n.book.isBanned(info.ID) {
		return fmt.Errorf("%w: it is banned; lift the ban first", ErrUnreachable)
	}
	if err := n.host.Connect(ctx, info); err != nil {
		n.book.failed(info.ID)
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	for !n.peers.welcomed(info.ID) {
		if n.host.Network().Connectedness(info.ID) != network.Connected {
			return fmt.Errorf("%w: it, or this node, ended the connection at once; the log says why", ErrUnreachable)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w: it did not say hello: %w", ErrUnreachable, context.Cause(ctx))
		}
	}
	if s, found := n.peers.get(info.ID); found && !s.Inbound {
		n.host.ConnManager().Protect(info.ID, ownTag) // others must not crowd it out
	}
	return nil
}

// ownTag marks connections that this node made.
const ownTag = "outbound"

// startLocal looks for nodes of this network on the local one, by multicast DNS,
// unless this node listens only to this machine. It returns how to stop that.
func (n *Network) startLocal() (stop func()) {
	if !slices.ContainsFunc(n.host.Addrs(), func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) }) || n.cfg.Host != nil {
		return nil
	}
	name := fmt.Sprintf("_cairn-%.8s._udp", n.rules.ChainID()) // at most 15 letters: RFC 6763
	service := mdns.NewMdnsService(n.host, name, (*local)(n))
	if err := service.Start(); err != nil {
		n.log.Warn("looking for peers on the local network", "error", err)
		return nil
	}
	return func() { _ = service.Close() }
}

// local is told of nodes on the local network.
type local Network

// HandlePeerFound implements mdns.Notifee.
func (l *local) HandlePeerFound(info peer.AddrInfo) {
	n := (*Network)(l)
	if info.ID == n.host.ID() {
		return
	}
	n.book.heard(info.ID, info.Addrs, info.ID)
	select {
	case n.look <- struct{}{}:
	default:
	}
}

// askAddresses asks a peer for nodes that it knows.
func (n *Network) askAddresses(ctx context.Context, id peer.ID) {
	answer, err := n.ask(ctx, id, addressProtocol, nil, maxAddressesSize)
	if err != nil {
		n.log.Debug("asking a peer for addresses", "peer", id, "error", err)
		return
	}
	told, err := decodeAddresses(answer)
	if err != nil {
		n.blame(id, grave, err)
		return
	}
	for _, t := range told {
		if other, err := peer.IDFromBytes([]byte(t.id)); err == nil && other != n.host.ID() {
			n.book.heard(other, parseBytes(t.addresses), id)
		}
	}
}

// serveAddresses tells a peer of others: those that were reached, then those that were
// not, where they may be of use to it.
func (n *Network) serveAddresses(from peer.ID, s network.Stream) error {
	if _, err := readFrame(s, 0); err != nil {
		return err
	}
	if !n.peers.seldom(from, func(s *standing) *time.Time { return &s.shared }, shareEvery) {
		return errors.New("it asked for addresses a moment ago")
	}
	var all []node
	for _, info := range n.book.sample(maxNodes) {
		where := bytesOf(usable(info.Addrs, s.Conn().RemoteMultiaddr()))
		if info.ID != from && len(where) > 0 {
			all = append(all, node{id: string(info.ID), addresses: where})
		}
	}
	return writeFrame(s, appendAddresses(nil, all))
}

// usable leaves out addresses that mean nothing where the asker is: of this machine,
// or of this local network.
func usable(addresses []ma.Multiaddr, asker ma.Multiaddr) []ma.Multiaddr {
	return slices.DeleteFunc(slices.Clone(addresses), func(a ma.Multiaddr) bool {
		switch {
		case manet.IsIPLoopback(asker):
			return false
		case manet.IsPublicAddr(asker):
			return !manet.IsPublicAddr(a)
		}
		return manet.IsIPLoopback(a)
	})
}
