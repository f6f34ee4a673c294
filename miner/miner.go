// Package miner finds blocks on the processor. A Miner asks package chain for a
// template, searches a nonce for it with the kernels of miner/sha256d, and gives
// the block to package chain like any other: a block that is mined here takes the
// path of a block from a neighbour.
//
// A template lives for a few seconds at most, and ends early when the tip moves.
// So a search always works on the best chain, takes up transfers and relief of
// the difficulty as they come, and never runs out of nonces before its template
// is replaced; every template differs from every other in some random bytes of
// the reward.
package miner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"cairn/chain"
	"cairn/consensus"
	"cairn/miner/sha256d"
	"cairn/store"
	"cairn/types"
)

// ErrNoRecipient says that the miner was given no account for its rewards.
var ErrNoRecipient = errors.New("there is no account to pay rewards to")

const (
	// templateAge is how old a template may become.
	templateAge = 5 * time.Second
	// chunk is how many nonces are tried between looks at the tip: about a
	// millisecond's.
	chunk = 4096
	// extraSize is the length of the random bytes in the reward.
	extraSize = 8
	// notYet is the pause after a block whose time the chain's clock refused.
	notYet = time.Second
)

// Config is what a Miner is made of. Chain is required.
type Config struct {
	Chain     *chain.Manager
	Recipient types.Account // of the rewards; without one nothing is mined
	Log       *slog.Logger  // nothing is logged by default
}

// Miner searches for blocks. Its methods may be called concurrently.
type Miner struct {
	chain     *chain.Manager
	recipient types.Account
	log       *slog.Logger
	turn      chan struct{} // holds a token while a call of MineOne has its turn
	age       time.Duration // the most that a template may have
}

// New returns a Miner. It does nothing until asked.
func New(cfg Config) *Miner {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Miner{
		chain: cfg.Chain, recipient: cfg.Recipient, log: cfg.Log,
		turn: make(chan struct{}, 1), age: templateAge,
	}
}

// MineOne finds one block and returns it with its state. By then the block is
// durable and on the best chain: one that another block beat to it is not
// answered, and the search goes on. Calls take turns, in the order in which they
// came. It ends with ctx's error when ctx does, and with ErrNoRecipient at once
// where no account for the reward was given.
func (m *Miner) MineOne(ctx context.Context) (*types.Block, consensus.State, error) {
	select {
	case m.turn <- struct{}{}: // waiting senders are served first come, first served
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, consensus.State{}, ctx.Err()
	}
	return m.mine(ctx)
}

// Run mines one block after another on one thread until ctx ends, and returns
// its error, or what stopped the chain. It takes no turns with MineOne: both
// search at once, in different places. Where the difficulty is fixed it keeps to
// the network's pace, a block interval from one block to the next: nothing else
// would, and a network with trivial difficulty would fill the disk.
func (m *Miner) Run(ctx context.Context) error {
	for {
		if err := m.pace(ctx); err != nil {
			return err
		}
		block, state, err := m.mine(ctx)
		if err != nil {
			return err
		}
		m.log.Info("Mined a block", "height", state.Height, "hash", state.Hash, "transfers", len(block.Transfers))
	}
}

// pace waits until the tip is a block interval old, on networks whose difficulty
// does not follow the pace of blocks.
func (m *Miner) pace(ctx context.Context) error {
	rules := m.chain.Rules()
	if rules.HalfLife != 0 {
		return ctx.Err()
	}
	for {
		due := time.Unix(int64(m.chain.Tip().Time)+int64(rules.BlockInterval), 0)
		if wait := time.Until(due); wait <= 0 {
			return ctx.Err()
		} else if err := sleep(ctx, min(wait, m.age)); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mine searches until a block of ours is on the best chain.
func (m *Miner) mine(ctx context.Context) (*types.Block, consensus.State, error) {
	if m.recipient == "" {
		return nil, consensus.State{}, ErrNoRecipient
	}
	for {
		block, err := m.search(ctx)
		if err != nil {
			return nil, consensus.State{}, err
		}
		if block == nil {
			continue
		}
		state, err := m.submit(ctx, block)
		switch {
		case errors.Is(err, consensus.ErrTooNew):
			// Somebody set this computer's clock back.
			m.log.Warn("A mined block is ahead of the clock", "error", err)
			if err := sleep(ctx, notYet); err != nil {
				return nil, consensus.State{}, err
			}
		case err != nil || state.Hash != (types.Hash{}):
			return block, state, err
		}
	}
}

// search works on one template. It returns nil without an error when the
// template is out of date.
func (m *Miner) search(ctx context.Context) (*types.Block, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	extra := make([]byte, extraSize)
	rand.Read(extra) // never fails
	block, err := m.chain.Template(m.recipient, extra)
	if err != nil {
		return nil, err
	}
	target, err := consensus.CompactToTarget(block.Header.Bits)
	if err != nil {
		return nil, fmt.Errorf("a template without a target: %w", err)
	}
	header, made := block.Header.Encode(), time.Now()
	for start := uint64(0); start < 1<<32; start += chunk {
		nonce, found := sha256d.Search(&header, target, uint32(start), chunk)
		if found {
			block.Header.Nonce = nonce
			return block, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.chain.Tip().Hash != block.Header.Previous || time.Since(made) > m.age {
			return nil, nil
		}
		runtime.Gosched() // whatever else the node has to do goes first
	}
	return nil, nil
}

// submit gives a block to the chain. It returns a zero state when the block
// did not reach the best chain, or has left it again.
func (m *Miner) submit(ctx context.Context, block *types.Block) (consensus.State, error) {
	// The work is done: a client that leaves now does not undo it.
	if err := m.chain.AddBlocks(context.WithoutCancel(ctx), []*types.Block{block}); err != nil {
		return consensus.State{}, err
	}
	now, err := m.chain.Snapshot()
	if err != nil {
		return consensus.State{}, err
	}
	defer now.Close()
	best, err := now.BestHash(block.Reward.Height)
	if errors.Is(err, store.ErrNotFound) || err == nil && best != block.Header.Hash() {
		return consensus.State{}, nil
	}
	if err != nil {
		return consensus.State{}, err
	}
	state, _, err := now.State(best)
	return state, err
}
