package api

import (
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/api/client"
	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/miner"
	"cairn/store"
	"cairn/syncer"
	"cairn/types"
)

// live is a node with a listener, beside a builder of blocks, that can be closed and
// opened again at the same address and with the same files.
type live struct {
	*testNode
	*chaintest.Builder
	fs       vfs.FS
	pool     mempool.Limits
	api      func(*Config)
	hostPort string
	server   *httptest.Server
}

// liveRules are a network of named accounts whose difficulty follows the pace.
func liveRules(t testing.TB, change func(*consensus.Rules)) *consensus.Rules {
	return testRules(t, func(r *consensus.Rules) {
		r.Name, r.Reward, r.HalfLife, r.TxLifetime = "live", 50, 120, 10_000
		if change != nil {
			change(r)
		}
	})
}

func newLive(t testing.TB, rules *consensus.Rules, pool mempool.Limits) *live {
	t.Helper()
	return newLiveOn(t, vfs.NewMem(), rules, pool, nil)
}

func newLiveOn(t testing.TB, fs vfs.FS, rules *consensus.Rules, pool mempool.Limits, api func(*Config)) *live {
	t.Helper()
	l := &live{testNode: &testNode{t: t}, Builder: chaintest.New(rules), fs: fs, pool: pool, api: api, hostPort: "127.0.0.1:0"}
	s, err := store.Create("node", rules, store.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	l.start(s)
	t.Cleanup(l.stop)
	return l
}

func (l *live) start(s *store.Store) {
	l.t.Helper()
	l.store = s
	var err error
	if l.chain, err = chain.New(chain.Config{Store: s, Pool: l.pool}); err != nil {
		l.t.Fatal(err)
	}
	if l.syncer, err = syncer.New(syncer.Config{Chain: l.chain, Store: s}); err != nil {
		l.t.Fatal(err)
	}
	cfg := Config{Store: s, Chain: l.chain, Syncer: l.syncer, Miner: miner.New(miner.Config{Chain: l.chain, Recipient: l.person(1)}), Loopback: true}
	if l.api != nil {
		l.api(&cfg)
	}
	if l.handler, err = New(cfg); err != nil {
		l.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", l.hostPort)
	if err != nil {
		l.t.Fatal(err)
	}
	l.hostPort = listener.Addr().String()
	l.server = httptest.NewUnstartedServer(l.testNode.handler)
	l.server.Listener.Close()
	l.server.Listener = listener
	l.server.Start()
}

func (l *live) stop() {
	if l.store == nil {
		return
	}
	l.server.CloseClientConnections()
	l.server.Close()
	l.syncer.Close()
	if err := l.chain.Close(); err != nil {
		l.t.Error(err)
	}
	if err := l.store.Close(); err != nil {
		l.t.Error(err)
	}
	l.store = nil
}

func (l *live) restart() {
	l.t.Helper()
	l.stop()
	s, err := store.Open("node", store.Options{FS: l.fs})
	if err != nil {
		l.t.Fatal(err)
	}
	l.start(s)
}

// client returns a client of the node, which stays one when the node restarts.
func (l *live) client() *client.Client {
	l.t.Helper()
	c, err := client.New("http://"+l.hostPort, client.Options{})
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// extend makes a block on the one called parent and adds it.
func (l *live) extend(name, parent string, ts ...types.Transfer) {
	l.t.Helper()
	l.Add(name, parent, chaintest.Spec{Transfers: ts})
	l.add(name)
}

// add hands the named blocks to the node, in one run.
func (l *live) add(names ...string) {
	l.t.Helper()
	if err := l.chain.AddBlocks(l.t.Context(), l.Blocks(names...)); err != nil {
		l.t.Fatalf("adding %v: %v", names, err)
	}
}

// eventually waits until a condition holds, which is checked again and again.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
