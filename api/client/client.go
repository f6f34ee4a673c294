// Package client calls a node over HTTP: the five classic calls and /v1. The types
// of their JSON are here too, and the server writes exactly these. The calls are
// described in docs/api.md.
//
// A call ends when its context does, or when the node sends nothing for the
// client's patience; Mine and SyncChain have no such limit before their answer
// begins, because mining and asking neighbours take as long as they take. A
// refusal is a *Problem, and errors.Is finds the Rule that was broken.
//
// A call that may be made twice without harm is tried again when the node cannot be
// reached or says that it is busy: what only reads, and a transfer that has its salt
// and expiry, which is never paid twice.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options are what New needs beyond an address.
type Options struct {
	// Token is sent as a bearer token; empty: none.
	Token string
	// Patience is how long the node may send nothing; 0: 30 seconds.
	Patience time.Duration
	// HTTP makes the requests; nil: a client that follows no redirects and
	// shares the connections of http.DefaultTransport.
	HTTP *http.Client
}

// Client calls one node. It is safe for concurrent use.
type Client struct {
	base     string // without a trailing slash
	token    string
	patience time.Duration
	http     *http.Client
}

// New returns a client of the node at base, an http or https URL.
func New(base string, o Options) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("the address of a node: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the address of a node is like http://127.0.0.1:5000, not %q", base)
	}
	c := &Client{base: strings.TrimRight(u.String(), "/"), token: o.Token, patience: o.Patience, http: o.HTTP}
	if c.patience == 0 {
		c.patience = 30 * time.Second
	}
	if c.http == nil {
		// A redirect would take the token to wherever it points.
		c.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return c, nil
}

// CreateTransaction submits a transfer. When it returns without an error, the
// node has stored it durably.
func (c *Client) CreateTransaction(ctx context.Context, t NewTransaction) (Submitted, error) {
	var answer Submitted
	again := t.Salt != nil && t.Expiry != 0
	err := c.call(ctx, request{method: http.MethodPost, path: "/create-transaction", body: t, again: again}, &answer)
	return answer, err
}

// Mine mines one block on the best chain. Off loopback it needs the token.
func (c *Client) Mine(ctx context.Context) (Mined, error) {
	var answer Mined
	err := c.call(ctx, request{method: http.MethodGet, path: "/mine", slow: true}, &answer)
	return answer, err
}

// RegisterNode adds a neighbour by its base URL. Off loopback it needs the
// token.
func (c *Client) RegisterNode(ctx context.Context, address string) (Registered, error) {
	var answer Registered
	body := map[string]string{"address": address}
	err := c.call(ctx, request{method: http.MethodPost, path: "/register-node", body: body}, &answer)
	return answer, err
}

// Chain yields the blocks of the best chain from height from on, at most limit
// of them, or all when limit is negative. They are read as they are yielded, so
// the memory used does not grow with the chain. An error comes last, with a zero
// block.
func (c *Client) Chain(ctx context.Context, from uint32, limit int) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		query := url.Values{}
		if from > 0 {
			query.Set("from", strconv.FormatUint(uint64(from), 10))
		}
		if limit >= 0 {
			query.Set("limit", strconv.Itoa(limit))
		}
		stopped := errors.New("the caller wants no more")
		err := c.stream(ctx, request{method: http.MethodGet, path: "/chain", query: query}, func(d *json.Decoder) error {
			return decodeObject(d, func(key string) error {
				if key != "chain" {
					return skip(d)
				}
				return decodeBlocks(d, func(b Block) error {
					if !yield(b, nil) {
						return stopped
					}
					return nil
				})
			})
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(Block{}, err)
		}
	}
}

// SyncChain makes the node ask its neighbours and adopt the best chain. Each
// block of the chain that it then has is passed to each, until that returns an
// error, which SyncChain returns; nil: the chain is not read. Off loopback it
// needs the token.
func (c *Client) SyncChain(ctx context.Context, each func(Block) error) (Synced, error) {
	var answer Synced
	unread := errors.New("the chain is not wanted")
	err := c.stream(ctx, request{method: http.MethodGet, path: "/sync-chain", slow: true}, func(d *json.Decoder) error {
		return decodeObject(d, func(key string) error {
			switch {
			case key == "message":
				return d.Decode(&answer.Message)
			case key == "neighbours":
				return d.Decode(&answer.Neighbours)
			case key != "chain":
				return skip(d)
			case each == nil:
				return unread // the node sends the chain last
			}
			return decodeBlocks(d, each)
		})
	})
	if errors.Is(err, unread) {
		err = nil
	}
	return answer, err
}

