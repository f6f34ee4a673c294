package archive

import (
	"errors"
	"fmt"
	"slices"

	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// The index of salts holds, for each sender and salt, the last transfer that has
// them. Where there were earlier ones, each but the first is named by its
// successor: the undo record of a block says which entries the block wrote over.
// So all transfers of one sender and salt form a list from the last to the first.
// If every transfer is on its list, and two neighbours on a list are always more
// than a lifetime apart, then no transfer was repeated within its lifetime, and
// the index is right. Both are checked transfer by transfer, without holding
// those that were seen.

// reuse remembers parts of lists that were walked, so that a salt which is used
// again and again does not make the walk longer each time.
type reuse struct {
	lists  map[saltKey][]store.Loc // from the last but one down to where a walk arrived
	length int                     // of all lists
	block  *types.Block            // of the best chain, read last
	height uint32
}

// maxReuse bounds the length of all remembered lists.
const maxReuse = 1 << 18

type saltKey struct {
	sender types.Account
	salt   uint64
}

func before(a, b store.Loc) bool {
	return a.Height < b.Height || a.Height == b.Height && a.Position < b.Position
}

// checkTransfers checks what the indexes say of a block's transfers, and the salts
// in its undo record, if it has one. The error is ours.
func (v *verifier) checkTransfers(l *loaded, undo store.Undo, haveUndo bool) error {
	overwritten := undo.Salts
	for i := range l.body.Block.Transfers {
		t, loc := &l.body.Block.Transfers[i], store.Loc{Height: l.height, Position: uint32(i)}
		if err := v.checkLocation(l.body.IDs[i+1], loc); err != nil {
			return err
		}
		if len(overwritten) > 0 && overwritten[0].Sender == t.Sender && overwritten[0].Salt == t.Salt {
			v.checkOverwritten(l, t, overwritten[0].Loc)
			overwritten = overwritten[1:]
		}
		if err := v.checkSalt(t, loc); err != nil {
			return err
		}
	}
	if err := v.checkMentions(l.height, &l.body.Layout); err != nil {
		return err
	}
	if haveUndo && len(overwritten) > 0 {
		v.record(store.UndoKey(l.height, l.hash), l.height,
			fmt.Errorf("it says that the block wrote over salt %d of %s, and that is not in the order of its transfers",
				overwritten[0].Salt, v.name(overwritten[0].Sender)))
	}
	return nil
}

// checkMentions checks what the index of accounts says of a block. The error is
// ours.
func (v *verifier) checkMentions(height uint32, layout *consensus.Layout) error {
	for party, positions := range layout.Mentions() {
		m, found, err := v.view.Mention(party.Key, height)
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return err
		}
		if err == nil && found {
			v.mentions++
		}
		switch {
		case err != nil:
		case !found:
			err = errMissing
		case !slices.Equal(m.Positions, positions):
			err = fmt.Errorf("it names the transfers %d, and %s is in %d", m.Positions, v.name(party.Account), positions)
		default:
			continue
		}
		v.record(store.MentionKey(party.Key, height), height, err)
	}
	return nil
}

// checkLocation checks the entry of a transfer in the index of ids.
func (v *verifier) checkLocation(id types.Hash, loc store.Loc) error {
	record, found, err := v.view.TransferLoc(id)
	switch {
	case errors.Is(err, store.ErrDamaged):
		v.record(store.TransferKey(id), loc.Height, err)
	case err != nil:
		return err
	case !found:
		v.record(store.TransferKey(id), loc.Height, errMissing)
	case record.Loc != loc:
		v.record(store.TransferKey(id), loc.Height, fmt.Errorf("it names %s, and it is %s", text(record.Loc), text(loc)))
	default:
		v.located++
	}
	return nil
}

// text names a place on the best chain.
func text(l store.Loc) string { return fmt.Sprintf("transfer %d of block %d", l.Position, l.Height) }

// checkOverwritten checks what an undo record says of a transfer: that an earlier
// one had its sender and salt. If so, that one must be more than a lifetime ago.
func (v *verifier) checkOverwritten(l *loaded, t *types.Transfer, earlier store.Loc) {
	err := v.holds(earlier, t.Sender, t.Salt)
	if err == nil && earlier.Height >= l.height {
		err = errors.New("which is not in an earlier block")
	}
	if err != nil {
		v.record(store.UndoKey(l.height, l.hash), l.height,
			fmt.Errorf("it says that the block wrote over %s: %w", text(earlier), err))
	} else if err := consensus.CheckReplay(t, v.rules.TxLifetime, l.height, earlier.Height); err != nil {
		v.record(store.BodyKey(l.height, l.hash), l.height, err)
	}
}

