package syncer

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/types"
)

// fast is a block whose quick arrival makes the next ones harder, so that they
// weigh more.
var fast = chaintest.Spec{Instant: true}

func TestTwoNodes(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 30, chaintest.Spec{})
	a, b := n.node().has(names("a", 1, 30)...), n.node()
	b.register(n.host("a", a.Handler()))

	b.wantSync(true, Adopted)
	b.wantTip("a30")
	if r := b.wantSync(false, Same); !r.Available {
		t.Error("a neighbour with the same chain is available")
	}
}

func TestNoNeighbour(t *testing.T) {
	n := newNetwork(t, nil)
	if r := n.node().wantSync(false); r.Available || r.Neighbours != nil {
		t.Errorf("%+v", r)
	}
}

func TestItself(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 3, chaintest.Spec{})
	a := n.node().has(names("a", 1, 3)...)
	a.register(n.host("a", a.Handler()))
	a.wantSync(false, Self)
}

// A shorter chain with more work wins over a longer one, both ways.
//
//	genesis ─ a1 ─ … ─ a50
//	       └─ f1 ─ … ─ f40   heavier
func TestForkByWork(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 50, chaintest.Spec{})
	n.Chain("f", chaintest.Genesis, 40, fast)
	if n.State("f40").Work.Cmp(n.State("a50").Work) <= 0 {
		t.Fatal("the short chain is not heavier")
	}
	long, short := n.node().has(names("a", 1, 50)...), n.node().has(names("f", 1, 40)...)
	long.register(n.host("short", short.Handler()))
	short.register(n.host("long", long.Handler()))

	short.wantSync(false, NotHeavier)
	short.wantTip("f40")
	long.wantSync(true, Adopted)
	long.wantTip("f40")
}

// genesis ─ c1 ─ c2 ┬ a1 ─ a2
//
//	└ b1 ─ b2
func TestTieKeepsOwn(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("c", chaintest.Genesis, 2, chaintest.Spec{})
	n.Chain("a", "c2", 2, chaintest.Spec{})
	n.Chain("b", "c2", 2, chaintest.Spec{})
	n.Add("b3", "b2", chaintest.Spec{})
	a := n.node().has("c1", "c2", "a1", "a2")
	b := n.node().has("c1", "c2", "b1", "b2")
	a.register(n.host("b", b.Handler()))

	if r := a.wantSync(false, NotHeavier); !strings.Contains(r.Neighbours[0].Detail, "keeps its own") {
		t.Error(r.Neighbours[0].Detail)
	}
	a.wantTip("a2")
	b.has("b3")
	a.wantSync(true, Adopted)
	a.wantTip("b3")
}

// Neither headers nor blocks of a lighter chain are asked for, and no blocks of
// one whose headers turn out to be no heavier.
func TestLighterCostsNothing(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 5, chaintest.Spec{})
	b := n.Chain("b", chaintest.Genesis, 5, chaintest.Spec{})
	node := n.node().has(names("a", 1, 5)...)

	honest, liar := n.stranger(b...), n.stranger(b...)
	liar.claim.Work = liar.claim.Work.Add(liar.claim.Work)
	node.register(n.host("honest", honest), n.host("liar", liar))
	node.wantSync(false, NotHeavier, Lying)
	if honest.asked(headersPath) > 0 || honest.asked(blocksPath) > 0 || liar.asked(blocksPath) > 0 {
		t.Errorf("honest was asked %v, the liar %v", honest.calls, liar.calls)
	}
	node.wantTip("a5")
}

// The heaviest of several is adopted, and the others are told how they compare.
func TestHeaviestOfMany(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 3, chaintest.Spec{})
	n.Chain("b", chaintest.Genesis, 5, chaintest.Spec{})
	n.Chain("c", "b2", 9, chaintest.Spec{})
	node := n.node().has("a1", "a2")
	node.register(
		n.host("a", n.node().has(names("a", 1, 3)...).Handler()),
		n.host("b", n.node().has(names("b", 1, 5)...).Handler()),
		n.host("c", n.node().has(append(names("b", 1, 2), names("c", 1, 9)...)...).Handler()),
		n.host("d", n.node().has(append(names("b", 1, 2), names("c", 1, 9)...)...).Handler()),
		"http://nowhere",
	)
	node.wantSync(true, NotHeavier, NotHeavier, Adopted, Adopted, Unreachable)
	node.wantTip("c9")
}

