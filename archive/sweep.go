package archive

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"net/url"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

// errUncalled says of a record that no block calls for it.
var errUncalled = errors.New("nothing calls for it")

// sweeper goes through every record that is stored, and names those that the
// blocks do not call for, and those of the node's own that are not well formed.
type sweeper struct {
	*verifier
	seen map[byte]uint64 // records, by prefix

	accounts   uint64 // records of accounts that exist
	pending    []store.PendingRecord
	signatures errgroup.Group // checks of pending transfers
}

func (v *verifier) sweep() error {
	for hash, b := range v.side {
		if !b.visited {
			v.record(store.StateKey(hash), b.height, cmp.Or(b.fault, errors.New("the block before it is not stored")))
		}
	}
	s := &sweeper{verifier: v, seen: make(map[byte]uint64)}
	s.signatures.SetLimit(runtime.GOMAXPROCS(0))
	err := s.all()
	s.verifyPending()
	_ = s.signatures.Wait() // they name faults, and fail never
	if err != nil {
		return err
	}
	return s.compareCounts()
}

// all looks at each record once.
func (s *sweeper) all() error {
	checks := map[byte]func(store.Record){
		store.PrefixState:     s.stateRecord,
		store.PrefixBlock:     s.bodyRecord,
		store.PrefixHeader:    s.headerRecord,
		store.PrefixUndo:      s.undoRecord,
		store.PrefixBest:      s.bestRecord,
		store.PrefixRoot:      s.rootRecord,
		store.PrefixHistory:   s.historyRecord,
		store.PrefixAccount:   s.accountRecord,
		store.PrefixSalt:      s.saltRecord,
		store.PrefixTransfer:  s.transferRecord,
		store.PrefixMention:   s.mentionRecord,
		store.PrefixPending:   s.pendingRecord,
		store.PrefixNeighbour: s.neighbourRecord,
		store.PrefixToken:     s.tokenRecord,
		store.PrefixPeer:      s.peerRecord,
		store.PrefixGeneral:   s.generalRecord,
	}
	done, total := uint64(0), s.expected()
	for r, err := range s.view.Records(0) {
		if err == nil {
			err = s.ctx.Err()
		}
		if err != nil {
			return err
		}
		r.Key = bytes.Clone(r.Key) // a fault keeps it
		check := (func(store.Record))(nil)
		if len(r.Key) > 0 {
			s.seen[r.Key[0]]++
			check = checks[r.Key[0]]
		}
		if check == nil {
			s.own(r.Key, errors.New("no such record was ever written"))
		} else {
			check(r)
		}
		done++
		s.progress("records", done, max(done, total))
	}
	return nil
}

// expected is about how many records there are.
func (s *sweeper) expected() uint64 {
	blocks := uint64(len(s.path))
	nodes := 2*blocks - uint64(bits.OnesCount64(blocks))
	return 6*blocks + 3*uint64(len(s.side)) + nodes + 2*s.report.Transfers + s.mentions + s.tree.Count()
}

// onPath tells whether a block is on the best chain.
func (s *sweeper) onPath(height uint32, hash types.Hash) bool {
	return uint64(height) < uint64(len(s.path)) && s.path[height] == hash
}

func (s *sweeper) stateRecord(r store.Record) {
	// Those that decode have been compared with their blocks.
	if _, err := r.State(); err != nil {
		s.own(r.Key, err)
	}
}

func (s *sweeper) bodyRecord(r store.Record) {
	height, hash, called := s.called(r)
	if !called {
		return
	}
	if b := s.side[hash]; b != nil && b.fault == nil && b.stored.Status&store.HaveBody == 0 {
		s.record(store.StateKey(hash), height, errors.New("it says that the block's body is not stored, and it is"))
	}
}

func (s *sweeper) headerRecord(r store.Record) {
	height, hash, called := s.called(r)
	if !called {
		return
	}
	if b := s.side[hash]; b != nil && b.fault == nil && b.stored.Status&store.HaveBody == 0 {
		s.record(r.Key, height, fmt.Errorf("%w: the block's body is not stored, says its state (key %x)", errUncalled, store.StateKey(hash)))
	}
}

// called tells whether the record of a body or a header has a block that it
// belongs to.
func (s *sweeper) called(r store.Record) (height uint32, hash types.Hash, called bool) {
	height, hash, err := r.BlockName()
	if err != nil {
		s.own(r.Key, err)
		return height, hash, false
	}
	if s.onPath(height, hash) {
		return height, hash, true
	}
	switch b := s.side[hash]; {
	case b == nil:
		err = fmt.Errorf("%w: the block has no state (key %x)", errUncalled, store.StateKey(hash))
	case b.height != height:
		err = fmt.Errorf("%w: the block is at height %d", errUncalled, b.height)
	default:
		return height, hash, true
	}
	s.record(r.Key, height, err)
	return height, hash, false
}

