package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Wrong input gets a problem that says what was wrong, and changes nothing.
func TestWrongTransactions(t *testing.T) {
	const rest = `"sender":"a","recipient":"b"`
	n := newNode(t, nodeConfig{})
	long := strings.Repeat("x", 65)
	for _, c := range []struct {
		body   string
		status int
		words  string // in the detail, separated by |
	}{
		// 400: not JSON, one value, no duplicate keys, UTF-8
		{`hello`, 400, "JSON"},
		{`{"sender":"a"`, 400, "JSON"},
		{`{"sender":"a",}`, 400, "JSON"},
		{`{'sender':'a'}`, 400, "JSON"},
		{`{` + rest + `,"amount":1} {}`, 400, "JSON"},
		{`{` + rest + `,"amount":1}x`, 400, "JSON"},
		{`[1] [2]`, 400, "JSON"},
		{`{` + rest + `,"amount":01}`, 400, "JSON"},
		{`{` + rest + `,"amount":+1}`, 400, "JSON"},
		{`{` + rest + `,"amount":.5}`, 400, "JSON"},
		{`{` + rest + `,"amount":NaN}`, 400, "JSON"},
		{`{` + rest + `,"amount":1,"amount":2}`, 400, `"amount"|once`},
		{`{` + rest + `,"amount":1,"\u0061mount":1}`, 400, `"amount"|once`},
		{"{\"sender\":\"\xff\",\"recipient\":\"b\",\"amount\":1}", 400, "UTF-8"},
		{`{"sender":"\ud800","recipient":"b","amount":1}`, 400, "surrogate"},
		{"\ufeff{" + rest + `,"amount":1}`, 400, "JSON"},
		{strings.Repeat("[", 10_000), 400, "JSON"},
		{" ", 400, "JSON"},

		// 422: JSON, but not an object
		{`[]`, 422, "an array|object"},
		{`null`, 422, "null|object"},
		{`3`, 422, "a number|object"},
		{`"a"`, 422, "a string|object"},
		{`true`, 422, "a boolean|object"},

		// missing
		{`{}`, 422, "sender is missing|string"},
		{`{"sender":"a","amount":1}`, 422, "recipient is missing|string"},
		{`{"recipient":"b","amount":1}`, 422, "sender is missing"},
		{`{` + rest + `}`, 422, "amount is missing|number"},

		// unknown
		{`{` + rest + `,"amount":1,"note":"x"}`, 422, `"note"|memo`},
		{`{` + rest + `,"Amount":1}`, 422, `"Amount"|amount`},
		{`{` + rest + `,"amount":1,"":1}`, 422, `""`},
		{`{` + rest + `,"amount":1,"` + strings.Repeat("k", 50_000) + `":1}`, 422, "kkk"},

		// mistyped
		{`{"sender":1,"recipient":"b","amount":1}`, 422, "sender is a number|a string"},
		{`{"sender":null,"recipient":"b","amount":1}`, 422, "sender is null|a string"},
		{`{"sender":"a","recipient":["b"],"amount":1}`, 422, "recipient is an array|a string"},
		{`{` + rest + `,"amount":"3"}`, 422, "amount is a string|a number"},
		{`{` + rest + `,"amount":true}`, 422, "amount is a boolean|a number"},
		{`{` + rest + `,"amount":null}`, 422, "amount is null|a number"},
		{`{` + rest + `,"amount":{}}`, 422, "amount is an object|a number"},
		{`{` + rest + `,"amount":1,"fee":"1"}`, 422, "fee is a string|a number"},
		{`{` + rest + `,"amount":1,"fee":null}`, 422, "fee is null|a number"},
		{`{` + rest + `,"amount":1,"memo":5}`, 422, "memo is a number|a string"},
		{`{` + rest + `,"amount":1,"expiry":"5"}`, 422, "expiry is a string|a number"},
		{`{` + rest + `,"amount":1,"salt":true}`, 422, "salt is a boolean|a number"},
		{`{` + rest + `,"amount":1,"signature":5}`, 422, "signature is a number|a string"},

		// negative, over-precise, over-large
		{`{` + rest + `,"amount":-5}`, 422, "amount|negative"},
		{`{` + rest + `,"amount":-0.00000001}`, 422, "amount|negative"},
		{`{` + rest + `,"amount":0.30000000000000004}`, 422, "amount|0.30000000000000004|the nearest exact amount is 0.3"},
		{`{` + rest + `,"amount":1e-9}`, 422, "amount|the nearest exact amount is 0"},
		{`{` + rest + `,"amount":0.000000019}`, 422, "amount|the nearest exact amount is 0.00000002"},
		{`{` + rest + `,"amount":90071992.54740992}`, 422, "amount|90071992.54740991"},
		{`{` + rest + `,"amount":1e400}`, 422, "amount|largest"},
		{`{` + rest + `,"amount":1e99999999999999999999}`, 422, "amount|largest"},
		{`{` + rest + `,"amount":1e-99999999999999999999}`, 422, "amount|nearest exact amount is 0"},
		{`{` + rest + `,"amount":` + strings.Repeat("9", 60_000) + `}`, 422, "amount|largest"},
		{`{` + rest + `,"amount":1,"fee":-1}`, 422, "fee|negative"},
		{`{` + rest + `,"amount":1,"fee":1e400}`, 422, "fee|largest"},
		{`{` + rest + `,"amount":90071992,"fee":90071992}`, 422, "amount and fee"},
		{`{` + rest + `,"amount":1,"expiry":-1}`, 422, "expiry|4294967295"},
		{`{` + rest + `,"amount":1,"expiry":1.5}`, 422, "expiry|whole"},
		{`{` + rest + `,"amount":1,"expiry":4294967296}`, 422, "expiry|4294967295"},
		{`{` + rest + `,"amount":1,"expiry":0}`, 422, "expir"},
		{`{` + rest + `,"amount":1,"expiry":1000002}`, 422, "expir"},
		{`{` + rest + `,"amount":1,"salt":18446744073709551616}`, 422, "salt|18446744073709551615"},
		{`{` + rest + `,"amount":1,"salt":-1}`, 422, "salt|whole"},
		{`{` + rest + `,"amount":1,"salt":1.0}`, 422, "salt|whole"},
		{`{` + rest + `,"amount":1,"salt":""}`, 422, "salt|whole"},
		{`{` + rest + `,"amount":1,"salt":"0x10"}`, 422, "salt|whole"},
		{`{` + rest + `,"amount":1,"salt":"+1"}`, 422, "salt|whole"},
		{`{` + rest + `,"amount":1,"signature":""}`, 422, "signature|128 hex digits"},
		{`{` + rest + `,"amount":1,"signature":"` + strings.Repeat("0", 126) + `"}`, 422, "signature|128 hex digits"},
		{`{` + rest + `,"amount":1,"signature":"` + strings.Repeat("g", 128) + `"}`, 422, "signature|128 hex digits"},
		{`{` + rest + `,"amount":1,"signature":"` + strings.Repeat("ab", 64) + `"}`, 422, "signature|leave it out"},
		{`{` + rest + `,"amount":1,"memo":"` + strings.Repeat("é", 128) + `"}`, 422, "memo|256 bytes|255"},

		// accounts
		{`{"sender":"0","recipient":"b","amount":1}`, 422, "sender|system"},
		{`{"sender":"a","recipient":"0","amount":1}`, 422, "recipient|system"},
		{`{"sender":"","recipient":"b","amount":1}`, 422, "sender|1 to 64"},
		{`{"sender":"a","recipient":"","amount":1}`, 422, "recipient|1 to 64"},
		{`{"sender":"` + long + `","recipient":"b","amount":1}`, 422, "sender|65 bytes|64"},
		{`{"sender":" a","recipient":"b","amount":1}`, 422, "sender|space"},
		{`{"sender":"a","recipient":"b ","amount":1}`, 422, "recipient|space"},
		{`{"sender":"a\nb","recipient":"b","amount":1}`, 422, "sender|control"},
		{`{"sender":"a","recipient":"\u0085","amount":1}`, 422, "recipient|control"},
		{`{"sender":"a","recipient":"\u0000","amount":1}`, 422, "recipient|control"},
	} {
		n.unchanged(func() { n.post("/create-transaction", c.body).refused(c.status, strings.Split(c.words, "|")...) })
	}
	// Just inside of what is refused above.
	for _, body := range []string{
		`{"sender":"` + long[:64] + `","recipient":"b","amount":0}`,
		`{"sender":"a b","recipient":"ü\u00a0🪨","amount":90071992.54740991}`,
		`{"sender":"a","recipient":"a","amount":1,"expiry":1000001}`,
		`{` + rest + `,"amount":-0}`,
		`{` + rest + `,"amount":1,"memo":"` + strings.Repeat("é", 127) + `"}`,
		" \r\n\t{" + rest + `,"amount":1} ` + "\n",
	} {
		if a := n.post("/create-transaction", body); a.status != 201 {
			t.Errorf("%s: %d %s", a.what, a.status, a.body)
		}
	}
}

