// Package client calls a node over HTTP: the five classic calls and its status.
// The types of their JSON are here too, and the server writes exactly these.
// The calls are described in docs/api.md.
//
// A call ends when its context does, or when the node sends nothing for the
// client's patience; Mine and SyncChain have no such limit before their answer
// begins, because mining and asking neighbours take as long as they take. A
// refusal is a *Problem.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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
	err := c.call(ctx, request{method: http.MethodPost, path: "/create-transaction", body: t}, &answer)
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

// Status returns what the node says about itself.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var answer Status
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/status"}, &answer)
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
	body         any  // nil: none
	slow         bool // the answer may begin late
}

// call makes a request and reads one small JSON answer into it.
func (c *Client) call(ctx context.Context, r request, answer any) error {
	return c.stream(ctx, r, func(d *json.Decoder) error { return d.Decode(answer) })
}

// stream makes a request and gives read a decoder of the answer. While it waits
// for the node, and only then, the node must send something within the client's
// patience.
func (c *Client) stream(ctx context.Context, r request, read func(*json.Decoder) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wait := &patience{limit: c.patience, end: func() {
		cancel(fmt.Errorf("the node at %s sent nothing for %v", c.base, c.patience))
	}}
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return err
	}
	if !r.slow {
		wait.begin()
	}
	resp, err := c.http.Do(req)
	wait.over()
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close()
	body := &patientReader{r: resp.Body, wait: wait}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		resp.Body = io.NopCloser(body)
		return readProblem(resp)
	}
	if err := read(json.NewDecoder(body)); err != nil {
		return cause(ctx, fmt.Errorf("%s %s: reading the answer: %w", r.method, r.path, err))
	}
	return nil
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		b, err := json.Marshal(r.body)
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
		req.Header.Set("Content-Type", "application/json")
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
