// Package mempool holds the transfers that wait for a block. It is a plain data
// structure: no lock, no clock, no storage. Package chain guards it, tells it
// the height of the next block and the confirmed balances, and records what it
// answers.
//
// The pool is bounded by a number of transfers and by the memory that they
// occupy. Transfers are ordered by fee per byte of encoding, then by arrival;
// when there is no room the cheapest leave, but never for one that pays no
// better. Nothing here is consensus: what a block may hold is decided by the
// functions of package consensus, which the pool calls as block validation does.
package mempool

import (
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"

	"github.com/google/btree"

	"cairn/consensus"
	"cairn/types"
)

// Errors of Add and Restore. The rules of a transfer come as consensus errors:
// ErrExpired, ErrExpiryTooFar, ErrInsufficient and so on.
var (
	// ErrKnown says that this very transfer is in the pool.
	ErrKnown = errors.New("transfer is already pending")
	// ErrConflict says that another transfer with the same sender and salt is
	// in the pool and pays at least as much.
	ErrConflict = errors.New("another pending transfer has the same sender and salt, and this one does not pay more, in all and for each byte")
	// ErrFull says that there is no room, and nothing cheaper to put out.
	ErrFull = errors.New("pool is full of transfers that pay as much for each byte")
	// ErrFeeTooLow says that a transfer pays less than Limits.MinFeeRate.
	ErrFeeTooLow = errors.New("fee is below the least that this node passes on")
	// ErrAccountLimit says that Limits.PerAccount transfers of the sender wait.
	ErrAccountLimit = errors.New("too many transfers of the sender are pending")
)

// Limits bound a pool. Zero values stand for the defaults.
type Limits struct {
	Transfers int   // the most transfers; 500,000 by default
	Bytes     int64 // the most memory, by the estimate of Pool.Bytes; 256 MiB by default

	// MinFeeRate is the least fee, in base units for 1,000 bytes of encoding.
	MinFeeRate uint64
	// PerAccount is how many transfers of one sender may wait; 0: as many as there
	// is room for.
	PerAccount int
}

// MinFee returns the least fee, in base units, of a transfer whose encoding has
// size bytes; it is rounded up.
func (l Limits) MinFee(size int) uint64 {
	high, low := bits.Mul64(l.MinFeeRate, uint64(size))
	if high > 0 || low > types.MaxAmount*rateUnit {
		return types.MaxAmount
	}
	return (low + rateUnit - 1) / rateUnit
}

// rateUnit is the number of bytes that a fee rate is for.
const rateUnit = 1000

// The limits where none are given.
const (
	DefaultTransfers = 500_000
	DefaultBytes     = 256 << 20
)

// Entry is one pending transfer. The pool hands out its own: neither an entry
// nor its transfer is ever changed.
type Entry struct {
	ID       types.Hash
	Transfer *types.Transfer
	Size     int    // bytes of the encoding; set by the pool
	Seq      uint64 // order of arrival, unique
	Answered uint32 // height of the next block when the transfer was first answered
	Restored bool   // accepted once before: see Pool.Restore; set by the pool
}

// Rate returns the fee rate in base units for 1,000 bytes, rounded down.
func (e *Entry) Rate() uint64 { return RateOf(e.Transfer.Fee, e.Size) }

// RateOf returns the fee rate of an encoding of size bytes.
func RateOf(fee uint64, size int) uint64 { return fee * rateUnit / uint64(size) } // below 2^63

// Pool is a set of pending transfers. Its zero value is not usable: see New.
type Pool struct {
	rules  *consensus.Rules
	limits Limits
	bytes  int64

	best     *tree // by fee per byte, then arrival
	byExpiry *tree // by expiry, then arrival
	bySender *tree // by a hash of the sender, then salt
	seed     maphash.Seed
	byID     map[types.Hash]*Entry

	byRecipient *tree                 // by a hash of the recipient, then arrival
	senders     map[types.Account]Sum // what the pending transfers of each take from it

	// Room that is used again and again, so that no two calls may run at once, not
	// even of those that only look.
	applied consensus.Balances // by affords
	wanted  struct {           // by same
		entry    Entry
		transfer types.Transfer
	}
}

// Sum is what several pending transfers come to.
type Sum struct {
	Count  int
	amount amount
}

// Amount returns the base units, or math.MaxInt64 where it is more.
func (s Sum) Amount() int64 { return s.amount.int64() }

