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

// maxIntake is how many transfers share one round of the intake, about.
const maxIntake = 1024

// ownBatch is how many transfers have their signatures verified before the round
// ahead of them has ended: a larger batch would gain little.
const ownBatch = 256

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

// intake gathers calls that wait, so that the transfers of all of them share one
// batch of signatures and one synced commit. They are worked in rounds, each by the
// goroutine of one of its callers: what comes meanwhile is the next round. That
// begins when the last one ends, but for its signatures: where enough for a batch
// wait, they are verified while the last one is being recorded.
type intake struct {
	mu        sync.Mutex
	queue     []*call
	waiting   int        // transfers in the queue
	verifying bool       // a caller has been told to work a round, and has not begun to record it
	recording bool       // a round is being recorded
	record    sync.Mutex // held meanwhile; it guards confirmed too
	confirmed confirmed
	running   sync.WaitGroup
}

// confirmed are the balances of one tip that rounds have asked for: most senders
// come again before the next block.
type confirmed struct {
	tip      types.Hash
	balances consensus.Balances
}

// keptBalances is how many are kept between two rounds: a few megabytes.
const keptBalances = 1 << 15

// at returns the balances that are known at a tip.
func (c *confirmed) at(tip types.Hash) consensus.Balances {
	if c.tip != tip || len(c.balances) > keptBalances {
		c.tip, c.balances = tip, make(consensus.Balances)
	}
	return c.balances
}

// call is what one caller submits together.
type call struct {
	submissions []submission
	turn        chan bool // true: work the next round; false: there are answers
}

// submission is one transfer on its way into the pool.
type submission struct {
	transfer *types.Transfer // the pool keeps it
	receipt  Receipt
	err      error

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
	answers, err := m.AddTransfers(ctx, []*types.Transfer{&t})
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
// for. The pool keeps them: they must not change any more, nor be parts of something
// larger, which it would keep too. There is an answer for each, in order, unless the
// error says that there is none at all: ErrClosed, or that of ctx.
func (m *Manager) AddTransfers(ctx context.Context, ts []*types.Transfer) ([]Answer, error) {
	answers := make([]Answer, 0, len(ts))
	for some := range slices.Chunk(ts, maxIntake) {
		c := newCall(some)
		if err := m.intake.submit(m, c); err != nil {
			return nil, err
		}
		select {
		case work := <-c.turn:
			m.take(work)
		case <-ctx.Done():
			go func() { m.take(<-c.turn) }() // others may depend on it
			return nil, ctx.Err()
		}
		for i := range c.submissions {
			answers = append(answers, Answer{c.submissions[i].receipt, c.submissions[i].err})
		}
	}
	return answers, nil
}

func newCall(ts []*types.Transfer) *call {
	c := &call{submissions: make([]submission, len(ts)), turn: make(chan bool, 1)}
	for i, t := range ts {
		c.submissions[i].transfer = t
		c.submissions[i].receipt.ID = t.ID()
	}
	return c
}

// take does what a call's turn asks for.
func (m *Manager) take(work bool) {
	if work {
		m.intake.work(m)
	}
}

// submit puts a call into the queue.
func (in *intake) submit(m *Manager, c *call) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if m.closing() {
		return ErrClosed
	}
	in.running.Add(1)
	in.queue = append(in.queue, c)
	in.waiting += len(c.submissions)
	in.next()
	return nil
}

