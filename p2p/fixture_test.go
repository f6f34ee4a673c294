package p2p

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/host"

	"cairn/chain"
	"cairn/consensus"
	"cairn/miner"
	"cairn/store"
	"cairn/syncer"
	"cairn/types"
)

// testRules are a network without signatures whose blocks are found at once.
func testRules(t testing.TB, change func(*consensus.Rules)) *consensus.Rules {
	t.Helper()
	r := consensus.Rules{
		Name: "test", Symbol: "TEST", AddressPrefix: "test",
		Time: 946_684_800, Bits: 0x207fffff, BlockInterval: 10, // the year 2000, when the clock of synctest begins
		Reward: 50, MaxBlockSize: 1_000_000, TxLifetime: 1000,
		CreditLimit: types.MaxAmount,
	}
	if change != nil {
		change(&r)
	}
	rules, err := consensus.NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// testNode is a whole node but for its HTTP API, with its data in memory.
type testNode struct {
	*Network
	t     testing.TB
	name  string
	store *store.Store
	miner *miner.Miner
	stop  func() // may be called twice
	salt  atomic.Uint64
}

// startNode starts a node that listens on loopback, or on host where that is not
// nil. Its end is the test's.
func startNode(t testing.TB, name string, rules *consensus.Rules, h host.Host, change func(*Config)) *testNode {
	t.Helper()
	s, err := store.Create("data", rules, store.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, name, s, h, change)
}

// startOn starts a node on a store, which it closes at its end.
func startOn(t testing.TB, name string, s *store.Store, h host.Host, change func(*Config)) *testNode {
	t.Helper()
	m, err := chain.New(chain.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	sy, err := syncer.New(syncer.Config{Chain: m, Store: s})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Chain: m, Store: s, Syncer: sy, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Host: h, Version: "test"}
	if os.Getenv("P2P_LOG") != "" { // to see what goes on
		level := slog.LevelInfo
		_ = level.UnmarshalText([]byte(os.Getenv("P2P_LOG")))
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("node", name)
	}
	if change != nil {
		change(&cfg)
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	node := &testNode{Network: n, t: t, name: name, store: s, miner: miner.New(miner.Config{Chain: m, Recipient: types.Account(name)})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	stopped := false
	node.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, n.Close(), m.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(node.stop)
	return node
}

// join connects a node to another.
func (n *testNode) join(other *testNode) {
	n.t.Helper()
	if err := n.Connect(context.Background(), other.Self().Addresses[0]); err != nil {
		n.t.Fatalf("%s to %s: %v", n.name, other.name, err)
	}
}

// mine finds so many blocks.
func (n *testNode) mine(count int) {
	n.t.Helper()
	for range count {
		if _, _, err := n.miner.MineOne(context.Background()); err != nil {
			n.t.Fatal(err)
		}
	}
}

// pay submits a transfer and returns its id.
func (n *testNode) pay() types.Hash {
	n.t.Helper()
	p := types.Transfer{
		Sender: types.Account(n.name), Recipient: "shop", Amount: 1,
		Expiry: n.chain.Tip().Height + 500, Salt: n.salt.Add(1),
	}
	receipt, err := n.chain.AddTransfer(context.Background(), p)
	if err != nil {
		n.t.Fatal(err)
	}
	return receipt.ID
}

// eventually waits until all of what should come about has.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute, not yet: %s", what)
		}
	}
}

// agree waits until all nodes have the tip of the first.
func agree(t testing.TB, nodes ...*testNode) {
	t.Helper()
	eventually(t, "all are on one chain", func() bool {
		for _, n := range nodes {
			if n.chain.Tip().Hash != nodes[0].chain.Tip().Hash {
				return false
			}
		}
		return true
	})
}
