// Package node puts the parts of a node together, runs them and stops them. It
// is the only package that knows all the others, and it holds no logic of theirs:
// what is decided here is which part gets what, and in which order everything
// starts and ends.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"cairn/api"
	"cairn/chain"
	"cairn/consensus"
	"cairn/miner"
	"cairn/p2p"
	"cairn/store"
	"cairn/syncer"
	"cairn/types"
)

// A node that is told to stop lets requests finish for graceTime, then cancels
// those that are left (a search for a block, a long download) and gives them
// cancelTime to say so; closeTime is for the database. Together they stay below
// the 10 s after which a service manager kills.
const (
	graceTime  = 3 * time.Second
	cancelTime = 1 * time.Second
	closeTime  = 4 * time.Second
)

// retryEvery is how often blocks that came too early are looked at again.
const retryEvery = time.Second

// Node is one node, constructed and listening. Run it once.
type Node struct {
	cfg      Config
	info     Info
	store    *store.Store
	chain    *chain.Manager
	miner    *miner.Miner
	syncer   *syncer.Syncer
	peers    *p2p.Network // nil: off
	listener net.Listener
	handler  http.Handler
	fatal    chan error
}

// Info says what a node is and where, for those who start it.
type Info struct {
	URL       string           // base URL for a client on this machine
	Rules     *consensus.Rules // the network
	Height    uint32           // of the best chain
	Data      string           // the directory; "" when ephemeral
	RewardTo  string           // text of the account that mining pays; "" for nobody
	Token     string           // bearer token; "" when none is asked for
	TokenFile string           // where Token is kept; "" when ephemeral or without one
	Peers     []string         // addresses under which peers reach the node; none when it takes no part in their network
}

// New opens everything that cfg names, starting with the port, so that nothing
// is touched on disk when it is busy. The errors say what to do next.
func New(cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, fatal: make(chan error, 1)}
	var err error
	if n.listener, err = listen(&cfg); err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		_ = n.close() // err says more
		return nil, err
	}
	return n, nil
}

// open constructs the parts from the ground floor up.
func (n *Node) open() error {
	cfg := &n.cfg
	if tcp, ok := n.listener.Addr().(*net.TCPAddr); ok {
		cfg.Port = tcp.AddrPort().Port()
	}
	var err error
	options := cfg.StoreOptions()
	options.Fatal = n.stopForStorage
	n.store, err = openStore(cfg, options)
	if err != nil {
		return err
	}
	n.chain, err = chain.New(chain.Config{Store: n.store, Log: cfg.Log, Pool: cfg.poolLimits(n.store.Rules()), TreeLeaves: cfg.TreeLeaves()})
	if err != nil {
		return err
	}
	recipient, err := n.recipient()
	if err != nil {
		return err
	}
	n.miner = miner.New(miner.Config{Chain: n.chain, Recipient: recipient, Log: cfg.Log})
	if err := n.openNetwork(); err != nil {
		return err
	}
	signer, err := n.openWallet()
	if err != nil {
		return err
	}
	if err := n.describe(recipient); err != nil {
		return err
	}
	apiConfig := api.Config{
		Store:        n.store,
		Chain:        n.chain,
		Miner:        n.miner,
		Syncer:       n.syncer,
		NodeAddress:  recipient,
		Token:        n.info.Token,
		Open:         cfg.Open,
		Loopback:     loopback(n.listener.Addr()),
		RateLimit:    cfg.RateLimit,
		AllowOrigins: cfg.AllowOrigins,
		Signer:       signer,
		AllowedHosts: hosts(cfg),
		Version:      cfg.Version,
		Log:          cfg.Log,
	}
	if n.peers != nil { // else the interface would hold a nil that is none
		apiConfig.Peers, apiConfig.Closed = n.peers, cfg.P2PKey != ""
	}
	n.handler, err = api.New(apiConfig)
	return err
}

// recipient returns the account that this node's blocks pay, "" for nobody.
func (n *Node) recipient() (types.Account, error) {
	rules := n.store.Rules()
	if n.cfg.RewardTo != "" {
		account, err := rules.ParseAccount(n.cfg.RewardTo)
		if err != nil {
			return "", fmt.Errorf("--reward-to %q: %w", n.cfg.RewardTo, err)
		}
		return account, nil
	}
	if rules.Signatures {
		if n.cfg.Mine {
			return "", fmt.Errorf("--mine on the network %s needs --reward-to ACCOUNT: accounts are keys there, and the node has none", rules.Name)
		}
		return "", nil
	}
	id, err := n.store.NodeID()
	return types.Account(id), err
}

