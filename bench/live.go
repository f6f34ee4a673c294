package bench

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cairn/api"
	"cairn/chain"
	"cairn/miner"
	"cairn/store"
	"cairn/syncer"
	"cairn/types"
)

// live: a full block whose transfers have all come before it; every second one
// while requests come, which together with their client take a core, and how long
// those wait. Blocks come from elsewhere, as a neighbour's would.
func (r *run) live() error {
	disk, err := r.syncTime()
	if err != nil {
		return err
	}
	// The blocks are kept as bytes: what the node is to live with is its own memory.
	dir, rules, encodings, err := r.crowdBlocks("live", r.liveBlocks)
	if err != nil {
		return err
	}
	return withChain(dir, rules, func(s *store.Store, m *chain.Manager) error {
		address, stop, err := serve(s, m)
		if err != nil {
			return err
		}
		defer stop()
		var alone, pressed, waits []time.Duration
		for i, encoding := range encodings {
			r.progress("live", i, len(encodings))
			block, err := types.DecodeBlock(encoding)
			if err != nil {
				return err
			}
			if err := r.submit(m, block.Transfers); err != nil {
				return err
			}
			if i%2 == 0 {
				start := time.Now()
				if err := m.AddBlocks(r.ctx, []*types.Block{block}); err != nil {
					return err
				}
				alone = append(alone, time.Since(start))
				continue
			}
			elapsed, meanwhile, err := r.accept(m, block, address)
			if err != nil {
				return err
			}
			pressed, waits = append(pressed, elapsed), append(waits, meanwhile...)
		}
		r.span("live", "full block of transfers that were waiting", summary(alone).p50, "an fdatasync", disk.p50)
		r.plain("live", "the same while one connection asks all the time", "ms", milliseconds(summary(pressed).p50))
		r.plain("live", "GET "+genesis+" on that connection, p99", "ms", milliseconds(summary(waits).p99))
		return nil
	})
}

// serve answers requests about a chain.
func serve(s *store.Store, m *chain.Manager) (address string, stop func(), err error) {
	neighbours, err := syncer.New(syncer.Config{Chain: m, Store: s})
	if err != nil {
		return "", nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	handler, err := api.New(api.Config{Store: s, Chain: m, Miner: miner.New(miner.Config{Chain: m}), Syncer: neighbours, Loopback: true})
	if err != nil {
		return "", nil, errors.Join(err, ln.Close())
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(ln) }() // ends with Close
	return ln.Addr().String(), func() { server.Close() }, nil
}

// submit puts transfers into the pool, many at a time.
func (r *run) submit(m *chain.Manager, transfers []types.Transfer) error {
	g, ctx := errgroup.WithContext(r.ctx)
	g.SetLimit(256)
	for _, t := range transfers {
		g.Go(func() error {
			_, err := m.AddTransfer(ctx, t)
			return err
		})
	}
	return g.Wait()
}

// genesis is a block whose answer is short, unlike that of full ones.
const genesis = "/chain?from=0&limit=1"

// accept adds a block, and returns how long requests took that were sent, one
// after another, while it did.
func (r *run) accept(m *chain.Manager, block *types.Block, address string) (elapsed time.Duration, meanwhile []time.Duration, err error) {
	read := request(http.MethodGet, address, genesis, "")
	ctx, done := context.WithCancel(r.ctx)
	var wg sync.WaitGroup
	var readErr error
	warm := make(chan struct{}) // the connection, or it failed
	isWarm := sync.OnceFunc(func() { close(warm) })
	wg.Go(func() {
		defer isWarm()
		meanwhile, readErr = pressOne(address, func(answered int) []byte {
			if answered > 0 {
				isWarm()
			}
			if ctx.Err() != nil {
				return nil
			}
			return read
		})
	})
	<-warm
	start := time.Now()
	err = m.AddBlocks(r.ctx, []*types.Block{block})
	elapsed = time.Since(start)
	done()
	wg.Wait()
	if err == nil {
		err = readErr
	}
	return elapsed, meanwhile, err
}
