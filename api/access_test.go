package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/api/client"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/mempool"
	"cairn/types"
)

// again is the same node with a new handler, as after a restart of the program.
func (n *testNode) again(change func(*Config)) *testNode {
	n.t.Helper()
	cfg := Config{Store: n.store, Chain: n.chain, Miner: n.miner, Syncer: n.syncer}
	change(&cfg)
	handler, err := New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	other := *n
	other.handler = handler
	return &other
}

func (n *testNode) token(name string, scope client.Scope) string {
	n.t.Helper()
	a := n.post("/v1/tokens", fmt.Sprintf(`{"name":%q,"scope":%q}`, name, scope), "Authorization", bySecret)
	return "Bearer " + decode[client.TokenData](a).Token
}

// What each scope allows, and what nobody needs a token for.
func TestScopes(t *testing.T) {
	n := newNode(t, nodeConfig{api: func(c *Config) { offLoopback(c); withPeers(c) }})
	tokens := map[string]string{"own": bySecret, "none": "", "wrong": "Bearer ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
	for _, scope := range scopes {
		tokens[string(scope)] = n.token("a token to "+string(scope), scope)
	}
	const transfer = `{"sender":"a","recipient":"b","amount":1}`
	for _, c := range []struct{ method, target, body, allowed string }{
		{"GET", "/v1/status", "", "own none read submit operate"},
		{"GET", "/v1/blocks", "", "own none read submit operate"},
		{"GET", "/chain", "", "own none read submit operate"},
		{"POST", "/v1/transactions/check", transfer, "own none read submit operate"},
		{"POST", "/v1/transactions", transfer, "own none submit operate"},
		{"POST", "/create-transaction", transfer, "own none submit operate"},
		{"POST", "/v1/mine", "", "own operate"},
		{"GET", "/mine", "", "own operate"},
		{"GET", "/sync-chain", "", "own operate"},
		{"GET", "/v1/tokens", "", "own operate"},
		{"POST", "/v1/tokens", `{"name":"%s","scope":"read"}`, "own operate"},
		{"DELETE", "/v1/tokens/%s", "", "own operate"},
		{"POST", "/v1/neighbours", `{"address":"http://%s.example"}`, "own operate"},
		{"DELETE", "/v1/neighbours?address=http://%s.example", "", "own operate"},
		{"GET", "/v1/peers", "", "own none read submit operate"},
		{"POST", "/v1/peers", `{"address":"/ip4/192.168.1.7/tcp/1/p2p/%s"}`, "own operate"},
		{"GET", "/v1/bans", "", "own operate"},
		{"POST", "/v1/bans", `{"id":"12D3KooW%s","seconds":60}`, "own operate"},
		{"DELETE", "/v1/bans/12D3KooW%s", "", "own operate"},
		{"GET", "/v1/invite", "", "own none read submit operate"},
		{"POST", "/register-node", `{"address":"http://%s.example"}`, "own operate"},
	} {
		for who, token := range tokens {
			var header []string
			if token != "" {
				header = []string{"Authorization", token}
			}
			a := n.do(c.method, strings.ReplaceAll(c.target, "%s", who), strings.ReplaceAll(c.body, "%s", who), header...)
			want := 0
			switch {
			case who == "wrong" || who == "none" && !strings.Contains(c.allowed, who):
				want = 401
			case !strings.Contains(c.allowed, who):
				want = 403
			}
			if want == 0 && a.status > 299 || want != 0 && a.status != want {
				t.Errorf("%s by %s: %d %s", a.what, who, a.status, a.body)
			}
			if a.status == 401 && !strings.Contains(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s by %s: WWW-Authenticate %q", a.what, who, a.header.Get("WWW-Authenticate"))
			}
			if a.status == 403 {
				a.refused(403, who)
			}
		}
	}
}

// A token is there until it is revoked, over restarts too. Its secret is told once.
func TestTokens(t *testing.T) {
	n := newNode(t, nodeConfig{api: offLoopback})
	kept, gone := n.token("kept", client.ScopeOperate), n.token("gone é", client.ScopeOperate)
	mine := func(n *testNode, token string) int { return n.post("/v1/mine", "", "Authorization", token).status }
	if mine(n, kept) != 200 || mine(n, gone) != 200 {
		t.Fatal("a new token does not do")
	}
	if a := n.do("DELETE", "/v1/tokens/"+url.PathEscape("gone é"), "", "Authorization", kept); a.status != 204 || a.body != "" {
		t.Fatalf("%s: %d %s", a.what, a.status, a.body)
	}
	for _, n := range []*testNode{n, n.again(offLoopback)} {
		if mine(n, kept) != 200 || mine(n, gone) != 401 {
			t.Errorf("the one that was kept: %d; the one that was revoked: %d", mine(n, kept), mine(n, gone))
		}
		a := n.get("/v1/tokens", "Authorization", kept)
		page := decode[client.Page[client.TokenData]](a)
		if len(page.Items) != 1 || page.Items[0].Name != "kept" || page.Items[0].Scope != client.ScopeOperate || page.Items[0].Created < 1e9 {
			t.Errorf("%+v", page)
		}
		if strings.Contains(a.body, strings.TrimPrefix(kept, "Bearer ")) {
			t.Error("the secret is told again")
		}
		n.post("/v1/tokens", `{"name":"kept","scope":"read"}`, "Authorization", kept).refused(409, `"kept"`)
		n.do("DELETE", "/v1/tokens/gone", "", "Authorization", kept).refused(404)
	}
	for _, body := range []string{
		`{"scope":"read"}`, `{"name":"x"}`, `{"name":"x","scope":"all"}`, `{"name":"","scope":"read"}`, `{"name":" x","scope":"read"}`,
		`{"name":"a/b","scope":"read"}`, `{"name":"a\nb","scope":"read"}`, `{"name":".","scope":"read"}`, `{"name":"..","scope":"read"}`,
		`{"name":"` + strings.Repeat("x", 65) + `","scope":"read"}`, `{"name":"x","scope":"read","more":1}`, `{"name":1,"scope":"read"}`,
	} {
		n.post("/v1/tokens", body, "Authorization", kept).refused(422)
	}
	for _, name := range []string{"x", "...", "%2e", "a?b", "a b", "ä&ö", "a%2Fb", strings.Repeat("x", 64)} {
		n.token(name, client.ScopeRead)
		if a := n.do("DELETE", "/v1/tokens/"+url.PathEscape(name), "", "Authorization", kept); a.status != 204 {
			t.Errorf("%s: %d %s", a.what, a.status, a.body)
		}
	}
}

// On this machine nobody needs a token, and whoever has one may do what it allows.
func TestTokensOnLoopback(t *testing.T) {
	n := newNode(t, nodeConfig{})
	token := n.token("r", client.ScopeRead)
	if a := n.post("/v1/mine", ""); a.status != 200 {
		t.Errorf("%s: %d", a.what, a.status)
	}
	n.post("/v1/mine", "", "Authorization", token).refused(403, "read")
}

func TestTokenLimit(t *testing.T) {
	n := newNode(t, nodeConfig{})
	for i := range maxTokens {
		n.token(fmt.Sprint(i), client.ScopeRead)
	}
	n.post("/v1/tokens", `{"name":"one more","scope":"read"}`).refused(409, "1000")
	n.do("DELETE", "/v1/tokens/500", "")
	n.token("one more", client.ScopeRead)
}

// from is a request of another machine.
func (n *testNode) from(address, target string, header ...string) answer {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host, r.RemoteAddr = "localhost", address
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return n.serve(r)
}

// Strangers get so many answers a second, each address by itself.
func TestRateLimit(t *testing.T) {
	limited := func(c *Config) { offLoopback(c); c.RateLimit = 2 } // four at once
	for _, c := range []struct {
		what          string
		first, second string   // addresses
		header        []string // of the second
		shared        bool     // both are one stranger
	}{
		{"the same", "203.0.113.1:1", "203.0.113.1:2", nil, true},
		{"another", "203.0.113.1:1", "203.0.113.2:1", nil, false},
		{"IPv4 in IPv6", "203.0.113.1:1", "[::ffff:203.0.113.1]:1", nil, true},
		{"the same /64", "[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:1", nil, true},
		{"another /64", "[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", nil, false},
		{"passed on by this machine", "203.0.113.1:1", "127.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.9, 203.0.113.1"}, true},
		{"passed on for another", "203.0.113.1:1", "127.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.1, 198.51.100.9"}, false},
		{"said to be passed on", "203.0.113.1:1", "203.0.113.1:1", []string{"X-Forwarded-For", "198.51.100.9"}, true},
		{"said for another", "203.0.113.1:1", "203.0.113.7:1", []string{"X-Forwarded-For", "203.0.113.1"}, false},
	} {
		n := newNode(t, nodeConfig{api: limited})
		for range 4 {
			if a := n.from(c.first, "/v1/status"); a.status != 200 {
				t.Fatalf("%s: %d %s", c.what, a.status, a.body)
			}
		}
		a := n.from(c.first, "/v1/status")
		p := a.refused(429, "2 requests a second")
		if p.Rule() != client.ErrRateLimited || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %+v, Retry-After %q", c.what, p, a.header.Get("Retry-After"))
		}
		want := 200
		if c.shared {
			want = 429
		}
		if a := n.from(c.second, "/v1/status", c.header...); a.status != want {
			t.Errorf("%s: %d, want %d", c.what, a.status, want)
		}
		if a := n.from(c.first, "/v1/status", "Authorization", bySecret); a.status != 200 {
			t.Errorf("%s, with a token: %d", c.what, a.status)
		}
	}
	// Whoever is on this machine is no stranger, and on an open node nobody is.
	for _, change := range []func(*Config){
		func(c *Config) { c.Loopback, c.RateLimit = true, 1 },
		func(c *Config) { c.Open, c.RateLimit = true, 1 },
	} {
		n := newNode(t, nodeConfig{api: change})
		for range 10 {
			if a := n.from("127.0.0.1:1", "/v1/status"); a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
	}
}

