package syncer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cairn/chain"
	"cairn/consensus"
	"cairn/types"
)

const (
	// streams is how many calls for blocks are under way at one neighbour: while
	// one is answered, the next is on its way.
	streams = 2
	// callBytes is about how much one call asks for.
	callBytes = 2 << 20
	// runBlocks and runCost end a run for the chain. Runs are as large as what has
	// arrived while the last one was applied, and no larger.
	runBlocks = 2000
	runCost   = 4 << 20
)

// download fetches the bodies of one round from several neighbours at once and
// hands them over in order. Each neighbour takes the next few blocks that nobody
// has taken; what it does not bring goes back, and the block that is needed next
// is given to another when it takes too long.
//
// Memory is counted before a body is read, at three times its length, which
// covers the decoded form and what the chain is told of it. A body that has no
// room is not waited for with the connection open: the call is given up and its
// blocks go back. Room for one largest block is kept for the one that is needed
// next, so there is always a way on.
type download struct {
	s       *Syncer
	first   uint32 // height of hashes[0]
	hashes  []types.Hash
	maxSize int

	arrived chan struct{} // signals drain that the next block is here

	mu          sync.Mutex
	changed     chan struct{}    // closed and replaced when blocks or room are free again
	blocks      []chain.Incoming // those here and not handed over
	cost        []int64          // of those read or being read, in memory
	owner       []*worker        // who fetches a block; nil if nobody does
	reader      []*worker        // who reads a block, for which there is memory
	handed      int              // blocks handed over
	next        int              // the first that is not here
	ended       int              // calls that were ended for want of memory for the block that is needed next
	free        int              // none before is free
	outstanding int              // blocks that have an owner
	runs        []int64          // cost of each run that is with the chain
	held        int64            // cost of everything in memory
	average     int64            // length of a block, roughly
}

// worker is one stream of calls to a neighbour.
type worker struct {
	*holder
	reader *bufio.Reader // of the call under way
	abort  func()        // ends that call; nil once it was ended
	moved  time.Time     // when it last took or brought blocks
}

// holder is a neighbour that may have the blocks.
type holder struct {
	peer    *peer
	claimed bool // it claimed this chain: a block that it has not is its fault
	end     int  // it has none from here on; guarded by download.mu
}

func newDownload(s *Syncer, first uint32, hashes []types.Hash) *download {
	return &download{
		s:       s,
		first:   first,
		hashes:  hashes,
		maxSize: int(s.chain.Rules().MaxBlockSize),
		arrived: make(chan struct{}, 1),
		changed: make(chan struct{}),
		blocks:  make([]chain.Incoming, len(hashes)),
		cost:    make([]int64, len(hashes)),
		owner:   make([]*worker, len(hashes)),
		reader:  make([]*worker, len(hashes)),
		average: 32 << 10, // corrected by the first blocks
	}
}

func costOf(size int) int64 { return 3 * int64(size) }

// serve starts fetching from peers, those that claim to have the blocks and
// others. The result is sent when all of them have ended: why those did that
// failed.
func (d *download) serve(ctx context.Context, peers map[*peer]bool) <-chan map[*peer]error {
	var mu sync.Mutex
	failures := make(map[*peer]error)
	var workers sync.WaitGroup
	for p, claimed := range peers {
		h := &holder{peer: p, claimed: claimed, end: len(d.hashes)}
		workers.Go(func() {
			g, ctx := errgroup.WithContext(ctx)
			for range streams {
				g.Go(func() error { return d.work(ctx, &worker{holder: h, reader: bufio.NewReaderSize(nil, 64<<10)}) })
			}
			if err := g.Wait(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures[p] = err
			}
		})
	}
	done := make(chan map[*peer]error, 1)
	go func() {
		workers.Wait()
		d.mu.Lock()
		d.owner = nil // tells drain that nobody is left
		d.mu.Unlock()
		d.signal()
		done <- failures
	}()
	return done
}

// work fetches until every block is here or its neighbour fails.
func (d *download) work(ctx context.Context, w *worker) error {
	for {
		from, to, err := d.take(ctx, w)
		if err != nil || from == to {
			return err
		}
		err = d.fetch(ctx, w, from, to)
		d.giveBack(w, from, to)
		if err != nil {
			return w.peer.failed(ctx, err)
		}
	}
}

