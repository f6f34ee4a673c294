package api

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"cairn/api/client"
	"cairn/consensus"
	"cairn/proof"
	"cairn/types"
)

// keyOf returns the private key of the person of that number.
func keyOf(person byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), person))
}

func accountOfKey(key ed25519.PrivateKey) types.Account {
	return types.Account(key.Public().(ed25519.PublicKey))
}

// keyedRules are those of a network like dev whose transfers are signed. Person 1
// has ten million coins.
func keyedRules(t testing.TB, change func(*consensus.Rules)) *consensus.Rules {
	return testRules(t, func(r *consensus.Rules) {
		r.Name, r.Signatures, r.CreditLimit = "signed", true, 0
		r.Allocations = []consensus.Allocation{{Account: accountOfKey(keyOf(1)), Amount: 1_000_000_000_000_000}}
		if change != nil {
			change(r)
		}
	})
}

// person returns an account of any network: the first has something.
func (n *testNode) person(number byte) types.Account {
	if n.chain.Rules().Signatures {
		return accountOfKey(keyOf(number))
	}
	return types.Account(fmt.Sprint("person", number))
}

func (n *testNode) text(person byte) string { return n.chain.Rules().FormatAccount(n.person(person)) }

// transfer makes a transfer between two persons, signed where that is needed. Equal
// arguments make equal transfers while the height is the same.
func (n *testNode) transfer(from, to byte, amount, fee, salt uint64) types.Transfer {
	t := types.Transfer{
		Sender: n.person(from), Recipient: n.person(to), Amount: amount, Fee: fee,
		Expiry: n.chain.Tip().Height + 1000, Salt: salt, Memo: fmt.Sprint("memo ", salt),
	}
	n.chain.Rules().Sign(&t, keyOf(from))
	return t
}

