package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"cairn/types"
)

// Status returns what the node says about itself.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/v1/status", nil)
}

// Network returns the rules of the node's network, and what it asks for besides.
func (c *Client) Network(ctx context.Context) (Network, error) {
	return get[Network](ctx, c, "/v1/network", nil)
}

// Genesis returns the genesis file of the node's network. Whoever trusts it should
// know its chain ID from elsewhere.
func (c *Client) Genesis(ctx context.Context) (Genesis, error) {
	return get[Genesis](ctx, c, "/v1/genesis", nil)
}

// Block returns a block by its height or hash, as text.
func (c *Client) Block(ctx context.Context, block string) (BlockData, error) {
	return get[BlockData](ctx, c, "/v1/blocks/"+url.PathEscape(block), nil)
}

// Fees returns what a place in a block costs.
func (c *Client) Fees(ctx context.Context) (Fees, error) { return get[Fees](ctx, c, "/v1/fees", nil) }

// Transaction returns a transfer and what became of it. expiry, where it is known,
// lets the node tell that one it does not know has expired; 0: not known.
func (c *Client) Transaction(ctx context.Context, id types.Hash, expiry uint32) (TransactionData, error) {
	query := url.Values{}
	if expiry > 0 {
		query.Set("expiry", strconv.FormatUint(uint64(expiry), 10))
	}
	return get[TransactionData](ctx, c, "/v1/transactions/"+id.String(), query)
}

// AccountData returns what an account holds and what is pending for it.
func (c *Client) AccountData(ctx context.Context, account string) (AccountData, error) {
	return get[AccountData](ctx, c, "/v1/accounts/"+url.PathEscape(account), nil)
}

// AccountHistory yields what happened to an account on the best chain, the latest
// first. An error comes last.
func (c *Client) AccountHistory(ctx context.Context, account string) iter.Seq2[AccountEntry, error] {
	return pages[AccountEntry](ctx, c, "/v1/accounts/"+url.PathEscape(account)+"/transactions")
}

// AccountWaiting returns pending transfers from and to an account, at most 100.
func (c *Client) AccountWaiting(ctx context.Context, account string) ([]PendingTransfer, error) {
	page, err := get[Page[PendingTransfer]](ctx, c, "/v1/accounts/"+url.PathEscape(account)+"/pending", nil)
	return page.Items, err
}

// Pool yields the pending transfers, those that pay most for each byte first. An
// error comes last.
func (c *Client) Pool(ctx context.Context) iter.Seq2[PendingTransfer, error] {
	return pages[PendingTransfer](ctx, c, "/v1/pool")
}

// pages yields the items of a list, page by page.
func pages[T any](ctx context.Context, c *Client, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		query := url.Values{"limit": {"100"}}
		for {
			page, err := get[Page[T]](ctx, c, path, query)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("cursor", page.Next)
		}
	}
}

// Submit submits a transfer by its encoding. When it returns without an error, the
// node has stored it durably. To submit it again is safe.
func (c *Client) Submit(ctx context.Context, encoding []byte) (Accepted, error) {
	var answer Accepted
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/transactions", body: encoding, contentType: octets, again: true}, &answer)
	return answer, err
}

const octets = "application/octet-stream"

// Check asks what the node would answer to a transfer, and submits nothing.
func (c *Client) Check(ctx context.Context, encoding []byte) (Checked, error) {
	var answer Checked
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/transactions/check", body: encoding, contentType: octets, again: true}, &answer)
	return answer, err
}

// MineBlock mines one block on the best chain. Off loopback it needs a token.
func (c *Client) MineBlock(ctx context.Context) (BlockData, error) {
	var answer BlockData
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/mine", slow: true}, &answer)
	return answer, err
}

// TransactionProof returns the proof document of a confirmed transfer, for
// `cairn verify-proof`. With short it holds a few headers and the history; otherwise
// all headers from genesis.
func (c *Client) TransactionProof(ctx context.Context, id types.Hash, short bool) ([]byte, error) {
	return c.proof(ctx, "/v1/transactions/"+id.String()+"/proof", headers(short))
}

// AccountProof returns the proof document of an account's balance, or of its absence.
func (c *Client) AccountProof(ctx context.Context, account string, short bool) ([]byte, error) {
	return c.proof(ctx, "/v1/accounts/"+url.PathEscape(account)+"/proof", headers(short))
}

