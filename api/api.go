// Package api serves a node over HTTP: the five classic calls, /v1 with its OpenAPI
// document and events, health and metrics, a page to try the calls, and the endpoints
// at which neighbours sync. docs/api.md describes every call.
//
// A handler decodes and bounds what it was sent, asks one of the packages below,
// and writes the answer; it holds no rule. Which error becomes which status is
// decided in one place, problemOf. Whatever is wrong with a request is found
// before anything changes.
//
// # Limits
//
// Handlers bound what they read (64 KiB, 30 s) and give a client 30 s for each
// 64 KiB of an answer, whatever the server's own timeouts. The server around
// them needs a ReadHeaderTimeout, an IdleTimeout, MaxHeaderBytes and a limit on
// connections. It must have no handler timeout: a search for a block takes as
// long as it takes, and ends when its client leaves.
package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"cairn/api/client"
	"cairn/chain"
	"cairn/consensus"
	"cairn/miner"
	"cairn/p2p"
	"cairn/store"
	"cairn/syncer"
	"cairn/types"
)

// Signer holds keys.
type Signer interface {
	// Holds tells whether it has the key of an account.
	Holds(types.Account) bool
	// Sign puts the sender's signature into a transfer whose other fields are final.
	Sign(*consensus.Rules, *types.Transfer) error
}

// Peers is the peer-to-peer network as the API needs it: a *p2p.Network.
type Peers interface {
	Self() p2p.Self
	Peers() []p2p.Peer
	Connect(ctx context.Context, address string) error
	Disconnect(id string) (bool, error)
	Bans() []p2p.Ban
	Ban(id, reason string, d time.Duration) error
	Unban(id string) (bool, error)
	Invite() p2p.Invite
}

// Config is what New makes a handler of. Store, Chain, Miner and Syncer are required.
type Config struct {
	Store  *store.Store // where tokens are kept
	Chain  *chain.Manager
	Miner  *miner.Miner
	Syncer *syncer.Syncer

	// Peers is the network that the node takes part in; nil: in none.
	Peers Peers
	// Closed says that only those with a key take part in that network.
	Closed bool
	// NodeAddress is paid for the blocks that are mined here; empty: nobody is.
	NodeAddress types.Account
	// Token is asked for by what changes the node, wherever others can reach it;
	// empty: nobody has one, and only this machine may.
	Token string
	// Open lifts the token.
	Open bool
	// RateLimit is how many requests a second a stranger may make; 0: any number.
	RateLimit int
	// AllowOrigins are the origins of web pages that may use the API, such as
	// https://shop.example; none by default.
	AllowOrigins []string
	// Signer signs for those who have a token and send a transfer without a
	// signature; nil: nobody does.
	Signer Signer
	// Loopback says that the listener is bound to a loopback address.
	Loopback bool
	// AllowedHosts are the names and addresses besides loopback under which the
	// node may be addressed, without ports.
	AllowedHosts []string
	// Version is what the program says it is.
	Version string
	// Log gets faults of the node's own; nil: nothing is logged.
	Log *slog.Logger
}

// server is what the handlers share.
type server struct {
	store   *store.Store
	chain   *chain.Manager
	rules   *consensus.Rules
	miner   *miner.Miner
	syncer  *syncer.Syncer
	peers   Peers // nil: off
	closed  bool
	address string // text of the node's address; empty when there is none
	version string
	started time.Time
	stall   time.Duration // stallTime, but for tests
	guard   guard
	tokens  *tokens
	signer  Signer
	frames  frames
	readers readers
	metrics *metrics
	costly  costly
	log     *slog.Logger
}

// New returns the handler of everything that a node serves. The error is of the disk.
func New(cfg Config) (http.Handler, error) {
	tokens, err := loadTokens(cfg.Store)
	if err != nil {
		return nil, fmt.Errorf("loading tokens: %w", err)
	}
	s := &server{
		store:   cfg.Store,
		tokens:  tokens,
		signer:  cfg.Signer,
		chain:   cfg.Chain,
		rules:   cfg.Chain.Rules(),
		miner:   cfg.Miner,
		syncer:  cfg.Syncer,
		peers:   cfg.Peers,
		closed:  cfg.Closed,
		version: cfg.Version,
		started: time.Now(),
		stall:   stallTime,
		guard:   newGuard(&cfg, tokens),
		log:     cfg.Log,
	}
	if cfg.NodeAddress != "" {
		s.address = s.rules.FormatAccount(cfg.NodeAddress)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.metrics = newMetrics(s)

	mux := http.NewServeMux()
	for url, rt := range s.routes() {
		rt.name = url
		mux.Handle(url, s.handle(rt))
	}
	for url, asset := range pageAssets() {
		mux.Handle(url, s.handle(route{name: "page", method: http.MethodGet, serve: asset.serve}))
	}
	for url, serve := range docPages() {
		mux.Handle(url, s.handle(route{name: "docs", method: http.MethodGet, serve: serve}))
	}
	neighbours := s.syncer.Handler()
	mux.Handle("/sync/", s.wrap("/sync/", func(w *response, r *http.Request) error {
		neighbours.ServeHTTP(w, r)
		return nil
	}))
	other := s.wrap("other", func(_ *response, r *http.Request) error {
		return fmt.Errorf("%w: %s", errNoSuchURL, quote(r.URL.Path))
	})
	mux.Handle("/", other)
	v1 := s.v1(other)
	mux.Handle("/v1/", v1)
	mux.Handle("/openapi.json", v1)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/") { // a request to a proxy
			r.URL.Path = "/" + r.URL.Path
		}
		given := r.URL.EscapedPath() // an account may have slashes in its name
		if clean := path.Clean(given); clean != strings.TrimSuffix(given, "/") && clean != given || clean == "/sync" || clean == "/v1" {
			other.ServeHTTP(w, r) // the mux would redirect it, past all checks
			return
		}
		mux.ServeHTTP(w, r)
	}
	return http.HandlerFunc(handler), nil
}

// routes is the list of what is served, by path, but for /v1, pages and what
// neighbours ask for.
func (s *server) routes() map[string]route {
	const get, post = http.MethodGet, http.MethodPost
	return map[string]route{
		"/create-transaction": {method: post, changes: true, scope: client.ScopeSubmit, serve: s.createTransaction},
		"/mine":               {method: get, changes: true, scope: client.ScopeOperate, serve: s.mine},
		"/chain":              {method: get, serve: s.getChain},
		"/register-node":      {method: post, changes: true, scope: client.ScopeOperate, serve: s.registerNode},
		"/sync-chain":         {method: get, changes: true, scope: client.ScopeOperate, serve: s.syncChain},
		"/healthz":            {method: get, serve: s.healthy},
		"/readyz":             {method: get, serve: s.ready},
		"/metrics":            {method: get, serve: s.metrics.serve},
	}
}