// submission returns the JSON of a transfer, as the client types have it.
func (n *testNode) submission(t types.Transfer) string {
	d := (&writer{rules: n.chain.Rules()}).transferData(t.ID(), &t)
	if t.Signature != [types.SignatureSize]byte{} {
		d.Signature = hex.EncodeToString(t.Signature[:])
	}
	b, err := json.Marshal(client.Submission{
		Sender: d.Sender, Recipient: d.Recipient, Amount: d.Amount, Fee: d.Fee, Expiry: d.Expiry,
		Salt: d.Salt, Memo: d.Memo, MemoHex: d.MemoHex, Signature: d.Signature,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return string(b)
}

// submit submits a transfer and wants it to be taken.
func (n *testNode) submit(t types.Transfer) client.Accepted {
	n.t.Helper()
	return decode[client.Accepted](n.post("/v1/transactions", n.submission(t)))
}

// mineV1 mines one block.
func (n *testNode) mineV1() client.BlockData {
	n.t.Helper()
	return decode[client.BlockData](n.post("/v1/mine", ""))
}

// checked is a node whose answers are held to its document.
type checked struct {
	*testNode
	doc *document
}

func (c *checked) want(status int, method, target, body string, header ...string) answer {
	c.t.Helper()
	a := c.do(method, target, body, header...)
	if a.status != status {
		c.t.Errorf("%s: %d %s; want %d", a.what, a.status, a.body, status)
	}
	c.doc.check(a, method, target, body, header...)
	return a
}

func (c *checked) get200(target string, header ...string) answer {
	c.t.Helper()
	return c.want(200, http.MethodGet, target, "", header...)
}

// Every call of the document, on networks of both kinds, answers what the document
// says, when it succeeds and when it refuses.
func TestDocument(t *testing.T) {
	for _, rules := range []*consensus.Rules{consensus.Dev(), keyedRules(t, nil)} {
		t.Run(rules.Name, func(t *testing.T) {
			n := newNode(t, nodeConfig{rules: rules, recipient: accountIf(rules), api: withPeers})
			c := &checked{n, newDocument(t, n)}
			c.node()
			c.peers()
			c.tokens()
			c.money()
			c.blocksAndAccounts()
			c.streams()
			c.dropped()
			c.events()
			c.refusals()
			c.doc.complete()
		})
	}
}

// accountIf is paid for blocks on a network with signatures.
func accountIf(rules *consensus.Rules) types.Account {
	if rules.Signatures {
		return accountOfKey(keyOf(1))
	}
	return ""
}

func (c *checked) node() {
	for _, path := range []string{"network", "genesis", "status", "fees", "pool", "neighbours", "tokens"} {
		c.get200("/v1/" + path)
		if a := c.do(http.MethodHead, "/v1/"+path, ""); a.status != 200 {
			c.t.Errorf("%s: %d", a.what, a.status)
		}
	}
	other := newNode(c.t, nodeConfig{rules: c.chain.Rules(), recipient: accountIf(c.chain.Rules())})
	other.mineV1()
	other.mineV1()
	server := httptest.NewServer(other.handler)
	defer server.Close()
	const gone = "http://127.0.0.1:1"
	for _, address := range []string{server.URL, gone} {
		c.want(201, "POST", "/v1/neighbours", `{"address":"`+address+`"}`)
		c.want(201, "POST", "/v1/neighbours", `{"address":"`+address+`"}`)
	}
	c.get200("/v1/neighbours")
	c.get("/sync-chain") // so that results and the clock can be shown
	if page := decode[client.Page[client.NeighbourData]](c.get200("/v1/neighbours")); len(page.Items) != 2 || page.Items[0].Result == "" {
		c.t.Errorf("neighbours %+v", page)
	}
	if status := decode[client.Status](c.get200("/v1/status")); status.Clock == nil || status.Height != 2 {
		c.t.Errorf("status %+v", status)
	}
	for _, address := range []string{server.URL, gone} {
		c.want(204, "DELETE", "/v1/neighbours?address="+url.QueryEscape(address), "")
		c.want(404, "DELETE", "/v1/neighbours?address="+url.QueryEscape(address), "")
	}
	c.want(422, "POST", "/v1/neighbours", `{"address":"no address"}`)
	c.want(422, "DELETE", "/v1/neighbours?address=none", "")
	c.want(422, "DELETE", "/v1/neighbours", "")
}

func (c *checked) tokens() {
	for _, scope := range scopes {
		a := c.want(201, "POST", "/v1/tokens", `{"name":"`+string(scope)+`","scope":"`+string(scope)+`"}`)
		if decode[client.TokenData](a).Token == "" {
			c.t.Error("a token without a secret")
		}
	}
	c.want(409, "POST", "/v1/tokens", `{"name":"read","scope":"read"}`)
	c.want(422, "POST", "/v1/tokens", `{"name":"","scope":"read"}`)
	if page := decode[client.Page[client.TokenData]](c.get200("/v1/tokens")); len(page.Items) != 3 {
		c.t.Errorf("tokens %+v", page)
	}
	c.want(204, "DELETE", "/v1/tokens/read", "")
	c.want(404, "DELETE", "/v1/tokens/read", "")
}

func (c *checked) money() {
	t := c.transfer(1, 2, 500, 20, 1)
	c.want(200, "POST", "/v1/transactions/check", c.submission(t))
	c.want(201, "POST", "/v1/transactions", c.submission(t))
	again := c.want(201, "POST", "/v1/transactions", string(t.Append(nil)), "Content-Type", mediaOctets)
	if got := decode[client.Accepted](again); got.ID != t.ID() || got.Status != client.Pending {
		c.t.Errorf("accepted %+v", got)
	}
	bad := t
	bad.Signature[0] ^= 1
	c.want(422, "POST", "/v1/transactions", c.submission(bad))
	check := decode[client.Checked](c.want(200, "POST", "/v1/transactions/check", string(bad.Append(nil)), "Content-Type", mediaOctets))
	if check.Acceptable || check.Problem == nil || check.ID != bad.ID() || check.Size != bad.Size() {
		c.t.Errorf("checked %+v", check)
	}
	poorer := c.transfer(1, 2, 1, 1, 1)
	if check := decode[client.Checked](c.want(200, "POST", "/v1/transactions/check", c.submission(poorer))); check.Problem.Rule() != client.ErrConflict || len(check.Problem.Values) == 0 {
		c.t.Errorf("checked %+v", check)
	}
	for salt := uint64(2); salt < 5; salt++ {
		c.want(201, "POST", "/v1/transactions", c.submission(c.transfer(1, 2, 1, 10*salt, salt)))
	}
	c.get200("/v1/fees")
	page := decode[client.Page[client.PendingTransfer]](c.get200("/v1/pool?limit=2"))
	c.get200("/v1/pool?limit=2&cursor=" + page.Next)
	c.want(422, "GET", "/v1/pool?cursor=x", "")

	path := "/v1/transactions/" + t.ID().String()
	if got := decode[client.TransactionData](c.get200(path)); got.Status != client.Pending || got.Waiting == nil || got.Waiting.BytesAhead == 0 {
		c.t.Errorf("pending: %+v", got)
	}
	c.get200(path + "/raw")
	if got := decode[client.TransactionData](c.get200("/v1/transactions/" + bad.ID().String())); got.Status != client.Unknown {
		c.t.Errorf("unknown: %+v", got)
	}
	if got := decode[client.TransactionData](c.get200("/v1/transactions/" + bad.ID().String() + "?expiry=1")); got.Status != client.Lapsed {
		c.t.Errorf("lapsed: %+v", got)
	}
	c.want(404, "GET", "/v1/transactions/"+bad.ID().String()+"/raw", "")
	c.want(422, "GET", "/v1/transactions/zz", "")
	c.get200("/v1/accounts/" + c.text(1) + "/pending")
	c.get200("/v1/accounts/" + c.text(2))
	c.want(422, "GET", "/v1/accounts/%20/pending", "")
	c.want(422, "GET", "/v1/accounts/%20", "")

	c.want(200, "POST", "/v1/mine", "")
	c.want(403, "POST", "/v1/mine", "", "Sec-Fetch-Site", "cross-site")
	if got := decode[client.TransactionData](c.get200(path)); got.Status != client.Confirmed || got.Confirmations != 1 || got.Block == nil {
		c.t.Errorf("confirmed: %+v", got)
	}
	if a := c.get200(path + "/raw"); a.body != string(t.Append(nil)) {
		c.t.Error("other bytes than were submitted")
	}
	c.proofs(t)
}

// proofs checks the documents that prove a confirmed transfer and what is around it.
func (c *checked) proofs(t types.Transfer) {
	c.want(200, "POST", "/v1/mine", "")
	verify := func(path string) proof.Result {
		c.t.Helper()
		d, err := proof.Parse([]byte(c.get200(path).body))
		if err != nil {
			c.t.Fatal(err)
		}
		result, err := d.Verify(c.chain.Rules(), uint64(time.Now().Unix()))
		if err != nil {
			c.t.Errorf("%s: %v", path, err)
		}
		return result
	}
	for _, headers := range []string{"", "?headers=all", "?headers=few"} {
		if r := verify("/v1/transactions/" + t.ID().String() + "/proof" + headers); r.Transfer == nil || *r.Transfer != t || r.Confirmations != 2 {
			c.t.Errorf("shown is %+v", r)
		}
		if r := verify("/v1/accounts/" + c.text(2) + "/proof" + headers); r.Balance <= 0 {
			c.t.Errorf("shown is %+v", r)
		}
	}
	if r := verify("/v1/blocks/1/proof"); r.Height != 1 {
		c.t.Errorf("shown is %+v", r)
	}
	tip := c.chain.Tip()
	c.want(409, "GET", "/v1/blocks/"+tip.Hash.String()+"/proof", "")
	c.want(404, "GET", "/v1/blocks/999/proof", "")
	c.want(404, "GET", "/v1/blocks/0/proof", "")
	c.want(404, "GET", "/v1/transactions/"+tip.Hash.String()+"/proof", "")
	c.want(422, "GET", "/v1/transactions/zz/proof", "")
	c.want(422, "GET", "/v1/accounts/%20/proof", "")
	c.want(422, "GET", "/v1/accounts/"+c.text(2)+"/proof?headers=some", "")
}

func (c *checked) blocksAndAccounts() {
	tip := c.chain.Tip()
	for _, name := range []string{"0", fmt.Sprint(tip.Height), tip.Hash.String()} {
		c.get200("/v1/blocks/" + name)
		c.get200("/v1/blocks/" + name + "/transfers")
		raw := c.get200("/v1/blocks/" + name + "/raw")
		c.want(304, "GET", "/v1/blocks/"+name+"/raw", "", "If-None-Match", raw.header.Get("ETag"))
	}
	c.get200("/v1/blocks/" + tip.Hash.String() + "/transfers?limit=1&cursor=1")
	c.get200("/v1/blocks")
	c.get200("/v1/blocks?order=asc&limit=2&cursor=1")
	for _, name := range []string{"999", strings.Repeat("0", 64)} {
		for _, part := range []string{"", "/raw", "/transfers"} {
			c.want(404, "GET", "/v1/blocks/"+name+part, "")
		}
	}
	c.want(422, "GET", "/v1/blocks/zz", "")
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "order=up", "cursor=x", "cursor=-1", "cursor=" + strings.Repeat("1", 201)} {
		c.want(422, "GET", "/v1/blocks?"+query, "")
	}
	for _, query := range []string{"", "?limit=1", "?cursor=3.1"} {
		c.get200("/v1/accounts/" + c.text(1) + "/transactions" + query)
	}
	c.want(422, "GET", "/v1/accounts/"+c.text(1)+"/transactions?cursor=3", "")
}

func (c *checked) streams() {
	good, bad := c.transfer(1, 2, 1, 10, 10), c.transfer(1, 2, 1, 10, 11)
	bad.Signature[0] ^= 1
	c.want(200, "POST", "/v1/transactions/stream", c.submission(good)+"\n"+c.submission(bad), "Content-Type", mediaNDJSON)
	body := appendFramed(appendFramed(nil, &good), &bad)
	c.want(200, "POST", "/v1/transactions/stream", string(body), "Content-Type", mediaOctets)
	c.want(415, "POST", "/v1/transactions/stream", string(body), "Content-Type", "text/plain")
}

// appendFramed appends a transfer as a stream of bytes has it.
func appendFramed(b []byte, t *types.Transfer) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(t.Size()))
	return t.Append(b)
}