// However many strangers come, only so many are remembered; one that keeps asking
// is not forgotten.
func TestManyStrangers(t *testing.T) {
	l := newLimiter(1)
	ask := func(i int) bool {
		r := &http.Request{RemoteAddr: fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff)}
		return l.allow(r)
	}
	ask(1)
	ask(1)
	for i := range 3 * maxClients {
		ask(2 + i)
		if i%1000 == 0 && ask(1) && i < maxClients/2 {
			t.Fatalf("forgotten after %d others", i)
		}
		if len(l.young)+len(l.old) > 2*maxClients {
			t.Fatalf("%d are remembered", len(l.young)+len(l.old))
		}
	}
}

const shop = "https://shop.example"

func TestCORS(t *testing.T) {
	n := newNode(t, nodeConfig{api: func(c *Config) { c.AllowOrigins = []string{shop} }})
	const body = `{"sender":"a","recipient":"b","amount":1}`
	calls := []struct{ method, target, body string }{
		{"GET", "/v1/status", ""}, {"GET", "/v1/blocks/0/raw", ""}, {"POST", "/v1/transactions", body}, {"GET", "/mine", ""},
		{"POST", "/v1/mine", ""}, {"POST", "/create-transaction", body}, {"GET", "/sync-chain", ""},
		{"POST", "/v1/tokens", `{"name":"n","scope":"read"}`}, {"DELETE", "/v1/tokens/n", ""},
	}
	operating := []string{"/mine", "/v1/mine", "/sync-chain", "/v1/tokens", "/v1/tokens/n"}
	secret := n.token("shop", client.ScopeOperate)
	for _, c := range calls {
		p := n.do("OPTIONS", c.target, "", "Origin", shop, "Access-Control-Request-Method", c.method, "Access-Control-Request-Headers", "content-type")
		if p.status != 204 || p.body != "" || p.header.Get("Access-Control-Allow-Origin") != shop || !strings.Contains(p.header.Get("Access-Control-Allow-Methods"), c.method) {
			t.Errorf("%s: %d %q %v", p.what, p.status, p.body, p.header)
		}
		for _, name := range []string{"Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"} {
			if !strings.Contains(p.header.Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%s: %s is not allowed", p.what, name)
			}
		}
		a := n.do(c.method, c.target, c.body, "Origin", shop, "Sec-Fetch-Site", "cross-site")
		if slices.Contains(operating, c.target) { // the page is a stranger, on whatever machine its browser is
			a.refused(401)
			a = n.do(c.method, c.target, c.body, "Origin", shop, "Sec-Fetch-Site", "cross-site", "Authorization", secret)
		}
		if a.status > 299 || a.header.Get("Access-Control-Allow-Origin") != shop || a.header.Get("Vary") != "Origin" ||
			a.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
			t.Errorf("%s: %d %s %v", a.what, a.status, a.body, a.header)
		}
		if got := a.header.Get("Access-Control-Allow-Credentials"); got != "" {
			t.Errorf("%s: credentials %q", a.what, got)
		}
	}
	// A refusal can be read too.
	if a := n.get("/v1/blocks/99", "Origin", shop); a.status != 404 || a.header.Get("Access-Control-Allow-Origin") != shop {
		t.Errorf("%s: %d %v", a.what, a.status, a.header)
	}
	n.unchanged(func() {
		for _, origin := range []string{"https://evil.example", "http://shop.example", "https://shop.example:444", "https://shop.example.evil", "null"} {
			for _, c := range calls {
				p := n.do("OPTIONS", c.target, "", "Origin", origin, "Access-Control-Request-Method", c.method)
				p.refused(405)
				a := n.do(c.method, c.target, c.body, "Origin", origin, "Sec-Fetch-Site", "cross-site")
				for _, header := range []http.Header{p.header, a.header} {
					if header.Get("Access-Control-Allow-Origin") != "" || header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
						t.Errorf("%s by %s: %v", a.what, origin, header)
					}
				}
				if changes := c.method != "GET" || c.target == "/mine" || c.target == "/sync-chain"; changes && a.status != 403 || !changes && a.status != 200 {
					t.Errorf("%s by %s: %d %s", a.what, origin, a.status, a.body)
				}
			}
		}
		// What asks for no method is no preflight; and a page that may use the API is
		// still to address the node by a name of its own.
		n.do("OPTIONS", "/v1/status", "", "Origin", shop).refused(405)
		n.do("OPTIONS", "/v1/status", "", "Origin", shop, "Access-Control-Request-Method", "GET", "Host", "evil.example").refused(421)
	})
	// To be of an allowed origin takes no token's place.
	n = newNode(t, nodeConfig{api: func(c *Config) { offLoopback(c); c.AllowOrigins = []string{shop} }})
	n.post("/v1/mine", "", "Origin", shop).refused(401)
	if a := n.post("/v1/mine", "", "Origin", shop, "Authorization", bySecret); a.status != 200 {
		t.Errorf("%s: %d", a.what, a.status)
	}
}

