package api

import (
	"bufio"
	"bytes"
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

	"cairn/api/client"
	"cairn/mempool"
	"cairn/types"
)

// conversation is a stream of transfers whose answers are read while it goes on.
type conversation struct {
	t       *testing.T
	send    *io.PipeWriter
	resp    chan *http.Response
	answers *bufio.Scanner
	body    io.Closer
}

func (l *live) converse(t *testing.T, media string) *conversation {
	t.Helper()
	r, w := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+l.hostPort+"/v1/transactions/stream", r)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", media)
	c := &conversation{t: t, send: w, resp: make(chan *http.Response, 1)}
	go func() {
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Errorf("the stream: %v", err)
			close(c.resp)
			return
		}
		c.resp <- resp
	}()
	t.Cleanup(func() { w.CloseWithError(errors.New("the test is over")) })
	return c
}

func (c *conversation) say(b []byte) {
	c.t.Helper()
	if _, err := c.send.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// hear returns the next answer; nil at the end.
func (c *conversation) hear() *client.StreamAnswer {
	c.t.Helper()
	if c.answers == nil {
		resp := <-c.resp
		if resp == nil {
			c.t.FailNow()
		}
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != mediaNDJSON {
			c.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
		}
		c.answers, c.body = bufio.NewScanner(resp.Body), resp.Body
		c.t.Cleanup(func() { resp.Body.Close() })
	}
	if !c.answers.Scan() {
		if err := c.answers.Err(); err != nil {
			c.t.Fatal(err)
		}
		return nil
	}
	a := new(client.StreamAnswer)
	d := json.NewDecoder(bytes.NewReader(c.answers.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(a); err != nil || (a.Accepted == nil) == (a.Problem == nil) {
		c.t.Fatalf("answer %s: %v", c.answers.Text(), err)
	}
	return a
}

// taken wants a transfer to be accepted.
func (c *conversation) taken(t *types.Transfer) {
	c.t.Helper()
	if a := c.hear(); a == nil || a.Accepted == nil || a.ID != t.ID() || a.Status != client.Pending {
		c.t.Fatalf("%+v; want %v to be accepted", a, t.ID())
	}
}

func (c *conversation) refused(rule client.Rule) {
	c.t.Helper()
	a := c.hear()
	if a == nil || a.Problem == nil || a.Problem.Rule() != rule {
		c.t.Fatalf("%+v; want a refusal for %s", a, rule)
	}
}

func (c *conversation) ends() {
	c.t.Helper()
	c.send.Close()
	if a := c.hear(); a != nil {
		c.t.Errorf("%+v after the end", a)
	}
}

// Both forms of a stream answer one by one while it goes on, and what is wrong with
// one transfer is no matter of the others.
func TestStreamOfTransfers(t *testing.T) {
	l := newLive(t, keyedRules(t, nil), mempool.Limits{})
	salt := uint64(0)
	next := func() *types.Transfer {
		salt++
		transfer := l.transfer(1, 2, 1, 1, salt)
		return &transfer
	}
	for media, frame := range map[string]func(*types.Transfer) []byte{
		mediaNDJSON: func(t *types.Transfer) []byte { return []byte(l.submission(*t) + "\n") },
		mediaOctets: func(t *types.Transfer) []byte { return appendFramed(nil, t) },
	} {
		t.Run(media, func(t *testing.T) {
			c := l.converse(t, media)
			for range 3 { // one at a time
				one := next()
				c.say(frame(one))
				c.taken(one)
				if _, pending := l.chain.Pending(one.ID()); !pending {
					t.Error("it was accepted and is not pending")
				}
			}
			// Many at once; every tenth has a bad signature, and one costs too much.
			var all []*types.Transfer
			var body []byte
			for i := range 2000 {
				one := next()
				if i == 1234 {
					*one = l.transfer(1, 2, allOfIt+1, 1, salt)
				}
				if i%10 == 3 {
					one.Signature[i%64] ^= 1
				}
				all = append(all, one)
				body = append(body, frame(one)...)
			}
			go func() { _, _ = c.send.Write(body) }() // what does not arrive is missed below
			for i, one := range all {
				switch {
				case i%10 == 3:
					c.refused(client.ErrSignature)
				case i == 1234:
					c.refused(client.ErrInsufficient)
				default:
					c.taken(one)
				}
			}
			// Whole transfers are answered although the next one has begun.
			one, other := next(), next()
			half := len(frame(other)) / 2
			c.say(append(frame(one), frame(other)[:half]...))
			c.taken(one)
			c.say(frame(other)[half:])
			c.taken(other)
			// The same again, and what is no transfer behind it.
			same := frame(other)
			if media == mediaNDJSON {
				same = append(same, "\n \n"...)
			}
			c.say(same)
			c.taken(other)
			c.ends()
		})
	}
}

// What is wrong with a line is answered in its place.
func TestStreamOfLines(t *testing.T) {
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	good := func(salt int) string {
		return fmt.Sprintf(`{"sender":"a","recipient":"b","amount":1,"salt":"%d"}`, salt)
	}
	accepted := client.Rule("")
	for _, c := range []struct {
		what, body string
		want       []client.Rule
	}{
		{"nothing", "", nil},
		{"empty lines", "\n \r\n\t\n\n", nil},
		{"no end of line", good(1), []client.Rule{accepted}},
		{"ends of other systems", good(2) + "\r\n" + good(3) + "\r\n\r\n", []client.Rule{accepted, accepted}},
		{"no JSON", good(4) + "\n{\n" + good(5) + "\n", []client.Rule{accepted, client.ErrSyntax, accepted}},
		{"no object", "5\n" + good(6), []client.Rule{client.ErrInvalidValue, accepted}},
		{"two on a line", good(7) + good(8) + "\n" + good(9), []client.Rule{client.ErrSyntax, accepted}},
		{"a key twice", `{"sender":"a","sender":"a"}` + "\n" + good(10), []client.Rule{client.ErrDuplicateKey, accepted}},
		{"no transfer", "{}\n" + good(11), []client.Rule{client.ErrInvalidValue, accepted}},
		{"the longest line", good(12) + strings.Repeat(" ", maxLine-len(good(12))-1) + "\n" + good(13), []client.Rule{accepted, accepted}},
		{"a line too long", good(14) + "\n" + good(15) + strings.Repeat(" ", maxLine) + "\n" + good(16), []client.Rule{accepted, client.ErrBodyTooLarge}},
		{"a huge line", good(17) + "\n" + strings.Repeat("x", 3<<20), []client.Rule{accepted, client.ErrBodyTooLarge}},
	} {
		got := rulesOf(t, l.post("/v1/transactions/stream", c.body, "Content-Type", mediaNDJSON))
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	for salt, want := range map[uint64]bool{14: true, 15: false, 16: false, 17: true} {
		if _, pending := l.chain.PendingBySalt("a", salt); pending != want {
			t.Errorf("salt %d is pending: %v", salt, pending)
		}
	}
}

func TestStreamOfBytes(t *testing.T) {
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	frame := func(salt uint64) string {
		transfer := l.transfer(1, 2, 1, 1, salt)
		return string(appendFramed(nil, &transfer))
	}
	accepted := client.Rule("")
	for _, c := range []struct {
		what, body string
		want       []client.Rule
	}{
		{"nothing", "", nil},
		{"one", frame(1), []client.Rule{accepted}},
		{"no encoding", frame(2) + "\x03\x00abc" + frame(3), []client.Rule{accepted, client.ErrSyntax, accepted}},
		{"none of the length 0", "\x00\x00" + frame(4), []client.Rule{client.ErrSyntax, accepted}},
		{"half a length", frame(5) + "\x01", []client.Rule{accepted, client.ErrSyntax}},
		{"only a length", frame(6) + "\x01\x00", []client.Rule{accepted, client.ErrSyntax}},
		{"half an encoding", frame(7) + frame(8)[:50], []client.Rule{accepted, client.ErrSyntax}},
		{"a long one", "\xff\xff" + strings.Repeat("x", 65535) + frame(9), []client.Rule{client.ErrSyntax, accepted}},
	} {
		got := rulesOf(t, l.post("/v1/transactions/stream", c.body, "Content-Type", mediaOctets))
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// rulesOf returns what was answered to each transfer of a stream: a rule, or "".
func rulesOf(t *testing.T, a answer) (all []client.Rule) {
	t.Helper()
	if a.status != 200 || a.header.Get("Content-Type") != mediaNDJSON && a.body != "" {
		t.Fatalf("%s: %d %s", a.what, a.status, a.body)
	}
	for line := range strings.Lines(a.body) {
		var answer client.StreamAnswer
		if err := json.Unmarshal([]byte(line), &answer); err != nil || (answer.Accepted == nil) == (answer.Problem == nil) {
			t.Fatalf("%q: %v", line, err)
		}
		rule := client.Rule("")
		if answer.Problem != nil {
			rule = answer.Problem.Rule()
		}
		all = append(all, rule)
	}
	return all
}

func TestStreamRefused(t *testing.T) {
	n := newNode(t, nodeConfig{api: offLoopback})
	for _, media := range []string{"application/json", "text/plain", "", "application/x-ndjsonx"} {
		n.post("/v1/transactions/stream", "{}", "Content-Type", media).refused(415, mediaNDJSON)
	}
	n.post("/v1/transactions/stream", "{}", "Content-Type", mediaNDJSON, "Sec-Fetch-Site", "cross-site").refused(403)
	n.post("/v1/transactions/stream", "{}", "Content-Type", mediaNDJSON, "Authorization", n.token("r", client.ScopeRead)).refused(403)
	if a := n.post("/v1/transactions/stream", "\n", "Content-Type", mediaNDJSON+"; charset=utf-8"); a.status != 200 {
		t.Errorf("%s: %d %s", a.what, a.status, a.body)
	}
}

// Whoever sends a huge line learns why the stream ends, although it still sends.
func TestStreamOfHugeLine(t *testing.T) {
	t.Parallel()
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	for range 3 {
		c := l.converse(t, mediaNDJSON)
		go func() { _, _ = c.send.Write(bytes.Repeat([]byte("x"), 1<<20)) }()
		c.refused(client.ErrBodyTooLarge)
	}
}

// A client that leaves in the middle has what it was answered.
func TestStreamCutOff(t *testing.T) {
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	c := l.converse(t, mediaOctets)
	one := l.transfer(1, 2, 1, 1, 1)
	c.say(appendFramed(nil, &one))
	c.taken(&one)
	l.server.CloseClientConnections()
	eventually(t, "the node still answers", func() bool {
		_, err := l.client().Status(context.Background())
		return err == nil
	})
	if l.chain.Pool().Transfers != 1 {
		t.Errorf("%d transfers wait", l.chain.Pool().Transfers)
	}
}

// A stream that says nothing for too long ends, with all that was answered.
func TestStreamIdle(t *testing.T) {
	t.Parallel()
	l := newLive(t, liveRules(t, nil), mempool.Limits{})
	s := &server{chain: l.chain, rules: l.Rules, syncer: l.syncer, guard: guard{loopback: true}, log: quiet, stall: 100 * time.Millisecond}
	s.metrics = newMetrics(s)
	h := httptest.NewServer(s.wrap("test", func(w *response, r *http.Request) error { return s.submitMany(w, r, nil) }))
	defer h.Close()
	l.hostPort = h.Listener.Addr().String()
	c := l.converse(t, mediaNDJSON)
	for salt := range uint64(4) { // together longer than it may be silent
		time.Sleep(s.stall / 3)
		one := l.transfer(1, 2, 1, 1, salt)
		c.say([]byte(l.submission(one) + "\n"))
		c.taken(&one)
	}
	c.refused(client.ErrSyntax)
	if a := c.hear(); a != nil {
		t.Errorf("%+v after the end", a)
	}
}

// Whatever comes as a transfer or as a stream of them, it is a success or a refusal,
// and a stream has a line of answer for each transfer that it took.
func FuzzTransfers(f *testing.F) {
	n := newNode(f, nodeConfig{pool: smallPool})
	transfer := n.transfer(1, 2, 3, 4, 5)
	for _, seed := range [][]byte{
		[]byte(n.submission(transfer)), []byte(n.submission(transfer) + "\n\n{}\n5"), transfer.Append(nil), appendFramed([]byte("\x02\x00ab"), &transfer),
		[]byte(`{"sender":"a","recipient":"b","amount":1e3,"memo_hex":"ff","salt":"1"}`), []byte("\xff\xff"), []byte("\n\n\r\n"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		node := *n
		node.t = t
		for _, media := range []string{mediaJSON, mediaOctets} {
			for _, path := range []string{"/v1/transactions/check", "/v1/transactions"} {
				a := node.post(path, string(body), "Content-Type", media)
				if a.status > 299 {
					a.refused(a.status)
				}
				if a.status == 500 {
					t.Errorf("%q: %s", body, a.body)
				}
			}
		}
		for _, media := range []string{mediaNDJSON, mediaOctets} {
			before := node.chain.Pool().Transfers
			taken := 0
			for _, rule := range rulesOf(t, node.post("/v1/transactions/stream", string(body), "Content-Type", media)) {
				switch rule {
				case "":
					taken++
				case client.ErrInternal:
					t.Errorf("%q: a fault", body)
				}
			}
			if grown := node.chain.Pool().Transfers - before; grown > taken {
				t.Errorf("%q: %d transfers were accepted, %d came", body, taken, grown)
			}
		}
	})
}
