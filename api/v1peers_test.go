package api

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cairn/api/client"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/p2p"
)

const (
	peerA = "12D3KooWSHj3RRbBjD15g6wekV8y3mm57Pobmps2g2WJm6F67Lay"
	peerB = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
)

// room is a Peers on which whoever is called by a name with "peer" in it is there.
type room struct {
	peers []p2p.Peer
	bans  []p2p.Ban
}

func (n *room) Self() p2p.Self {
	return p2p.Self{ID: peerB, Addresses: []string{"/ip4/192.168.1.5/tcp/6000/p2p/" + peerB}}
}

func (n *room) Peers() []p2p.Peer { return n.peers }

func (n *room) Connect(_ context.Context, address string) error {
	_, id, found := strings.Cut(address, "/p2p/")
	if !found {
		return fmt.Errorf("%w: %q has no /p2p/", p2p.ErrPeerAddress, address)
	}
	if strings.HasPrefix(address, "/ip4/127.0.0.1/tcp/1/") {
		return fmt.Errorf("%w: nobody listens", p2p.ErrUnreachable)
	}
	n.peers = append(n.peers, p2p.Peer{
		ID: id, Address: address, Inbound: len(n.peers)%2 == 1, Agent: "cairn v1", Height: 7, Work: consensus.Work{0, 1},
		Score: -1.5, Latency: 1234567 * time.Nanosecond, Connected: time.Unix(1767225600, 0),
	})
	return nil
}

func (n *room) Disconnect(id string) (bool, error) {
	before := len(n.peers)
	n.peers = slices.DeleteFunc(n.peers, func(p p2p.Peer) bool { return p.ID == id })
	return len(n.peers) < before, isID(id)
}

func (n *room) Bans() []p2p.Ban { return n.bans }

func (n *room) Ban(id, reason string, d time.Duration) error {
	if err := isID(id); err != nil {
		return err
	}
	n.bans = append(n.bans, p2p.Ban{ID: id, Reason: reason, Until: time.Now().Add(d)})
	return nil
}

func (n *room) Unban(id string) (bool, error) {
	before := len(n.bans)
	n.bans = slices.DeleteFunc(n.bans, func(b p2p.Ban) bool { return b.ID == id })
	return len(n.bans) < before, isID(id)
}

func isID(id string) error {
	if !strings.HasPrefix(id, "12D3KooW") {
		return fmt.Errorf("%w: %q", p2p.ErrPeerAddress, id)
	}
	return nil
}

func (n *room) Invite() p2p.Invite {
	dev := consensus.Dev()
	return p2p.Invite{ChainID: dev.ChainID(), Genesis: dev.JSON(), Peers: n.Self().Addresses}
}

// withPeers makes a node that takes part in the network.
func withPeers(c *Config) { c.Peers = new(room) }

const (
	addressA    = "/ip4/192.168.1.7/tcp/6000/p2p/" + peerA
	unreachable = "/ip4/127.0.0.1/tcp/1/p2p/" + peerA
)

func (c *checked) peers() {
	add := func(status int, address string) answer {
		return c.want(status, "POST", "/v1/peers", `{"address":"`+address+`"}`)
	}
	c.get200("/v1/peers")
	add(201, addressA)
	add(422, "http://127.0.0.1:5000")
	add(502, unreachable)
	c.want(422, "POST", "/v1/peers", `{"url":"x"}`)
	c.get200("/v1/peers")
	c.want(204, "DELETE", "/v1/peers/"+peerA, "")
	c.want(404, "DELETE", "/v1/peers/"+peerA, "")
	c.want(422, "DELETE", "/v1/peers/nobody", "")

	c.want(201, "POST", "/v1/bans", `{"id":"`+peerA+`","reason":"it lied","seconds":60}`)
	c.want(201, "POST", "/v1/bans", `{"id":"`+peerB+`","seconds":4294967295}`)
	c.get200("/v1/bans")
	c.want(204, "DELETE", "/v1/bans/"+peerA, "")
	c.want(404, "DELETE", "/v1/bans/"+peerA, "")
	c.want(422, "DELETE", "/v1/bans/nobody", "")
	for _, body := range []string{
		`{"id":"nobody","seconds":1}`, `{"id":"` + peerA + `"}`, `{"id":"` + peerA + `","seconds":0}`, `{"id":"` + peerA + `","seconds":1.5}`,
		`{"id":"` + peerA + `","seconds":4294967296}`, `{"id":"` + peerA + `","seconds":1,"reason":2}`, `{"seconds":1}`,
		`{"id":"` + peerA + `","seconds":1,"reason":"` + strings.Repeat("é", 201) + `"}`,
	} {
		c.want(422, "POST", "/v1/bans", body)
	}
	c.get200("/v1/invite")
}

