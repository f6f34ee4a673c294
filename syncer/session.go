package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"cairn/chain"
	"cairn/consensus"
	"cairn/types"
)

// lanes is how many neighbours' headers are read at a time.
const lanes = 8

// readings is how often a chain's headers are read from the beginning when it is
// another one each time.
const readings = 3

// tellEvery is how often the log hears of a sync that takes long.
const tellEvery = 10 * time.Second

// session is one run of the sync routine. One goroutine, that of run, owns all
// of it; those that wait for neighbours send what is to be done with the answer.
type session struct {
	s       *Syncer
	start   consensus.State // this node's tip when the session began
	peers   []*peer
	groups  map[claim]*group
	ready   []*candidate
	changed bool  // the chain became a neighbour's
	own     error // of this node's disk: it ends the session
	told    time.Time

	todo    chan func()
	pending int // functions that todo will get
	lane    chan struct{}
	workers sync.WaitGroup
}

// peer is a neighbour during a session.
type peer struct {
	*source
	ctx    context.Context // of what is asked of it
	cancel context.CancelCauseFunc
	claim  claim
	usable bool   // it answered for this network, and nothing has failed since
	group  *group // nil for one that claims no more work than this node has
	word   string
	detail string
}

// fail settles what came of a neighbour: the first failure stays.
func (p *peer) fail(err error) {
	var f *failure
	if !errors.As(err, &f) {
		return
	}
	p.usable = false
	p.blame(f)
}

// blame settles the result alone: the neighbour may still serve what it has.
func (p *peer) blame(f *failure) {
	if p.word == "" {
		p.word, p.detail = f.word, f.detail
	}
}

// group is the neighbours that make the same claim: only one of them is asked
// for headers, the others when that fails.
type group struct {
	members []*peer
	asked   int // members that were asked
	reading bool
	shown   bool // the headers showed the claim to be true
	tooNew  error
}

// candidate is a branch that may become the best chain.
type candidate struct {
	*branch
	by      *peer
	group   *group
	changed bool // it was another chain when a round was read again
}

func newSession(s *Syncer, sources []*source) *session {
	v := &session{
		s:      s,
		start:  s.chain.Tip(),
		groups: make(map[claim]*group),
		todo:   make(chan func(), len(sources)), // each has one at a time: nobody waits
		lane:   make(chan struct{}, lanes),
		told:   time.Now(),
	}
	for _, src := range sources {
		v.peers = append(v.peers, &peer{source: src})
	}
	return v
}

// run asks everyone and adopts the best of what comes, until nothing is left.
func (v *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer v.workers.Wait()
	defer cancel()
	for _, p := range v.peers {
		p.ctx, p.cancel = context.WithCancelCause(ctx)
		defer p.cancel(nil)
		v.ask(func() func() {
			c, err := p.tip(p.ctx)
			return func() { v.onClaim(p, c, err) }
		})
	}
	grace, settled := time.NewTicker(v.s.limits.grace), false
	defer grace.Stop()
	for v.pending > 0 || len(v.ready) > 0 {
		if v.pending == 0 || settled {
			if c := v.best(); c != nil {
				if err := v.adopt(ctx, c); err != nil {
					return err
				}
				continue
			}
		}
		if v.pending == 0 {
			break
		}
		select {
		case do := <-v.todo:
			v.pending--
			do()
		case <-grace.C:
			settled = true
			v.hurry()
		case <-ctx.Done():
		}
		if ctx.Err() != nil || v.own != nil {
			return cmp.Or(v.own, context.Cause(ctx))
		}
	}
	return nil
}

// ask runs wait in a goroutine, and what it returns in the session's.
func (v *session) ask(wait func() func()) {
	v.pending++
	v.workers.Go(func() { v.todo <- wait() })
}

// hurry gives up on nodes that were found and say nothing, where there are others: a
// session with one that hangs keeps all others waiting.
func (v *session) hurry() {
	for _, p := range v.peers {
		others := slices.ContainsFunc(v.peers, func(other *peer) bool { return other != p && other.usable && other.silence() == 0 })
		if others && p.found && p.silence() >= v.s.limits.grace {
			p.cancel(fail(Slow, "said nothing for %v, and others answer", v.s.limits.grace))
		}
	}
}