// In rounds of ten headers, the blocks of a round come before more headers. On a
// branch that overtakes only in its third round, the headers of three rounds come
// before the first blocks, and those of two once more.
func TestRounds(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 25, chaintest.Spec{})
	b := n.Chain("b", chaintest.Genesis, 35, chaintest.Spec{})
	node := n.node().has(names("a", 1, 25)...)
	node.limits.round = 10
	s := n.stranger(b...)
	node.register(n.host("b", s))
	node.wantSync(true, Adopted)
	node.wantTip("b35")

	calls := slices.Compact(slices.Clone(s.calls))
	want := []string{tipPath, headersPath, blocksPath, headersPath, blocksPath, headersPath, blocksPath, headersPath, blocksPath}
	if !slices.Equal(calls, want) {
		t.Errorf("asked in the order %v", calls)
	}
	if s.asked(headersPath) != 6 {
		t.Errorf("headers were asked for %d times", s.asked(headersPath))
	}
}

// What is stored already, on a side branch here, is not fetched again.
func TestResume(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("own", chaintest.Genesis, 160, chaintest.Spec{})
	blocks := n.Chain("a", chaintest.Genesis, 200, chaintest.Spec{})
	node := n.node().has(names("own", 1, 160)...).has(names("a", 1, 150)...)
	s := n.stranger(blocks...)
	served := 0
	s.onBlocks = func(w http.ResponseWriter, r *http.Request) {
		served += 1 + strings.Count(r.FormValue("hash"), ",")
		s.serveBlocks(w, r)
	}
	node.register(n.host("a", s))
	node.wantTip("own160")
	node.wantSync(true, Adopted)
	node.wantTip("a200")
	if served != 50 {
		t.Errorf("%d blocks were served, 50 were missing", served)
	}
}

// The target is the tip at the start: a chain that grows without end does not
// keep a node for ever.
func TestGrowingChain(t *testing.T) {
	n := newNetwork(t, nil)
	blocks := n.Chain("a", chaintest.Genesis, 100, chaintest.Spec{})
	node := n.node()
	node.limits.round = 10
	s := n.stranger(blocks[:25]...)
	next := n.stranger(blocks...)
	s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
		next.claim = n.stranger(blocks[:25+10*s.asked(headersPath)]...).claim
		next.headers = next.headers[:next.claim.Height]
		next.serveHeaders(w, r)
		next.headers = n.stranger(blocks...).headers
	}
	s.onBlocks = next.serveBlocks
	node.register(n.host("a", s))
	node.wantSync(true, Adopted)
	if tip := node.chain.Tip().Height; tip != 35 {
		t.Errorf("followed up to %d; the tip was 35 when headers were first asked for", tip)
	}
}

// Neighbours with the same chain share the load.
func TestShare(t *testing.T) {
	n := newNetwork(t, nil)
	blocks := n.Chain("a", chaintest.Genesis, 1500, chaintest.Spec{})
	node := n.node()
	one, two := n.stranger(blocks...), n.stranger(blocks...)
	node.register(n.host("one", one), n.host("two", two))
	node.wantSync(true, Adopted, Adopted)
	node.wantTip("a1500")
	if one.asked(blocksPath) == 0 || two.asked(blocksPath) == 0 {
		t.Errorf("one was asked %d times, the other %d times", one.asked(blocksPath), two.asked(blocksPath))
	}
	if one.asked(headersPath)+two.asked(headersPath) != 1 {
		t.Error("both were asked for the same headers")
	}
}

// bulky are blocks of about 50 kB.
func bulky(n *network, count int) []*types.Block {
	var blocks []*types.Block
	parent := chaintest.Genesis
	for i := 1; i <= count; i++ {
		var spec chaintest.Spec
		for j := range 140 {
			spec.Transfers = append(spec.Transfers, types.Transfer{
				Sender: "a", Recipient: "b", Amount: 1, Expiry: 900, Salt: uint64(1000*i + j),
				Memo: strings.Repeat("m", 250),
			})
		}
		name := names("x", i, i)[0]
		blocks = append(blocks, n.Add(name, parent, spec))
		parent = name
	}
	return blocks
}

// However fast blocks come, and in whatever order, no more wait in memory than
// the limit; and with room for a single one only, there is still a way on.
func TestMemory(t *testing.T) {
	for _, limit := range []int64{20 << 20, 1 << 20, 300_000, 1} {
		n := newNetwork(t, nil)
		blocks := bulky(n, 60)
		node := n.node()
		node.limits.held = limit
		for _, name := range []string{"one", "two", "three"} {
			node.register(n.host(name, n.stranger(blocks...)))
		}
		node.wantSync(true, Adopted, Adopted, Adopted)
		node.wantTip("x60")
		most := max(limit, costOf(int(n.rules.MaxBlockSize)))
		if peak := node.peak.Load(); peak > most || peak < costOf(blocks[0].Size()) {
			t.Errorf("limit %d: %d bytes were held", limit, peak)
		}
	}
}