func TestContentType(t *testing.T) {
	const body = `{"sender":"a","recipient":"b","amount":1}`
	n := newNode(t, nodeConfig{})
	for _, good := range []string{
		"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/json;", "application/json; a",
		"application/vnd.api+json", "application/problem+json; x=y",
	} {
		if a := n.post("/create-transaction", body, "Content-Type", good); a.status != 201 {
			t.Errorf("%s: %d %s", good, a.status, a.body)
		}
	}
	n.unchanged(func() {
		for _, bad := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", "application/jsonp", "json", "application/+jsonx", ";"} {
			n.post("/create-transaction", body, "Content-Type", bad).refused(415, "application/json")
			n.post("/register-node", `{"address":"http://x"}`, "Content-Type", bad).refused(415, "application/json")
		}
		n.post("/create-transaction", body, "Content-Encoding", "gzip").refused(415, "gzip")
	})
}

func TestBodySize(t *testing.T) {
	n := newNode(t, nodeConfig{})
	pad := func(size int) string {
		const body = `{"sender":"a","recipient":"b","amount":1}`
		return body + strings.Repeat(" ", size-len(body))
	}
	if a := n.post("/create-transaction", pad(64<<10)); a.status != 201 {
		t.Errorf("64 KiB: %d %s", a.status, a.body)
	}
	n.unchanged(func() {
		n.post("/create-transaction", pad(64<<10+1)).refused(413, "65536")
		n.post("/register-node", pad(1<<20)).refused(413, "65536")
		// Of unknown length, as curl sends it from a pipe.
		r, err := http.NewRequest(http.MethodPost, "/create-transaction", strings.NewReader(pad(70_000)))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = -1
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		n.serve(r).refused(413, "65536")
	})
}