func (v *session) onClaim(p *peer, c claim, err error) {
	tip := v.s.chain.Tip()
	switch {
	case err != nil:
		p.fail(err)
		return
	case c.Chain != v.s.chain.Rules().ChainID():
		p.fail(v.s.otherNetwork(c))
		return
	case c.Instance == v.s.instance:
		p.fail(fail(Self, "it is this node"))
		return
	}
	p.claim, p.usable = c, true
	if c.Work.Cmp(tip.Work) <= 0 {
		return
	}
	if c.Work.Cmp(v.s.minWork) < 0 {
		p.blame(fail(NotHeavier, "claims work %v; the chain of this network is known to have at least %v, and no other is taken before this node has it",
			c.Work, v.s.minWork))
		return
	}
	c.Instance = [16]byte{}
	g := v.groups[c]
	if g == nil {
		g = new(group)
		v.groups[c] = g
	}
	g.members = append(g.members, p)
	p.group = g
	v.readNext(g)
}

// readNext reads the headers of the next member of a group, unless there is no
// need.
func (v *session) readNext(g *group) {
	if g.reading || g.shown || g.asked == len(g.members) {
		return
	}
	p := g.members[g.asked]
	g.asked++
	g.reading = true
	v.ask(func() func() {
		b, err := v.firstRound(p.ctx, p, p.claim)
		return func() {
			g.reading = false
			v.onBranch(g, p, b, err)
			v.readNext(g)
		}
	})
}

// firstRound reads headers from where the neighbour's chain leaves this node's, and
// ahead until they have shown enough. A neighbour whose chain changes meanwhile is
// asked again: that it reorganises is nobody's fault.
func (v *session) firstRound(ctx context.Context, p *peer, earlier claim) (*branch, error) {
	var began time.Time // reading ahead
	for range readings {
		locator, err := v.s.chain.Locator()
		if err != nil {
			return nil, errOwn{err}
		}
		b, err := v.inLane(ctx, p, consensus.State{}, locator, v.s.limits.round, earlier)
		if err != nil || !b.more || b.shown.Cmp(v.s.least()) >= 0 {
			return b, err
		}
		if began.IsZero() {
			began = time.Now()
		}
		if err := v.readAhead(ctx, p, b, began); !errors.Is(err, errChanged) {
			return b, err
		}
		earlier = b.claim
	}
	return nil, fail(Slow, "its chain became another one %d times while its headers were read", readings)
}

