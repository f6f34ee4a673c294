package syncer

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cairn/chain/chaintest"
	"cairn/consensus"
)

// newcomer is a node that knows how much work the network's chain has, and reads
// headers in rounds of ten.
func (n *network) newcomer(least consensus.Work) *node {
	n.t.Helper()
	x := n.node()
	s, err := New(Config{Chain: x.chain, Store: x.store, Now: func() time.Time { return x.now }, Transport: x.transport, MinWork: least})
	if err != nil {
		n.t.Fatal(err)
	}
	x.Syncer = s
	x.limits.round = 10
	return x
}

// wantAsked checks how often a stranger was asked for headers before the first
// block, and in all.
func (c *counter) wantAsked(t *testing.T, before, all int) {
	t.Helper()
	first := 0
	for _, call := range c.calls {
		if call == blocksPath {
			break
		}
		if call == headersPath {
			first++
		}
	}
	if first != before || c.asked(headersPath) != all {
		t.Errorf("was asked for headers %d times before the first block and %d in all, want %d and %d", first, c.asked(headersPath), before, all)
	}
}

// A chain with the work that the network's is known to have is adopted, once its
// headers have shown that. From then on it is followed as any.
func TestMinWork(t *testing.T) {
	n := newNetwork(t, nil)
	blocks := n.Chain("a", chaintest.Genesis, 36, chaintest.Spec{})
	node := n.newcomer(n.State("a25").Work)
	s := n.stranger(blocks[:35]...)
	node.register(n.host("a", s))
	node.wantSync(true, Adopted)
	node.wantTip("a35")
	s.wantAsked(t, 3, 6)

	s.set(n.stranger(blocks...))
	s.calls = nil
	node.wantSync(true, Adopted)
	node.wantTip("a36")
	if want := []string{tipPath, headersPath, blocksPath}; !slices.Equal(s.calls, want) {
		t.Errorf("was asked %v for one block", s.calls)
	}
}

// Who claims less than the network's chain has is asked for nothing, and is told
// how much that is.
func TestClaimBelowMinWork(t *testing.T) {
	n := newNetwork(t, nil)
	blocks := n.Chain("a", chaintest.Genesis, 30, chaintest.Spec{})
	node, s := n.newcomer(n.State("a30").Work), n.stranger(blocks[:29]...)
	node.register(n.host("a", s))
	r := node.wantSync(false, NotHeavier)
	if !strings.Contains(r.Neighbours[0].Detail, "at least "+n.State("a30").Work.String()) {
		t.Errorf("the detail is %q", r.Neighbours[0].Detail)
	}
	if !slices.Equal(s.calls, []string{tipPath}) {
		t.Errorf("was asked %v", s.calls)
	}
}

// Headers of little work, however many, never lead to a body, and their number is
// bounded by what is claimed. The neighbour is then left alone for a while. That
// goes for a node that has a chain of its own as well.
func TestEndlessLittleWork(t *testing.T) {
	for _, c := range []struct {
		name   string
		height uint32 // claimed
		own    int    // blocks of much work that the node has
		asked  int
	}{
		{"up to the height that it claims", 55, 0, 6},
		{"up to where they end", 4_000_000_000, 0, 21},
		{"fewer than a round", 9, 0, 1},
		{"beside a chain of one's own", 55, 30, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t, nil)
			n.Chain("own", chaintest.Genesis, 30, fast)
			s := n.stranger(n.Chain("a", chaintest.Genesis, 200, chaintest.Spec{})...)
			s.claim.Height = c.height
			s.claim.Work[3] = 1
			node := n.newcomer(consensus.Work{0, 0, 1})
			if c.own > 0 {
				node = n.newcomer(consensus.Work{}).has(names("own", 1, c.own)...)
				if n.State("a55").Work.Cmp(n.State("own30").Work) > 0 {
					t.Fatal("the stranger's chain is heavier")
				}
			}
			if c.height < 10 {
				s.headers = s.headers[:c.height]
			}
			node.register(n.host("stranger", s))
			node.wantSync(false, Lying)
			s.wantAsked(t, c.asked, c.asked)
			if s.asked(blocksPath) > 0 {
				t.Error("blocks were asked for")
			}
			if due := node.due(); len(due) > 0 {
				t.Errorf("it is to be asked again at once: %v", due)
			}
		})
	}
}

