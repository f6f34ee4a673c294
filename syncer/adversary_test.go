package syncer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/types"
)

// meet lets a fresh node sync with one stranger, who has ten blocks, after spoil
// has taught it manners. It runs on a clock of its own, with the limits that
// nodes have. It returns the result and how long it took.
func meet(t *testing.T, spoil func(n *network, s *stranger)) (result NeighbourResult, height uint32, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		s := n.stranger(n.Chain("a", chaintest.Genesis, 10, chaintest.Spec{})...)
		spoil(n, s)
		node := n.node()
		node.register(n.host("stranger", s))
		start := time.Now()
		r, err := node.Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		took = time.Since(start)
		result, height = r.Neighbours[0], node.chain.Tip().Height
		t.Log(took, result)
	})
	return result, height, took
}

// trickle writes b a byte at a time.
func trickle(w http.ResponseWriter, r *http.Request, b []byte, pause time.Duration) {
	control := http.NewResponseController(w)
	for i := range b {
		if _, err := w.Write(b[i : i+1]); err != nil {
			return
		}
		control.Flush()
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return
		}
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// record runs a handler and returns the body that it writes.
func record(h http.HandlerFunc, r *http.Request) []byte {
	w := recorder{header: make(http.Header)}
	h(&w, r)
	return w.body.Bytes()
}

type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(int)             {}

// each call's handler of a stranger, to be replaced.
func handlers(s *stranger) map[string]struct{ place, own *http.HandlerFunc } {
	tip, headers, blocks := http.HandlerFunc(s.serveTip), http.HandlerFunc(s.serveHeaders), http.HandlerFunc(s.serveBlocks)
	return map[string]struct{ place, own *http.HandlerFunc }{
		tipPath:     {&s.onTip, &tip},
		headersPath: {&s.onHeaders, &headers},
		blocksPath:  {&s.onBlocks, &blocks},
	}
}

// Whatever is wrong with an answer, and whichever answer it is, costs bounded
// time and is reported.
func TestBadAnswers(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, c := range []struct {
		name   string
		answer func(own http.HandlerFunc) http.HandlerFunc
		word   string
		within time.Duration
	}{
		{"nothing comes", func(http.HandlerFunc) http.HandlerFunc { return hang }, Slow, 30 * time.Second},
		{"a byte a second", func(own http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { trickle(w, r, record(own, r), time.Second) }
		}, Slow, 30 * time.Second},
		{"stops half-way", func(own http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				b := record(own, r)
				w.Write(b[:len(b)/2])
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		}, Slow, 30 * time.Second},
		{"goes on for ever", func(own http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				own(w, r)
				for _, err := w.Write(make([]byte, 1024)); err == nil; {
					_, err = w.Write(make([]byte, 1024))
				}
			}
		}, Malformed, time.Second},
		{"does not end", func(own http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				own(w, r)
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		}, Slow, 30 * time.Second},
		{"breaks off", func(own http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				b := record(own, r)
				w.Write(b[:len(b)/2])
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		}, Malformed, time.Second},
		{"hangs up", func(http.HandlerFunc) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}, Unreachable, time.Second},
		{"is empty", func(http.HandlerFunc) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) {}
		}, Malformed, time.Second},
		{"is all ones", func(http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte{0xff}, 10_000)) }
		}, Malformed, time.Second},
		{"is busy", func(http.HandlerFunc) http.HandlerFunc { return status(503) }, Busy, 5 * time.Second},
		{"fails", func(http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(500)
				fmt.Fprint(w, "\x1b[2J"+strings.Repeat("\n", 100_000))
			}
		}, NotANode, time.Second},
		{"has large headers", func(own http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X", strings.Repeat("x", 20<<10))
				own(w, r)
			}
		}, Unreachable, time.Second},
		{"has headers without end", func(http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				conn, _, _ := http.NewResponseController(w).Hijack()
				defer conn.Close()
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n")
				for i := 0; ; i++ {
					if _, err := fmt.Fprintf(conn, "X-%d: y\r\n", i); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}
		}, Slow, 30 * time.Second},
		{"is compressed", func(own http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				own(w, r)
			}
		}, NotANode, time.Second},
		{"is a page", func(http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprint(w, "<html>\x1b[2Jwelcome")
			}
		}, NotANode, time.Second},
	} {
		for _, path := range []string{tipPath, headersPath, blocksPath} {
			t.Run(c.name+" at "+path, func(t *testing.T) {
				result, height, took := meet(t, func(_ *network, s *stranger) {
					h := handlers(s)[path]
					*h.place = c.answer(*h.own)
				})
				// All that was asked for may be here before the fault shows.
				adopted := path == blocksPath && result.Result == Adopted && height == 10
				if result.Result != c.word && !adopted || took > c.within {
					t.Errorf("%v after %v, want %s", result, took, c.word)
				}
				if path != blocksPath && height != 0 {
					t.Errorf("the chain has %d blocks", height)
				}
				if strings.ContainsAny(result.Detail, "\x1b\n") || len(result.Detail) > 1500 {
					t.Errorf("the detail is not fit for a terminal: %q", result.Detail)
				}
			})
		}
	}
}