// The memory of a body that turned out to be bad is free again.
func TestMemoryIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		blocks := bulky(n, 5)
		bad, good := n.stranger(blocks...), n.stranger(blocks...)
		for hash, b := range bad.blocks {
			bad.blocks[hash] = append(b, 0)
		}
		good.onBlocks = func(w http.ResponseWriter, r *http.Request) {
			for bad.asked(blocksPath) == 0 {
				time.Sleep(time.Second)
			}
			time.Sleep(time.Second) // until its answer was read
			good.serveBlocks(w, r)
		}
		node := n.node()
		node.limits.held = 1
		node.register(n.host("bad", bad), n.host("good", good))
		node.wantSync(true, Malformed, Adopted)
		if peak := node.peak.Load(); peak > costOf(blocks[0].Size()+1) {
			t.Errorf("%d bytes were held, a block is %d", peak, blocks[0].Size())
		}
	})
}

// Where there is memory for one block, and each neighbour needs longer for it than a
// block is waited for before another is asked, one of them is left to finish.
func TestSlowNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		blocks := bulky(n, 2)
		node := n.node()
		node.limits.held = 1
		for _, name := range []string{"one", "two"} {
			s := n.stranger(blocks...)
			s.onBlocks = func(w http.ResponseWriter, r *http.Request) {
				whole := httptest.NewRecorder()
				s.serveBlocks(whole, r)
				for piece := range slices.Chunk(whole.Body.Bytes(), 10_000) {
					w.Write(piece)
					w.(http.Flusher).Flush()
					select {
					case <-time.After(4 * time.Second):
					case <-r.Context().Done():
						return
					}
				}
			}
			node.register(n.host(name, s))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if _, err := node.Sync(ctx); err != nil {
			t.Errorf("Sync: %v", err)
		}
		node.wantTip("x2")
		if peak := node.peak.Load(); peak > costOf(blocks[0].Size()) {
			t.Errorf("%d bytes were held, a block is %d", peak, blocks[0].Size())
		}
	})
}

// Callers take turns; each gets an answer of its own.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		node := n.node()
		s := n.stranger(n.Chain("a", chaintest.Genesis, 3, chaintest.Spec{})...)
		var inside, most atomic.Int32
		s.onTip = func(w http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), inside.Add(1)))
			time.Sleep(time.Second)
			s.serveTip(w, r)
			inside.Add(-1)
		}
		address := n.host("a", s)
		node.register(address)
		results := make(chan error)
		for i := range 5 {
			go func() {
				var err error
				if i%2 == 0 {
					_, err = node.Sync(t.Context())
				} else {
					_, err = node.SyncWith(t.Context(), node.transport, []string{address})
				}
				results <- err
			}()
		}
		for range 5 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if most.Load() != 1 || s.asked(tipPath) != 5 {
			t.Errorf("%d at a time, %d in all", most.Load(), s.asked(tipPath))
		}
	})
}

// A caller that leaves ends the sync at once, wherever it is.
func TestCancel(t *testing.T) {
	for _, at := range []string{tipPath, headersPath, blocksPath} {
		n := newNetwork(t, nil)
		blocks := n.Chain("a", chaintest.Genesis, 3, chaintest.Spec{})
		node := n.node()
		s := n.stranger(blocks...)
		ctx, cancel := context.WithCancel(context.Background())
		wait := func(w http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		}
		switch at {
		case tipPath:
			s.onTip = wait
		case headersPath:
			s.onHeaders = wait
		case blocksPath:
			s.onBlocks = wait
		}
		node.register(n.host("a", s))
		if _, err := node.Sync(ctx); err != context.Canceled {
			t.Errorf("%s: %v", at, err)
		}
		node.wantTip(chaintest.Genesis)
	}
}

// A neighbour that has only the older part of a chain helps with that.
func TestHelper(t *testing.T) {
	n := newNetwork(t, nil)
	blocks := n.Chain("a", chaintest.Genesis, 400, chaintest.Spec{})
	node := n.node()
	part, whole := n.stranger(blocks[:200]...), n.stranger(blocks...)
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	part.onBlocks = func(w http.ResponseWriter, r *http.Request) {
		once()
		part.serveBlocks(w, r)
	}
	whole.onBlocks = func(w http.ResponseWriter, r *http.Request) {
		select { // otherwise it may have given everything before the other is asked
		case <-asked:
		case <-r.Context().Done():
			return
		case <-time.After(time.Second):
		}
		whole.serveBlocks(w, r)
	}
	node.register(n.host("part", part), n.host("whole", whole))
	node.wantSync(true, Adopted, Adopted)
	node.wantTip("a400")
	if part.asked(blocksPath) == 0 {
		t.Error("the neighbour with a part was not asked")
	}
}

