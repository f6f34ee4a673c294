package api

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHost(t *testing.T) {
	n := newNode(t, nodeConfig{api: func(c *Config) { c.AllowedHosts = []string{"node.example.org", "FD00::1", "192.168.1.5"} }})
	for _, host := range []string{
		"localhost", "localhost:5000", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1:80", "127.9.9.9", "[::1]", "[::1]:5000", "[::ffff:127.0.0.1]:5000",
		"node.example.org", "Node.Example.Org:8080", "node.example.org.", "[fd00::1]:5000", "192.168.1.5", "192.168.1.5:5000",
	} {
		if a := n.get("/chain", "Host", host); a.status != 200 {
			t.Errorf("Host %s: %d %s", host, a.status, a.body)
		}
	}
	n.unchanged(func() {
		for _, host := range []string{
			"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:5000", "example.org", "x.node.example.org",
			"192.168.1.6", "0.0.0.0:5000", "[::]:5000", "[::2]", "localhost@evil.example", "evil@localhost", "::1x", "127.1", "2130706433",
		} {
			n.get("/chain", "Host", host).refused(421, "--allow-host")
			n.get("/mine", "Host", host).refused(421)
			n.post("/create-transaction", `{"sender":"a","recipient":"b","amount":1}`, "Host", host).refused(421)
			n.get("/sync/1/tip", "Host", host).refused(421)
			n.get("/nothing", "Host", host).refused(421)
			n.get("/", "Host", host).refused(421)
		}
	})
}

// The address that a connection came to is the node's, whatever it was told.
func TestHostOfConnection(t *testing.T) {
	n := newNode(t, nodeConfig{})
	for local, hosts := range map[string]map[string]int{
		"192.168.7.7": {"192.168.7.7:5000": 200, "192.168.7.8:5000": 421, "seven.example": 421},
		"fd00::7":     {"[fd00::7]:5000": 200, "[fd00::8]": 421},
	} {
		for host, status := range hosts {
			address := &net.TCPAddr{IP: net.ParseIP(local), Port: 5000}
			ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, address)
			if a := n.doContext(ctx, "GET", "/chain", "", "Host", host); a.status != status {
				t.Errorf("at %s, Host %s: %d, want %d", local, host, a.status, status)
			}
		}
	}
}

// changing are the calls that change something.
var changing = []struct{ method, path, body string }{
	{"POST", "/create-transaction", `{"sender":"a","recipient":"b","amount":1}`},
	{"GET", "/mine", ""},
	{"POST", "/register-node", `{"address":"http://neighbour.example"}`},
	{"GET", "/sync-chain", ""},
}

func TestCrossSite(t *testing.T) {
	n := newNode(t, nodeConfig{})
	n.unchanged(func() {
		for _, c := range changing {
			for _, header := range [][]string{
				{"Sec-Fetch-Site", "cross-site"},
				{"Sec-Fetch-Site", "same-site"}, // another port of this machine
				{"Sec-Fetch-Site", "cross-site", "Origin", "http://127.0.0.1:5000"},
				{"Sec-Fetch-Site", "anything"},
				{"Origin", "http://evil.example"},
				{"Origin", "http://127.0.0.1:8000"},
				{"Origin", "null"},
				{"Referer", "http://evil.example/page"},
				{"Referer", "http://127.0.0.1:8000/page"},
				{"Sec-Fetch-Site", "none", "Sec-Purpose", "prefetch;prerender"},
				{"Origin", "http://evil.example", "Authorization", "Bearer secret"},
			} {
				n.do(c.method, c.path, c.body, header...).refused(403, c.path)
			}
		}
	})
	for _, c := range changing {
		for _, header := range [][]string{
			{},
			{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:5000", "Referer", "http://127.0.0.1:5000/"},
			{"Sec-Fetch-Site", "none"}, // typed into the address bar
			{"Origin", "http://127.0.0.1:5000"},
			{"Referer", "http://127.0.0.1:5000/"},
		} {
			if a := n.do(c.method, c.path, c.body, header...); a.status > 299 {
				t.Errorf("%s %v: %d %s", a.what, header, a.status, a.body)
			}
		}
	}
	// Reading changes nothing, and without CORS another site sees no answer.
	for _, path := range []string{"/chain", "/v1/status", "/", "/healthz"} {
		a := n.get(path, "Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example")
		if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d, headers %v", a.what, a.status, a.header)
		}
		if got := a.header.Get("Cross-Origin-Resource-Policy"); got != "same-origin" {
			t.Errorf("%s: Cross-Origin-Resource-Policy %q", a.what, got)
		}
	}
	preflight := n.do("OPTIONS", "/create-transaction", "", "Origin", "http://evil.example", "Access-Control-Request-Method", "POST")
	preflight.refused(405)
	for name := range preflight.header {
		if len(name) > 14 && name[:14] == "Access-Control" {
			t.Errorf("a preflight was answered with %s", name)
		}
	}
}