func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newNetwork(t, nil).node()
		node.register("http://nowhere")
		if r := node.wantSync(false, Unreachable); r.Available {
			t.Error("is available")
		}
	})
}

// An answer that is cut at any byte is never taken for a whole one.
func TestTruncated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		s := n.stranger(n.Chain("a", chaintest.Genesis, 2, chaintest.Spec{})...)
		address := n.host("stranger", s)
		for path, h := range handlers(s) {
			node := n.node()
			node.register(address)
			var whole atomic.Bool
			for cut := 0; !whole.Load(); cut++ {
				s.setAnswer(h.place, func(w http.ResponseWriter, r *http.Request) {
					b := record(*h.own, r)
					whole.Store(cut >= len(b))
					w.Write(b[:min(cut, len(b))])
				})
				r, err := node.Sync(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got := r.Neighbours[0]; !whole.Load() && got.Result != Malformed {
					t.Fatalf("%s cut after %d bytes: %v", path, cut, got)
				}
			}
			s.setAnswer(h.place, nil)
		}
	})
}

// onTop makes blocks with good headers on one that may be anything but a good
// block, and returns all of them.
func (n *network) onTop(parent string, bad *types.Block, count int) []*types.Block {
	n.t.Helper()
	state := n.headerOnly(n.State(parent), bad)
	blocks := []*types.Block{bad}
	for range count {
		b := &types.Block{
			Header: types.Header{Version: 0x20000000, Previous: state.Hash, Time: state.Time + n.rules.BlockInterval},
			Reward: types.Reward{Height: state.Height + 1, Recipient: "x"},
		}
		b.Header.Bits = n.rules.AllowedBits(state, b.Header.Time)
		b.Header.MerkleRoot, _ = types.MerkleRoot(b.IDs())
		state = n.headerOnly(state, b)
		blocks = append(blocks, b)
	}
	return blocks
}

// headerOnly mines a block and validates nothing but its header.
func (n *network) headerOnly(parent consensus.State, b *types.Block) consensus.State {
	n.t.Helper()
	for {
		state, err := n.rules.ValidateHeader(parent, b.Header, uint64(b.Header.Time))
		if err == nil {
			return state
		}
		if !errors.Is(err, consensus.ErrProofOfWork) {
			n.t.Fatal(err)
		}
		b.Header.Nonce++
	}
}