// A chain whose branch was stored, but not switched to before the node stopped,
// is switched to without fetching it all again.
func TestStoredBranch(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 5, chaintest.Spec{})
	b := n.Chain("b", chaintest.Genesis, 20, chaintest.Spec{})
	node := n.node().has(names("a", 1, 5)...)
	batch := node.store.NewBatch()
	for i, block := range b {
		state := n.State(names("b", i+1, i+1)[0])
		batch.PutState(state, 1) // the body is stored
		batch.PutBlock(state.Height, state.Hash, block.Encode())
	}
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	batch.Close()
	node.register(n.host("b", n.stranger(b...)))
	node.wantSync(true, Adopted)
	node.wantTip("b20")
}

// Nodes that the caller reaches are asked, and nobody else, and nothing of them is
// kept. One that is a block ahead costs three calls.
func TestSyncWith(t *testing.T) {
	n := newNetwork(t, nil)
	n.Chain("a", chaintest.Genesis, 30, chaintest.Spec{})
	full, node := n.node().has(names("a", 1, 29)...), n.node()
	peer, neighbour := &counter{Handler: full.Handler()}, &counter{Handler: full.Handler()}
	node.register(n.host("neighbour", neighbour))
	var log bytes.Buffer
	node.log = slog.New(slog.NewTextHandler(&log, nil))
	carrier := newTransport()
	defer carrier.CloseIdleConnections()
	carrier.DialContext = n.dial
	node.transport = nil // is not to be used
	addresses := []string{"http://nowhere", n.host("peer", peer)}
	for _, want := range []string{"a29", "a30"} {
		peer.calls = nil
		r, err := node.SyncWith(t.Context(), carrier, addresses)
		if err != nil || len(r.Neighbours) != 2 || !r.Replaced {
			t.Fatal(r, err)
		}
		for i, word := range []string{Unreachable, Adopted} {
			if got := r.Neighbours[i]; got.Address != addresses[i] || got.Result != word {
				t.Errorf("%v, want %s of %s", got, word, addresses[i])
			}
		}
		node.wantTip(want)
		full.has("a30")
	}
	if want := []string{tipPath, headersPath, blocksPath}; !slices.Equal(peer.calls, want) {
		t.Errorf("was asked %v for one block", peer.calls)
	}
	if len(neighbour.calls) > 0 {
		t.Errorf("the neighbour was asked %v", neighbour.calls)
	}
	if _, clocks := node.Clock(); clocks != 0 || len(node.Neighbours()) != 1 || log.Len() > 0 {
		t.Errorf("kept: %v, %d clocks, %s", node.Neighbours(), clocks, &log)
	}
}

// One who was found and hangs keeps others waiting for no longer than it takes to see
// that they answer; where there are none, it has the time that all have. Those who
// make the same claim are asked in its place.
func TestHangs(t *testing.T) {
	for _, path := range []string{tipPath, headersPath} {
		for _, alone := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, nil)
				blocks := n.Chain("a", chaintest.Genesis, 10, chaintest.Spec{})
				hanging, good := n.stranger(blocks...), n.stranger(blocks...)
				asked := make(chan struct{})
				hung := sync.OnceFunc(func() { close(asked) })
				*handlers(hanging)[path].place = func(w http.ResponseWriter, r *http.Request) { hung(); hang(w, r) }
				good.onTip = func(w http.ResponseWriter, r *http.Request) {
					<-asked // it is the other's turn first
					good.serveTip(w, r)
				}
				node := n.node()
				addresses, words := []string{n.host("hanging", hanging), n.host("good", good)}, []string{Slow, Adopted}
				within := 2 * node.limits.grace
				if alone {
					addresses, words, within = addresses[:1], words[:1], node.limits.stall
				}
				began := time.Now()
				r, err := node.SyncWith(t.Context(), node.transport, addresses)
				if err != nil {
					t.Fatal(err)
				}
				for i, word := range words {
					if got := r.Neighbours[i]; got.Result != word {
						t.Errorf("%s: %v, want %s", path, got, word)
					}
				}
				if took := time.Since(began); took > within || alone && took < within {
					t.Errorf("%s: took %v", path, took)
				}
			})
		}
	}
}

func TestOtherNetwork(t *testing.T) {
	n := newNetwork(t, nil)
	other := newNetwork(t, func(r *consensus.Rules) { r.Reward++ })
	other.Chain("o", chaintest.Genesis, 9, chaintest.Spec{})
	node := n.node()
	node.register(n.host("other", other.node().has(names("o", 1, 9)...).Handler()))
	if r := node.wantSync(false, OtherNetwork); r.Available || !strings.Contains(r.Neighbours[0].Detail, other.rules.ChainID().String()) {
		t.Errorf("%+v", r)
	}
}