func TestToken(t *testing.T) {
	const token = "26letters"
	offLoopback := func(c *Config) {
		c.Loopback, c.Token, c.AllowedHosts = false, token, []string{"192.168.1.5"}
	}
	n := newNode(t, nodeConfig{api: offLoopback})
	guarded := changing[1:]
	n.unchanged(func() {
		for _, c := range guarded {
			for _, header := range [][]string{
				{}, {"Host", "192.168.1.5:5000"},
				{"Authorization", ""}, {"Authorization", token}, {"Authorization", "Bearer"}, {"Authorization", "Bearer "},
				{"Authorization", "Bearer x" + token}, {"Authorization", "Bearer " + token[1:]}, {"Authorization", "Basic " + token},
				{"Authorization", "Bearer " + token + " x"},
			} {
				a := n.do(c.method, c.path, c.body, header...)
				a.refused(401, "token")
				if got := a.header.Get("WWW-Authenticate"); len(got) < 7 || got[:7] != "Bearer " {
					t.Errorf("%s %v: WWW-Authenticate %q", a.what, header, got)
				}
			}
		}
	})
	for _, c := range guarded {
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER  "} {
			if a := n.do(c.method, c.path, c.body, "Authorization", scheme+token); a.status > 299 {
				t.Errorf("%s with the token: %d %s", a.what, a.status, a.body)
			}
		}
	}
	// Reading and submitting stay open.
	for _, path := range []string{"/chain", "/v1/status", "/healthz", "/readyz", "/metrics", "/", "/sync/1/tip"} {
		if a := n.get(path, "Host", "192.168.1.5:5000"); a.status != 200 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := n.post("/create-transaction", changing[0].body); a.status != 201 {
		t.Errorf("%s: %d %s", a.what, a.status, a.body)
	}

	n = newNode(t, nodeConfig{api: func(c *Config) { offLoopback(c); c.Open = true }})
	for _, c := range guarded {
		if a := n.do(c.method, c.path, c.body, "Host", "192.168.1.5"); a.status > 299 {
			t.Errorf("%s on an open node: %d %s", a.what, a.status, a.body)
		}
	}

	// Without a token nobody has the right one.
	n = newNode(t, nodeConfig{api: func(c *Config) { c.Loopback = false }})
	n.unchanged(func() { n.get("/mine", "Authorization", "Bearer ").refused(401) })
}

// A proxy on this machine passes on what comes from elsewhere.
func TestTokenBehindProxy(t *testing.T) {
	n := newNode(t, nodeConfig{api: func(c *Config) { c.Token, c.AllowedHosts = "secret", []string{"node.example"} }})
	n.unchanged(func() {
		n.get("/mine", "Host", "node.example").refused(401)
		n.get("/mine", "X-Forwarded-For", "203.0.113.9").refused(401)
		n.get("/mine", "Forwarded", "for=203.0.113.9").refused(401)
	})
	for _, header := range [][]string{{}, {"Host", "node.example", "Authorization", "Bearer secret"}} {
		if a := n.get("/mine", header...); a.status != 200 {
			t.Errorf("%v: %d %s", header, a.status, a.body)
		}
	}
}

// The order of refusals tells an outsider nothing, and a HEAD never gets further
// than its method.
func TestOrderOfChecks(t *testing.T) {
	n := newNode(t, nodeConfig{api: func(c *Config) { c.Loopback, c.Token = false, "secret" }})
	n.unchanged(func() {
		n.do("HEAD", "/mine", "", "Authorization", "Bearer secret").refused(405)
		n.do("HEAD", "/sync-chain", "", "Authorization", "Bearer secret").refused(405)
		n.post("/register-node", "not JSON").refused(401)
		n.get("/mine", "Authorization", "Bearer secret", "Sec-Fetch-Site", "cross-site").refused(403)
	})
}

// A fault in the program is answered too.
func TestPanic(t *testing.T) {
	n := newNode(t, nodeConfig{})
	s := &server{rules: n.chain.Rules(), chain: n.chain, syncer: n.syncer, guard: guard{loopback: true}, log: quiet, stall: stallTime}
	s.metrics = newMetrics(s)
	n.handler = s.wrap("test", func(w *response, _ *http.Request) error { panic("a fault") })
	n.get("/").refused(500, "log")

	// When an answer has begun, the connection is cut.
	server := httptest.NewServer(s.wrap("test", func(w *response, _ *http.Request) error {
		if err := writeText(w, "half"); err != nil {
			t.Error(err)
		}
		if err := w.control.Flush(); err != nil {
			t.Error(err)
		}
		return errNoSuchURL
	}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b [100]byte
	n1, err1 := resp.Body.Read(b[:])
	for err1 == nil {
		_, err1 = resp.Body.Read(b[n1:])
	}
	if string(b[:n1]) != "half" || err1.Error() != "unexpected EOF" {
		t.Errorf("read %q, %v", b[:n1], err1)
	}
}