// What is said in the right form and is not true.
func TestLies(t *testing.T) {
	more := func(w consensus.Work) consensus.Work { return w.Add(consensus.WorkOf(0x207fffff)) }
	for _, c := range []struct {
		name   string
		spoil  func(s *stranger)
		word   string
		height uint32
	}{
		{"more work than there is", func(s *stranger) {
			s.claim.Work = more(s.claim.Work)
		}, Lying, 10},
		{"more blocks than there are", func(s *stranger) {
			s.claim.Height++
		}, Lying, 10},
		{"another tip than there is", func(s *stranger) {
			s.claim.Hash[0]++
		}, Lying, 10},
		{"headers that end early", func(s *stranger) {
			s.headers = s.headers[:7]
		}, Lying, 7},
		{"no headers", func(s *stranger) {
			s.headers = nil
		}, Lying, 0},
		{"work that shrinks", func(s *stranger) {
			s.onTip = func(w http.ResponseWriter, _ *http.Request) {
				claim := s.claim
				claim.Work = more(claim.Work)
				w.Write(claim.append(nil))
			}
		}, Lying, 0},
		{"another network once headers are asked for", func(s *stranger) {
			s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
				s.claim.Chain[0]++
				s.serveHeaders(w, r)
			}
		}, OtherNetwork, 0},
		{"headers of nowhere", func(s *stranger) {
			s.headers = s.headers[3:]
		}, Malformed, 0},
		{"a header twice", func(s *stranger) {
			s.headers = slices.Insert(s.headers, 5, s.headers[4])
		}, Invalid, 5},
		{"more headers than were asked for", func(s *stranger) {
			s.onHeaders = func(w http.ResponseWriter, _ *http.Request) {
				w.Write(binary.LittleEndian.AppendUint32(s.claim.append(nil), maxHeaders+1))
			}
		}, Malformed, 0},
		{"headers without bodies", func(s *stranger) {
			clear(s.blocks)
		}, Withheld, 0},
		{"one body is missing", func(s *stranger) {
			delete(s.blocks, s.headers[6].Hash())
		}, Withheld, 6},
		{"one body is another's", func(s *stranger) {
			s.blocks[s.headers[6].Hash()] = s.blocks[s.headers[5].Hash()]
		}, Malformed, 6},
		{"one body is not its header's", func(s *stranger) {
			hash := s.headers[6].Hash()
			b, _ := types.DecodeBlock(s.blocks[hash])
			b.Reward.Amount++
			s.blocks[hash] = b.Encode()
		}, Malformed, 6},
		{"one body is noise", func(s *stranger) {
			s.blocks[s.headers[6].Hash()] = []byte("noise")
		}, Malformed, 6},
		{"a block beyond the limit", func(s *stranger) {
			s.onBlocks = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{0xff, 0xff, 0xff, 0x7f}) }
		}, Malformed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			result, height, took := meet(t, func(_ *network, s *stranger) { c.spoil(s) })
			if result.Result != c.word || height > c.height || took > time.Second {
				t.Errorf("%v at height %d after %v, want %s", result, height, took, c.word)
			}
		})
	}
}

// An answer that goes on after the blocks that were asked for is not taken for
// one, though the blocks were good.
func TestMoreThanAskedFor(t *testing.T) {
	n := newNetwork(t, nil)
	s := n.stranger(n.Chain("a", chaintest.Genesis, 300, chaintest.Spec{})...)
	s.onBlocks = func(w http.ResponseWriter, r *http.Request) {
		s.serveBlocks(w, r)
		w.Write([]byte{0})
	}
	node := n.node()
	node.register(n.host("stranger", s))
	r, err := node.Sync(t.Context())
	if err != nil || r.Neighbours[0].Result != Malformed {
		t.Errorf("%+v, %v", r, err)
	}
}

// A chain without end: valid headers as many as anybody asks for. The bodies of
// the first round have to come before there is a second one.
func TestEndlessHeaders(t *testing.T) {
	result, _, _ := meet(t, func(n *network, s *stranger) {
		bad := n.Add("bad", "a10", chaintest.Spec{Tamper: func(b *types.Block) { b.Reward.Recipient = "else" }})
		for _, b := range n.onTop("a10", bad, maxHeaders+10) {
			s.headers = append(s.headers, b.Header)
		}
		s.claim.Height = 4_000_000_000
		s.claim.Work[3] = 1
		clear(s.blocks)
		t.Cleanup(func() {
			if s.asked(headersPath) != 1 {
				t.Errorf("headers were asked for %d times", s.asked(headersPath))
			}
		})
	})
	if result.Result != Withheld {
		t.Error(result)
	}
}

// The transactions of a body can be repeated so that the Merkle root stays the
// same (CVE-2012-2459). That is the fault of whoever sent it, and the block is
// good.
func TestMutatedBody(t *testing.T) {
	n := newNetwork(t, nil)
	two := []types.Transfer{
		{Sender: "a", Recipient: "b", Expiry: 100, Salt: 1},
		{Sender: "a", Recipient: "b", Expiry: 100, Salt: 2},
	}
	block := n.Add("x", chaintest.Genesis, chaintest.Spec{Transfers: two})
	bad, good := n.stranger(block), n.stranger(block)
	mutated := *block
	mutated.Transfers = append(two, two[1])
	if root, _ := types.MerkleRoot(mutated.IDs()); root != block.Header.MerkleRoot {
		t.Fatal("the root is another one")
	}
	bad.blocks[n.Hash("x")] = mutated.Encode()
	node := n.node()
	node.register(n.host("bad", bad))
	node.wantSync(false, Malformed)
	node.register(n.host("good", good))
	r, err := node.Sync(t.Context())
	if err != nil || r.Neighbours[1].Result != Adopted {
		t.Errorf("%+v, %v", r, err)
	}
	node.wantTip("x")
}

