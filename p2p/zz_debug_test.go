package p2p

import (
	"fmt"
	"testing"
	"time"
)

func TestZZ(t *testing.T) {
	for i := range 40 {
		h := besieged(t, 2, testRules(t, nil), nil)
		v := h.newAdversary(t)
		v.join(h.nodes[0])
		p := transfers("x", 1)
		v.publish(h.nodes[0], "transfers", batch(p).append(nil))
		ok := false
		for range 600 {
			if _, ok = h.nodes[1].chain.Pending(p[0].ID()); ok {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		a, b := h.nodes[0], h.nodes[1]
		_, has := a.chain.Pending(p[0].ID())
		fmt.Println(i, ok, has, a.host.ID(), a.gossip.transfers.ListPeers(), b.host.ID(), b.gossip.transfers.ListPeers(), v.host.ID())
		for _, c := range a.host.Network().Conns() {
			for _, s := range c.GetStreams() {
				if !ok {
					fmt.Println("  a", c.RemotePeer(), s.Protocol(), s.Stat().Direction)
				}
			}
		}
	}
}