// inLane reads a round of headers when a lane is free. A neighbour whose chain has
// many rounds queues for each, so that it leaves the lanes to others as well.
func (v *session) inLane(ctx context.Context, p *peer, from consensus.State, locator []types.Hash, count int, earlier claim) (*branch, error) {
	select {
	case v.lane <- struct{}{}:
		defer func() { <-v.lane }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return v.s.readBranch(ctx, p.source, from, locator, count, earlier)
}

// readAhead reads the rounds after b, which is full, until its chain has shown
// enough work for bodies to be fetched. Nothing of a round is kept but the hash
// that it ended with, to which the second reading is held: otherwise one chain
// could show the work, and another, of little work and without end, fill the disk.
// The last round needs no hash, since it shows enough work by itself.
//
// The claim bounds how many headers there are, and where this node has a chain of
// its network already, limits.headers how long it takes since it began. The error
// is errChanged where the chain is no longer the one that b is of.
func (v *session) readAhead(ctx context.Context, p *peer, b *branch, began time.Time) error {
	for last := b; ; {
		own, least := v.s.chain.Tip().Work, v.s.least()
		switch {
		case last.tip.Work.Cmp(least) >= 0:
			b.shown = least
			return nil
		case b.claim.Work.Cmp(least) < 0:
			return nil // meanwhile this node has more: nothing will be fetched
		case last.fault != nil:
			return last.fault
		case last.tooNew != nil:
			return fail(TooNew, "claims work %v; its headers show %v so far, where at least %v is needed: %v",
				b.claim.Work, last.tip.Work, least, last.tooNew)
		case last.tip.Height >= b.claim.Height && last.tip.Hash != b.claim.Hash && last.claim.Work.Cmp(b.claim.Work) > 0:
			return errChanged
		case last.tip.Height >= b.claim.Height:
			return fail(Lying, "claims work %v at height %d; its headers show %v there", b.claim.Work, b.claim.Height, last.tip.Work)
		case own.Cmp(v.s.minWork) >= 0 && time.Since(began) > v.s.limits.headers:
			return fail(Slow, "its headers show no more work than this node's chain has after %v", v.s.limits.headers)
		}
		if last != b {
			b.ahead = append(b.ahead, last.tip.Hash)
		}
		count := int(min(uint32(v.s.limits.round), b.claim.Height-last.tip.Height))
		locator := []types.Hash{last.tip.Hash, v.s.chain.Rules().ChainID()}
		next, err := v.inLane(ctx, p, last.tip, locator, count, last.claim)
		if err != nil {
			return err
		}
		last = next
	}
}

func (v *session) onBranch(g *group, p *peer, b *branch, err error) {
	if err != nil {
		if p.fail(err); wordOf(err) == "" {
			v.own = err
		}
		return
	}
	if b.fault != nil {
		p.blame(b.fault)
	}
	g.shown = b.fault == nil && (b.tooNew != nil || b.more || b.contains(p.claim.Height, p.claim.Hash))
	g.tooNew = b.tooNew
	v.ready = append(v.ready, &candidate{branch: b, by: p, group: g})
}

// best takes the candidate with the most work out of those that are ready, and
// drops those that did not show enough: no body of them is fetched.
func (v *session) best() *candidate {
	least := v.s.least()
	v.ready = slices.DeleteFunc(v.ready, func(c *candidate) bool {
		return c.shown.Cmp(least) < 0 || len(c.hashes) == 0
	})
	if len(v.ready) == 0 {
		return nil
	}
	c := slices.MaxFunc(v.ready, func(a, b *candidate) int { return a.shown.Cmp(b.shown) })
	v.ready = slices.DeleteFunc(v.ready, func(other *candidate) bool { return other == c })
	return c
}

// adopt fetches a candidate's blocks round by round up to what was its tip when
// the session began, however it grows meanwhile. An error is this node's own.
func (v *session) adopt(ctx context.Context, c *candidate) error {
	target := c.claim
	rounds := int(target.Height)/v.s.limits.round + 2
	for ; c != nil && rounds > 0; rounds-- {
		err := v.fetch(ctx, c)
		var f *failure
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &f):
			v.accuse(c, f)
			return nil
		case err != nil:
			return err
		case !c.more || c.tip.Height >= target.Height:
			return nil
		}
		if c, err = v.nextRound(ctx, c, target); err != nil {
			return err
		}
	}
	return nil
}

// accuse blames those whose chain holds a block that breaks a rule.
func (v *session) accuse(c *candidate, f *failure) {
	c.by.blame(f)
	for _, p := range c.group.members {
		if f.word == Invalid && c.contains(p.claim.Height, p.claim.Hash) {
			p.blame(f)
		}
	}
}

// nextRound reads the headers that follow a candidate's, from whichever member
// of its group gives them. It returns nil when none does. Where they are not those
// that were read ahead, the chain has to show anew what it is, once.
func (v *session) nextRound(ctx context.Context, c *candidate, target claim) (*candidate, error) {
	locator, err := v.s.chain.Locator()
	if err != nil {
		return nil, err
	}
	locator = append([]types.Hash{c.tip.Hash}, locator[max(0, len(locator)-maxLocator+1):]...)
	count := int(min(uint32(v.s.limits.round), target.Height-c.tip.Height))
	askable := append([]*peer{c.by}, c.group.members...)
	for _, p := range askable {
		if !p.usable {
			continue
		}
		b, err := v.s.readBranch(ctx, p.source, consensus.State{}, locator, count, p.claim)
		changed := err == nil && len(b.hashes) > 0 && b.tip.Work.Cmp(c.tip.Work) > 0 && !c.leadsTo(b)
		switch {
		case changed && b.fault != nil:
			p.blame(b.fault)
			continue
		case changed && p == c.by && b.claim.Work.Cmp(c.claim.Work) <= 0:
			err = fail(Lying, "showed work %v before any of its blocks were fetched; when read again, its headers end in %v at height %d with work %v, and it claims no more than then",
				c.shown, b.tip.Hash, b.tip.Height, b.tip.Work)
		case changed && c.changed:
			continue // another time
		case changed:
			b, err = v.firstRound(ctx, p, b.claim)
		}
		if err != nil {
			if wordOf(err) == "" {
				return nil, err
			}
			p.fail(err)
			continue
		}
		if b.fault != nil {
			p.blame(b.fault)
		}
		if len(b.hashes) == 0 || b.tip.Work.Cmp(c.tip.Work) <= 0 || changed && b.shown.Cmp(v.s.least()) < 0 {
			continue // it has another chain by now
		}
		return &candidate{b, p, c.group, c.changed || changed}, nil
	}
	return nil, nil
}