// describe fills in what Info tells, and makes the token when one is needed.
func (n *Node) describe(recipient types.Account) error {
	rules := n.store.Rules()
	n.info = Info{URL: localURL(n.listener.Addr()), Rules: rules, Height: n.chain.Tip().Height}
	if recipient != "" {
		n.info.RewardTo = rules.FormatAccount(recipient)
	}
	if !n.cfg.Ephemeral {
		n.info.Data = n.store.Dir()
	}
	if n.peers != nil {
		n.info.Peers = n.peers.Self().Addresses
	}
	needless := n.cfg.Open || loopback(n.listener.Addr()) && len(n.cfg.AllowHosts) == 0
	if needless && n.cfg.Wallet == "" {
		return nil
	}
	var err error
	if n.cfg.Ephemeral {
		n.info.Token = newToken()
	} else if n.info.Token, n.info.TokenFile, err = loadToken(n.store.Dir()); err != nil {
		return fmt.Errorf("the node's token: %w", err)
	}
	return nil
}

// localURL is how a program on this machine reaches the listener.
func localURL(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return "http://" + addr.String()
	}
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// Info returns what the node is and where, as it was when New returned.
func (n *Node) Info() Info { return n.info }

// stopForStorage is called by the store, once, when it can no longer write: on a
// full disk, most often. The error says what to do about it.
func (n *Node) stopForStorage(err error) { n.fatal <- err }

// Run serves until ctx ends or something fails for good, then stops everything
// that New and Run started: the error is nil after the former, and errors.Is
// finds store.ErrFailed in it when the database could no longer be written.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	requests, cancelRequests := context.WithCancel(context.Background())
	defer cancelRequests()
	server := n.server(requests)

	g.Go(func() error {
		if err := server.Serve(n.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("the HTTP server stopped: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stopServing(server, cancelRequests)
		return nil
	})
	g.Go(func() error {
		select {
		case err := <-n.fatal:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	g.Go(func() error { return n.retryHeld(ctx) })
	if n.store.Rules().ChainID() != consensus.Dev().ChainID() {
		g.Go(func() error { return ending(ctx, n.syncer.Run(ctx)) })
	}
	if n.peers != nil {
		g.Go(func() error { return ending(ctx, n.peers.Run(ctx)) })
	}
	if n.cfg.Mine {
		g.Go(func() error { return ending(ctx, n.miner.Run(ctx)) })
	}
	if err := g.Wait(); err != nil {
		_ = n.close() // err says more
		return err
	}
	return n.close()
}

// server bounds what one connection may cost. There is no limit on how long an
// answer takes to be made: a search for a block may take minutes, and the API
// bounds what it reads and writes by progress.
func (n *Node) server(requests context.Context) *http.Server {
	return &http.Server{
		Handler: n.handler,
		// The handler answers OPTIONS too, with what it checks of every request.
		DisableGeneralOptionsHandler: true,

		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(n.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// stopServing accepts nothing more and ends what was accepted: by itself, or
// cancelled, or cut off.
func stopServing(server *http.Server, cancelRequests func()) {
	for _, wait := range []time.Duration{graceTime, cancelTime} {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		err := server.Shutdown(ctx)
		cancel()
		if err == nil {
			return
		}
		cancelRequests()
	}
	server.Close()
}

func (n *Node) retryHeld(ctx context.Context) error {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.chain.RetryHeld(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// ending drops the error of a part that was told to stop.
func ending(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// close ends what New opened, the top first. A database that failed may never
// close: then the process leaves it behind.
func (n *Node) close() error {
	if n.listener != nil {
		n.listener.Close() // a second close, after the server's, says so; nothing to do about it
	}
	if n.store == nil {
		return nil
	}
	closed := make(chan error, 1)
	go func() {
		if n.peers != nil {
			_ = n.peers.Close() // of connections that are no longer needed
		}
		if n.chain != nil {
			n.chain.Close()
		}
		closed <- n.store.Close()
	}()
	select {
	case err := <-closed:
		return err
	case <-time.After(closeTime):
		return fmt.Errorf("the database did not close within %s; what was answered is on disk", closeTime)
	}
}
