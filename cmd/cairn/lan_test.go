//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cairn/api/client"
	"cairn/consensus"
	"cairn/internal/testutil"
	"cairn/types"
)

// lan is a network of real nodes, each on a host of its own.
type lan struct {
	*testutil.LAN
	t       *testing.T
	rules   *consensus.Rules
	genesis string
	nodes   []*lanNode
}

// lanNode is one of them, running or not.
type lanNode struct {
	host *testutil.Host
	dir  string
	args []string

	mu      sync.Mutex
	process *testutil.Process
}

func newLAN(t *testing.T) *lan {
	l := &lan{LAN: testutil.NewLAN(t), t: t}
	l.genesis = filepath.Join(t.TempDir(), "harbour.json")
	var err error
	l.rules, err = consensus.NewRules(consensus.Rules{
		Name: "harbour", Symbol: "HBR", AddressPrefix: "hbr", Time: 1_767_225_600,
		Bits: 0x207fffff, BlockInterval: 10, Reward: 50, MaxBlockSize: 100_000, TxLifetime: 10_000, CreditLimit: types.MaxAmount,
	})
	if err == nil {
		err = os.WriteFile(l.genesis, l.rules.JSON(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// add starts a node on a new host.
func (l *lan) add(args ...string) *lanNode {
	n := &lanNode{host: l.Host(), dir: l.t.TempDir(), args: args}
	l.nodes = append(l.nodes, n)
	l.start(n)
	return n
}

func (l *lan) start(n *lanNode) {
	args := append([]string{"--network", l.genesis, "--data", filepath.Join(n.dir, "node"), "--p2p"}, n.args...)
	p := n.host.Launch(binary, testutil.Home(n.dir), n.dir, args...)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.process = p
}

// take makes the node one that does not run, for whoever ends it.
func (n *lanNode) take() *testutil.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.process
	n.process = nil
	return p
}

// client returns a client of the node; nil while it does not run.
func (n *lanNode) client(t testing.TB) *client.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return nil
	}
	return n.process.Client(t)
}

func (l *lan) status(n *lanNode) client.Status {
	l.t.Helper()
	s, err := n.client(l.t).Status(context.Background())
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", n.host.IP, err, n.process.Log())
	}
	return s
}

// wait polls until ok, which should come about within minutes.
func (l *lan) wait(what string, ok func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, n := range l.nodes {
				l.t.Logf("%s: %+v\n%s", n.host.IP, l.status(n), tail(n.process.Log()))
			}
			l.t.Fatalf("not yet: %s", what)
		}
	}
}

func tail(log string) string {
	const most = 4000
	return log[max(0, len(log)-most):]
}

// agree waits until these nodes have one tip.
func (l *lan) agree(nodes ...*lanNode) {
	l.t.Helper()
	l.wait("they are on one chain", func() bool {
		tip := l.status(nodes[0]).Tip
		for _, n := range nodes {
			if l.status(n).Tip != tip {
				return false
			}
		}
		return true
	})
}