func TestChainQuery(t *testing.T) {
	n := newNode(t, nodeConfig{})
	for range 5 {
		n.mine()
	}
	for query, want := range map[string]string{
		"": "0 1 2 3 4 5", "?": "0 1 2 3 4 5", "?from=4": "4 5", "?limit=2": "0 1", "?from=2&limit=2": "2 3", "?limit=0": "",
		"?from=5&limit=100": "5", "?from=6": "", "?from=4294967295&limit=4294967295": "", "?from=007&limit=1": "",
	} {
		var got []string
		a := n.get("/chain" + query)
		for _, b := range decode[chainJSON](a).Chain {
			got = append(got, fmt.Sprint(b.Index))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("/chain%s: blocks %v, want %s", query, got, want)
		}
		if want == "" {
			a.is(200, `{"chain":[]}`)
		}
	}
	n.unchanged(func() {
		for _, query := range []string{
			"from=", "from=-1", "from=1.5", "from=abc", "from=0x1", "from=+1", "from=4294967296", "from=1&from=2", "limit=-1", "limit=",
			"limit=all", "limit=1e3", "limit=99999999999999999999", "form=1", "from=1&limt=3", "From=1",
		} {
			n.get("/chain?"+query).refused(422, "from")
			n.do("HEAD", "/chain?"+query, "").refused(422)
		}
		n.get("/chain?from=%zz").refused(400, "?from=10&limit=5")
		n.get("/chain?from=1;limit=2").refused(400)
	})
}