// fetch brings a candidate's blocks into the chain. The error is a *failure where
// the blocks break a rule or nobody gives them, otherwise this node's own.
func (v *session) fetch(ctx context.Context, c *candidate) error {
	first, hashes, err := v.s.missing(c.branch)
	if err != nil {
		return err
	}
	before := v.s.chain.Tip()
	v.s.target.Store(c.tip.Height)
	defer v.s.target.Store(0)
	d := newDownload(v.s, first, hashes)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := d.serve(ctx, v.usable(c))
	err = d.drain(ctx, func(runs iter.Seq[[]chain.Incoming]) error {
		return whoseFault(ctx, v.s.chain.AddRuns(ctx, runs, func() {
			d.added()
			v.tell(c)
		}))
	})
	cancel()
	for p, failed := range <-failures {
		p.fail(failed)
	}
	if tip := v.s.chain.Tip(); tip.Hash != before.Hash && c.contains(tip.Height, tip.Hash) {
		v.changed = true
	}
	return err
}

// usable returns the neighbours that may have a candidate's blocks, and whether
// they said so.
func (v *session) usable(c *candidate) map[*peer]bool {
	peers := make(map[*peer]bool)
	for _, p := range v.peers {
		if p.usable {
			peers[p] = p == c.by || p.group == c.group && c.contains(p.claim.Height, p.claim.Hash)
		}
	}
	return peers
}

// tell logs now and then how far a long way has come.
func (v *session) tell(c *candidate) {
	if time.Since(v.told) > tellEvery {
		v.s.log.Info("catching up", "height", v.s.chain.Tip().Height, "of", c.claim.Height)
		v.told = time.Now()
	}
}

// whoseFault makes a *failure of an error of the chain that is a block's.
func whoseFault(ctx context.Context, err error) error {
	var bad *chain.BlockError
	switch {
	case err == nil || ctx.Err() != nil || !errors.As(err, &bad):
		return err
	case errors.Is(err, consensus.ErrTooNew):
		return fail(NotHeavier, "%v; it may be later", bad)
	}
	return fail(Invalid, "%v", bad)
}

// result puts together what came of everyone, as the chain is now.
func (v *session) result() Result {
	r := Result{Replaced: v.changed, Available: v.changed}
	for _, p := range v.peers {
		if p.word == "" {
			p.word, p.detail = v.standingOf(p)
		}
		r.Neighbours = append(r.Neighbours, NeighbourResult{p.address, p.word, p.detail})
		r.Available = r.Available || slices.Contains([]string{Adopted, Same, NotHeavier, Self}, p.word)
	}
	return r
}

// standingOf compares the chain of a neighbour that did nothing wrong.
func (v *session) standingOf(p *peer) (word, detail string) {
	tip := v.s.chain.Tip()
	switch {
	case p.claim.Hash == tip.Hash && p.claim.Hash == v.start.Hash:
		return Same, fmt.Sprintf("it has the same chain, of height %d", tip.Height)
	case v.onChain(p.claim) && p.claim.Work.Cmp(v.start.Work) > 0:
		return Adopted, fmt.Sprintf("its chain, of height %d, is this node's now", p.claim.Height)
	case p.group != nil && p.group.tooNew != nil:
		return NotHeavier, p.group.tooNew.Error()
	case p.claim.Work == tip.Work:
		return NotHeavier, fmt.Sprintf("its chain has as much work as this node's, %v; this node keeps its own", tip.Work)
	}
	return NotHeavier, fmt.Sprintf("its chain has work %v, this node's has %v", p.claim.Work, tip.Work)
}

// onChain tells whether a claim's tip is on the best chain.
func (v *session) onChain(c claim) bool {
	hash, err := v.s.store.BestHash(c.Height)
	return err == nil && hash == c.Hash
}
