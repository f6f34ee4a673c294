package archive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/store"
	"cairn/types"
)

// anyTime is a clock by which no block is too new: how long ago these blocks came
// is not known.
const anyTime = math.MaxUint32

// loaded is a block of the best chain, read and checked as far as that goes
// without the blocks before it.
type loaded struct {
	height uint32
	hash   types.Hash
	header *types.Header   // nil: it cannot be read, or is another block's
	body   *consensus.Body // nil: it cannot be read, or breaks a rule
	faults []error
	record error // what is wrong with the record of the header
}

// replay goes through the best chain from genesis. Bodies and signatures are
// checked on all cores, some blocks ahead.
func (v *verifier) replay() error {
	ctx, cancel := context.WithCancel(v.ctx)
	var group errgroup.Group
	defer group.Wait() // the workers read from the view
	defer cancel()
	group.SetLimit(runtime.GOMAXPROCS(0) + 1) // this one only waits
	queue := make(chan chan *loaded, v.lookAhead())
	group.Go(func() error {
		defer close(queue)
		for height, hash := range v.path {
			next := make(chan *loaded, 1)
			select {
			case queue <- next:
			case <-ctx.Done():
				return nil
			}
			group.Go(func() error {
				next <- v.load(uint32(height), hash)
				return nil
			})
		}
		return nil
	})
	for next := range queue {
		if err := v.step(<-next); err != nil {
			return err
		}
		v.progress("blocks", v.done, uint64(len(v.path)+len(v.side)))
	}
	return v.ctx.Err()
}

// lookAhead is how many blocks may be held before they are replayed.
func (v *verifier) lookAhead() int {
	const bytes = 32 << 20
	return min(max(bytes/int(v.rules.MaxBlockSize), 2*runtime.GOMAXPROCS(0)), 256)
}

// load reads a block and checks what needs no other.
func (v *verifier) load(height uint32, hash types.Hash) *loaded {
	l := &loaded{height: height, hash: hash}
	// Two headers with one hash are the same, so the body need not be compared.
	if h, err := v.view.Header(height, hash); err != nil {
		l.record = missing(err)
	} else if got := h.Hash(); got != hash {
		l.record = fmt.Errorf("what is stored is the header of block %s", got)
	}
	block, err := v.view.Block(height, hash)
	if err != nil {
		l.faults = append(l.faults, missing(err))
		return l
	}
	if got := block.Header.Hash(); got != hash {
		l.faults = append(l.faults, fmt.Errorf("what is stored is block %s", got))
		return l
	}
	l.header = &block.Header
	if height == 0 {
		if !slices.Equal(block.Encode(), v.rules.Genesis().Encode()) {
			l.faults = append(l.faults, fmt.Errorf("it is not the genesis block of the network: %w", consensus.ErrMerkleRoot))
		}
		return l
	}
	if l.body, err = v.rules.CheckBody(height, block); err != nil {
		l.faults = append(l.faults, err)
		return l
	}
	if err := v.rules.VerifySignatures(block.Transfers, nil); err != nil {
		l.faults = append(l.faults, err)
	}
	return l
}

// step replays one block on the ledger.
func (v *verifier) step(l *loaded) error {
	if err := v.ctx.Err(); err != nil {
		return err
	}
	for _, err := range l.faults {
		v.record(store.BodyKey(l.height, l.hash), l.height, err)
	}
	if l.record != nil {
		v.record(store.HeaderKey(l.height, l.hash), l.height, l.record)
	}
	if best, err := v.view.BestHash(l.height); err != nil {
		v.record(store.BestKey(l.height), l.height, missing(err))
	} else if best != l.hash {
		v.record(store.BestKey(l.height), l.height, fmt.Errorf("it names block %s, and the chain has %s there", best, l.hash))
	}
	v.state = v.nextState(l)
	if l.height == 0 {
		if err := v.startLedger(); err != nil {
			return err
		}
	} else if err := v.applyBlock(l); err != nil {
		return err
	}
	v.checkRoot()
	v.checkHistory()
	v.report.Blocks++
	v.done++
	return v.replaySide(l.hash)
}

// nextState returns the state after a block, and compares the stored one with it.
func (v *verifier) nextState(l *loaded) consensus.State {
	stored, status, err := v.view.State(l.hash)
	if err != nil {
		v.record(store.StateKey(l.hash), l.height, missing(err))
	} else if status != store.HaveBody|store.Applied {
		v.record(store.StateKey(l.hash), l.height, fmt.Errorf("status %#02x, and %#02x is that of a block of the best chain",
			status, store.HaveBody|store.Applied))
	}
	want := stored
	switch {
	case l.height == 0:
		want = v.rules.GenesisState()
	case l.header != nil:
		state, ruleErr := v.rules.ValidateHeader(v.state, *l.header, anyTime)
		if ruleErr == nil {
			want = state
		} else {
			v.record(store.BodyKey(l.height, l.hash), l.height, ruleErr)
		}
	case err != nil:
		// Neither is there: what follows can only be compared with a guess.
		want = v.state
		want.Hash, want.Previous, want.Height = l.hash, v.state.Hash, l.height
	}
	if err == nil && stored != want {
		v.record(store.StateKey(l.hash), l.height, stateError(stored, want))
	}
	return want
}

