package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"cairn/consensus"
)

// Three nodes in a line: what one has, all come to have.
func TestLine(t *testing.T) {
	rules := testRules(t, nil)
	a, b, c := startNode(t, "a", rules, nil, nil), startNode(t, "b", rules, nil, nil), startNode(t, "c", rules, nil, nil)
	a.mine(30)
	waiting := a.pay()
	b.join(a)
	c.join(b)
	agree(t, a, b, c)
	for _, n := range []*testNode{b, c} {
		eventually(t, "the pool of a is at "+n.name, func() bool { _, ok := n.chain.Pending(waiting); return ok })
	}
	id := c.pay()
	eventually(t, "a transfer of c is at a", func() bool { _, ok := a.chain.Pending(id); return ok })
	a.mine(1)
	agree(t, a, b, c)
	c.mine(3)
	agree(t, c, b, a)
	if got := a.chain.Tip().Height; got != 34 {
		t.Errorf("height %d", got)
	}
	if p := b.Peers(); len(p) != 2 || p[0].Agent != "cairn/test" {
		t.Errorf("%+v", p)
	}
}

// A block is passed on to those who lack some of its transfers, or all.
func TestMissingTransfers(t *testing.T) {
	rules := testRules(t, nil)
	a, b, c := startNode(t, "a", rules, nil, nil), startNode(t, "b", rules, nil, nil), startNode(t, "c", rules, nil, nil)
	b.join(a)
	c.join(b)
	for range 300 {
		a.pay()
	}
	a.mine(1) // at once: most of them are on their way
	agree(t, a, b, c)
}

// A node of another network is left, and both sides hear why.
func TestOtherNetwork(t *testing.T) {
	var logs [2]journal
	var nodes []*testNode
	for i, name := range []string{"harbour", "village"} {
		rules := testRules(t, func(r *consensus.Rules) { r.Name = name })
		nodes = append(nodes, startNode(t, name, rules, nil, func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(&logs[i], nil)) }))
	}
	if err := nodes[1].Connect(t.Context(), nodes[0].Self().Addresses[0]); !errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	for i := range logs {
		eventually(t, "both networks are in the log of "+nodes[i].name, func() bool {
			return logs[i].count("another network", "harbour", "village") > 0
		})
		if len(nodes[i].Peers()) > 0 {
			t.Error("they are connected")
		}
	}
}

// Nodes find each other through one that knows them all.
func TestDiscovery(t *testing.T) {
	rules := testRules(t, nil)
	var nodes []*testNode
	for i := range 6 {
		n := startNode(t, fmt.Sprintf("n%d", i), rules, nil, nil)
		if i > 0 {
			n.join(nodes[0])
		}
		nodes = append(nodes, n)
	}
	eventually(t, "the last knows more than the first", func() bool { return len(nodes[5].Peers()) >= 3 })
}

func TestAddresses(t *testing.T) {
	a := startNode(t, "a", testRules(t, nil), nil, nil)
	for _, address := range []string{"", "http://127.0.0.1:6000", "/ip4/127.0.0.1/tcp/6000", "/p2p/" + a.Self().ID, a.Self().Addresses[0]} {
		if err := a.Connect(t.Context(), address); !errors.Is(err, ErrPeerAddress) {
			t.Errorf("%q: error %v", address, err)
		}
	}
	if _, err := a.Unban("someone"); !errors.Is(err, ErrPeerAddress) || !strings.Contains(err.Error(), "12D3KooW") {
		t.Errorf("error %v", err)
	}
}

// Whoever asks for more transfers than a block has may have been told of them by
// another: it is answered, and not blamed.
func TestWantsBeyondABlock(t *testing.T) {
	rules := testRules(t, nil)
	a, b := startNode(t, "a", rules, nil, nil), startNode(t, "b", rules, nil, nil)
	b.join(a)
	a.mine(1)
	question := wants{block: a.chain.Tip().Hash, positions: []uint32{5}}
	for range 5 {
		answer, err := b.ask(t.Context(), a.host.ID(), wantsProtocol, question.append(nil), b.maxBlock())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeTransfersAnswer(answer, b.maxBlock()); err != nil || got.found {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if s, _ := a.peers.get(b.host.ID()); s.faults != 0 {
		t.Errorf("faults of %v", s.faults)
	}
}
