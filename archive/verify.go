package archive

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/store"
	"cairn/types"
)

// Progress is told how far a stage of Verify is: "files", "blocks", "records".
// The total is what is expected, and 0 where that is not known.
type Progress func(stage string, done, total uint64)

// Verify re-checks everything in a data directory that no node is using, and
// changes nothing in it. Every file is compared with its checksums. The best chain
// is replayed from genesis: every hash, link, proof of work, rule of headers,
// signature, balance and commitment, and with them every record that follows from
// the blocks; the blocks beside the best chain likewise, from where they leave it.
// Last, every record that is stored must be one of those, or a well-formed one
// of the node's own.
//
// It holds the accounts in memory, about 300 bytes each, and a hash for each
// block, but nothing for each transfer. An error says that the check could not be
// made: those of store.Open but for store.ErrDamaged, which is a fault, and of
// ctx. progress may be nil.
func Verify(ctx context.Context, dir string, progress Progress) (*Report, error) {
	if progress == nil {
		progress = func(string, uint64, uint64) {}
	}
	report := &Report{}
	files, err := store.CheckFiles(ctx, dir, func(done, total int64) {
		progress("files", uint64(done), uint64(total))
	})
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		report.file(f)
	}
	err = store.Examine(dir, store.Options{}, func(rules *consensus.Rules, view *store.View) error {
		v := &verifier{ctx: ctx, rules: rules, view: view, report: report, progress: progress}
		return v.run()
	})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, store.ErrDamaged) || err != nil && !report.Sound():
		report.file(err)
		return report, nil
	case err != nil:
		return nil, err
	}
	return report, nil
}

// verifier is one run of Verify over the records.
type verifier struct {
	ctx      context.Context
	rules    *consensus.Rules
	view     *store.View
	report   *Report
	progress Progress

	path     []types.Hash                // the best chain, by height
	side     map[types.Hash]*sideBlock   // the other blocks
	children map[types.Hash][]*sideBlock // the same, by the block before
	done     uint64                      // blocks

	// The ledger after the block that was replayed last.
	state   consensus.State
	tree    accounts.Tree
	past    history.Range
	unknown bool // a block or more could not be applied: the balances are not known

	// A block whose body was of no use, but whose undo record filled in; 0: none.
	recovered uint32
	// Blocks of the best chain without a body or undo record that can be used:
	// what depends on those has been said already.
	noBody, noUndo map[uint32]bool

	reuse    reuse
	salts    uint64 // entries of the index of salts that are as they should be
	mentions uint64 // entries of the index of accounts that are there
	located  uint64 // entries of the index of transfers that are
}

// sideBlock is a block beside the best chain.
type sideBlock struct {
	hash     types.Hash
	height   uint32
	previous types.Hash
	stored   store.StateRecord
	fault    error // that the state does not decode
	visited  bool
}

func (v *verifier) run() error {
	v.noBody, v.noUndo = make(map[uint32]bool), make(map[uint32]bool)
	v.report.Network = v.rules.Name
	steps := []func() error{v.findPath, v.findSide, v.replay, v.sweep}
	for _, step := range steps {
		if err := step(); errors.Is(err, errStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// record takes note of a fault of a record that is about the block at height.
func (v *verifier) record(key []byte, height uint32, reason error) {
	v.report.add(Fault{
		Record: store.Record{Key: key}.String(), Key: key,
		Height: height, HasHeight: true, Reason: reason,
	})
}

// own takes note of a fault of a record that is about no block.
func (v *verifier) own(key []byte, reason error) {
	v.report.add(Fault{Record: store.Record{Key: key}.String(), Key: key, Reason: reason})
}

// name writes an account for people.
func (v *verifier) name(a types.Account) string {
	if v.rules.Signatures {
		return v.rules.FormatAccount(a)
	}
	return strconv.Quote(string(a))
}

// money writes a balance for people.
func (v *verifier) money(balance int64) string {
	return v.rules.FormatBalance(balance) + " " + v.rules.Symbol
}

// stateError says where the stored state of a block differs from what its header
// and its parent give.
func stateError(stored, want consensus.State) error {
	var wrong []string
	compare := func(field string, stored, want any) {
		if stored != want {
			wrong = append(wrong, fmt.Sprintf("%s %v, not %v", field, stored, want))
		}
	}
	compare("hash", stored.Hash, want.Hash)
	compare("previous block", stored.Previous, want.Previous)
	compare("height", stored.Height, want.Height)
	compare("time", stored.Time, want.Time)
	compare("bits", stored.Bits, want.Bits)
	compare("base", stored.Base, want.Base)
	compare("work", stored.Work, want.Work)
	return fmt.Errorf("it says %s", strings.Join(wrong, "; "))
}

// changesError says where an undo record first differs from what its block did.
func (v *verifier) changesError(stored, want []consensus.Change) error {
	i := 0
	for i < min(len(stored), len(want)) && stored[i] == want[i] {
		i++
	}
	text := func(changes []consensus.Change) string {
		if i == len(changes) {
			return "no further balance changed"
		}
		c := changes[i]
		return fmt.Sprintf("the balance of %s went from %s to %s", v.name(c.Account), v.money(c.Before), v.money(c.After))
	}
	return fmt.Errorf("it says that %s, and by the block %s", text(stored), text(want))
}
