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
	"slices"
	"sync"
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
	// maxAtOnce is for how many callers blocks are made in one go.
	maxAtOnce = 64
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
	age       time.Duration // the most that a template may have

	mu      sync.Mutex
	waiting []*request // callers of MineOne, in the order in which they came
	busy    bool       // one of them is at work, or has been told to
}

// request is a call of MineOne.
type request struct {
	ctx   context.Context
	turn  chan bool // true: work for those who wait; false: there is an answer
	block *types.Block
	state consensus.State
	err   error
}

// New returns a Miner. It does nothing until asked.
func New(cfg Config) *Miner {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Miner{chain: cfg.Chain, recipient: cfg.Recipient, log: cfg.Log, age: templateAge}
}

// MineOne finds one block and returns it with its state. By then the block is
// durable and on the best chain: one that another block beat to it is not
// answered, and the search goes on. Calls take turns, in the order in which they
// came; blocks that are found at once are made for several of them in one go. It
// ends with ctx's error when ctx does, and with ErrNoRecipient at once where no
// account for the reward was given.
func (m *Miner) MineOne(ctx context.Context) (*types.Block, consensus.State, error) {
	if m.recipient == "" {
		return nil, consensus.State{}, ErrNoRecipient
	}
	r := &request{ctx: ctx, turn: make(chan bool, 1)}
	m.mu.Lock()
	m.waiting = append(m.waiting, r)
	if !m.busy {
		m.next()
	}
	m.mu.Unlock()
	select {
	case work := <-r.turn:
		if work {
			m.work(r)
		}
		return r.block, r.state, r.err
	case <-ctx.Done():
		m.leave(r)
		return nil, consensus.State{}, ctx.Err()
	}
}

// leave takes a caller that waits no longer out of the queue. One that has been
// told to work still does, since others depend on it.
func (m *Miner) leave(r *request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.waiting, r); i >= 0 {
		m.waiting = slices.Delete(m.waiting, i, i+1)
		return
	}
	go func() {
		if <-r.turn {
			m.work(r)
		}
	}()
}

// next gives its turn to the first that waits. The lock is held.
func (m *Miner) next() {
	if m.busy = len(m.waiting) > 0; m.busy {
		m.take(1)[0].turn <- true
	}
}

// take takes the first n that wait, or all, out of the queue. The lock is held.
func (m *Miner) take(n int) []*request {
	n = min(n, len(m.waiting))
	taken := slices.Clone(m.waiting[:n])
	m.waiting = slices.Delete(m.waiting, 0, n)
	return taken
}

// work makes blocks for first, whose turn it is, and others who wait, as far as
// they are found at once, and otherwise searches for one for first.
func (m *Miner) work(first *request) {
	m.mu.Lock()
	round := append([]*request{first}, m.take(maxAtOnce-1)...)
	m.mu.Unlock()
	served := m.mineAtOnce(round)
	alone := served == 0
	if alone {
		served = 1
	}
	m.mu.Lock()
	m.waiting = slices.Insert(m.waiting, 0, present(round[served:])...)
	m.mu.Unlock()
	if alone {
		first.block, first.state, first.err = m.mine(first.ctx)
	}
	m.mu.Lock()
	m.next()
	m.mu.Unlock()
	for _, r := range round[1:served] {
		r.turn <- false
	}
}

// present leaves out callers that have left.
func present(callers []*request) (rest []*request) {
	for _, r := range callers {
		if r.err = r.ctx.Err(); r.err != nil {
			r.turn <- false
			continue
		}
		rest = append(rest, r)
	}
	return rest
}

// mineAtOnce makes a block for each of a round whose nonce is among the first few,
// all in one commit, until one is not, or its client has left. It returns how many
// have an answer.
func (m *Miner) mineAtOnce(round []*request) (served int) {
	extras := make([][]byte, len(round))
	for i := range extras {
		extras[i] = newExtra()
	}
	searched := 0
	mined, err := m.chain.Extend(m.recipient, extras, func(block *types.Block) bool {
		r := round[searched]
		searched++
		if r.ctx.Err() != nil {
			return false
		}
		target, err := consensus.CompactToTarget(block.Header.Bits)
		if err != nil {
			return false
		}
		header := block.Header.Encode()
		nonce, found := sha256d.Search(&header, target, 0, chunk)
		block.Header.Nonce = nonce
		return found
	})
	if err != nil {
		m.log.Debug("Blocks could not be made together", "error", err) // what is wrong shows when one is made alone
	}
	for i, b := range mined {
		round[i].block, round[i].state = b.Block, b.State
	}
	return len(mined)
}

func newExtra() []byte {
	extra := make([]byte, extraSize)
	rand.Read(extra) // never fails
	return extra
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
	block, err := m.chain.Template(m.recipient, newExtra())
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