func TestMethodsAndPaths(t *testing.T) {
	n := newNode(t, nodeConfig{})
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"}
	n.unchanged(func() {
		for path, allow := range map[string]string{
			"/create-transaction": "POST", "/mine": "GET", "/chain": "GET, HEAD", "/register-node": "POST", "/sync-chain": "GET",
			"/v1/status": "GET, HEAD", "/healthz": "GET, HEAD", "/readyz": "GET, HEAD", "/metrics": "GET, HEAD", "/": "GET, HEAD", "/page.js": "GET, HEAD",
		} {
			for _, method := range methods {
				if strings.Contains(allow, method) {
					continue
				}
				a := n.do(method, path, "")
				a.refused(405, allow)
				if got := a.header.Get("Allow"); got != allow {
					t.Errorf("%s %s: Allow %q, want %q", method, path, got, allow)
				}
			}
		}
		for _, path := range []string{"/nothing", "/chain/", "/mine/x", "/sync", "/v1", "/v1/", "/v1/block", "/favicon.ico", "/page/index.html", "/index.html", "/.git/config", "/%2e%2e/etc/passwd"} {
			for _, method := range methods {
				n.do(method, path, "").refused(404, "/")
			}
		}
		n.do("CONNECT", "//example.org:443", "").refused(404)
	})
	for _, path := range []string{"/chain", "/v1/status", "/healthz", "/", "/metrics"} {
		if a := n.do("HEAD", path, ""); a.status != 200 {
			t.Errorf("HEAD %s: %d", path, a.status)
		}
	}
}

// Values that a client sent do not come back at length.
func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"":                            `""`,
		"a\n\"":                       `"a\n\""`,
		strings.Repeat("x", 60):       `"` + strings.Repeat("x", 60) + `"`,
		strings.Repeat("x", 61):       `"` + strings.Repeat("x", 60) + `"…`,
		strings.Repeat("é", 40):       `"` + strings.Repeat("é", 30) + `"…`,
		"x" + strings.Repeat("é", 40): `"x` + strings.Repeat("é", 29) + `"…`,
	} {
		if got := quote(s); got != want {
			t.Errorf("quote(%q) = %s, want %s", s, got, want)
		}
	}
	n := newNode(t, nodeConfig{})
	for _, body := range []string{`{"` + strings.Repeat("k", 60_000) + `":1}`, `{"sender":"` + strings.Repeat("k", 60_000) + `","recipient":"b","amount":1}`,
		`{"sender":"a","recipient":"b","amount":` + strings.Repeat("1", 60_000) + `}`, `{"sender":"a","recipient":"b","amount":0.` + strings.Repeat("1", 60_000) + `}`} {
		if a := n.post("/create-transaction", body); len(a.body) > 1_000 {
			t.Errorf("%s: an answer of %d bytes", a.what, len(a.body))
		}
	}
	if a := n.post("/register-node", `{"address":"`+strings.Repeat("k", 60_000)+`"}`); len(a.body) > 1_000 {
		t.Errorf("%s: an answer of %d bytes", a.what, len(a.body))
	}
}

// Whatever the body is, the answer is a success or a refusal, never a fault of the
// node's own.
func FuzzCreateTransaction(f *testing.F) {
	for _, seed := range []string{
		`{"sender":"addr1","recipient":"addr2","amount":3}`,
		`{"sender":"a","recipient":"b","amount":0.1,"fee":1e-3,"memo":"\u00e9","expiry":9,"salt":"18446744073709551615","signature":"00"}`,
		`{"sender":"0","recipient":"","amount":-1}`, `[{}]`, `{"sender":"a","sender":"b"}`, `null`, `{"salt":1.5}`, "\xff", `{"amount":1e999999999}`,
	} {
		f.Add([]byte(seed))
	}
	n := newNode(f, nodeConfig{pool: smallPool})
	f.Fuzz(func(t *testing.T, body []byte) {
		node := *n
		node.t = t
		before := node.state()
		a := node.post("/create-transaction", string(body), "Content-Type", "application/json")
		if a.status == http.StatusCreated {
			decode[map[string]any](a)
			return
		}
		if a.status >= 500 && a.status != 503 {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
		a.refused(a.status)
		if after := node.state(); after != before {
			t.Errorf("%q was refused and changed the node from %+v to %+v", body, before, after)
		}
	})
}