// An order that comes again with its key is the transfer that it was the first time.
func TestIdempotencyKey(t *testing.T) {
	signs := func(c *Config) { c.Loopback, c.Token, c.Signer = true, "secret", walletOf() }
	n := keyed(t, nodeConfig{api: signs})
	order := func(n *testNode, amount, key string, header ...string) answer {
		body := fmt.Sprintf(`{"sender":%q,"recipient":%q,"amount":%s,"memo":"rent"}`, n.text(1), n.text(2), amount)
		return n.post("/create-transaction", body, append(header, "Idempotency-Key", key)...)
	}
	token := []string{"Authorization", bySecret}
	n.unchanged(func() {
		order(n, "1", "k").refused(401, "operate")                                                              // on loopback too
		order(n, "1", "k", "Authorization", n.token("s", client.ScopeSubmit)).refused(403, "operate", "submit") // and not by any token
		order(n, "1", "k", "Authorization", "Bearer wrong").refused(401)
		for _, key := range []string{"", strings.Repeat("k", 256)} {
			order(n, "1", key, token...).refused(422, "Idempotency-Key")
		}
	})
	first := order(n, "1", "k", token...)
	decode[client.Submitted](first)
	again := func(when string, n *testNode, waits, height int) {
		t.Helper()
		if a := order(n, "1", "k", token...); a.status != 201 || a.body != first.body {
			t.Errorf("%s: %d %s, the first time %s", when, a.status, a.body, first.body)
		}
		if a := order(n, "1.0", "k", token...); a.status != 201 {
			t.Errorf("%s, written otherwise: %d %s", when, a.status, a.body)
		}
		p := order(n, "2", "k", token...).refused(422, "another key")
		if p.Rule() != client.ErrKeyReused {
			t.Errorf("%s, another amount: %+v", when, p)
		}
		if n.chain.Pool().Transfers != waits || n.chain.Tip().Height != uint32(height) {
			t.Errorf("%s: %d transfers wait at height %d", when, n.chain.Pool().Transfers, n.chain.Tip().Height)
		}
	}
	again("while it waits", n, 1, 0)
	mined := decode[client.BlockData](n.post("/v1/mine", "", token...))
	if mined.TransferCount != 1 || mined.Transfers[0].Sender != n.text(1) || mined.Transfers[0].Memo != "rent" {
		t.Fatalf("mined %+v", mined)
	}
	again("when it is mined", n, 0, 1)
	again("after a restart", n.again(signs), 0, 1)
	decode[client.BlockData](n.post("/v1/mine", "", token...))
	again("two blocks later", n, 0, 2)
	if a := order(n, "1", "k2", token...); a.status != 201 || n.chain.Pool().Transfers != 1 {
		t.Errorf("with another key: %d %s", a.status, a.body)
	}
	// What is signed by its sender has its salt, which says the same as a key.
	signed := n.transfer(1, 2, 5, 1, 77)
	body := n.submission(signed)
	for range 2 {
		if a := n.post("/v1/transactions", body, "Idempotency-Key", "k3"); decode[client.Accepted](a).ID != signed.ID() {
			t.Errorf("%s: %s", a.what, a.body)
		}
	}
}

