package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cairn/types"
)

const (
	genesisJSON = `{"index":0,"previous_hash":0,"proof":0,"timestamp":1767225600,"transactions":[]}`
	blockJSON   = `{"index":1,"previous_hash":"00000000000000000000000000000000000000000000000000000000000000ab","proof":7,"timestamp":1767225700,` +
		`"transactions":[{"amount":90071992.54740991,"recipient":"addr2","sender":"addr1"},{"amount":1,"recipient":"node","sender":"0"}]}`
)

func testBlock() Block {
	return Block{Index: 1, PreviousHash: PreviousHash{0: 0xab}, Proof: 7, Timestamp: 1767225700, Transactions: []Transaction{
		{Amount: "90071992.54740991", Recipient: "addr2", Sender: "addr1"},
		{Amount: "1", Recipient: "node", Sender: "0"},
	}}
}

func TestBlockJSON(t *testing.T) {
	for text, want := range map[string]Block{
		genesisJSON: {Timestamp: 1767225600, Transactions: []Transaction{}},
		blockJSON:   testBlock(),
	} {
		var got Block
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("decoded (-want +got):\n%s", diff)
		}
		b, err := json.Marshal(got)
		if err != nil || string(b) != text {
			t.Errorf("encoded %s, %v; want %s", b, err, text)
		}
	}
	for _, bad := range []string{`"0"`, `1`, `null`, `"abcd"`, `"` + strings.Repeat("g", 64) + `"`} {
		var h PreviousHash
		if err := h.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("previous_hash %s was accepted", bad)
		}
	}
}

// serve starts a node that answers with h, and returns a client of it.
func serve(t *testing.T, o Options, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/", o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCalls(t *testing.T) {
	var seen string
	answers := map[string]string{
		"/create-transaction": `{"message":"m","block_index":5}`,
		"/mine":               `{"message":"m","block_data":` + blockJSON + `}`,
		"/register-node":      `{"message":"m","node_count":1,"nodes":["http://127.0.0.1:5001"]}`,
		"/v1/status":          `{"network":"dev","height":7,"work":"15","pool":{"transfers":2,"bytes":300},"node_address":"a"}`,
	}
	c := serve(t, Options{Token: "secret"}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body)
		fmt.Fprint(w, answers[r.URL.Path])
	})
	check := func(what string, err error, got, want any, request string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if seen != request {
			t.Errorf("%s sent %q, want %q", what, seen, request)
		}
	}
	ctx := t.Context()

	submitted, err := c.CreateTransaction(ctx, NewTransaction{Sender: "a", Recipient: "b", Amount: "0.10"})
	check("CreateTransaction", err, submitted, Submitted{"m", 5},
		`POST /create-transaction Bearer secret application/json {"sender":"a","recipient":"b","amount":0.10}`)
	salt := uint64(18446744073709551615)
	_, err = c.CreateTransaction(ctx, NewTransaction{"a", "b", "1", "0.5", "hi", 9, &salt, Signature{0xab, 1}})
	check("CreateTransaction", err, submitted, Submitted{"m", 5},
		`POST /create-transaction Bearer secret application/json {"sender":"a","recipient":"b","amount":1,"fee":0.5,"memo":"hi","expiry":9,"salt":18446744073709551615,"signature":"ab01"}`)
	mined, err := c.Mine(ctx)
	check("Mine", err, mined, Mined{"m", testBlock()}, "GET /mine Bearer secret  ")
	registered, err := c.RegisterNode(ctx, "http://127.0.0.1:5001")
	check("RegisterNode", err, registered, Registered{"m", 1, []string{"http://127.0.0.1:5001"}},
		`POST /register-node Bearer secret application/json {"address":"http://127.0.0.1:5001"}`)
	status, err := c.Status(ctx)
	check("Status", err, status, Status{Network: "dev", Height: 7, Work: "15", Pool: PoolStatus{2, 300}, NodeAddress: "a"},
		"GET /v1/status Bearer secret  ")
}

func TestChain(t *testing.T) {
	query := ""
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		fmt.Fprint(w, `{"later":{"a":[1]},"chain":[`+genesisJSON+`,`+blockJSON+`],"more":1}`)
	})
	read := func(from uint32, limit, stop int) (heights []uint32) {
		for b, err := range c.Chain(t.Context(), from, limit) {
			if err != nil {
				t.Fatal(err)
			}
			if heights = append(heights, b.Index); len(heights) == stop {
				break
			}
		}
		return heights
	}
	if got := read(0, -1, 9); len(got) != 2 || query != "" {
		t.Errorf("the whole chain: %v, query %q", got, query)
	}
	if got := read(3, 0, 1); len(got) != 1 || query != "from=3&limit=0" {
		t.Errorf("a part: %v, query %q", got, query)
	}
}