// BlockProof returns the proof document that a block, by height or hash, is on the
// best chain, by a few headers and the history.
func (c *Client) BlockProof(ctx context.Context, block string) ([]byte, error) {
	return c.proof(ctx, "/v1/blocks/"+url.PathEscape(block)+"/proof", nil)
}

// maxProof is the most bytes of a proof that are read, with 200,000 headers. Of a
// longer chain there are short proofs.
const maxProof = 32 << 20

func headers(few bool) url.Values {
	if few {
		return url.Values{"headers": {"few"}}
	}
	return url.Values{"headers": {"all"}}
}

func (c *Client) proof(ctx context.Context, path string, query url.Values) (document []byte, err error) {
	err = c.read(ctx, request{method: http.MethodGet, path: path, query: query, again: true}, func(r io.Reader) error {
		var err error
		document, err = io.ReadAll(io.LimitReader(r, maxProof+1))
		if err == nil && len(document) > maxProof {
			err = fmt.Errorf("a proof of more than %d bytes", maxProof)
		}
		return err
	})
	return document, err
}

// Neighbours returns the registered neighbours.
func (c *Client) Neighbours(ctx context.Context) ([]NeighbourData, error) {
	page, err := get[Page[NeighbourData]](ctx, c, "/v1/neighbours", nil)
	return page.Items, err
}

// AddNeighbour registers a neighbour. Off loopback it needs a token.
func (c *Client) AddNeighbour(ctx context.Context, address string) (NeighbourData, error) {
	var answer NeighbourData
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/neighbours", body: NeighbourAddress{address}, again: true}, &answer)
	return answer, err
}

// RemoveNeighbour forgets a neighbour. Off loopback it needs a token.
func (c *Client) RemoveNeighbour(ctx context.Context, address string) error {
	return c.read(ctx, request{method: http.MethodDelete, path: "/v1/neighbours", query: url.Values{"address": {address}}}, nothing)
}

// Peers returns how peers reach the node, and which are connected.
func (c *Client) Peers(ctx context.Context) (PeerList, error) {
	return get[PeerList](ctx, c, "/v1/peers", nil)
}

// AddPeer connects the node to a peer, by its multiaddr, for good. Off loopback it
// needs a token, as do all calls here that change something.
func (c *Client) AddPeer(ctx context.Context, address string) error {
	return c.read(ctx, request{method: http.MethodPost, path: "/v1/peers", body: PeerAddress{address}, slow: true}, nothing)
}

// RemovePeer ends the connection to a peer.
func (c *Client) RemovePeer(ctx context.Context, id string) error {
	return c.read(ctx, request{method: http.MethodDelete, path: "/v1/peers/" + url.PathEscape(id)}, nothing)
}

// Bans returns the peers that are not talked to. Off loopback it needs a token.
func (c *Client) Bans(ctx context.Context) ([]BanData, error) {
	page, err := get[Page[BanData]](ctx, c, "/v1/bans", nil)
	return page.Items, err
}

// Ban ends the connection to a peer, and has none for a time.
func (c *Client) Ban(ctx context.Context, ban NewBan) (BanData, error) {
	var answer BanData
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/bans", body: ban, again: true}, &answer)
	return answer, err
}

// Unban lifts a ban.
func (c *Client) Unban(ctx context.Context, id string) error {
	return c.read(ctx, request{method: http.MethodDelete, path: "/v1/bans/" + url.PathEscape(id)}, nothing)
}

// Invite returns the text with which others join the node's network.
func (c *Client) Invite(ctx context.Context) (InviteData, error) {
	return get[InviteData](ctx, c, "/v1/invite", nil)
}

// Tokens returns the tokens that were made, without their secrets.
func (c *Client) Tokens(ctx context.Context) ([]TokenData, error) {
	page, err := get[Page[TokenData]](ctx, c, "/v1/tokens", nil)
	return page.Items, err
}

// CreateToken makes a token. Its secret is in the answer, and nowhere else.
func (c *Client) CreateToken(ctx context.Context, t NewToken) (TokenData, error) {
	var answer TokenData
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/tokens", body: t}, &answer)
	return answer, err
}

// RevokeToken makes a token worthless.
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	return c.read(ctx, request{method: http.MethodDelete, path: "/v1/tokens/" + url.PathEscape(name)}, nothing)
}

func nothing(io.Reader) error { return nil }
