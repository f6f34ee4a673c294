package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"cairn/types"
)

// script is a node that answers one request after another, without a network, so
// that pauses take no time.
type script struct {
	mu      sync.Mutex
	steps   []step
	request []string // what was asked, with bodies
}

// step is what comes of one request.
type step struct {
	status int
	body   string
	header []string
	err    error // instead
	cut    error // comes after the body
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = " " + string(b)
	}
	s.request = append(s.request, r.Method+" "+r.URL.RequestURI()+body)
	if len(s.steps) == 0 {
		return nil, errors.New("the script is at its end")
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	if next.err != nil {
		return nil, next.err
	}
	header := http.Header{}
	for i := 0; i < len(next.header); i += 2 {
		header.Set(next.header[i], next.header[i+1])
	}
	var reader io.Reader = strings.NewReader(next.body)
	if next.cut != nil {
		reader = io.MultiReader(reader, failing{next.cut})
	}
	return &http.Response{StatusCode: next.status, Header: header, Body: io.NopCloser(reader), Request: r}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (s *script) client(t *testing.T) *Client {
	t.Helper()
	c, err := New("http://node.example", Options{HTTP: &http.Client{Transport: s}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// problemStep is a refusal.
func problemStep(rule Rule, retryAfter string) step {
	s := step{status: rule.Status(), header: []string{"Content-Type", ProblemType},
		body: fmt.Sprintf(`{"type":"/problems/%s","title":%q,"status":%d,"detail":"why"}`, string(rule), rule.Title(), rule.Status())}
	if retryAfter != "" {
		s.header = append(s.header, "Retry-After", retryAfter)
	}
	return s
}

func networkError(err error) step {
	return step{err: &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}}
}

var fine = step{status: 200, body: `{"least":7}`}

// What only reads is tried again where that may help, after a pause; and no more
// than four times.
func TestRetry(t *testing.T) {
	busy := problemStep(ErrStopping, "")
	reset, refused := networkError(syscall.ECONNRESET), networkError(syscall.ECONNREFUSED)
	for _, c := range []struct {
		what  string
		steps []step
		took  time.Duration
		want  error // nil: success at the last step
	}{
		{"at once", []step{fine}, 0, nil},
		{"busy, and says for how long", []step{problemStep(ErrStopping, "10"), fine}, 10 * time.Second, nil},
		{"too many requests", []step{problemStep(ErrRateLimited, "1"), problemStep(ErrRateLimited, "1"), fine}, 2 * time.Second, nil},
		{"busy for less than the pause", []step{busy, problemStep(ErrStopping, "0"), fine}, 750 * time.Millisecond, nil},
		{"busy for hours", []step{problemStep(ErrStopping, "86400"), fine}, 15 * time.Second, nil},
		{"busy until a date, which is not read", []step{problemStep(ErrStopping, "Fri, 31 Dec 1999 23:59:59 GMT"), fine}, 250 * time.Millisecond, nil},
		{"busy for good", []step{busy, busy, busy, busy}, 1750 * time.Millisecond, ErrStopping},
		{"a proxy that is busy", []step{{status: 503, body: "<html>"}, fine}, 250 * time.Millisecond, nil},
		{"reset", []step{reset, reset, fine}, 750 * time.Millisecond, nil},
		{"reset for good", []step{reset, reset, reset, reset}, 1750 * time.Millisecond, syscall.ECONNRESET},
		{"nobody there", []step{refused}, 0, syscall.ECONNREFUSED},
		{"a refusal", []step{problemStep(ErrNotFound, "")}, 0, ErrNotFound},
		{"a fault", []step{problemStep(ErrInternal, "")}, 0, ErrInternal},
		{"cut in the answer", []step{{status: 200, body: `{"lea`, cut: io.ErrUnexpectedEOF}}, 0, io.ErrUnexpectedEOF},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{steps: c.steps}
			began := time.Now()
			fees, err := s.client(t).Fees(t.Context())
			if took := time.Since(began); took != c.took || len(s.steps) != 0 || len(s.request) != len(c.steps) {
				t.Errorf("%s: took %v and %d requests; want %v and %d", c.what, took, len(s.request), c.took, len(c.steps))
			}
			if !errors.Is(err, c.want) || c.want == nil && (err != nil || fees.Least != 7) {
				t.Errorf("%s: %+v, %v; want %v", c.what, fees, err, c.want)
			}
		})
	}
}

// A call that would do something a second time is made once; one that would not is
// made again with all of its body.
func TestRetryOfChanges(t *testing.T) {
	salt := uint64(5)
	transfer := NewTransaction{Sender: "a", Recipient: "b", Amount: "1"}
	same := transfer
	same.Salt, same.Expiry = &salt, 9
	saltOnly := transfer
	saltOnly.Salt = &salt
	for what, c := range map[string]struct {
		again bool
		call  func(*Client) error
	}{
		"Mine":      {false, func(c *Client) error { _, err := c.Mine(context.Background()); return err }},
		"MineBlock": {false, func(c *Client) error { _, err := c.MineBlock(context.Background()); return err }},
		"CreateToken": {false, func(c *Client) error {
			_, err := c.CreateToken(context.Background(), NewToken{"a", ScopeRead})
			return err
		}},
		"SyncChain":                    {false, func(c *Client) error { _, err := c.SyncChain(context.Background(), nil); return err }},
		"CreateTransaction":            {false, func(c *Client) error { _, err := c.CreateTransaction(context.Background(), transfer); return err }},
		"CreateTransaction, with salt": {false, func(c *Client) error { _, err := c.CreateTransaction(context.Background(), saltOnly); return err }},
		"CreateTransaction, complete":  {true, func(c *Client) error { _, err := c.CreateTransaction(context.Background(), same); return err }},
		"Submit":                       {true, func(c *Client) error { _, err := c.Submit(context.Background(), []byte("encoding")); return err }},
		"Check":                        {true, func(c *Client) error { _, err := c.Check(context.Background(), []byte("encoding")); return err }},
		"AddNeighbour":                 {true, func(c *Client) error { _, err := c.AddNeighbour(context.Background(), "http://x"); return err }},
		"Status":                       {true, func(c *Client) error { _, err := c.Status(context.Background()); return err }},
		"Block":                        {true, func(c *Client) error { _, err := c.Block(context.Background(), "5"); return err }},
	} {
		for _, first := range []step{problemStep(ErrPoolFull, "1"), networkError(syscall.ECONNRESET), networkError(syscall.EPIPE)} {
			synctest.Test(t, func(t *testing.T) {
				s := &script{steps: []step{first, {status: 200, body: "{}"}}}
				err := c.call(s.client(t))
				if c.again && (err != nil || len(s.request) != 2 || s.request[0] != s.request[1]) {
					t.Errorf("%s was to be made again: %v, %q", what, err, s.request)
				}
				if !c.again && (err == nil || len(s.request) != 1) {
					t.Errorf("%s was to be made once: %v, %q", what, err, s.request)
				}
			})
		}
	}
}

// A caller that wants no more does not wait out a pause.
func TestRetryEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{problemStep(ErrStopping, "10"), fine}}
		reason := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, reason)
		defer cancel()
		began := time.Now()
		if _, err := s.client(t).Fees(ctx); !errors.Is(err, reason) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// The rule that was broken is found in the error of a call, busy or not.