func (s Sum) plus(v uint64) Sum  { return Sum{s.Count + 1, s.amount.add(v)} }
func (s Sum) minus(v uint64) Sum { return Sum{s.Count - 1, s.amount.sub(v)} }

// New returns an empty pool for a network.
func New(rules *consensus.Rules, limits Limits) *Pool {
	if limits.Transfers == 0 {
		limits.Transfers = DefaultTransfers
	}
	if limits.Bytes == 0 {
		limits.Bytes = DefaultBytes
	}
	return &Pool{
		rules:    rules,
		limits:   limits,
		best:     btree.NewG(degree, better),
		byExpiry: btree.NewG(degree, lower),
		bySender: btree.NewG(degree, together),
		seed:     maphash.MakeSeed(),
		byID:     make(map[types.Hash]*Entry),
		senders:  make(map[types.Account]Sum),

		byRecipient: btree.NewG(degree, lower),

		applied: make(consensus.Balances),
	}
}

// Len returns the number of transfers.
func (p *Pool) Len() int { return p.best.Len() }

// Bytes returns an estimate of the memory that the pool occupies: a fixed part
// for each transfer, its strings, and its share of the indexes.
func (p *Pool) Bytes() int64 { return p.bytes }

// Get returns the pending transfer with this id.
func (p *Pool) Get(id types.Hash) (Entry, bool) { return value(p.byID[id]) }

// BySalt returns the pending transfer of this sender and salt: there is at most
// one.
func (p *Pool) BySalt(sender types.Account, salt uint64) (Entry, bool) {
	return value(p.same(sender, salt))
}

func (p *Pool) same(sender types.Account, salt uint64) *Entry {
	p.wanted.transfer.Sender, p.wanted.transfer.Salt = sender, salt
	p.wanted.entry.Transfer = &p.wanted.transfer
	found, _ := p.bySender.Get(p.salted(&p.wanted.entry))
	return found.entry
}

func value(e *Entry) (Entry, bool) {
	if e == nil {
		return Entry{}, false
	}
	return *e, true
}

// Add puts a transfer into the pool, if a block at height, the next one, could
// hold it, and its sender's confirmed balance less all that is pending from the
// same account pays for it. Pending income does not count: it may never come.
// The caller has verified the signature and that no block holds this sender and
// salt within the lifetime. Of e, ID, Transfer, Seq and Answered are used.
//
// A transfer with the sender and salt of a pending one takes its place if it
// pays a higher fee, and more for each byte; the old one is returned as
// replaced. What had to leave for lack of room is returned as evicted. On an
// error nothing has changed.
func (p *Pool) Add(e Entry, height uint32, balance func(types.Account) int64) (evicted, replaced []Entry, err error) {
	return p.add(e, height, balance)
}

// Restore puts back a transfer that was accepted before: one whose block lost to
// another branch, or one read from disk. Unlike Add it asks for no balance,
// because what paid for the transfer may be pending again too; and Cover spares
// it. It stays until it is mined, expires or has to leave for lack of room. That
// its expiry is too far ahead of a chain that became shorter is no reason to
// refuse it: no block takes it before it may.
func (p *Pool) Restore(e Entry, height uint32) (evicted, replaced []Entry, err error) {
	e.Restored = true
	return p.add(e, height, nil)
}

// Check returns the error that Add would return, and changes nothing.
func (p *Pool) Check(e Entry, height uint32, balance func(types.Account) int64) error {
	_, _, err := p.admit(&e, height, balance)
	return err
}

func (p *Pool) add(e Entry, height uint32, balance func(types.Account) int64) (evicted, replaced []Entry, err error) {
	old, victims, err := p.admit(&e, height, balance)
	if err != nil {
		return nil, nil, err
	}
	if old != nil {
		replaced = []Entry{p.remove(old)}
	}
	for _, v := range victims {
		evicted = append(evicted, p.remove(v))
	}
	p.insert(&e)
	return evicted, replaced, nil
}

// admit sets the size of e and returns what it replaces, or nil, and what has to
// leave so that it fits.
func (p *Pool) admit(e *Entry, height uint32, balance func(types.Account) int64) (old *Entry, victims []*Entry, err error) {
	if p.byID[e.ID] != nil {
		return nil, nil, ErrKnown
	}
	err = p.rules.CheckTransfer(e.Transfer, height)
	if err != nil && !(e.Restored && errors.Is(err, consensus.ErrExpiryTooFar)) {
		return nil, nil, err
	}
	e.Size = e.Transfer.Size()
	old = p.same(e.Transfer.Sender, e.Transfer.Salt)
	if !e.Restored {
		if err := p.checkLimits(e, old); err != nil {
			return nil, nil, err
		}
	}
	if old != nil && !outbids(e, old) {
		return nil, nil, fmt.Errorf("%w: a fee of %s for %d bytes against %s for %d",
			ErrConflict, p.rules.FormatAmount(e.Transfer.Fee), e.Size, p.rules.FormatAmount(old.Transfer.Fee), old.Size)
	}
	if balance != nil {
		if err := p.affords(e.Transfer, old, balance); err != nil {
			return nil, nil, err
		}
	}
	victims, err = p.room(e, old)
	return old, victims, err
}