// A claim that grows with each answer leads no further than the first.
func TestGrowingClaim(t *testing.T) {
	n := newNetwork(t, nil)
	s := n.stranger(n.Chain("a", chaintest.Genesis, 200, chaintest.Spec{})...)
	s.claim.Height = 35
	s.claim.Work[3] = 1
	s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
		s.serveHeaders(w, r)
		s.claim.Height += 100
	}
	node := n.newcomer(consensus.Work{0, 0, 1})
	node.register(n.host("stranger", s))
	node.wantSync(false, Lying)
	s.wantAsked(t, 4, 4)
}

// Work that one chain has shown does not open the way for another.
//
//	genesis ─ a1 ─ … ─ a10 ─ … ─ a20 ─ … ─ a35
//	                    └ b1 ─ … ─ b26             or from a20
func TestSwitchedChain(t *testing.T) {
	slow := chaintest.Spec{Interval: 100}
	for _, c := range []struct {
		name string
		from string // the last block that both have
		spec chaintest.Spec
		word string
		tip  string
	}{
		{"in the second round", "a10", slow, Lying, "a10"},
		{"in the round that showed the work", "a20", slow, Lying, "a20"},
		{"for one with the work", "a20", fast, NotHeavier, "b15"}, // an honest reorganisation, up to the height that was claimed
		{"for one that shows the work later", "a12", fast, NotHeavier, "b23"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t, nil)
			blocks := n.Chain("a", chaintest.Genesis, 35, fast)
			fork := int(n.State(c.from).Height)
			other := append(slices.Clone(blocks[:fork]), n.Chain("b", c.from, 36-fork, c.spec)...)
			s, second := n.stranger(blocks...), n.stranger(other...)
			if c.word == Lying {
				second.claim.Work = s.claim.Work.Add(s.claim.Work) // less than before would be found out by itself
			}
			s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
				if s.asked(blocksPath) > 0 {
					second.serveHeaders(w, r)
				} else {
					s.serveHeaders(w, r)
				}
			}
			s.onBlocks = func(w http.ResponseWriter, r *http.Request) {
				hashes, _ := parseHashes(r.FormValue("hash"), maxBlocks)
				for _, b := range other[fork:] {
					if c.word == Lying && slices.Contains(hashes, b.Header.Hash()) {
						t.Error("a block of the other chain was asked for")
					}
				}
				second.serveBlocks(w, r)
			}
			node := n.newcomer(n.State("a28").Work)
			node.register(n.host("stranger", s))
			node.wantSync(true, c.word)
			node.wantTip(c.tip)
		})
	}
}

// One whose chain is another while it is read ahead is found out at once.
func TestSwitchedWhileReadAhead(t *testing.T) {
	n := newNetwork(t, nil)
	s := n.stranger(n.Chain("a", chaintest.Genesis, 35, chaintest.Spec{})...)
	second := n.stranger(n.Chain("b", chaintest.Genesis, 35, chaintest.Spec{})...)
	s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
		if s.asked(headersPath) > 1 {
			second.serveHeaders(w, r)
		} else {
			s.serveHeaders(w, r)
		}
	}
	node := n.newcomer(n.State("a25").Work)
	node.register(n.host("stranger", s))
	if r := node.wantSync(false, Lying); !strings.Contains(r.Neighbours[0].Detail, "no longer") {
		t.Errorf("the detail is %q", r.Neighbours[0].Detail)
	}
	s.wantAsked(t, 2, 2)
}