// startLedger puts the allocations into the empty ledger.
func (v *verifier) startLedger() (err error) {
	v.tree, err = accounts.New(nil).Update(consensus.LeavesAfter(v.rules.GenesisBalances()))
	return err
}

// applyBlock takes the ledger one block further, and compares what the block did
// with its undo record. Where the body is of no use, the undo record says what it
// did; whether that is true shows in the next commitment.
func (v *verifier) applyBlock(l *loaded) error {
	key := store.UndoKey(l.height, l.hash)
	undo, err := v.view.Undo(l.height, l.hash)
	haveUndo := err == nil
	if err != nil {
		v.record(key, l.height, missing(err))
		v.noUndo[l.height] = true
	}
	if l.body == nil {
		v.noBody[l.height] = true
	} else {
		v.report.Transfers += uint64(len(l.body.Block.Transfers))
		if err := v.checkTransfers(l, undo, haveUndo); err != nil {
			return err
		}
		if applied, err := v.applyBody(l, undo, haveUndo); applied || err != nil {
			return err
		}
	}
	if v.unknown {
		return nil
	}
	if !haveUndo {
		v.loseBalances(l.height)
		return nil
	}
	v.recovered = l.height
	v.tree, err = v.tree.Update(consensus.LeavesAfter(undo.Changes))
	return err
}

// applyBody applies a block to the balances, if those are known; false where it
// could not be. The error is ours.
func (v *verifier) applyBody(l *loaded, undo store.Undo, haveUndo bool) (applied bool, err error) {
	if v.unknown {
		return false, nil
	}
	changes, tree, rule, err := v.execute(v.tree, v.past, l.body)
	if err != nil {
		return false, err
	}
	if rule != nil && v.recovered != 0 {
		v.record(store.UndoKey(v.recovered, v.path[v.recovered]), v.recovered,
			fmt.Errorf("with its changes, block %d breaks a rule: %w", l.height, rule))
		v.loseBalances(l.height)
		return true, nil
	}
	if rule != nil {
		v.record(store.BodyKey(l.height, l.hash), l.height, rule)
	}
	if changes == nil && rule != nil {
		return false, nil
	}
	if haveUndo && !slices.Equal(changes, undo.Changes) {
		v.record(store.UndoKey(l.height, l.hash), l.height, v.changesError(undo.Changes, changes))
	}
	v.tree, v.recovered = tree, 0
	return true, nil
}

// loseBalances says that from a block on the balances are not known.
func (v *verifier) loseBalances(height uint32) {
	v.unknown = true
	v.report.add(Fault{
		Record: "balances", Key: []byte{store.PrefixAccount}, Height: height, HasHeight: true,
		Reason: errors.New("those after this block are not known, so neither they nor later commitments can be checked"),
	})
}

// execute applies a checked body to balances and to the history before it. rule
// says which rule it breaks; of the rules, the commitment alone lets changes and
// tree be known all the same. The error is ours.
func (v *verifier) execute(tree accounts.Tree, past history.Range, body *consensus.Body) (
	changes []consensus.Change, after accounts.Tree, rule, err error,
) {
	tree, balances, err := body.Balances(tree)
	if err != nil {
		return nil, tree, nil, err
	}
	if changes, rule = v.rules.ApplyBody(balances, body); rule != nil {
		return nil, tree, rule, nil
	}
	if after, err = tree.Update(consensus.LeavesAfter(changes)); err != nil {
		return nil, tree, nil, err
	}
	rule = v.rules.CheckCommitment(body, after.Root(), past.Root())
	return changes, after, rule, nil
}

// checkRoot compares the root of the balances after the block that was replayed with
// the one stored.
func (v *verifier) checkRoot() {
	height := v.state.Height
	if height == 0 {
		return
	}
	root, err := v.view.BalancesRoot(height)
	if err != nil {
		err = missing(err)
	} else if want := v.tree.Root(); !v.unknown && root != want {
		err = fmt.Errorf("it is %x, and the blocks give %x", root, want)
	}
	if err != nil {
		v.record(store.RootKey(height), height, err)
	}
}

// checkHistory appends the block that was replayed to the history, and compares
// the nodes that this completes with those stored.
func (v *verifier) checkHistory() {
	past, nodes := v.past.Append(v.state.HistoryLeaf().Sum())
	for _, n := range nodes {
		key := store.HistoryKey(n.Level, n.Index)
		if sum, err := v.view.HistoryNode(n.Level, n.Index); err != nil {
			v.record(key, v.state.Height, missing(err))
		} else if sum != n.Sum {
			v.record(key, v.state.Height, fmt.Errorf("it is %x, and the blocks below it give %x", sum, n.Sum))
		}
	}
	v.past = past
}

var errMissing = errors.New("it is missing")

// missing says so in a record's own fault, which has its name already.
func missing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errMissing
	}
	return err
}