// take waits for blocks to fetch; none when all are here that w may have.
func (d *download) take(ctx context.Context, w *worker) (from, to int, err error) {
	patience := time.NewTicker(d.s.limits.reassign)
	defer patience.Stop()
	for {
		d.mu.Lock()
		from, to = d.assign(w)
		all, changed := d.next >= w.end, d.changed
		d.mu.Unlock()
		if from < to || all {
			return from, to, nil
		}
		select {
		case <-changed:
		case <-patience.C:
		case <-ctx.Done():
			return 0, 0, context.Cause(ctx)
		}
	}
}

// assign gives w the first free blocks that there is room for, or else takes
// over the blocks that are needed next from a worker that is stuck with them.
func (d *download) assign(w *worker) (from, to int) {
	for d.free < len(d.hashes) && !d.isFree(d.free) {
		d.free++
	}
	from, to = d.free, d.free
	guess := costOf(int(d.average))
	room := d.room() - int64(d.outstanding)*guess
	most := min(maxBlocks, max(1, callBytes/d.average))
	if from < w.end && (room >= max(guess, d.cost[from]) || d.starving(from)) {
		for n := min(most, max(1, room/guess)); n > 0 && to < w.end && d.isFree(to); n-- {
			d.owner[to] = w
			d.outstanding++
			to++
		}
	} else if stuck := d.stuck(w); stuck != nil {
		from, to = d.next, d.next
		for n := most; n > 0 && to < w.end && d.owner[to] == stuck; n-- {
			d.owner[to] = w
			to++
		}
	}
	w.moved = time.Now()
	return from, to
}

func (d *download) isHere(i int) bool { return i < d.handed || d.blocks[i].Block != nil }
func (d *download) isFree(i int) bool { return !d.isHere(i) && d.owner[i] == nil }

// room is what may be held more, besides the block that is needed next.
func (d *download) room() int64 {
	return d.s.limits.held - costOf(d.maxSize) - d.held
}

// starving tells whether nothing can go on before block i is here.
func (d *download) starving(i int) bool {
	return i == d.next && d.next == d.handed && len(d.runs) == 0
}

// stuck returns the worker of another neighbour that has had the next block for
// too long. How long that is doubles with each call that was ended for this block:
// however slow they all are, one gets the time that it needs.
func (d *download) stuck(w *worker) *worker {
	if d.next == len(d.hashes) {
		return nil
	}
	o, patience := d.owner[d.next], d.s.limits.reassign<<min(d.ended, 10)
	if o == nil || o.peer == w.peer || time.Since(o.moved) < patience {
		return nil
	}
	return o
}

// giveBack frees what w had taken and not brought.
func (d *download) giveBack(w *worker, from, to int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := from; i < to; i++ {
		if d.owner[i] == w {
			d.owner[i] = nil
			d.outstanding--
			d.free = min(d.free, i)
		}
	}
	d.wake()
}

// wake makes all workers look again.
func (d *download) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// fetch makes one call. It ends without an error when memory is short, or when
// another has taken over the block that it is reading.
func (d *download) fetch(ctx context.Context, w *worker, from, to int) (err error) {
	call, abort := context.WithCancel(ctx)
	defer abort()
	defer func() {
		if call.Err() != nil && ctx.Err() == nil {
			err = nil
		}
	}()
	d.mu.Lock()
	w.abort = abort
	d.mu.Unlock()
	answer, err := w.peer.blocks(call, d.hashes[from:to])
	if err != nil {
		return err
	}
	defer answer.Close()
	w.reader.Reset(answer)
	for i := from; i < to; i++ {
		size, err := readSize(w.reader, d.maxSize)
		if err != nil {
			return err
		}
		if size == 0 {
			return d.absent(w.holder, i)
		}
		wanted, admitted := d.admit(w, i, size)
		if !wanted {
			if _, err := w.reader.Discard(size); err != nil {
				return err
			}
			continue
		}
		if !admitted {
			return nil
		}
		block, err := d.read(w.reader, i, size)
		d.arrive(w, i, size, block)
		if err != nil {
			return err
		}
	}
	return readEnd(w.reader)
}

func (d *download) height(i int) uint32 { return d.first + uint32(i) }