func TestSyncChain(t *testing.T) {
	answer := `{"message":"Chain was replaced","neighbours":[{"address":"http://x","result":"adopted","detail":"d"}],"chain":[` + genesisJSON + `]}`
	c := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
	want := Synced{"Chain was replaced", []Neighbour{{"http://x", "adopted", "d"}}}
	blocks := 0
	for _, each := range []func(Block) error{nil, func(Block) error { blocks++; return nil }} {
		got, err := c.SyncChain(t.Context(), each)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("SyncChain: %v (-want +got):\n%s", err, diff)
		}
	}
	if blocks != 1 {
		t.Errorf("%d blocks were passed on", blocks)
	}
	refused := errors.New("no more")
	if _, err := c.SyncChain(t.Context(), func(Block) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("an error of the caller's came back as %v", err)
	}
	answer = `{"message":"No neighbour chain is available"}`
	if got, err := c.SyncChain(t.Context(), nil); err != nil || got.Message != "No neighbour chain is available" || got.Neighbours != nil {
		t.Errorf("without a chain: %+v, %v", got, err)
	}
}

func TestProblem(t *testing.T) {
	mediaType, body, status := ProblemType, "", 409
	c := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
	for _, test := range []struct {
		mediaType, body string
		want            Problem
	}{
		{ProblemType, `{"type":"/problems/conflict","title":"Conflict","status":409,"detail":"why","values":{"fee":3}}`, Problem{"/problems/conflict", "Conflict", 409, "why", Values{"fee": 3}}},
		{"text/plain", "some proxy", Problem{"about:blank", "Conflict", 409, "some proxy", nil}},
		{"text/html", "<html>", Problem{"about:blank", "Conflict", 409, "the answer does not say why; is this the address of a Cairn node?", nil}},
		{ProblemType, "{", Problem{"about:blank", "Conflict", 409, "{", nil}},
	} {
		mediaType, body = test.mediaType, test.body
		_, err := c.Mine(t.Context())
		var p *Problem
		if !errors.As(err, &p) {
			t.Fatalf("%q: %v is no Problem", test.body, err)
		}
		if diff := cmp.Diff(test.want, *p); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.body, diff)
		}
	}
	p := NewProblem(ErrConflict, "why")
	if got := p.Error(); got != "409 Another pending transfer has this sender and salt: why" || !errors.Is(p, ErrConflict) || errors.Is(p, ErrReplay) {
		t.Errorf("Error() = %q", got)
	}
	// A redirect is an answer like any other that is no success: it would take
	// the token elsewhere.
	status, mediaType, body = 302, "", ""
	if _, err := c.Status(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "302 Found") {
		t.Errorf("a redirect gave %v", err)
	}
}

// A node that stalls is given up, wherever in the answer; one that only mines for
// long, and a caller that takes its time between two blocks, are not.
func TestPatience(t *testing.T) {
	const patience = 50 * time.Millisecond
	stalled := make(chan struct{})
	stall := func(w http.ResponseWriter) {
		_ = http.NewResponseController(w).Flush()
		<-stalled
	}
	c := serve(t, Options{Patience: patience}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/status":
			<-stalled
		case "/sync-chain":
			fmt.Fprint(w, `{"message":`)
			stall(w)
		case "/mine":
			time.Sleep(4 * patience)
			fmt.Fprint(w, `{"message":"m"}`)
		case "/chain":
			fmt.Fprint(w, `{"chain":[`+genesisJSON+strings.Repeat(`,`+genesisJSON, 1000)+`]}`)
		}
	})
	defer close(stalled) // before the server closes, which waits for its handlers
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "sent nothing for 50ms") {
		t.Errorf("no answer: %v", err)
	}
	if _, err := c.SyncChain(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "sent nothing for 50ms") {
		t.Errorf("half an answer: %v", err)
	}
	if _, err := c.Mine(t.Context()); err != nil {
		t.Errorf("a slow search: %v", err)
	}
	for b, err := range c.Chain(t.Context(), 0, -1) {
		if err != nil {
			t.Fatalf("a slow reader: %v", err)
		}
		_ = b
		time.Sleep(patience / 500)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's own deadline came as %v", err)
	}
}

func TestNew(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:5000", "ftp://x", "http://", "http://u:p@x", "http://x?q=1", "http://x#f", "http://x\n"} {
		if _, err := New(bad, Options{}); err == nil {
			t.Errorf("New(%q) was accepted", bad)
		}
	}
	c, err := New("https://example.org/cairn/", Options{})
	if err != nil || c.base != "https://example.org/cairn" {
		t.Errorf("New kept %q, %v", c.base, err)
	}
}

func TestStatusHash(t *testing.T) {
	want := Status{ChainID: types.Hash{0: 1}, Tip: types.Hash{31: 2}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Status
	if err := json.Unmarshal(b, &got); err != nil || got != want {
		t.Errorf("%s came back as %+v, %v", b, got, err)
	}
}
