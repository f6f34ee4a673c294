// Package syncer brings a node to the valid chain with the most work that its
// neighbours have, and serves the node's own chain to them.
//
// One routine works over any transport: Sync asks the neighbours that are
// registered, SyncWith nodes that something else found and carries. It asks every neighbour for a
// claim (network, tip, work). From those who claim more than this node has, it
// reads headers, which are small, are validated at once, and show how much work
// there really is. Only then it fetches the blocks of the chain with the most,
// from all neighbours who have them, and hands them to chain.Manager in order.
// Nothing that a neighbour says is believed: a claim decides only whom to ask.
//
// What a neighbour can cost is bounded in time (limits.stall without progress),
// in memory (a round of headers is validated as it is read and leaves only
// hashes; blocks that wait are counted) and in disk (blocks are asked for only
// when their headers carry more work than the best chain, and no less than
// Config.MinWork). What came of each is reported in one of a few words; its mistakes are never this
// node's, so they are no errors.
//
// The wire format is docs/sync.md: wire.go encodes and decodes it, Handler
// serves it, source asks for it.
package syncer

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"cairn/chain"
	"cairn/consensus"
	"cairn/store"
)

// Config is what a Syncer is made of. Chain and Store are required.
type Config struct {
	Chain     *chain.Manager
	Store     *store.Store      // where neighbours are kept
	Log       *slog.Logger      // nothing is logged by default
	Now       func() time.Time  // default time.Now; what headers may not be ahead of
	Transport http.RoundTripper // default: TCP, without a proxy; must follow no redirects
	MinWork   consensus.Work    // what the network's chain is known to have at least; zero: nothing is known
}

// Syncer keeps a node in step with its neighbours. All its methods may be called
// concurrently.
type Syncer struct {
	chain     *chain.Manager
	store     *store.Store
	log       *slog.Logger
	now       func() time.Time
	transport http.RoundTripper
	minWork   consensus.Work
	genesis   func() []byte // the genesis file, made once
	limits    limits
	instance  [16]byte      // tells this process from others
	serving   chan struct{} // a token for each call that is being answered
	flight    chan struct{} // a token for the one Sync or SyncWith that is under way
	target    atomic.Uint32 // height that the chain which is being fetched had; 0: none is
	peak      atomic.Int64  // the most bytes that blocks in memory were counted at

	mu         sync.Mutex
	neighbours map[string]*standing // by normalised base URL
}

// New returns a Syncer that knows the neighbours in the store.
func New(cfg Config) (*Syncer, error) {
	s := &Syncer{
		chain:      cfg.Chain,
		store:      cfg.Store,
		log:        cfg.Log,
		now:        cfg.Now,
		transport:  cfg.Transport,
		minWork:    cfg.MinWork,
		genesis:    sync.OnceValue(cfg.Chain.Rules().JSON),
		limits:     defaultLimits(),
		serving:    make(chan struct{}, concurrent),
		flight:     make(chan struct{}, 1),
		neighbours: make(map[string]*standing),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.transport == nil {
		s.transport = newTransport()
	}
	rand.Read(s.instance[:]) // never fails
	addresses, err := s.store.Neighbours()
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		s.neighbours[address] = new(standing)
	}
	return s, nil
}

// Target returns the height of the chain whose blocks are being fetched, by its
// headers; false when none are.
func (s *Syncer) Target() (height uint32, running bool) {
	height = s.target.Load()
	return height, height > 0
}

// Close ends connections to neighbours that are kept open for the next time.
func (s *Syncer) Close() {
	if t, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Sync asks every registered neighbour, concurrently, and adopts the valid chain
// with the most work; on a tie this node keeps its own. One Sync or SyncWith is
// under way at a time, later ones wait in the order in which they came. The error
// is ctx's or this node's own (the disk, it is stopping); what neighbours do wrong
// is in the Result.
func (s *Syncer) Sync(ctx context.Context) (Result, error) {
	return s.sync(ctx, s.Neighbours)
}

// SyncWith is Sync with the nodes at these base URLs, which carrier reaches; no
// registered neighbour is asked. The carrier follows no redirect, decompresses
// nothing, bounds the header of an answer, and heeds the end of a request's
// context. Nothing of these nodes is kept: neither addresses nor clocks nor how
// they did, so it is for the caller to leave those alone that fail.
func (s *Syncer) SyncWith(ctx context.Context, carrier http.RoundTripper, addresses []string) (Result, error) {
	if err := s.takeFlight(ctx); err != nil {
		return Result{}, err
	}
	defer s.endFlight()
	var sources []*source
	for _, address := range addresses {
		sources = append(sources, &source{address: address, carrier: carrier, limits: s.limits, found: true})
	}
	return s.syncFrom(ctx, sources)
}

// sync asks the neighbours that pick names when it is this call's turn.
func (s *Syncer) sync(ctx context.Context, pick func() []string) (Result, error) {
	if err := s.takeFlight(ctx); err != nil {
		return Result{}, err
	}
	defer s.endFlight()
	var sources []*source
	for _, address := range pick() {
		sources = append(sources, &source{address: address, carrier: s.transport, limits: s.limits, clock: s.noteClock})
	}
	result, err := s.syncFrom(ctx, sources)
	if err == nil {
		s.remember(result)
	}
	return result, err
}

// takeFlight waits for this call's turn, which endFlight ends.
func (s *Syncer) takeFlight(ctx context.Context) error {
	select {
	case s.flight <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Syncer) endFlight() { <-s.flight }

// syncFrom is the routine itself, over sources of any kind.
func (s *Syncer) syncFrom(ctx context.Context, sources []*source) (Result, error) {
	if len(sources) == 0 {
		return Result{}, nil
	}
	v := newSession(s, sources)
	if err := v.run(ctx); err != nil {
		return Result{}, err
	}
	return v.result(), nil
}

// least returns the work that headers must show before the body of any is
// fetched: more than the chain here has, and what the network's is known to have.
func (s *Syncer) least() consensus.Work {
	more := s.chain.Tip().Work.Add(consensus.Work{1})
	if more.Cmp(s.minWork) < 0 {
		return s.minWork
	}
	return more
}