// The same restart, of everything: the files are closed and opened.
func TestIdempotencyAfterRestart(t *testing.T) {
	signs := func(c *Config) { c.Token, c.Signer = "secret", walletOf() }
	rules := keyedRules(t, func(r *consensus.Rules) { r.Name = "live" })
	l := newLiveOn(t, vfs.NewMem(), rules, mempool.Limits{}, signs)
	order := func() answer {
		body := fmt.Sprintf(`{"sender":%q,"recipient":%q,"amount":1}`, l.text(1), l.text(2))
		return l.post("/create-transaction", body, "Idempotency-Key", "k", "Authorization", bySecret)
	}
	first := order()
	decode[client.Submitted](first)
	l.restart()
	if a := order(); a.body != first.body || l.chain.Pool().Transfers != 1 {
		t.Errorf("while it waits: %d %s, the first time %s", a.status, a.body, first.body)
	}
	pool, _ := l.chain.PoolSnapshot()
	var waiting []types.Transfer
	for e := range pool.Best() {
		waiting = append(waiting, *e.Transfer)
	}
	l.Add("a1", chaintest.Genesis, chaintest.Spec{Transfers: waiting, Miner: l.person(1)})
	l.add("a1")
	l.restart()
	if a := order(); a.body != first.body || l.chain.Pool().Transfers != 0 {
		t.Errorf("when it is mined: %d %s, the first time %s", a.status, a.body, first.body)
	}
}