func TestRuleOfError(t *testing.T) {
	for _, rule := range Rules() {
		synctest.Test(t, func(t *testing.T) {
			s := &script{steps: []step{problemStep(rule, "")}}
			_, err := s.client(t).MineBlock(t.Context())
			var p *Problem
			if !errors.Is(err, rule) || !errors.As(err, &p) || p.Rule() != rule || p.Status != rule.Status() {
				t.Errorf("%s came as %v", rule, err)
			}
			if other := ErrInsufficient; rule != other && errors.Is(err, other) {
				t.Errorf("%s is taken for %s", rule, other)
			}
		})
	}
	if got := Rule("of-tomorrow"); got.Error() != "of-tomorrow" || got.Status() != 0 {
		t.Errorf("an unknown rule is %q, %d", got.Error(), got.Status())
	}
}

// A connection that is really reset is one error of the network.
func TestResetConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for i := 0; ; i++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if i == 0 {
				_ = conn.(*net.TCPConn).SetLinger(0) // reset
			} else {
				_, _ = conn.Read(make([]byte, 4096))
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\n"+fine.body)
			}
			conn.Close()
		}
	}()
	c, err := New("http://"+listener.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if fees, err := c.Fees(t.Context()); err != nil || fees.Least != 7 {
		t.Errorf("%+v, %v", fees, err)
	}
}

