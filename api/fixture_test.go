package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/miner"
	"cairn/store"
	"cairn/syncer"
	"cairn/types"
)

// testNode is a whole node in memory, without a listener.
type testNode struct {
	t       testing.TB
	store   *store.Store
	chain   *chain.Manager
	syncer  *syncer.Syncer
	miner   *miner.Miner
	handler http.Handler
	address string // paid for mined blocks
}

// nodeConfig is what tests choose about a node. Its zero value is a node of dev
// on loopback.
type nodeConfig struct {
	rules     *consensus.Rules
	pool      mempool.Limits
	recipient types.Account // empty: the node's own id, without signatures
	api       func(*Config) // changes what the handler is made of
	fs        vfs.FS        // nil: memory
}

func newNode(t testing.TB, cfg nodeConfig) *testNode {
	t.Helper()
	if cfg.rules == nil {
		cfg.rules = consensus.Dev()
	}
	if cfg.fs == nil {
		cfg.fs = vfs.NewMem()
	}
	st, err := store.Create("node", cfg.rules, store.Options{FS: cfg.fs, Fatal: func(err error) { t.Errorf("storage: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	manager, err := chain.New(chain.Config{Store: st, Pool: cfg.pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		manager.Close()
		if err := st.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	if cfg.recipient == "" && !cfg.rules.Signatures {
		id, err := st.NodeID()
		if err != nil {
			t.Fatal(err)
		}
		cfg.recipient = types.Account(id)
	}
	neighbours, err := syncer.New(syncer.Config{Chain: manager, Store: st})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(neighbours.Close)
	c := Config{
		Store:       st,
		Chain:       manager,
		Miner:       miner.New(miner.Config{Chain: manager, Recipient: cfg.recipient}),
		Syncer:      neighbours,
		NodeAddress: cfg.recipient,
		Loopback:    true,
		Version:     "v1.2.3-test",
	}
	if cfg.api != nil {
		cfg.api(&c)
	}
	handler, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	n := &testNode{t: t, store: st, chain: manager, syncer: neighbours, miner: c.Miner, handler: handler}
	if cfg.recipient != "" {
		n.address = cfg.rules.FormatAccount(cfg.recipient)
	}
	return n
}

// answer is what came back for a request.
type answer struct {
	t      testing.TB
	what   string // the request
	status int
	header http.Header
	body   string
}

// do makes a request as a program on the same machine does. Of header, "Host" is
// the host.
func (n *testNode) do(method, target, body string, header ...string) answer {
	n.t.Helper()
	return n.doContext(context.Background(), method, target, body, header...)
}

func (n *testNode) doContext(ctx context.Context, method, target, body string, header ...string) answer {
	n.t.Helper()
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:5000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		switch header[i] {
		case "Host":
			r.Host = header[i+1]
		default:
			r.Header.Set(header[i], header[i+1])
		}
	}
	a := n.serve(r)
	a.what += " " + shorten(body)
	return a
}

// serve answers a request that was put together elsewhere.
func (n *testNode) serve(r *http.Request) answer {
	w := httptest.NewRecorder()
	n.handler.ServeHTTP(w, r)
	return answer{n.t, r.Method + " " + r.URL.String(), w.Code, w.Header(), w.Body.String()}
}

func shorten(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

func (n *testNode) get(target string, header ...string) answer {
	n.t.Helper()
	return n.do(http.MethodGet, target, "", header...)
}

func (n *testNode) post(target, body string, header ...string) answer {
	n.t.Helper()
	return n.do(http.MethodPost, target, body, header...)
}

// is wants exactly this status and body, which are given without the newline.
func (a answer) is(status int, body string) {
	a.t.Helper()
	if a.status != status || a.body != body+"\n" {
		a.t.Errorf("%s: answered %d %s; want %d %s", a.what, a.status, a.body, status, body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		a.t.Errorf("%s: content type %q", a.what, got)
	}
}

// refused wants a problem with a status, whose detail contains some words.
func (a answer) refused(status int, words ...string) client.Problem {
	a.t.Helper()
	var p client.Problem
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil || a.header.Get("Content-Type") != client.ProblemType {
		a.t.Fatalf("%s: answered %d %q, which is no problem (%v)", a.what, a.status, a.body, err)
	}
	if a.status != status || p.Status != status || p.Rule().Status() != status || p.Title != p.Rule().Title() {
		a.t.Errorf("%s: answered %d %s; want %d", a.what, a.status, a.body, status)
	}
	for _, w := range words {
		if !strings.Contains(p.Detail, w) {
			a.t.Errorf("%s: the detail is %q; it should contain %q", a.what, p.Detail, w)
		}
	}
	return p
}

// decode wants a success and returns its JSON.
func decode[T any](a answer) T {
	a.t.Helper()
	var v T
	if a.status < 200 || a.status > 299 {
		a.t.Fatalf("%s: answered %d %s", a.what, a.status, a.body)
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		a.t.Fatalf("%s: answered %s: %v", a.what, a.body, err)
	}
	if _, err := d.Token(); err != io.EOF {
		a.t.Errorf("%s: more than one value in %s", a.what, a.body)
	}
	return v
}

// mine mines one block.
func (n *testNode) mine() client.Block {
	n.t.Helper()
	mined := decode[client.Mined](n.get("/mine"))
	if mined.Message != "Successfully Mined the new Block" {
		n.t.Errorf("mine: message %q", mined.Message)
	}
	return mined.BlockData
}

// chainJSON is the answer of /chain in the client's types.
type chainJSON struct {
	Chain []client.Block `json:"chain"`
}

func (n *testNode) blocks() []client.Block {
	n.t.Helper()
	return decode[chainJSON](n.get("/chain")).Chain
}

// state is everything that a refused request must leave alone.
type state struct {
	tip        types.Hash
	pool       int
	neighbours int
}

func (n *testNode) state() state {
	return state{n.chain.Tip().Hash, n.chain.Pool().Transfers, len(n.syncer.Neighbours())}
}

// unchanged runs f and fails if the node is not the same afterwards.
func (n *testNode) unchanged(f func()) {
	n.t.Helper()
	before := n.state()
	f()
	if after := n.state(); after != before {
		n.t.Errorf("the node changed from %+v to %+v", before, after)
	}
}

// testRules changes the rules of dev for one test.
func testRules(t testing.TB, change func(*consensus.Rules)) *consensus.Rules {
	t.Helper()
	rules := *consensus.Dev()
	change(&rules)
	r, err := consensus.NewRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// smallPool makes a pool that is soon full.
var smallPool = mempool.Limits{Transfers: 1_000}

var quiet = slog.New(slog.DiscardHandler)