// Without signatures anyone may give a key, and the node chooses the rest.
func TestIdempotencyWithoutSignatures(t *testing.T) {
	n := newNode(t, nodeConfig{})
	order := func(amount int, key string) answer {
		return n.post("/create-transaction", fmt.Sprintf(`{"sender":"a","recipient":"b","amount":%d}`, amount), "Idempotency-Key", key)
	}
	for range 3 {
		decode[client.Submitted](order(1, "k"))
		n.mineV1()
	}
	decode[client.Submitted](order(1, "l"))
	if got := decode[client.AccountData](n.get("/v1/accounts/b")); got.Balance != 100_000_000 || got.Pending.IncomingTransfers != 1 {
		t.Errorf("%+v", got)
	}
	order(2, "k").refused(422)
}

// Accounts are any text where nothing is signed, and each can be asked for.
func TestAccountsInPaths(t *testing.T) {
	n := newNode(t, nodeConfig{})
	for _, name := range []string{"a", "a b", "a/b", "a//b", "a/", "é", "%2F", "a?b=c", "#", "+", "a/../b", "a%"} {
		decode[client.Submitted](n.post("/create-transaction", fmt.Sprintf(`{"sender":%q,"recipient":"r","amount":1}`, name)))
		for _, part := range []string{"", "/transactions", "/pending"} {
			a := n.get("/v1/accounts/" + url.PathEscape(name) + part)
			if a.status != 200 {
				t.Errorf("%q: %s: %d %s", name, a.what, a.status, a.body)
			}
		}
		if got := decode[client.AccountData](n.get("/v1/accounts/" + url.PathEscape(name))); got.Account != name || got.Pending.OutgoingTransfers != 1 {
			t.Errorf("%q: %+v", name, got)
		}
	}
}