func eventText(name, id, data string) string {
	return "id: " + id + "\nevent: " + name + "\ndata: " + data + "\n\n"
}

// Streams that end, break in an event, or are refused for now are taken up again
// behind the last whole event; a refusal for good is the last.
func TestEventsResume(t *testing.T) {
	one, two := types.Hash{0: 1}, types.Hash{0: 2}
	applied := func(h types.Hash) string { return eventText(BlockApplied, h.String(), `{"block":{"height":1}}`) }
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{
			networkError(syscall.ECONNREFUSED),
			problemStep(ErrRateLimited, "1"),
			{status: 502, body: "a proxy without a node"},
			{status: 200, body: ": hello\n\n" + applied(one) + ":\n\n" + strings.TrimSuffix(applied(two), "\n"), cut: io.ErrUnexpectedEOF},
			{status: 200, body: "event: " + TransferPooled + "\r\ndata: {\"transfer\":{\"memo\":\"" + strings.Repeat("m", 9000) + "\"}}\r\n\r\n" + applied(two)},
			{status: 200, body: "data: {\n\n"},
			{status: 200, body: eventText(BlockReverted, "no hash", "{}")},
			{status: 200, body: "data: \"" + strings.Repeat("x", 2*maxEvent) + "\"\n\n"},
			problemStep(ErrNotFound, ""),
		}}
		var got []string
		for e, err := range s.client(t).Events(t.Context(), EventsOptions{After: types.Hash{}, Pool: true}) {
			if err != nil {
				got = append(got, fmt.Sprint(errors.Is(err, ErrNotFound)))
				continue
			}
			got = append(got, e.Type+" "+e.Cursor.String())
		}
		want := []string{BlockApplied + " " + one.String(), TransferPooled + " " + one.String(), BlockApplied + " " + two.String(), "true"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		first, afterOne, afterTwo := "GET /v1/events?pool=true", "GET /v1/events?after="+one.String()+"&pool=true", "GET /v1/events?after="+two.String()+"&pool=true"
		if diff := cmp.Diff([]string{first, first, first, first, afterOne, afterTwo, afterTwo, afterTwo, afterTwo}, s.request); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// Whoever stops reading hears no more, and whoever's context ends hears why.
func TestEventsEnd(t *testing.T) {
	body := eventText(BlockApplied, types.Hash{}.String(), "{}") + eventText(BlockApplied, types.Hash{}.String(), "{}")
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{{status: 200, body: body}}}
		n := 0
		for range s.client(t).Events(t.Context(), EventsOptions{}) {
			n++
			break
		}
		if n != 1 || len(s.request) != 1 {
			t.Errorf("%d events, %d requests", n, len(s.request))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		reason := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, reason)
		defer cancel()
		var last error
		for _, err := range (&script{}).client(t).Events(ctx, EventsOptions{}) {
			last = err
		}
		if !errors.Is(last, reason) {
			t.Errorf("the last was %v", last)
		}
	})
}
