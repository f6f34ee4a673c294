package archive

import (
	"errors"
	"fmt"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/store"
	"cairn/types"
)

// sideLedger is the state after a block beside the best chain, or after the block
// of the best chain where a branch leaves it. The account tree is an immutable
// value, so a branch has its own for free.
type sideLedger struct {
	state consensus.State
	tree  accounts.Tree
	past  history.Range
	known bool  // tree and past are those of this block
	rule  error // that this block, or one from the fork up to it, breaks

	fork  uint32           // height of the block that the branch leaves from
	up    *sideLedger      // of the block before; nil at the fork
	salts map[saltKey]bool // of this block
}

// replaySide goes through the branches that leave the best chain at the block
// that was replayed last.
func (v *verifier) replaySide(fork types.Hash) error {
	if len(v.children[fork]) == 0 {
		return nil
	}
	type step struct {
		block *sideBlock
		from  *sideLedger
	}
	var todo []step
	push := func(from *sideLedger) {
		for _, block := range v.children[from.state.Hash] {
			todo = append(todo, step{block, from})
		}
	}
	push(&sideLedger{
		state: v.state, tree: v.tree, past: v.past, known: !v.unknown, fork: v.state.Height,
	})
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err := v.ctx.Err(); err != nil {
			return err
		}
		after, err := v.sideBlock(next.block, next.from)
		if err != nil {
			return err
		}
		next.block.visited = true
		v.report.Side++
		v.done++
		push(after)
	}
	return nil
}

// sideBlock checks one block of a branch. The error is ours.
func (v *verifier) sideBlock(b *sideBlock, from *sideLedger) (*sideLedger, error) {
	key, height := store.StateKey(b.hash), from.state.Height+1
	after := &sideLedger{state: b.stored.State, fork: from.fork, up: from}
	after.state.Hash = b.hash // also where nothing else is known of it
	status := b.stored.Status
	switch {
	case b.fault != nil:
		v.record(key, height, b.fault)
	case status&store.HaveBody == 0 && status != store.Invalid, status&store.Applied != 0 && status&store.Invalid != 0:
		v.record(key, height, fmt.Errorf("status %#02x, which no block beside the best chain has", status))
	}
	if b.fault == nil && status&store.HaveBody == 0 {
		// It was refused before it was stored.
		if err := v.bareState(from.state, b.stored.State); err != nil {
			v.record(key, height, err)
		}
		return after, nil
	}
	l := v.load(height, b.hash)
	for _, err := range l.faults {
		v.record(store.BodyKey(height, b.hash), height, fmt.Errorf("%w (the block's state has key %x)", err, key))
	}
	if l.record != nil {
		v.record(store.HeaderKey(height, b.hash), height, fmt.Errorf("%w (the block's state has key %x)", l.record, key))
	}
	if l.header == nil {
		return after, nil
	}
	state, err := v.rules.ValidateHeader(from.state, *l.header, anyTime)
	if err != nil {
		v.record(store.BodyKey(height, b.hash), height, err)
		return after, nil
	}
	if after.state = state; b.fault == nil && state != b.stored.State {
		v.record(key, height, stateError(b.stored.State, state))
	}
	if after.rule = from.rule; l.body != nil && from.known {
		if err := v.sideBody(l.body, from, after); err != nil {
			return nil, err
		}
	}
	switch {
	case status&store.Applied != 0 && after.rule != nil:
		v.record(key, height, fmt.Errorf("it says that the block was applied, which breaks a rule: %w", after.rule))
	case status&store.Invalid != 0 && after.known:
		v.record(key, height, errors.New("it says that the block is invalid, and no rule is broken"))
	}
	return after, nil
}

// sideBody applies a block of a branch. The error is ours.
func (v *verifier) sideBody(body *consensus.Body, from, after *sideLedger) error {
	rule, err := v.sideSalts(body, from, after)
	if err != nil || rule == errUnknown {
		return err
	}
	var tree accounts.Tree
	if rule == nil {
		if _, tree, rule, err = v.execute(from.tree, from.past, body); err != nil {
			return err
		}
	}
	after.tree, after.known, after.rule = tree, rule == nil, rule
	after.past, _ = from.past.Append(after.state.HistoryLeaf().Sum())
	return nil
}

// bareState checks the state of a block whose body is not stored.
func (v *verifier) bareState(parent, s consensus.State) error {
	target, err := consensus.CompactToTarget(s.Bits)
	if err != nil {
		return err
	}
	if s.Time < parent.Time {
		return fmt.Errorf("%w: %d, the parent's is %d", consensus.ErrTimeBeforeParent, s.Time, parent.Time)
	}
	if err := v.rules.CheckBits(parent, s.Time, s.Bits); err != nil {
		return err
	}
	if !target.Meets(s.Hash) {
		return fmt.Errorf("%w: %v is above %v", consensus.ErrProofOfWork, s.Hash, target)
	}
	want := s
	want.Height, want.Base = parent.Height+1, v.rules.NextBase(parent, s.Time)
	want.Work = parent.Work.Add(consensus.WorkOf(s.Bits))
	if s != want {
		return stateError(s, want)
	}
	return nil
}

// errUnknown says that a rule could not be checked, for a fault that has been
// named.
var errUnknown = errors.New("not known")

// sideSalts checks that no transfer of a block repeats one of its branch within
// the lifetime. It returns ErrReplay or errUnknown as rule; the error is ours.
func (v *verifier) sideSalts(body *consensus.Body, from, after *sideLedger) (rule, err error) {
	after.salts = make(map[saltKey]bool, len(body.Block.Transfers))
	for i := range body.Block.Transfers {
		t := &body.Block.Transfers[i]
		key := saltKey{t.Sender, t.Salt}
		after.salts[key] = true
		earlier, found, err := v.lastUse(key, from)
		if errors.Is(err, errUnknown) {
			return errUnknown, nil
		}
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		if rule := consensus.CheckReplay(t, v.rules.TxLifetime, body.Height, earlier); rule != nil {
			return fmt.Errorf("transfer %d: %w", i, rule), nil
		}
	}
	return nil, nil
}

// lastUse returns the height of the last block, on the branch down from a ledger,
// that has a transfer of a sender and salt.
func (v *verifier) lastUse(key saltKey, from *sideLedger) (height uint32, found bool, err error) {
	for l := from; l.up != nil; l = l.up {
		if l.salts[key] {
			return l.state.Height, true, nil
		}
	}
	at, found, err := v.view.SaltLoc(key.sender, key.salt)
	for found && err == nil && at.Height > from.fork {
		if int64(at.Height) >= int64(len(v.path)) {
			return 0, false, errUnknown
		}
		var earlier store.Loc
		earlier, found = v.overwrittenBy(at.Height, key)
		if v.noUndo[at.Height] || found && !before(earlier, at) {
			return 0, false, errUnknown
		}
		at = earlier
	}
	if errors.Is(err, store.ErrDamaged) {
		err = errUnknown
	}
	return at.Height, found, err
}