// An honest neighbour may reorganise while it is read ahead. It is asked again and not
// blamed, wherever the two chains part, and whichever is longer.
//
//	genesis ─ a1 ─ … ─ a15 ─ … ─ a25 ─ … ─ a35
//	                    └ b1 ─ …  └ b1 ─ …      heavier
func TestReorganisedWhileReadAhead(t *testing.T) {
	for _, c := range []struct {
		name  string
		from  string // the last block that both have
		count int    // blocks after it
		spec  chaintest.Spec
		tip   string // at the height that was claimed last
	}{
		{"below the end of a round", "a15", 25, fast, "b25"},
		{"above it, for a longer chain", "a25", 2500, chaintest.Spec{Interval: 100}, "b2500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t, nil)
			blocks := n.Chain("a", chaintest.Genesis, 35, fast)
			fork := int(n.State(c.from).Height)
			s := n.stranger(blocks...)
			second := n.stranger(append(slices.Clone(blocks[:fork]), n.Chain("b", c.from, c.count, c.spec)...)...)
			if second.claim.Work.Cmp(s.claim.Work) <= 0 {
				t.Fatal("the second chain is not heavier")
			}
			if c.count > 100 && n.State("b10").Work.Cmp(n.State("a33").Work) >= 0 {
				t.Fatal("the second chain has the work at the height of the first")
			}
			s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
				if s.asked(headersPath) > 2 {
					second.serveHeaders(w, r)
				} else {
					s.serveHeaders(w, r)
				}
			}
			s.onBlocks = second.serveBlocks
			node := n.newcomer(n.State("a33").Work)
			node.register(n.host("stranger", s))
			node.wantSync(true, NotHeavier)
			node.wantTip(c.tip)
			if due := node.due(); len(due) != 1 {
				t.Error("it is left alone, and did nothing wrong")
			}
		})
	}
}

// One whose chain is another each time, with a claim that grows, is left alone after a
// few times.
func TestEverChanging(t *testing.T) {
	n := newNetwork(t, nil)
	s := n.stranger(n.Chain("a", chaintest.Genesis, 35, chaintest.Spec{})...)
	second := n.stranger(n.Chain("b", chaintest.Genesis, 35, chaintest.Spec{})...)
	s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
		one, other := s, second
		if s.asked(headersPath)%2 == 0 { // a locator is of the chain of the answer before
			one, other = second, s
		}
		one.claim.Work = other.claim.Work.Add(consensus.Work{1})
		one.serveHeaders(w, r)
	}
	node := n.newcomer(n.State("a25").Work)
	node.register(n.host("stranger", s))
	node.wantSync(false, Slow)
	s.wantAsked(t, 2*readings, 2*readings)
}

// One whose chain is another whenever a round is fetched is followed to the second, and
// then left for another time.
//
//	genesis ─ a1 ─ … ─ a12 ─ … ─ a35
//	                    └ b1 ─ … ─ b10 ─ … ─ b24
//	                                └ c1 ─ … ─ c15
func TestChangingWhileFetched(t *testing.T) {
	n := newNetwork(t, nil)
	a := n.Chain("a", chaintest.Genesis, 35, fast)
	b := append(slices.Clone(a[:12]), n.Chain("b", "a12", 24, fast)...)
	chains := []*stranger{n.stranger(a...), n.stranger(b...), n.stranger(append(slices.Clone(b[:22]), n.Chain("c", "b10", 15, fast)...)...)}
	s := n.stranger(a...)
	var fetched atomic.Int32 // the round that blocks were asked for last
	s.onHeaders = func(w http.ResponseWriter, r *http.Request) { chains[fetched.Load()].serveHeaders(w, r) }
	s.onBlocks = func(w http.ResponseWriter, r *http.Request) {
		fetched.Store(1)
		if strings.Contains(r.FormValue("hash"), n.Hash("b1").String()) {
			fetched.Store(2)
		}
		chains[2].serveBlocks(w, r)
	}
	node := n.newcomer(n.State("a33").Work)
	node.register(n.host("stranger", s))
	node.wantSync(true, NotHeavier)
	node.wantTip("b8")
}

// A header that breaks a rule is found while reading ahead, and named.
func TestInvalidAhead(t *testing.T) {
	n := newNetwork(t, nil)
	s := n.stranger(n.Chain("a", chaintest.Genesis, 35, chaintest.Spec{})...)
	s.headers[14].Time = 1
	node := n.newcomer(n.State("a25").Work)
	node.register(n.host("stranger", s))
	if r := node.wantSync(false, Invalid); !strings.Contains(r.Neighbours[0].Detail, "block 15 ") {
		t.Errorf("the detail is %q", r.Neighbours[0].Detail)
	}
	node.wantTip(chaintest.Genesis)
}