func (s *sweeper) undoRecord(r store.Record) {
	height, hash, err := r.BlockName()
	if err != nil {
		s.own(r.Key, err)
	} else if !s.onPath(height, hash) || height == 0 {
		s.record(r.Key, height, fmt.Errorf("%w: its block is not on the best chain", errUncalled))
	}
}

func (s *sweeper) bestRecord(r store.Record) {
	height, _, err := r.Best()
	if err != nil {
		s.own(r.Key, err)
	} else if uint64(height) >= uint64(len(s.path)) {
		s.record(r.Key, height, fmt.Errorf("%w: the best chain ends at height %d", errUncalled, s.report.Height))
	}
}

func (s *sweeper) rootRecord(r store.Record) {
	height, _, err := r.Root()
	if err != nil {
		s.own(r.Key, err)
	} else if height == 0 || uint64(height) >= uint64(len(s.path)) {
		s.record(r.Key, height, fmt.Errorf("%w: the best chain ends at height %d", errUncalled, s.report.Height))
	}
}

func (s *sweeper) historyRecord(r store.Record) {
	n, err := r.HistoryNode()
	if err != nil {
		s.own(r.Key, err)
		return
	}
	if end := (uint64(n.Index) + 1) << min(n.Level, 32); end > uint64(len(s.path)) {
		s.record(r.Key, s.report.Height, fmt.Errorf("%w: the history of %d blocks has no such node", errUncalled, len(s.path)))
	}
}

func (s *sweeper) accountRecord(r store.Record) {
	s.report.Accounts++
	if s.unknown {
		if _, err := r.Account(); err != nil {
			s.own(r.Key, err)
		}
		return
	}
	var key accounts.Key
	copy(key[:], r.Key[1:])
	want, err := s.tree.Get(key)
	if want != 0 && len(r.Key) == 1+len(key) {
		s.accounts++
	}
	stored, decodeErr := r.Account()
	switch {
	case decodeErr != nil:
		err = decodeErr
	case err != nil:
	case want != stored.Balance:
		err = fmt.Errorf("%w: a balance of %s for %s, and the blocks give %s",
			consensus.ErrCommitment, s.money(stored.Balance), s.name(stored.Account), s.money(want))
	}
	if err != nil {
		s.record(r.Key, s.report.Height, err)
	}
}

func (s *sweeper) saltRecord(r store.Record) {
	if _, _, _, err := r.Salt(); err != nil {
		s.own(r.Key, err)
	}
}

func (s *sweeper) transferRecord(r store.Record) {
	if _, _, err := r.Transfer(); err != nil {
		s.own(r.Key, err)
	}
}

func (s *sweeper) mentionRecord(r store.Record) {
	if _, _, err := r.Mention(); err != nil {
		s.own(r.Key, err)
	}
}

// pendingChunk is how many signatures of pending transfers are checked together.
const pendingChunk = 1024

func (s *sweeper) pendingRecord(r store.Record) {
	s.report.Pending++
	p, err := r.Pending()
	if err == nil {
		// At the height of its expiry a transfer is within its lifetime.
		err = s.rules.CheckTransfer(&p.Transfer, p.Transfer.Expiry)
	}
	if err == nil && p.Answered == 0 {
		err = errors.New("it was never answered with a height")
	}
	if err != nil {
		s.own(r.Key, err)
		return
	}
	if s.pending = append(s.pending, p); len(s.pending) == pendingChunk {
		s.verifyPending()
	}
}

func (s *sweeper) verifyPending() {
	chunk := s.pending
	s.pending = nil
	s.signatures.Go(func() error {
		transfers := make([]*types.Transfer, len(chunk))
		for i := range chunk {
			transfers[i] = &chunk[i].Transfer
		}
		for i, err := range s.rules.VerifyEach(transfers) {
			if err != nil {
				s.own(store.PendingKey(chunk[i].Seq), err)
			}
		}
		return nil
	})
}

func (s *sweeper) neighbourRecord(r store.Record) {
	text, err := r.Neighbour()
	if err == nil {
		var u *url.URL
		if u, err = url.Parse(text); err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			err = errors.New("not an http or https URL")
		}
	}
	if err != nil {
		s.own(r.Key, err)
	}
}

func (s *sweeper) tokenRecord(r store.Record) {
	if _, err := r.Token(); err != nil {
		s.own(r.Key, err)
	}
}

func (s *sweeper) peerRecord(r store.Record) {
	if _, err := r.Peer(); err != nil {
		s.own(r.Key, err)
	}
}