// holds says why a place on the best chain does not have a transfer of this
// sender and salt. It is nil also where the block cannot be read.
func (v *verifier) holds(loc store.Loc, sender types.Account, salt uint64) error {
	t, err := v.at(loc)
	if err != nil || t == nil {
		return err
	}
	if t.Sender != sender || t.Salt != salt {
		return fmt.Errorf("%s has salt %d of %s", text(loc), t.Salt, v.name(t.Sender))
	}
	return nil
}

// at returns the transfer at a place on the best chain; nil where its block cannot
// be read.
func (v *verifier) at(loc store.Loc) (*types.Transfer, error) {
	if int64(loc.Height) >= int64(len(v.path)) {
		return nil, fmt.Errorf("there is no block %d", loc.Height)
	}
	if v.noBody[loc.Height] {
		return nil, nil
	}
	if v.reuse.block == nil || v.reuse.height != loc.Height {
		block, err := v.view.Block(loc.Height, v.path[loc.Height])
		if err != nil {
			return nil, nil
		}
		v.reuse.block, v.reuse.height = block, loc.Height
	}
	if int64(loc.Position) >= int64(len(v.reuse.block.Transfers)) {
		return nil, fmt.Errorf("block %d has no transfer %d", loc.Height, loc.Position)
	}
	return &v.reuse.block.Transfers[loc.Position], nil
}

// checkSalt checks that a transfer is on the list of its sender and salt. The
// error is ours.
func (v *verifier) checkSalt(t *types.Transfer, loc store.Loc) error {
	key := store.SaltKey(t.Sender, t.Salt)
	last, found, err := v.view.SaltLoc(t.Sender, t.Salt)
	switch {
	case errors.Is(err, store.ErrDamaged):
		v.record(key, loc.Height, err)
		return nil
	case err != nil:
		return err
	case !found:
		v.record(key, loc.Height, errMissing)
		return nil
	case last == loc:
		v.salts++
		return nil
	case before(last, loc):
		v.record(key, loc.Height, fmt.Errorf("it names %s, and %s is later", text(last), text(loc)))
		return nil
	}
	if err := v.holds(last, t.Sender, t.Salt); err != nil {
		v.record(key, loc.Height, fmt.Errorf("it names %s instead of %s: %w", text(last), text(loc), err))
		return nil
	}
	v.checkList(saltKey{t.Sender, t.Salt}, last, loc)
	return nil
}

// checkList walks from the last transfer of a sender and salt to the one at loc.
func (v *verifier) checkList(key saltKey, last, loc store.Loc) {
	if list := v.reuse.lists[key]; len(list) > 0 && list[len(list)-1] == loc {
		v.forget(key, 1)
		return
	}
	v.forget(key, len(v.reuse.lists[key]))
	var list []store.Loc
	for at := last; at != loc; {
		earlier, ok := v.overwrittenBy(at.Height, key)
		if !ok {
			if !v.noUndo[at.Height] {
				v.record(store.UndoKey(at.Height, v.path[at.Height]), at.Height, fmt.Errorf(
					"it does not say that salt %d of %s was that of %s", key.salt, v.name(key.sender), text(loc)))
			}
			return
		}
		if err := v.holds(earlier, key.sender, key.salt); err != nil || !before(earlier, at) || before(earlier, loc) {
			v.record(store.UndoKey(at.Height, v.path[at.Height]), at.Height, fmt.Errorf(
				"it says that salt %d of %s was that of %s, and %s had it", key.salt, v.name(key.sender), text(earlier), text(loc)))
			return
		}
		if at = earlier; at != loc {
			list = append(list, at)
		}
	}
	if len(list) > 0 && v.reuse.length+len(list) <= maxReuse {
		if v.reuse.lists == nil {
			v.reuse.lists = make(map[saltKey][]store.Loc)
		}
		v.reuse.lists[key] = list
		v.reuse.length += len(list)
	}
}

// forget drops the end of a remembered list.
func (v *verifier) forget(key saltKey, n int) {
	list := v.reuse.lists[key]
	v.reuse.length -= n
	if n == len(list) {
		delete(v.reuse.lists, key)
	} else {
		v.reuse.lists[key] = list[:len(list)-n]
	}
}

// overwrittenBy returns which transfer of this sender and salt came before the one
// in the block at height, by its undo record.
func (v *verifier) overwrittenBy(height uint32, key saltKey) (store.Loc, bool) {
	undo, err := v.view.Undo(height, v.path[height])
	if err != nil {
		v.noUndo[height] = true // replay will say so, or has
		return store.Loc{}, false
	}
	for _, s := range undo.Salts {
		if s.Sender == key.sender && s.Salt == key.salt {
			return s.Loc, true
		}
	}
	return store.Loc{}, false
}
