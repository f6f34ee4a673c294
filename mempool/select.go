package mempool

import (
	"iter"

	"cairn/types"
)

// Bounds of the work that one selection may cause beyond what it chooses.
const (
	maxRetries = 10_000 // of transfers that failed at first
	maxFailed  = 20_000 // that failed at first
	maxMisfits = 1_000  // in a row that are too large for the room left
)

// Snapshot is the pool as it was at one moment, for use while the pool changes:
// it shares the pool's memory and costs next to nothing to take.
type Snapshot struct {
	best *tree
}

// Snapshot freezes the present order. It counts as a change of the pool, so it
// needs the same lock; using the snapshot then needs none.
func (p *Pool) Snapshot() Snapshot { return Snapshot{p.best.Clone()} }

// Len returns the number of transfers.
func (s Snapshot) Len() int { return s.best.Len() }

// Best goes through the transfers by fee per byte, then arrival.
func (s Snapshot) Best() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		s.best.Ascend(func(i item) bool { return yield(i.entry) })
	}
}

// After is Best for what comes behind e, which need not be there any more: of it,
// the fee, Size and Seq are used.
func (s Snapshot) After(e *Entry) iter.Seq[*Entry] {
	first := rated(e)
	first.tie++
	return func(yield func(*Entry) bool) {
		s.best.AscendGreaterOrEqual(first, func(i item) bool { return yield(i.entry) })
	}
}

// Select chooses transfers for a block, best first, whose encodings take at most
// maxBytes together. It calls try for each that fits; try applies it to the
// balances of the block and fails where that cannot be done. A transfer that
// fails is tried again when one that is chosen later has credited its sender or
// its recipient, so that payments out of pending income come into the same
// block, in an order in which they apply. The order of the result is the order
// of the successful calls.
func (s Snapshot) Select(maxBytes int, try func(*Entry) error) []*Entry {
	sel := selection{
		room: maxBytes, try: try, retries: maxRetries,
		waiting: make(map[types.Account][]*Entry), taken: make(map[*Entry]bool),
	}
	misfits, failed := 0, 0
	for e := range s.Best() {
		if sel.room < types.MinTransferSize || misfits == maxMisfits || failed == maxFailed {
			break
		}
		if e.Size > sel.room {
			misfits++
			continue
		}
		misfits = 0
		if sel.offer(e) {
			sel.retry(e.Transfer.Recipient)
		} else {
			sel.wait(e)
			failed++
		}
	}
	return sel.chosen
}

type selection struct {
	room    int
	try     func(*Entry) error
	chosen  []*Entry
	retries int
	waiting map[types.Account][]*Entry // failed so far, by each of their accounts
	taken   map[*Entry]bool            // chosen out of waiting
}

func (s *selection) offer(e *Entry) bool {
	if s.try(e) != nil {
		return false
	}
	s.chosen = append(s.chosen, e)
	s.room -= e.Size
	return true
}

func (s *selection) wait(e *Entry) {
	t := e.Transfer
	s.waiting[t.Sender] = append(s.waiting[t.Sender], e)
	if t.Recipient != t.Sender {
		s.waiting[t.Recipient] = append(s.waiting[t.Recipient], e)
	}
}

// retry offers what waits on a credited account, best first, and then what
// waits on the accounts that this credits in turn.
func (s *selection) retry(credited types.Account) {
	for queue := []types.Account{credited}; len(queue) > 0; queue = queue[1:] {
		a := queue[0]
		still := s.waiting[a][:0]
		for _, e := range s.waiting[a] {
			switch {
			case s.taken[e] || e.Size > s.room || s.retries == 0:
				// Chosen through its other account, or past choosing.
				continue
			case s.offer(e):
				s.taken[e] = true
				queue = append(queue, e.Transfer.Recipient)
			default:
				still = append(still, e)
			}
			s.retries--
		}
		s.waiting[a] = still
	}
}