// request is what differs between the calls.
type request struct {
	method, path string
	query        url.Values
	body         any    // nil: none; a []byte is sent as it is
	contentType  string // of the body; "": JSON
	key          string // Idempotency-Key
	slow         bool   // the answer may begin late
	again        bool   // it may be made twice without harm
}

// tries is how often a call that may be made again is made, and firstPause how long
// after the first the second is, if the node does not say; it doubles.
const (
	tries      = 4
	firstPause = 250 * time.Millisecond
	maxPause   = 15 * time.Second
)

// get makes a request for JSON that only reads.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (answer T, err error) {
	err = c.call(ctx, request{method: http.MethodGet, path: path, query: query, again: true}, &answer)
	return answer, err
}

// call makes a request and reads one small JSON answer into it.
func (c *Client) call(ctx context.Context, r request, answer any) error {
	return c.stream(ctx, r, func(d *json.Decoder) error { return d.Decode(answer) })
}

// stream makes a request and gives read a decoder of the answer.
func (c *Client) stream(ctx context.Context, r request, read func(*json.Decoder) error) error {
	return c.read(ctx, r, func(body io.Reader) error { return read(json.NewDecoder(body)) })
}

// read makes a request, again where that is safe and may help, and gives take the
// body of the answer.
func (c *Client) read(ctx context.Context, r request, take func(io.Reader) error) error {
	pause := firstPause
	for try := 1; ; try++ {
		began, err := c.once(ctx, r, take)
		wait, worth := worthwhile(err)
		if err == nil || began || !r.again || !worth || try == tries {
			return err
		}
		select {
		case <-time.After(max(wait, pause)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause *= 2
	}
}

// worthwhile tells whether a call that failed may work a little later, and how much
// later the node says.
func worthwhile(err error) (wait time.Duration, worth bool) {
	var busy *busyError
	if errors.As(err, &busy) {
		return min(busy.after, maxPause), true
	}
	var network net.Error
	return 0, errors.As(err, &network) && !errors.Is(err, syscall.ECONNREFUSED) // no node is there
}

// busyError is a refusal for now.
type busyError struct {
	*Problem
	after time.Duration
}

// Unwrap returns the refusal.
func (e *busyError) Unwrap() error { return e.Problem }

// once makes a request and gives take the body of the answer; began tells whether it
// came to that. While it waits for the node, and only then, the node must send
// something within the client's patience.
func (c *Client) once(ctx context.Context, r request, take func(io.Reader) error) (began bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wait := &patience{limit: c.patience, end: func() {
		cancel(fmt.Errorf("the node at %s sent nothing for %v", c.base, c.patience))
	}}
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return false, err
	}
	if !r.slow {
		wait.begin()
	}
	resp, err := c.http.Do(req)
	wait.over()
	if err != nil {
		return false, cause(ctx, err)
	}
	defer resp.Body.Close()
	body := &patientReader{r: resp.Body, wait: wait}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body = io.NopCloser(body)
		return false, refusal(resp)
	}
	if err := take(body); err != nil {
		return true, cause(ctx, fmt.Errorf("%s %s: reading the answer: %w", r.method, r.path, err))
	}
	return true, nil
}

// refusal is the error of an answer that is no success.
func refusal(resp *http.Response) error {
	p := readProblem(resp)
	if p.Status != http.StatusServiceUnavailable && p.Status != http.StatusTooManyRequests {
		return p
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // 0 where the node does not say
	return &busyError{p, time.Duration(seconds) * time.Second}
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	switch given := r.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(given)
	case io.Reader:
		body = given
	default:
		b, err := json.Marshal(given)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(b)
	}
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", cmp.Or(r.contentType, "application/json"))
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// cause prefers the reason for which ctx was ended over "context canceled".
func cause(ctx context.Context, err error) error {
	if reason := context.Cause(ctx); reason != nil {
		return reason
	}
	return err
}
