package chain

import (
	"context"
	"slices"
	"sync"
	"time"

	"cairn/consensus"
	"cairn/mempool"
	"cairn/types"
)

// maxIntake is how many transfers share one round of the intake at most.
const maxIntake = 1024

// Receipt answers a submitted transfer. The same transfer always gets the same.
type Receipt struct {
	ID types.Hash
	// NextHeight was the height of the next block, the earliest that could hold
	// the transfer, when it was first submitted here. For one that came in with
	// a block it is that block's height.
	NextHeight uint32
	// Mined says that a block of the best chain holds it already.
	Mined bool
}

// intake gathers transfers that wait, so that all of them share one batch of
// signatures and one synced commit. They are worked in rounds, one at a time, each
// by the goroutine of one of its callers: what comes meanwhile is the next round.
type intake struct {
	mu      sync.Mutex
	queue   []*submission
	busy    bool // a round is at work, or a caller has been told to work one
	running sync.WaitGroup
}

// submission is one transfer on its way into the pool.
type submission struct {
	transfer types.Transfer
	receipt  Receipt
	err      error
	turn     chan bool // true: work the next round; false: there is an answer

	seq uint64 // 0: nothing was added for it
}

// AddTransfer puts a transfer into the pool and returns once it is durable: it
// survives a crash, within the pool's bounds. A transfer that is pending or
// mined already gets its first answer again.
//
// The errors are those of consensus for a transfer, of mempool (ErrConflict,
// ErrFull), ErrClosed, or a failure of the disk. When ctx ends before there is an
// answer, the transfer may or may not have been accepted: asking again is safe. It
// is not looked at while this caller works for others.
func (m *Manager) AddTransfer(ctx context.Context, t types.Transfer) (Receipt, error) {
	answers, err := m.AddTransfers(ctx, []types.Transfer{t})
	if err != nil {
		return Receipt{}, err
	}
	return answers[0].Receipt, answers[0].Err
}

// Answer is what became of one of several submitted transfers: a receipt, or why
// there is none.
type Answer struct {
	Receipt Receipt
	Err     error
}

// AddTransfers is AddTransfer for several transfers, which share what they wait
// for. There is an answer for each, in order, unless the error says that there is
// none at all: ErrClosed, or that of ctx.
func (m *Manager) AddTransfers(ctx context.Context, ts []types.Transfer) ([]Answer, error) {
	all := make([]*submission, len(ts))
	for i := range ts {
		all[i] = &submission{transfer: ts[i], turn: make(chan bool, 1)}
		all[i].receipt.ID = ts[i].ID()
	}
	if err := m.intake.submit(m, all); err != nil {
		return nil, err
	}
	answers := make([]Answer, len(ts))
	for i, s := range all {
		select {
		case work := <-s.turn:
			s.take(m, work)
			answers[i] = Answer{s.receipt, s.err}
		case <-ctx.Done():
			go func() { // others may depend on their turns
				for _, s := range all[i:] {
					s.take(m, <-s.turn)
				}
			}()
			return nil, ctx.Err()
		}
	}
	return answers, nil
}

// take does what a submission's turn asks for.
func (s *submission) take(m *Manager, work bool) {
	if work {
		m.intake.work(m)
	}
}

// submit puts submissions into the queue. Turns are given in its order, so that
// whoever waits for several waits for the first of them.
func (in *intake) submit(m *Manager, all []*submission) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if m.closing() {
		return ErrClosed
	}
	in.running.Add(len(all))
	in.queue = append(in.queue, all...)
	if !in.busy {
		in.next()
	}
	return nil
}