// The calls of the Go client about peers are those of the node.
func TestPeersOfClient(t *testing.T) {
	l := newLive(t, consensus.Dev(), mempool.Limits{})
	l.api = func(c *Config) { withPeers(c); c.Closed = true }
	l.restart()
	c, ctx := l.client(), t.Context()
	if err := c.AddPeer(ctx, addressA); err != nil {
		t.Fatal(err)
	}
	want := client.PeerList{
		ID: peerB, Addresses: []string{"/ip4/192.168.1.5/tcp/6000/p2p/" + peerB},
		Peers: []client.PeerData{{
			ID: peerA, Address: addressA, Direction: "out", Agent: "cairn v1", Height: 7, Work: "18446744073709551616",
			Score: -1.5, Latency: 1.23, Connected: 1767225600,
		}},
	}
	if diff := cmp.Diff(want, got[client.PeerList](t)(c.Peers(ctx))); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
	if status := got[client.Status](t)(c.Status(ctx)); status.Peers != 1 {
		t.Errorf("status %+v", status)
	}
	if text := l.get("/metrics").body; !strings.Contains(text, `cairn_peers{direction="in"} 0`) || !strings.Contains(text, `cairn_peers{direction="out"} 1`) {
		t.Error("the metrics have not the peers")
	}
	if err := c.RemovePeer(ctx, peerA); err != nil {
		t.Error(err)
	}
	if list := got[client.PeerList](t)(c.Peers(ctx)); len(list.Peers) != 0 {
		t.Errorf("peers %+v", list)
	}

	ban := got[client.BanData](t)(c.Ban(ctx, client.NewBan{ID: peerA, Reason: "it lied", Seconds: 3600}))
	if ban.ID != peerA || ban.Reason != "it lied" || math.Abs(float64(ban.Until-time.Now().Unix()-3600)) > 60 {
		t.Errorf("ban %+v", ban)
	}
	if bans := got[[]client.BanData](t)(c.Bans(ctx)); len(bans) != 1 || bans[0].ID != peerA {
		t.Errorf("bans %+v", bans)
	}
	if err := c.Unban(ctx, peerA); err != nil {
		t.Error(err)
	}

	invite := got[client.InviteData](t)(c.Invite(ctx))
	if parsed, err := p2p.ParseInvite(invite.Invite); err != nil || !invite.Closed || parsed.ChainID != consensus.Dev().ChainID() {
		t.Errorf("%+v: %+v, %v", invite, parsed, err)
	}
}

// Without a network each of its calls says how to get one.
func TestPeersOff(t *testing.T) {
	n := newNode(t, nodeConfig{})
	for _, call := range []string{
		"GET /v1/peers", "POST /v1/peers", "DELETE /v1/peers/" + peerA, "GET /v1/bans", "POST /v1/bans", "DELETE /v1/bans/" + peerA, "GET /v1/invite",
	} {
		method, target, _ := strings.Cut(call, " ")
		if p := n.do(method, target, "").refused(409, "--p2p"); p.Rule() != client.ErrPeersOff {
			t.Errorf("%s: %+v", call, p)
		}
	}
	if text := n.get("/metrics").body; !strings.Contains(text, `cairn_peers{direction="in"} 0`) {
		t.Error("no metric says that there are none")
	}
}