// checkLimits holds a newcomer to what the operator asks for; old is what it would
// replace, or nil.
func (p *Pool) checkLimits(e, old *Entry) error {
	t := e.Transfer
	if least := p.limits.MinFee(e.Size); t.Fee < least {
		return fmt.Errorf("%w: %s for %d bytes, the least is %s %s", ErrFeeTooLow,
			p.rules.FormatAmount(t.Fee), e.Size, p.rules.FormatAmount(least), p.rules.Symbol)
	}
	if count := p.senders[t.Sender].Count; p.limits.PerAccount > 0 && old == nil && count >= p.limits.PerAccount {
		return fmt.Errorf("%w: %d, the most is %d", ErrAccountLimit, count, p.limits.PerAccount)
	}
	return nil
}

// affords applies t, as a block would, to what its sender has left when all its
// pending transfers but old, which t replaces, are paid.
func (p *Pool) affords(t *types.Transfer, old *Entry, balance func(types.Account) int64) error {
	pending := p.senders[t.Sender].amount
	if old != nil {
		pending = pending.sub(cost(old.Transfer))
	}
	// Capped, so that the difference of any two balances stays in 64 bits.
	set := min(pending.int64(), 4*types.MaxAmount)
	clear(p.applied)
	p.applied[t.Recipient] = balance(t.Recipient)
	p.applied[t.Sender] = balance(t.Sender) - set
	err := p.rules.ApplyTransfer(p.applied, t)
	if err != nil && set > 0 {
		return fmt.Errorf("%w (with %s %s set aside for the sender's pending transfers)",
			err, p.rules.FormatBalance(set), p.rules.Symbol)
	}
	return err
}

// room returns what has to leave so that e fits, the cheapest first, if old
// leaves anyway (it may be nil). All of it is worse than e.
func (p *Pool) room(e, old *Entry) (victims []*Entry, err error) {
	count, bytes := p.Len()+1, p.bytes+memory(e.Transfer)
	if old != nil {
		count, bytes = count-1, bytes-memory(old.Transfer)
	}
	fits := func() bool { return count <= p.limits.Transfers && bytes <= p.limits.Bytes }
	if fits() {
		return nil, nil
	}
	newcomer := rated(e)
	p.best.Descend(func(v item) bool {
		if v.entry == old {
			return true
		}
		if better(v, newcomer) {
			return false
		}
		victims = append(victims, v.entry)
		count, bytes = count-1, bytes-memory(v.entry.Transfer)
		return !fits()
	})
	if !fits() {
		return nil, fmt.Errorf("%w: a fee of %s for %d bytes is too little now", ErrFull, p.rules.FormatAmount(e.Transfer.Fee), e.Size)
	}
	return victims, nil
}

func (p *Pool) insert(e *Entry) {
	t := e.Transfer
	p.bytes += memory(t)
	p.senders[t.Sender] = p.senders[t.Sender].plus(cost(t))
	p.best.ReplaceOrInsert(rated(e))
	p.byID[e.ID] = e
	p.byExpiry.ReplaceOrInsert(expiring(e))
	p.bySender.ReplaceOrInsert(p.salted(e))
	p.byRecipient.ReplaceOrInsert(p.received(e))
}

func (p *Pool) remove(e *Entry) Entry {
	t := e.Transfer
	p.bytes -= memory(t)
	if left := p.senders[t.Sender].minus(cost(t)); left.Count == 0 {
		delete(p.senders, t.Sender)
	} else {
		p.senders[t.Sender] = left
	}
	p.best.Delete(rated(e))
	delete(p.byID, e.ID)
	p.byExpiry.Delete(expiring(e))
	p.bySender.Delete(p.salted(e))
	p.byRecipient.Delete(p.received(e))
	return *e
}

// Remove takes a transfer out and tells whether it was there.
func (p *Pool) Remove(id types.Hash) (Entry, bool) {
	e := p.byID[id]
	if e == nil {
		return Entry{}, false
	}
	return p.remove(e), true
}