// Nor is it taken for a change of the chain when it comes only with the second reading.
func TestInvalidWhenReadAgain(t *testing.T) {
	n := newNetwork(t, nil)
	s := n.stranger(n.Chain("a", chaintest.Genesis, 35, chaintest.Spec{})...)
	s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
		if s.asked(blocksPath) > 0 {
			s.headers[14].Time = 1
		}
		s.serveHeaders(w, r)
	}
	node := n.newcomer(n.State("a25").Work)
	node.register(n.host("stranger", s))
	if r := node.wantSync(true, Invalid); !strings.Contains(r.Neighbours[0].Detail, "block 15 ") {
		t.Errorf("the detail is %q", r.Neighbours[0].Detail)
	}
	node.wantTip("a10")
}

// Where this node's clock ends a chain before it has shown enough work, nothing is
// fetched, and the neighbour, whose fault it need not be, is left alone for a while.
func TestTooNewAhead(t *testing.T) {
	n := newNetwork(t, nil)
	blocks := n.Chain("a", chaintest.Genesis, 35, chaintest.Spec{})
	s := n.stranger(blocks...)
	node := n.newcomer(n.State("a25").Work)
	node.now = time.Unix(int64(blocks[15].Header.Time)-int64(n.rules.FutureLimit()), 0)
	node.register(n.host("stranger", s))
	if r := node.wantSync(false, TooNew); !strings.Contains(r.Neighbours[0].Detail, "up to block 16; the next is not valid yet") {
		t.Errorf("the detail is %q", r.Neighbours[0].Detail)
	}
	s.wantAsked(t, 2, 2)
	if due := node.due(); len(due) > 0 {
		t.Errorf("it is to be asked again at once: %v", due)
	}
	node.now = n.clock()
	node.wantSync(true, Adopted)
	node.wantTip("a35")
}

// A newcomer takes its time for the headers that show it the way. A node that has
// the network's chain waits no longer for a better one than for a single round.
func TestReadAheadSlowly(t *testing.T) {
	for _, own := range []int{0, 60} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, nil)
			n.Chain("own", chaintest.Genesis, 60, fast)
			s := n.stranger(n.Chain("a", chaintest.Genesis, 200, chaintest.Spec{})...)
			s.claim.Work[3] = 1
			s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(20 * time.Second)
				s.serveHeaders(w, r)
			}
			least, word, asked := consensus.Work{0, 0, 1}, Lying, 20
			if own > 0 {
				least, word, asked = n.State("own60").Work, Slow, 17 // the first, and five minutes of others
			}
			node := n.newcomer(least).has(names("own", 1, own)...)
			node.register(n.host("stranger", s))
			node.wantSync(false, word)
			s.wantAsked(t, asked, asked)
		})
	}
}

// Reading ahead ends when another neighbour has brought more than is claimed.
func TestOvertakenWhileReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		better := n.stranger(n.Chain("a", chaintest.Genesis, 40, fast)...)
		s := n.stranger(n.Chain("b", chaintest.Genesis, 40, chaintest.Spec{})...)
		if better.claim.Work.Cmp(s.claim.Work) <= 0 {
			t.Fatal("the other chain is not heavier")
		}
		s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Second)
			s.serveHeaders(w, r)
		}
		node := n.newcomer(n.State("b35").Work)
		node.register(n.host("better", better), n.host("stranger", s))
		node.wantSync(true, Adopted, NotHeavier)
		node.wantTip("a40")
		if s.asked(headersPath) != 1 {
			t.Errorf("was asked for headers %d times", s.asked(headersPath))
		}
	})
}

// Neighbours who share a claim take turns in showing it, and one that fails to
// leaves it to the next.
func TestReadAheadTurns(t *testing.T) {
	n := newNetwork(t, nil)
	blocks := n.Chain("a", chaintest.Genesis, 35, chaintest.Spec{})
	good := n.stranger(blocks...)
	asked := make(chan struct{})
	bad := n.stranger(blocks...)
	bad.headers = bad.headers[:15]
	bad.onHeaders = func(w http.ResponseWriter, r *http.Request) {
		if bad.asked(headersPath) == 1 {
			close(asked)
		}
		bad.serveHeaders(w, r)
	}
	good.onTip = func(w http.ResponseWriter, r *http.Request) {
		<-asked // it is the other's turn first
		good.serveTip(w, r)
	}
	node := n.newcomer(n.State("a25").Work)
	node.register(n.host("bad", bad), n.host("good", good))
	node.wantSync(true, Lying, Adopted)
	node.wantTip("a35")
	if got := bad.asked(headersPath); got != 2 {
		t.Errorf("the first was asked for headers %d times", got)
	}
}