func (s *sweeper) generalRecord(r store.Record) {
	err := r.General()
	if err == nil && bytes.Equal(r.Key, store.GenesisKey()) && !bytes.Equal(r.Value, s.rules.JSON()) {
		err = errors.New("it is not in the form in which it was written")
	}
	if err != nil {
		s.own(r.Key, err)
	}
}

// compareCounts looks for what is missing or too much where the numbers of
// records differ from what the blocks call for. To name it takes a longer look,
// which a sound directory is spared.
func (s *sweeper) compareCounts() error {
	if s.seen[store.PrefixSalt] > s.salts {
		if err := s.uncalledSalts(); err != nil {
			return err
		}
	}
	if s.seen[store.PrefixTransfer] > s.located {
		if err := s.uncalledTransfers(); err != nil {
			return err
		}
	}
	if s.seen[store.PrefixMention] > s.mentions {
		if err := s.uncalledMentions(); err != nil {
			return err
		}
	}
	if !s.unknown && s.accounts < s.tree.Count() {
		if err := s.missingAccounts(); err != nil {
			return err
		}
	}
	goal, err := s.view.Goal()
	for _, hash := range goal {
		if _, _, err := s.view.State(hash); errors.Is(err, store.ErrNotFound) {
			s.own(store.GoalKey(), fmt.Errorf("block %s is not stored", hash))
		}
	}
	if errors.Is(err, store.ErrDamaged) {
		err = nil // has been named
	}
	return err
}

func (s *sweeper) uncalledSalts() error {
	for r, err := range s.view.Records(store.PrefixSalt) {
		if err != nil {
			return err
		}
		sender, salt, loc, err := r.Salt()
		if err != nil {
			continue
		}
		if err := s.holds(loc, sender, salt); err != nil {
			s.record(bytes.Clone(r.Key), loc.Height, fmt.Errorf("%w: %w", errUncalled, err))
		}
	}
	return nil
}

func (s *sweeper) uncalledTransfers() error {
	for r, err := range s.view.Records(store.PrefixTransfer) {
		if err != nil {
			return err
		}
		id, record, err := r.Transfer()
		if err != nil {
			continue
		}
		t, err := s.at(record.Loc)
		if err == nil && t != nil && t.ID() != id {
			err = fmt.Errorf("%s is another", text(record.Loc))
		}
		if err != nil {
			s.record(bytes.Clone(r.Key), record.Height, fmt.Errorf("%w: %w", errUncalled, err))
		}
	}
	return nil
}

func (s *sweeper) uncalledMentions() error {
	for r, err := range s.view.Records(store.PrefixMention) {
		if err != nil {
			return err
		}
		key, m, err := r.Mention()
		if err != nil {
			continue
		}
		if err := s.mentioned(key, m.Height); err != nil {
			s.record(bytes.Clone(r.Key), m.Height, fmt.Errorf("%w: %w", errUncalled, err))
		}
	}
	return nil
}

// mentioned says why the best chain's block at a height does not name an account.
// It is nil also where the block cannot be read.
func (s *sweeper) mentioned(key accounts.Key, height uint32) error {
	if height == 0 || int64(height) >= int64(len(s.path)) {
		return fmt.Errorf("there is no block %d with transfers", height)
	}
	block, err := s.view.Block(height, s.path[height])
	if err != nil || s.noBody[height] {
		return nil
	}
	layout := consensus.LayOut(block)
	if !slices.ContainsFunc(layout.Parties, func(p consensus.Party) bool { return p.Key == key }) {
		return fmt.Errorf("block %d does not name the account", height)
	}
	return nil
}

// missingAccounts names accounts that have a balance and no record. Their names
// are in the allocations and undo records.
func (s *sweeper) missingAccounts() error {
	check := func(changes []consensus.Change) error {
		for _, c := range changes {
			key := accounts.KeyOf(c.Account)
			balance, err := s.tree.Get(key)
			if err != nil {
				return err
			}
			if stored, err := s.view.Account(c.Account); balance != 0 && err == nil && stored == 0 {
				s.record(store.AccountKey(key), s.report.Height, fmt.Errorf("%w: it is missing, and the blocks leave %s %s",
					consensus.ErrCommitment, s.name(c.Account), s.money(balance)))
			}
		}
		return s.ctx.Err()
	}
	if err := check(s.rules.GenesisBalances()); err != nil {
		return err
	}
	for height, hash := range slices.All(s.path) {
		if undo, err := s.view.Undo(uint32(height), hash); err == nil {
			if err := check(undo.Changes); err != nil {
				return err
			}
		}
	}
	return nil
}