// dropped shows a transfer that lost its place to another.
func (c *checked) dropped() {
	old, better := c.transfer(1, 2, 1, 10, 20), c.transfer(1, 2, 1, 100, 20)
	c.submit(old)
	c.submit(better)
	got := decode[client.TransactionData](c.get200("/v1/transactions/" + old.ID().String()))
	if got.Status != client.Unknown || got.Dropped == nil || got.Dropped.Rule() != client.ErrReplaced || got.Transfer == nil {
		c.t.Errorf("dropped: %+v", got)
	}
}

// events reads events of all types from a connection.
func (c *checked) events() {
	server := httptest.NewServer(c.handler)
	defer server.Close()
	genesis := c.chain.Rules().ChainID().String()
	for _, r := range []struct {
		target string
		header []string
		upTo   string
	}{
		{"/v1/events?pool=true&after=" + genesis, nil, client.TransferPooled},
		{"/v1/events", []string{"Last-Event-ID", genesis}, client.BlockApplied},
		{"/v1/events?pool=true", nil, client.TransferDropped},
	} {
		ctx, cancel := context.WithCancel(c.t.Context())
		request, err := http.NewRequestWithContext(ctx, "GET", server.URL+r.target, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		for i := 0; i < len(r.header); i += 2 {
			request.Header.Set(r.header[i], r.header[i+1])
		}
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			c.t.Fatal(err)
		}
		a := answer{t: c.t, what: r.target, status: resp.StatusCode, header: resp.Header}
		for lines := bufio.NewScanner(resp.Body); lines.Scan() && !strings.Contains(a.body, "event: "+r.upTo+"\ndata"); {
			a.body += lines.Text() + "\n"
			if r.upTo == client.TransferDropped && lines.Text() == "event: "+client.PoolReset {
				c.dropped2() // from now on the reader hears of it
			}
		}
		cancel()
		resp.Body.Close()
		c.doc.check(a, "GET", r.target, "", r.header...)
	}
	c.want(404, "GET", "/v1/events?after="+strings.Repeat("0", 64), "")
	c.want(422, "GET", "/v1/events?after=x", "")
}

func (c *checked) dropped2() {
	c.submit(c.transfer(1, 2, 1, 10, 21))
	c.submit(c.transfer(1, 2, 1, 100, 21))
}

// refusals calls everything with a parameter that there is none of.
func (c *checked) refusals() {
	for _, call := range c.doc.operations() {
		method, path, _ := strings.Cut(call, " ")
		target := strings.NewReplacer("{account}", c.text(1), "{block}", "0", "{id}", strings.Repeat("0", 64), "{name}", "x").Replace(path)
		body := ""
		if method == "post" {
			body = "{}"
		}
		a := c.want(422, strings.ToUpper(method), target+"?nonsense="+strconv.Itoa(1), body)
		if p := a.refused(422); !strings.Contains(p.Detail, "nonsense") {
			c.t.Errorf("%s: the detail is %q", a.what, p.Detail)
		}
	}
}