// A block that breaks a rule half-way: it is named, nothing of it is fetched a
// second time, and the part before it stays where it is heavier.
//
//	genesis ┬ a1 ─ … ─ a10 ─ bad ─ … 5 more
//	        └ own1 ─ …
func TestInvalidHalfWay(t *testing.T) {
	spend := func(b *types.Block) { b.Reward.Amount++ }
	for _, c := range []struct {
		name string
		bad  func(n *network) []*types.Block
		says string
		own  int
		tip  string
	}{
		{"header", func(n *network) []*types.Block {
			bad := n.Add("bad", "a10", chaintest.Spec{})
			bad.Header.Time = 1
			return []*types.Block{bad}
		}, "block time is before its parent's", 5, "a10"},
		{"body", func(n *network) []*types.Block {
			return n.onTop("a10", n.Add("bad", "a10", chaintest.Spec{Spoil: spend}), 5)
		}, "reward is not the subsidy", 5, "a10"},
		{"body on a heavier chain", func(n *network) []*types.Block {
			return n.onTop("a10", n.Add("bad", "a10", chaintest.Spec{Spoil: spend}), 5)
		}, "reward is not the subsidy", 12, "own12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t, nil)
			n.Chain("own", chaintest.Genesis, c.own, chaintest.Spec{})
			blocks := n.Chain("a", chaintest.Genesis, 10, chaintest.Spec{})
			node := n.node().has(names("own", 1, c.own)...)
			s := n.stranger(append(blocks, c.bad(n)...)...)
			node.register(n.host("stranger", s))
			r := node.wantSync(c.tip == "a10", Invalid)
			if detail := r.Neighbours[0].Detail; !strings.Contains(detail, "block 11 ") || !strings.Contains(detail, c.says) {
				t.Errorf("the detail is %q", detail)
			}
			node.wantTip(c.tip)

			before := s.asked(blocksPath)
			node.wantSync(false, Invalid)
			if s.asked(blocksPath) != before {
				t.Error("blocks were fetched again")
			}
			node.wantTip(c.tip)
		})
	}
}

// One neighbour's bad body does not spoil the block: another brings it.
func TestOneOfTwoIsBad(t *testing.T) {
	for name, spoil := range map[string]func(s *stranger){
		Malformed: func(s *stranger) {
			for hash, b := range s.blocks {
				s.blocks[hash] = append(b, 0)
			}
		},
		Withheld: func(s *stranger) { clear(s.blocks) },
		Lying:    func(s *stranger) { s.claim.Work[3] = 1 << 60 },
		Slow:     func(s *stranger) { s.onTip = hang },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, nil)
				blocks := n.Chain("a", chaintest.Genesis, 300, chaintest.Spec{})
				bad, good := n.stranger(blocks...), n.stranger(blocks...)
				spoil(bad)
				node := n.node()
				node.register(n.host("bad", bad), n.host("good", good))
				node.wantSync(true, name, Adopted)
				node.wantTip("a300")
			})
		})
	}
}

// Neighbours that claim the same are read one after the other until one shows
// what all of them claim.
func TestSameClaim(t *testing.T) {
	for word, spoil := range map[string]func(s *stranger){
		Lying:     func(s *stranger) { s.headers = s.headers[:7] },
		Invalid:   func(s *stranger) { s.headers[7].Time = 1 },
		Malformed: func(s *stranger) { s.headers = s.headers[7:] },
		Slow:      func(s *stranger) { s.onHeaders = hang },
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, nil)
			blocks := n.Chain("a", chaintest.Genesis, 10, chaintest.Spec{})
			bad, good := n.stranger(blocks...), n.stranger(blocks...)
			spoil(bad)
			good.onTip = func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second) // the other is asked first
				good.serveTip(w, r)
			}
			node := n.node()
			node.register(n.host("bad", bad), n.host("good", good))
			node.wantSync(true, word, Adopted)
			node.wantTip("a10")
		})
	}
}