// absent notes that a neighbour does not have block i, nor, then, what follows.
func (d *download) absent(h *holder, i int) error {
	if h.claimed {
		return fail(Withheld, "shows the header of block %d (%v) and does not have the block", d.height(i), d.hashes[i])
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	h.end = min(h.end, i)
	return nil
}

// admit counts the memory for block i before w reads it. Where there is no room
// besides that for a block that another has been reading for too long, that one's
// call is ended, and the next try has its memory.
func (d *download) admit(w *worker, i, size int) (wanted, admitted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isHere(i) {
		return false, false
	}
	d.cost[i] = costOf(size)
	if d.cost[i] > d.room() {
		if other := d.reader[i]; other != nil {
			if other.abort != nil {
				other.abort()
				other.abort = nil
				d.ended++
			}
			return true, false
		}
		if !d.starving(i) {
			return true, false
		}
	}
	d.reader[i] = w
	d.held += d.cost[i]
	d.s.peak.Store(max(d.s.peak.Load(), d.held)) // there is one download at a time
	return true, true
}

// read reads and checks the body of block i: it is the one that its header
// stands for, or the neighbour's fault. What else is wrong with it is its
// miner's, and for the chain to find.
func (d *download) read(r io.Reader, i, size int) (in chain.Incoming, err error) {
	in.Encoding = make([]byte, size)
	if err := readFull(r, in.Encoding); err != nil {
		return in, err
	}
	block, err := types.DecodeBlock(in.Encoding)
	if err != nil {
		return in, formatError("block %d (%v): %v", d.height(i), d.hashes[i], err)
	}
	if hash := block.Header.Hash(); hash != d.hashes[i] {
		return in, formatError("block %v where %d (%v) was asked for", hash, d.height(i), d.hashes[i])
	}
	in.Body, err = d.s.chain.Rules().CheckBody(d.height(i), block)
	if consensus.MayBeMangled(err) {
		return in, formatError("block %d (%v): %v", d.height(i), d.hashes[i], err)
	}
	in.Block = block
	return in, nil
}

// arrive takes in what was admitted, or lets go of its memory: there is no block
// when reading failed, and it may have come from another in the meantime.
func (d *download) arrive(w *worker, i, size int, in chain.Incoming) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reader[i] == w {
		d.reader[i] = nil
	}
	if in.Block == nil || d.isHere(i) {
		d.held -= costOf(size)
		return
	}
	w.moved = time.Now()
	d.average = max(1, (7*d.average+int64(size))/8)
	d.blocks[i], d.cost[i] = in, costOf(size)
	if d.owner[i] != nil {
		d.owner[i] = nil
		d.outstanding--
	}
	for d.next < len(d.hashes) && d.isHere(d.next) {
		d.next++
		d.ended = 0
	}
	if d.next > d.handed {
		d.signal()
	}
	if d.next == len(d.hashes) {
		d.wake()
	}
}

func (d *download) signal() {
	select {
	case d.arrived <- struct{}{}:
	default:
	}
}

var errNobody = fail(Withheld, "nobody gave the blocks that its headers show")

// drain hands the blocks over in order to add, run after run, and returns when all
// are, or add fails, or nobody is left to bring them. The runs that it gives to
// one add are those that have arrived by then: add never waits for a neighbour.
func (d *download) drain(ctx context.Context, add func(runs iter.Seq[[]chain.Incoming]) error) error {
	for {
		switch arrived, left, over := d.progress(); {
		case arrived:
			if err := add(d.handOver); err != nil {
				return err
			}
			continue
		case !left:
			return nil
		case over:
			return errors.Join(ctx.Err(), errNobody)
		}
		select {
		case <-d.arrived:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// progress tells whether blocks are here that can be handed over, whether there
// are any left at all, and whether nobody will bring more.
func (d *download) progress() (arrived, left, over bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.handed < d.next, d.handed < len(d.hashes), d.owner == nil
}

// handOver yields the blocks that are here, in runs.
func (d *download) handOver(yield func([]chain.Incoming) bool) {
	for {
		if run := d.run(); len(run) == 0 || !yield(run) {
			return
		}
	}
}

// run takes the blocks of the next run.
func (d *download) run() (run []chain.Incoming) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cost := int64(0)
	for d.handed < d.next && len(run) < runBlocks && cost < runCost {
		run = append(run, d.blocks[d.handed])
		cost += d.cost[d.handed]
		d.blocks[d.handed] = chain.Incoming{}
		d.handed++
	}
	if len(run) > 0 {
		d.runs = append(d.runs, cost)
	}
	return run
}

// added lets go of the first of the runs that the chain has.
func (d *download) added() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held -= d.runs[0]
	d.runs = d.runs[1:]
	d.wake()
}