// CheckTransfer returns what AddTransfer would answer, and changes nothing.
func (m *Manager) CheckTransfer(t types.Transfer) (Receipt, error) {
	s := &submission{transfer: t}
	s.receipt.ID = t.ID()
	if len(m.checkSignatures([]*submission{s})) == 0 {
		return Receipt{}, s.err
	}
	snapshot, err := m.Snapshot()
	if err != nil {
		return Receipt{}, err
	}
	defer snapshot.Close()
	balances := make(consensus.Balances)
	settled, err := s.look(snapshot, m.rules, balances)
	if err != nil {
		return Receipt{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, pooled := m.pool.Get(s.receipt.ID); pooled {
		s.receipt.NextHeight = e.Answered
		return s.receipt, nil
	}
	if settled {
		return s.receipt, nil
	}
	s.receipt.NextHeight = snapshot.Tip.Height + 1
	e := mempool.Entry{ID: s.receipt.ID, Transfer: &s.transfer}
	return s.receipt, m.pool.Check(e, s.receipt.NextHeight, func(a types.Account) int64 { return balances[a] })
}

// next gives its turn to the first that waits. The lock is held.
func (in *intake) next() {
	if in.busy = len(in.queue) > 0; in.busy {
		in.queue[0].turn <- true
	}
}

// work answers one round: that of the caller whose turn it is, and of all who
// wait by now.
func (in *intake) work(m *Manager) {
	in.mu.Lock()
	n := min(len(in.queue), maxIntake)
	round := slices.Clone(in.queue[:n])
	in.queue = slices.Delete(in.queue, 0, n)
	in.mu.Unlock()

	m.admit(round)
	for _, s := range round[1:] {
		s.turn <- false
	}
	in.mu.Lock()
	in.next()
	in.mu.Unlock()
	m.changed()
	in.running.Add(-n)
}

// admit answers one round: signatures first, without a lock; then what the chain
// says, read from a snapshot; then the pool, if the tip is still the snapshot's;
// and at the end one commit for all.
func (m *Manager) admit(round []*submission) {
	open := m.checkSignatures(round)
	for len(open) > 0 && !m.offer(open) {
		// The tip moved while we looked, or is about to: a commit is in new views a
		// moment before it is on disk. It cannot do so for ever: every move is a
		// commit, and looking takes less.
		time.Sleep(50 * time.Microsecond)
	}
	m.record(round)
}

// checkSignatures refuses the submissions whose signature is wrong and returns
// the others.
func (m *Manager) checkSignatures(all []*submission) (good []*submission) {
	transfers := make([]types.Transfer, len(all))
	for i, s := range all {
		transfers[i] = s.transfer
	}
	for i, err := range m.verifyEach(transfers) {
		if all[i].err = err; err == nil {
			good = append(good, all[i])
		}
	}
	return good
}

// verifyEach is consensus.VerifyEach on all cores: a signature costs more than all
// else that a transfer does. A part of a batch is not much cheaper than the whole.
func (m *Manager) verifyEach(ts []types.Transfer) []error {
	const least = 64 // of a part, below which a batch gains less
	parts := min(max(len(ts)/least, 1), cap(m.cores))
	if parts == 1 {
		return m.rules.VerifyEach(ts)
	}
	size := (len(ts) + parts - 1) / parts
	errs := make([]error, len(ts))
	var wait sync.WaitGroup
	for from := 0; from < len(ts); from += size {
		to := min(from+size, len(ts))
		wait.Go(func() { copy(errs[from:to], m.rules.VerifyEach(ts[from:to])) })
	}
	wait.Wait()
	return errs
}

// offer puts submissions into the pool. It tells whether the tip stood still; if
// not, nothing was done.
func (m *Manager) offer(open []*submission) bool {
	snapshot, err := m.Snapshot()
	if err != nil {
		for _, s := range open {
			s.err = err
		}
		return true
	}
	defer snapshot.Close()
	balances := make(consensus.Balances)
	settled := make([]bool, len(open))
	for i, s := range open {
		settled[i], s.err = s.look(snapshot, m.rules, balances)
	}
	balance := func(a types.Account) int64 { return balances[a] }

	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tip.Hash != snapshot.Tip.Hash {
		return false
	}
	for i, s := range open {
		switch {
		case s.err != nil:
		case !settled[i]:
			m.enter(s, balance)
		default: // see noteAnswers
			if e, pooled := m.pool.Get(s.receipt.ID); pooled {
				s.receipt.NextHeight = e.Answered
			}
		}
	}
	return true
}

// look reads what the chain knows of a submission: whether it is mined already,
// which settles it, and the balances that the pool will ask for.
func (s *submission) look(at *Snapshot, rules *consensus.Rules, balances consensus.Balances) (settled bool, err error) {
	t := &s.transfer
	loc, used, err := at.SaltLoc(t.Sender, t.Salt)
	if err != nil {
		return false, err
	}
	if used { // otherwise no block has the transfer either
		record, mined, err := at.TransferLoc(s.receipt.ID)
		if err != nil {
			return false, err
		}
		if mined {
			s.receipt.Mined = true
			if s.receipt.NextHeight = record.Answered; record.Answered == 0 {
				s.receipt.NextHeight = record.Height
			}
			return true, nil
		}
		if err := consensus.CheckReplay(t, rules.TxLifetime, at.Tip.Height+1, loc.Height); err != nil {
			return false, err
		}
	}
	for _, a := range []types.Account{t.Sender, t.Recipient} {
		if _, known := balances[a]; known {
			continue
		}
		if balances[a], err = at.Account(a); err != nil {
			return false, err
		}
	}
	return false, nil
}

// enter puts one submission into the pool. The state lock is held.
func (m *Manager) enter(s *submission, balance func(types.Account) int64) {
	if e, known := m.pool.Get(s.receipt.ID); known {
		s.receipt.NextHeight = e.Answered
		return
	}
	next := m.tip.Height + 1
	e := mempool.Entry{ID: s.receipt.ID, Transfer: &s.transfer, Seq: m.seq, Answered: next}
	evicted, replaced, err := m.pool.Add(e, next, balance)
	if err != nil {
		s.err = err
		return
	}
	m.seq++
	m.drop(errEvicted, evicted...)
	m.drop(replacedBy(&e), replaced...)
	if m.arrivals != nil {
		m.arrivals = append(m.arrivals, e)
	}
	s.seq, s.receipt.NextHeight = e.Seq, next
}

// record makes a round durable. If that fails, what it added leaves the pool.
func (m *Manager) record(round []*submission) {
	batch := m.store.NewBatch()
	defer batch.Close()
	added := 0
	for _, s := range round {
		if s.seq != 0 {
			batch.PutPending(s.seq, s.receipt.NextHeight, &s.transfer)
			added++
		}
	}
	if added == 0 {
		return
	}
	m.deleteStale(batch) // after the puts: one of this round may have put out another
	err := batch.Commit()

	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range round {
		if err != nil && s.err == nil {
			// Also for one that another of this round is the same as.
			s.err = err
		}
		if s.seq == 0 {
			continue
		}
		e, pooled := m.pool.Get(s.receipt.ID)
		switch {
		case err != nil:
			m.pool.Remove(s.receipt.ID)
		case !pooled || e.Seq != s.seq:
			// It left the pool before its record was written.
			m.stale = append(m.stale, s.seq)
		default:
			m.note(e, nil)
		}
	}
}