func (l *lan) mine(n *lanNode, blocks int) {
	l.t.Helper()
	for range blocks {
		if _, err := n.client(l.t).Mine(context.Background()); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Two nodes of one network on one local network find each other by themselves; one of
// another network does not disturb them.
func TestLocalNetwork(t *testing.T) {
	l := newLAN(t)
	l.Shape(testutil.Line{Delay: 5 * time.Millisecond})
	a, b := l.add(), l.add()
	l.mine(a, 5)
	l.agree(a, b)
	if l.status(b).Height != 5 {
		t.Errorf("height %d", l.status(b).Height)
	}
}

// A newcomer with nothing but an invite gets genesis and chain over a slow and lossy
// line, is killed on the way, and goes on where it was.
func TestJoinKilledMidSync(t *testing.T) {
	l := newLAN(t)
	a, b := l.add(), l.add()
	for range 300 {
		l.mine(a, 10)
	}
	l.agree(a, b)
	l.Shape(testutil.Line{Delay: 30 * time.Millisecond, Loss: 0.01, Rate: 3_000_000})
	invite, err := a.client(t).Invite(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c := &lanNode{host: l.Host(), dir: t.TempDir()}
	l.nodes = append(l.nodes, c)
	join := func() {
		c.process = c.host.Launch(binary, testutil.Home(c.dir), c.dir, "join", invite.Invite, "--data", filepath.Join(c.dir, "node"))
	}
	for range 3 {
		join()
		before := l.status(c).Height
		l.wait("some blocks have come", func() bool { return l.status(c).Height > before })
		c.process.Kill()
	}
	join()
	l.agree(a, b, c)
}

// Ten nodes mine for minutes under load, on lines that delay and lose packets. In the
// meantime the network falls into two parts, of which each goes on, and heals; one
// node after another is restarted; one is killed. In the end there is one chain, and
// every transfer that was answered is in it.
func TestTenNodes(t *testing.T) {
	long := 2 * time.Minute
	if testing.Short() {
		long = 30 * time.Second
	}
	l := newLAN(t)
	l.Shape(testutil.Line{Delay: 20 * time.Millisecond, Loss: 0.01, Rate: 20_000_000})
	for range 10 {
		l.add()
	}
	load := l.load()
	phase := func(part float64) { time.Sleep(time.Duration(part * float64(long))) }

	phase(0.2)
	l.Cut(l.hostsOf(l.nodes[:4])...)
	phase(0.2)
	l.Heal()
	phase(0.1)
	for _, n := range l.nodes[:5] { // a rolling restart
		if code := n.take().Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		l.start(n)
		phase(0.04)
	}
	victim := l.nodes[7]
	victim.take().Kill()
	phase(0.1)
	l.start(victim)
	phase(0.2)

	ids := load()
	l.wait("nobody waits for a transfer", func() bool {
		l.mine(l.nodes[rand.N(len(l.nodes))], 1)
		time.Sleep(time.Second)
		for _, n := range l.nodes {
			if l.status(n).Pool.Transfers > 0 {
				return false
			}
		}
		return true
	})
	l.agree(l.nodes...)
	t.Logf("%d transfers, height %d, %d of %d packets lost", len(ids), l.status(l.nodes[0]).Height, l.Lost.Load(), l.Sent.Load())
	c := l.nodes[0].client(t)
	for _, id := range ids {
		if found, err := c.Transaction(context.Background(), id, 0); err != nil || found.Status != client.Confirmed {
			t.Fatalf("transfer %v was answered and is lost: %+v, %v", id, found, err)
		}
	}
	for _, n := range l.nodes {
		bans, err := n.client(t).Bans(context.Background())
		if err != nil || len(bans) > 0 {
			t.Errorf("%s bans an honest node: %+v, %v", n.host.IP, bans, err)
		}
		if code := n.take().Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		mustRun(t, "verify", "--data", filepath.Join(n.dir, "node"))
	}
}

func (l *lan) hostsOf(nodes []*lanNode) (hosts []*testutil.Host) {
	for _, n := range nodes {
		hosts = append(hosts, n.host)
	}
	return hosts
}

// load has every node mine and take transfers, until it is ended: then it returns
// the ids of the transfers that were answered.
func (l *lan) load() (end func() []types.Hash) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	var mu sync.Mutex
	var ids []types.Hash
	var salt atomic.Uint64
	// What the nodes that do not run, or end at this moment, answer does not count.
	for i, n := range l.nodes {
		work.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(rand.N(10 * time.Second))
				if c := n.client(l.t); c != nil {
					_, _ = c.Mine(ctx)
				}
			}
		})
		work.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(rand.N(400 * time.Millisecond))
				c := n.client(l.t)
				if c == nil {
					continue
				}
				status, err := c.Status(ctx)
				if err != nil {
					continue
				}
				p := types.Transfer{Sender: types.Account(fmt.Sprintf("payer %d", i)), Recipient: "shop", Amount: 1,
					Expiry: status.Height + 5000, Salt: salt.Add(1), Memo: strings.Repeat("x", rand.N(50))}
				if _, err := c.Submit(ctx, p.Append(nil)); err == nil {
					mu.Lock()
					ids = append(ids, p.ID())
					mu.Unlock()
				}
			}
		})
	}
	return func() []types.Hash {
		cancel()
		work.Wait()
		return ids
	}
}
