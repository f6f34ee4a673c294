package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// helloTime is how long after it connected a peer may take to say hello.
const helloTime = 15 * time.Second

// meshTime is how long gossip may take to take in a new peer. What is announced in
// the meantime passes it by: only then pools are compared, and it is greeted once more.
const meshTime = 2 * time.Second

// errOtherNetwork says that a peer is of another network.
var errOtherNetwork = errors.New("it is of another network")

// onConnected is told of every connection. Whoever made it says hello first.
func (n *Network) onConnected(_ network.Network, c network.Conn) {
	id := c.RemotePeer()
	inbound := c.Stat().Direction == network.DirInbound
	n.peers.connected(id, c.RemoteMultiaddr(), inbound)
	if n.peers.welcomed(id) {
		return // another connection to the same peer
	}
	n.background(func(ctx context.Context) {
		if !inbound { // also where it dialled this node at the same moment
			if err := n.sayHello(ctx, id); err != nil && !n.peers.welcomed(id) {
				n.part(id, err)
			}
			return
		}
		select {
		case <-time.After(helloTime):
			if s, found := n.peers.get(id); found && !s.hello {
				n.part(id, errors.New("it did not say hello"))
			}
		case <-ctx.Done():
		}
	})
}

func (n *Network) onDisconnected(net network.Network, c network.Conn) {
	id := c.RemotePeer()
	if n.peers.disconnected(id, func() bool { return net.Connectedness(id) == network.Connected }) {
		n.host.ConnManager().Unprotect(id, ownTag)
	}
}

// hello is what this node says of itself.
func (n *Network) hello() hello {
	tip := n.chain.Tip()
	return hello{
		chain:  n.rules.ChainID(),
		name:   n.rules.Name,
		agent:  agent(n.cfg.Version),
		height: tip.Height,
		work:   tip.Work,
	}
}

// agent is how this program calls itself among peers.
func agent(version string) string {
	name := "cairn/" + version
	return name[:min(len(name), maxAgent)]
}

// sayHello exchanges greetings with a peer that is connected, at the beginning and
// whenever this node has something new to say of its chain.
func (n *Network) sayHello(ctx context.Context, id peer.ID) error {
	began := time.Now()
	answer, err := n.ask(ctx, id, helloProtocol, n.hello().append(nil), maxHelloSize)
	if err != nil {
		return err
	}
	h, err := decodeHello(answer)
	if err != nil {
		n.blame(id, grave, err)
		return err
	}
	return n.meet(id, h, time.Since(began))
}

func (n *Network) serveHello(from peer.ID, s network.Stream) error {
	question, err := readFrame(s, maxHelloSize)
	if err != nil {
		return err
	}
	h, err := decodeHello(question)
	if err != nil {
		return err
	}
	// A stranger hears of this network too, so that both sides can say why they part.
	if err := writeFrame(s, n.hello().append(nil)); err != nil {
		return err
	}
	if err := n.meet(from, h, 0); err != nil {
		_ = s.CloseWrite()
		n.background(func(ctx context.Context) {
			select { // the answer is on its way
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			n.part(from, err)
		})
	}
	return nil
}

// meet takes in what a peer says of itself.
func (n *Network) meet(id peer.ID, h hello, latency time.Duration) error {
	if h.chain != n.rules.ChainID() {
		return fmt.Errorf("%w: %s, chain %v; this node is of %s, chain %v", errOtherNetwork, h.name, h.chain, n.rules.Name, n.rules.ChainID())
	}
	first, known := n.peers.meet(id, h, latency)
	if !known {
		return errors.New("it is not connected any more")
	}
	if first {
		n.welcome(id)
	}
	n.wakeSync()
	return nil
}

// welcome does what there is to do once with a peer that turned out to be of this
// network.
func (n *Network) welcome(id peer.ID) {
	p, _ := n.peers.get(id)
	n.log.Info("peer connected", "peer", id, "address", p.Address, "inbound", p.Inbound, "agent", p.Agent, "height", p.Height)
	n.background(func(ctx context.Context) {
		if p.Inbound {
			n.book.heard(id, n.host.Peerstore().Addrs(id), id)
		} else {
			if err := n.book.met(id, p.address); err != nil {
				n.log.Error("remembering a peer", "error", err)
			}
			n.askAddresses(ctx, id)
		}
		select {
		case <-time.After(meshTime):
			_ = n.sayHello(ctx, id) // it may be gone already
			n.reconcile(ctx, id)
		case <-ctx.Done():
		}
	})
}

// part ends the connections to a peer.
func (n *Network) part(id peer.ID, why error) {
	if n.ctx.Err() == nil {
		level := n.log.Debug
		if errors.Is(why, errOtherNetwork) {
			level = n.log.Warn
			n.book.forget(id)
		}
		level("peer is left", "peer", id, "reason", why)
	}
	n.book.failed(id)
	_ = n.host.Network().ClosePeer(id) // it may be gone already
}