// Headers that come just fast enough to be progress still have to come to an end.
func TestSlowHeaders(t *testing.T) {
	result, _, took := meet(t, func(n *network, s *stranger) {
		for _, b := range n.onTop("a10", n.Add("bad", "a10", chaintest.Spec{}), 40_000) {
			s.headers = append(s.headers, b.Header)
		}
		s.claim.Height = uint32(len(s.headers))
		s.claim.Work[3] = 1
		s.onHeaders = func(w http.ResponseWriter, r *http.Request) {
			b := record(s.serveHeaders, r)
			for len(b) > 0 {
				part := b[:min(len(b), 8<<10)]
				if _, err := w.Write(part); err != nil {
					return
				}
				b = b[len(part):]
				time.Sleep(time.Second)
			}
		}
	})
	if result.Result != Slow || took != defaultLimits().headers {
		t.Errorf("%v after %v", result, took)
	}
}

// One who takes blocks on and never brings them holds nobody up for long, and
// one who is slow to answer at all holds up the answer, but not the chain.
func TestStalled(t *testing.T) {
	for _, path := range []string{tipPath, headersPath, blocksPath} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, nil)
			blocks := n.Chain("a", chaintest.Genesis, 300, chaintest.Spec{})
			stalled, good := n.stranger(append(blocks, n.Add("more", "a300", chaintest.Spec{}))...), n.stranger(blocks...)
			*handlers(stalled)[path].place = hang
			node := n.node()
			node.register(n.host("stalled", stalled), n.host("good", good))
			start := time.Now()
			reached := make(chan time.Duration, 1)
			defer node.chain.OnChange(func() {
				if node.chain.Tip().Height >= 300 {
					select {
					case reached <- time.Since(start):
					default:
					}
				}
			})()
			if _, err := node.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := <-reached; took > 2*defaultLimits().reassign {
				t.Errorf("%s: took %v", path, took)
			}
		})
	}
}

// A redirect is reported, and nobody is asked whom only a neighbour named.
func TestRedirect(t *testing.T) {
	for _, path := range []string{tipPath, headersPath, blocksPath} {
		n := newNetwork(t, nil)
		blocks := n.Chain("a", chaintest.Genesis, 3, chaintest.Spec{})
		s, target := n.stranger(blocks...), n.stranger(blocks...)
		elsewhere := n.host("elsewhere", target)
		*handlers(s)[path].place = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		}
		node := n.node()
		node.register(n.host("stranger", s))
		r := node.wantSync(false, Redirects)
		if !strings.Contains(r.Neighbours[0].Detail, elsewhere) {
			t.Errorf("the detail is %q", r.Neighbours[0].Detail)
		}
		if len(target.calls) > 0 {
			t.Errorf("%s: elsewhere was asked %v", path, target.calls)
		}
	}
}

func TestClassicOnly(t *testing.T) {
	for chain, word := range map[string]string{
		`{"chain": [{"index": 0}], "length": 1}`: ClassicOnly,
		"{\n  \"chain\": [\n":                    ClassicOnly,
		`{"hello": "world"}`:                     NotANode,
		`chain`:                                  NotANode,
	} {
		n := newNetwork(t, nil)
		mux := http.NewServeMux()
		mux.HandleFunc("GET /chain", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, chain) })
		node := n.node()
		node.register(n.host("tutorial", mux))
		node.wantSync(false, word)
	}
}

// Blocks too far in the future are nobody's fault: those before are taken, and
// the others when their time has come.
func TestTooNew(t *testing.T) {
	n := newNetwork(t, nil)
	blocks := n.Chain("a", chaintest.Genesis, 10, chaintest.Spec{})
	node := n.node()
	node.now = time.Unix(int64(blocks[5].Header.Time)-int64(n.rules.FutureLimit()), 0)
	one, two := n.stranger(blocks...), n.stranger(blocks...)
	node.register(n.host("one", one), n.host("two", two))
	r := node.wantSync(true, NotHeavier, NotHeavier)
	for _, got := range r.Neighbours {
		if !strings.Contains(got.Detail, "up to block 6; the next is not valid yet") {
			t.Errorf("the detail is %q", got.Detail)
		}
	}
	if !r.Available {
		t.Error("it has a valid chain")
	}
	node.wantTip("a6")
	node.wantSync(false, NotHeavier, NotHeavier)
	node.now = n.clock()
	node.wantSync(true, Adopted, Adopted)
	node.wantTip("a10")
}