// CheckTransfer returns what AddTransfer would answer, and changes nothing.
func (m *Manager) CheckTransfer(t types.Transfer) (Receipt, error) {
	s := &newCall([]*types.Transfer{&t}).submissions[0]
	if err := m.verifyEach([]*types.Transfer{&t})[0]; err != nil {
		return Receipt{}, err
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
	e := mempool.Entry{ID: s.receipt.ID, Transfer: s.transfer}
	return s.receipt, m.pool.Check(e, s.receipt.NextHeight, func(a types.Account) int64 { return balances[a] })
}

// next gives the first that waits its turn, if it is time. The lock is held.
func (in *intake) next() {
	if len(in.queue) > 0 && !in.verifying && (!in.recording || in.waiting >= ownBatch) {
		in.verifying = true
		in.queue[0].turn <- true
	}
}

// work answers one round: that of the caller whose turn it is, and of all who
// wait by now.
func (in *intake) work(m *Manager) {
	in.mu.Lock()
	n, transfers := 0, 0
	for ; n < len(in.queue) && transfers < maxIntake; n++ {
		transfers += len(in.queue[n].submissions)
	}
	round := slices.Clone(in.queue[:n])
	in.queue = slices.Delete(in.queue, 0, n)
	in.waiting -= transfers
	in.mu.Unlock()

	open := m.verify(round, transfers)
	in.record.Lock()
	in.mu.Lock()
	in.verifying, in.recording = false, true
	in.next()
	in.mu.Unlock()
	m.admit(open)
	for _, c := range round[1:] {
		c.turn <- false
	}
	in.mu.Lock()
	in.recording = false
	in.next()
	in.mu.Unlock()
	in.record.Unlock()
	m.changed()
	in.running.Add(-n)
}

// admit answers one round: what the chain says, read from a snapshot without a
// lock; then the pool, if the tip is still the snapshot's; and at the end one commit
// for all.
func (m *Manager) admit(open []*submission) {
	for rest := open; len(rest) > 0; {
		rest = rest[m.offer(rest):]
		if len(rest) > 0 {
			// The tip moved while we looked, or is about to: a commit is in new views a
			// moment before it is on disk. It cannot do so for ever: every move is a
			// commit, and looking takes less.
			time.Sleep(50 * time.Microsecond)
		}
	}
	m.record(open)
}

// verify refuses the submissions whose signature is wrong and returns the others.
func (m *Manager) verify(round []*call, transfers int) (good []*submission) {
	ts := make([]*types.Transfer, 0, transfers)
	all := make([]*submission, 0, transfers)
	for _, c := range round {
		for i := range c.submissions {
			ts = append(ts, c.submissions[i].transfer)
			all = append(all, &c.submissions[i])
		}
	}
	good = all[:0]
	for i, err := range m.verifyEach(ts) {
		if all[i].err = err; err == nil {
			good = append(good, all[i])
		}
	}
	return good
}

// verifyEach is consensus.VerifyEach on all cores: a signature costs more than all
// else that a transfer does. A part of a batch is not much cheaper than the whole.
func (m *Manager) verifyEach(ts []*types.Transfer) []error {
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

// offer puts submissions into the pool while the tip stands still, and returns how
// many of them.
func (m *Manager) offer(open []*submission) int {
	snapshot, err := m.Snapshot()
	if err != nil {
		for _, s := range open {
			s.err = err
		}
		return len(open)
	}
	defer snapshot.Close()
	balances := m.intake.confirmed.at(snapshot.Tip.Hash)
	settled := make([]bool, len(open))
	for i, s := range open {
		settled[i], s.err = s.look(snapshot, m.rules, balances)
	}
	balance := func(a types.Account) int64 { return balances[a] }

	const atOnce = 64 // between two chances for others to have the lock
	for from := 0; from < len(open); from += atOnce {
		if !m.enterSome(snapshot.Tip.Hash, open[from:min(from+atOnce, len(open))], settled[from:], balance) {
			return from
		}
	}
	return len(open)
}

// entering is called before some of a round enter the pool. Tests move the tip there.
var entering = func() {}

// enterSome enters submissions that were looked at while tip was the tip. It tells
// whether it still is; otherwise it has done nothing.
func (m *Manager) enterSome(tip types.Hash, some []*submission, settled []bool, balance func(types.Account) int64) bool {
	entering()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tip.Hash != tip {
		return false
	}
	for i, s := range some {
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
	t := s.transfer
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
	e := mempool.Entry{ID: s.receipt.ID, Transfer: s.transfer, Seq: m.seq, Answered: next}
	evicted, replaced, err := m.pool.Add(e, next, balance)
	if err != nil {
		s.err = err
		return
	}
	m.seq++
	m.drop(errEvicted, evicted...)
	if len(replaced) > 0 {
		m.drop(replacedBy(&e), replaced...)
	}
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
			batch.PutPending(s.seq, s.receipt.NextHeight, s.transfer)
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