// A web page of an allowed origin may follow events.
func TestEventsCORS(t *testing.T) {
	n := newNode(t, nodeConfig{api: func(c *Config) { c.AllowOrigins = []string{shop} }})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	a := n.doContext(ctx, "GET", "/v1/events", "", "Origin", shop)
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != shop || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

// Where the node signs, a token that spends is made only for whoever has one, on
// loopback too.
func TestTokensOfASigner(t *testing.T) {
	n := keyed(t, nodeConfig{api: func(c *Config) { c.Loopback, c.Token, c.Signer = true, "secret", walletOf() }})
	const operates, reads = `{"name":"a","scope":"operate"}`, `{"name":"b","scope":"read"}`
	n.post("/v1/tokens", operates).refused(401, "signs from a wallet")
	for _, a := range []answer{n.post("/v1/tokens", reads), n.post("/v1/tokens", operates, "Authorization", bySecret)} {
		if a.status != 201 {
			t.Errorf("%s: %d %s", a.what, a.status, a.body)
		}
	}
}

// A header that says that a proxy passed a request on counts in whatever line, and
// empty.
func TestForwardedLines(t *testing.T) {
	n := newNode(t, nodeConfig{api: func(c *Config) { c.Loopback, c.Token = true, "secret" }})
	for _, lines := range [][]string{{""}, {"", "1.2.3.4"}, {"127.0.0.1", "1.2.3.4"}} {
		r := httptest.NewRequest(http.MethodPost, "/v1/mine", nil)
		r.Host = "localhost"
		r.Header["X-Forwarded-For"] = lines
		n.serve(r).refused(401)
		r.RemoteAddr = "127.0.0.1:9"
		want := lines[len(lines)-1]
		if want == "" {
			want = "127.0.0.1"
		}
		if got := clientOf(r).Addr().String(); got != want {
			t.Errorf("%q: the client is %s, want %s", lines, got, want)
		}
	}
}

// A key holds for ever, though a salt may be used again after a lifetime.
func TestIdempotencyKeyAfterALifetime(t *testing.T) {
	rules := keyedRules(t, func(r *consensus.Rules) { r.TxLifetime = 3 })
	n := newNode(t, nodeConfig{rules: rules, recipient: accountOfKey(keyOf(1)), api: func(c *Config) { c.Loopback, c.Token, c.Signer = true, "secret", walletOf() }})
	order := func(extra string) answer {
		body := fmt.Sprintf(`{"sender":%q,"recipient":%q,"amount":1%s}`, n.text(1), n.text(2), extra)
		return n.post("/create-transaction", body, "Idempotency-Key", "k", "Authorization", bySecret)
	}
	first := order(`,"expiry":2`)
	for range 8 {
		if a := n.post("/v1/mine", ""); a.status != 200 {
			t.Fatal(a.status, a.body)
		}
	}
	for _, extra := range []string{``, `,"expiry":10`, `,"fee":0.5`} {
		if a := order(extra); a.status != 201 || a.body != first.body {
			t.Errorf("with %q: %d %s, the first time %s", extra, a.status, a.body, first.body)
		}
	}
	if waits := n.chain.Pool().Transfers; waits != 0 {
		t.Errorf("%d transfers wait", waits)
	}
}
