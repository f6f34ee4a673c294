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
)

// Limits bound a pool. Zero values stand for the defaults.
type Limits struct {
	Transfers int   // the most transfers; 500,000 by default
	Bytes     int64 // the most memory, by the estimate of Pool.Bytes; 256 MiB by default
}

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

// Pool is a set of pending transfers. Its zero value is not usable: see New.
type Pool struct {
	rules  *consensus.Rules
	limits Limits
	bytes  int64

	best     *tree // by fee per byte, then arrival
	byID     *tree
	byExpiry *tree // by expiry, then arrival
	bySender *tree // by a hash of the sender, then salt
	seed     maphash.Seed

	outgoing map[types.Account]amount // what the pending transfers of a sender take from it
}

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
		byID:     btree.NewG(degree, lower),
		byExpiry: btree.NewG(degree, lower),
		bySender: btree.NewG(degree, together),
		seed:     maphash.MakeSeed(),
		outgoing: make(map[types.Account]amount),
	}
}

// Len returns the number of transfers.
func (p *Pool) Len() int { return p.best.Len() }

// Bytes returns an estimate of the memory that the pool occupies: a fixed part
// for each transfer, its strings, and its share of the indexes.
func (p *Pool) Bytes() int64 { return p.bytes }

// Get returns the pending transfer with this id.
func (p *Pool) Get(id types.Hash) (Entry, bool) { return value(p.get(id)) }

func (p *Pool) get(id types.Hash) *Entry {
	found, _ := p.byID.Get(named(&Entry{ID: id}))
	return found.entry
}

// BySalt returns the pending transfer of this sender and salt: there is at most
// one.
func (p *Pool) BySalt(sender types.Account, salt uint64) (Entry, bool) {
	return value(p.same(sender, salt))
}

func (p *Pool) same(sender types.Account, salt uint64) *Entry {
	key := p.salted(&Entry{Transfer: &types.Transfer{Sender: sender, Salt: salt}})
	found, _ := p.bySender.Get(key)
	return found.entry
}

func value(e *Entry) (Entry, bool) {
	if e == nil {
		return Entry{}, false
	}
	return *e, true
}

// Outgoing returns how much the pending transfers of an account take from it,
// fees included; math.MaxInt64 where it is more.
func (p *Pool) Outgoing(a types.Account) int64 { return p.outgoing[a].int64() }

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

func (p *Pool) add(e Entry, height uint32, balance func(types.Account) int64) (evicted, replaced []Entry, err error) {
	if p.get(e.ID) != nil {
		return nil, nil, ErrKnown
	}
	err = p.rules.CheckTransfer(e.Transfer, height)
	if err != nil && !(e.Restored && errors.Is(err, consensus.ErrExpiryTooFar)) {
		return nil, nil, err
	}
	e.Size = e.Transfer.Size()
	old := p.same(e.Transfer.Sender, e.Transfer.Salt)
	if old != nil && !outbids(&e, old) {
		return nil, nil, fmt.Errorf("%w: a fee of %s for %d bytes against %s for %d",
			ErrConflict, p.rules.FormatAmount(e.Transfer.Fee), e.Size, p.rules.FormatAmount(old.Transfer.Fee), old.Size)
	}
	if balance != nil {
		if err := p.affords(e.Transfer, old, balance); err != nil {
			return nil, nil, err
		}
	}
	victims, err := p.room(&e, old)
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

// affords applies t, as a block would, to what its sender has left when all its
// pending transfers but old, which t replaces, are paid.
func (p *Pool) affords(t *types.Transfer, old *Entry, balance func(types.Account) int64) error {
	pending := p.outgoing[t.Sender]
	if old != nil {
		pending = pending.sub(cost(old.Transfer))
	}
	// Capped, so that the difference of any two balances stays in 64 bits.
	set := min(pending.int64(), 4*types.MaxAmount)
	b := consensus.Balances{t.Recipient: balance(t.Recipient)}
	b[t.Sender] = balance(t.Sender) - set
	err := p.rules.ApplyTransfer(b, t)
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
	p.outgoing[t.Sender] = p.outgoing[t.Sender].add(cost(t))
	p.best.ReplaceOrInsert(rated(e))
	p.byID.ReplaceOrInsert(named(e))
	p.byExpiry.ReplaceOrInsert(expiring(e))
	p.bySender.ReplaceOrInsert(p.salted(e))
}

func (p *Pool) remove(e *Entry) Entry {
	t := e.Transfer
	p.bytes -= memory(t)
	if left := p.outgoing[t.Sender].sub(cost(t)); left == (amount{}) {
		delete(p.outgoing, t.Sender)
	} else {
		p.outgoing[t.Sender] = left
	}
	p.best.Delete(rated(e))
	p.byID.Delete(named(e))
	p.byExpiry.Delete(expiring(e))
	p.bySender.Delete(p.salted(e))
	return *e
}

// Remove takes a transfer out and tells whether it was there.
func (p *Pool) Remove(id types.Hash) (Entry, bool) {
	e := p.get(id)
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
		if e := p.get(id); e != nil {
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
	if !available.less(p.outgoing[sender]) {
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