// RemoveAll takes transfers out, those of them that are there: what a block holds,
// most of all, which may be nearly everything.
func (p *Pool) RemoveAll(ids []types.Hash) {
	gone := make(map[*Entry]bool, len(ids))
	for _, id := range ids {
		if e := p.byID[id]; e != nil {
			gone[e] = true
		}
	}
	if len(gone) < p.Len()/2 {
		for e := range gone {
			p.remove(e)
		}
		return
	}
	rest := New(p.rules, p.limits)
	p.best.Ascend(func(i item) bool {
		if !gone[i.entry] {
			rest.insert(i.entry)
		}
		return true
	})
	*p = *rest
}

// Expire takes out and returns what a block at height, the next one, can hold no
// more. Its work is in proportion to what it returns.
func (p *Pool) Expire(height uint32) []Entry {
	var expired []*Entry
	p.byExpiry.Ascend(func(i item) bool {
		if i.key >= uint64(height) {
			return false
		}
		expired = append(expired, i.entry)
		return true
	})
	return p.removeAll(expired)
}

// Cover takes out and returns what a sender can pay for no longer, after its
// confirmed balance fell to the one given: the cheapest of its transfers leave
// until the rest is covered. What was restored is neither counted nor taken out.
// Its work is in proportion to the sender's transfers, and next to nothing while
// all are covered.
func (p *Pool) Cover(sender types.Account, balance int64) []Entry {
	available := amount{lo: uint64(max(0, balance+int64(p.rules.CreditLimit)))}
	if !available.less(p.senders[sender].amount) {
		return nil
	}
	var sum amount
	var uncovered []*Entry
	for _, i := range p.of(sender) {
		if i.entry.Restored {
			continue
		}
		if sum = sum.add(cost(i.entry.Transfer)); available.less(sum) {
			uncovered = append(uncovered, i.entry)
		}
	}
	return p.removeAll(uncovered)
}

// Limits returns the bounds of the pool.
func (p *Pool) Limits() Limits { return p.limits }

// Outgoing returns what the pending transfers of an account take from it, fees
// included.
func (p *Pool) Outgoing(a types.Account) Sum { return p.senders[a] }

// Incoming returns what pending transfers to an account bring; of them, it counts at
// most limit.
func (p *Pool) Incoming(a types.Account, limit int) (sum Sum) {
	for e := range p.to(a) {
		if sum.Count == limit {
			break
		}
		sum = sum.plus(e.Transfer.Amount)
	}
	return sum
}

// to goes through the pending transfers to an account in the order of arrival.
func (p *Pool) to(a types.Account) iter.Seq[*Entry] {
	first := p.received(&Entry{Transfer: &types.Transfer{Recipient: a}})
	return func(yield func(*Entry) bool) {
		p.byRecipient.AscendGreaterOrEqual(first, func(i item) bool {
			return i.key == first.key && (i.entry.Transfer.Recipient != a || yield(i.entry))
		})
	}
}

// Of returns pending transfers from or to an account, at most limit: those that it
// sends in the order of their salts, then those that it receives from others in
// the order of arrival.
func (p *Pool) Of(a types.Account, limit int) []Entry {
	var entries []Entry
	first := p.salted(&Entry{Transfer: &types.Transfer{Sender: a}})
	p.bySender.AscendGreaterOrEqual(first, func(i item) bool {
		if i.key != first.key || len(entries) == limit {
			return false
		}
		if i.entry.Transfer.Sender == a {
			entries = append(entries, *i.entry)
		}
		return true
	})
	for e := range p.to(a) {
		if len(entries) == limit {
			break
		}
		if e.Transfer.Sender != a {
			entries = append(entries, *e)
		}
	}
	return entries
}

// of returns the entries of a sender in the order of the pool.
func (p *Pool) of(sender types.Account) []item {
	var out []item
	first := p.salted(&Entry{Transfer: &types.Transfer{Sender: sender}})
	p.bySender.AscendGreaterOrEqual(first, func(i item) bool {
		if i.entry.Transfer.Sender == sender {
			out = append(out, rated(i.entry))
		}
		return i.key == first.key
	})
	slices.SortFunc(out, func(a, b item) int {
		if better(a, b) {
			return -1
		}
		return 1
	})
	return out
}

func (p *Pool) removeAll(entries []*Entry) []Entry {
	var out []Entry
	for _, e := range entries {
		out = append(out, p.remove(e))
	}
	return out
}
