package syncer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"cairn/chain"
	"cairn/chain/chaintest"
	"cairn/consensus"
	"cairn/store"
	"cairn/types"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testRules are a network without signatures whose blocks are found at once and
// whose difficulty follows the pace, so that a shorter chain can be heavier.
func testRules(t testing.TB, change func(*consensus.Rules)) *consensus.Rules {
	t.Helper()
	r := consensus.Rules{
		Name: "test", Symbol: "TEST", AddressPrefix: "test",
		Time: 1_767_225_600, Bits: 0x207fffff, BlockInterval: 10, HalfLife: 120,
		Reward: 50, MaxBlockSize: 100_000, TxLifetime: 1000,
		CreditLimit: types.MaxAmount,
	}
	if change != nil {
		change(&r)
	}
	rules, err := consensus.NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// network joins nodes and strangers by name, in memory, so that whole tests can
// run on a clock of their own (testing/synctest).
type network struct {
	t     testing.TB
	rules *consensus.Rules
	*chaintest.Builder

	mu      sync.Mutex
	servers map[string]*pipeListener
	dials   int
}

func newNetwork(t testing.TB, change func(*consensus.Rules)) *network {
	rules := testRules(t, change)
	return &network{
		t: t, rules: rules, Builder: chaintest.New(rules),
		servers: make(map[string]*pipeListener),
	}
}

// clock is far enough ahead for any chain that a test builds.
func (n *network) clock() time.Time { return time.Unix(int64(n.rules.Time)+100_000_000, 0) }

// host makes handler answer at http://name.
func (n *network) host(name string, handler http.Handler) (address string) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	var answering sync.WaitGroup
	var mu sync.Mutex
	closed := false // a call may begin while the server closes
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if closed {
			mu.Unlock()
			return
		}
		answering.Add(1)
		mu.Unlock()
		defer answering.Done()
		handler.ServeHTTP(w, r)
	})
	server := &http.Server{Handler: counted, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() {
		server.Serve(l)
		close(done)
	}()
	n.mu.Lock()
	n.servers[name+":80"] = l
	n.mu.Unlock()
	n.t.Cleanup(func() {
		server.Close()
		<-done
		mu.Lock()
		closed = true
		mu.Unlock()
		answering.Wait()
	})
	return "http://" + name
}

// dial connects to a host by name, as newTransport's does over TCP.
func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.servers[address]
	n.dials++
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// node is a chain with a Syncer.
type node struct {
	*Syncer
	net   *network
	fs    vfs.FS
	now   time.Time
	store *store.Store
	chain *chain.Manager
}

// node makes a node in memory, to be closed with the test.
func (n *network) node() *node {
	n.t.Helper()
	x := n.open("data", store.Options{FS: vfs.NewMem()})
	n.t.Cleanup(x.close)
	return x
}

// open makes a node in a new directory.
func (n *network) open(dir string, o store.Options) *node {
	n.t.Helper()
	x := &node{net: n, fs: o.FS, now: n.clock()}
	var err error
	x.store, err = store.Create(dir, n.rules, o)
	if err != nil {
		n.t.Fatal(err)
	}
	x.chain, err = chain.New(chain.Config{Store: x.store, Now: func() time.Time { return x.now }})
	if err != nil {
		n.t.Fatal(err)
	}
	x.Syncer = x.syncer()
	return x
}

func (x *node) close() {
	x.Syncer.Close()
	x.chain.Close()
	if err := x.store.Close(); err != nil {
		x.net.t.Error(err)
	}
}

// grow adds blocks to a node's chain that nobody else knows, with transfers that
// depend on their number.
func (x *node) grow(count int, transfers func(i int) []types.Transfer) {
	x.net.t.Helper()
	line := chaintest.NewLine(x.net.rules)
	var run []*types.Block
	for i := range count {
		if run = append(run, line.Next(chaintest.Spec{Transfers: transfers(i)})); len(run) == 1000 || i == count-1 {
			if err := x.chain.AddBlocks(context.Background(), run); err != nil {
				x.net.t.Fatal(err)
			}
			run = nil
		}
	}
}

// syncer makes another Syncer on the same store, as after a restart.
func (x *node) syncer() *Syncer {
	x.net.t.Helper()
	transport := newTransport()
	transport.DialContext = x.net.dial
	s, err := New(Config{Chain: x.chain, Store: x.store, Now: func() time.Time { return x.now }, Transport: transport})
	if err != nil {
		x.net.t.Fatal(err)
	}
	return s
}

// has adds named blocks to a node's chain.
func (x *node) has(names ...string) *node {
	x.net.t.Helper()
	if err := x.chain.AddBlocks(context.Background(), x.net.Blocks(names...)); err != nil {
		x.net.t.Fatal(err)
	}
	return x
}

func (x *node) register(addresses ...string) {
	x.net.t.Helper()
	for _, a := range addresses {
		if _, err := x.AddNeighbour(a); err != nil {
			x.net.t.Fatal(err)
		}
	}
}

// sync runs one Sync and checks the words that come back, in the order of the
// addresses.
func (x *node) wantSync(replaced bool, words ...string) Result {
	x.net.t.Helper()
	r, err := x.Sync(context.Background())
	if err != nil {
		x.net.t.Fatal(err)
	}
	var got []string
	for _, n := range r.Neighbours {
		got = append(got, n.Result)
		x.net.t.Logf("%s: %s: %s", n.Address, n.Result, n.Detail)
	}
	if strings.Join(got, " ") != strings.Join(words, " ") {
		x.net.t.Errorf("results are %v, want %v", got, words)
	}
	if r.Replaced != replaced {
		x.net.t.Errorf("replaced is %v", r.Replaced)
	}
	return r
}

func (x *node) wantTip(name string) {
	x.net.t.Helper()
	if tip := x.chain.Tip(); tip != x.net.State(name) {
		x.net.t.Errorf("the tip is %s at height %d, want %s", x.net.Name(tip.Hash), tip.Height, name)
	}
}

func names(prefix string, from, to int) (all []string) {
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprintf("%s%d", prefix, i))
	}
	return all
}

// stranger answers in the sync format from blocks that need not be valid, and
// can be told to misbehave.
type stranger struct {
	changing sync.Mutex // guards onTip, onHeaders and onBlocks where a test changes them late
	claim    claim
	headers  []types.Header // from height 1
	blocks   map[types.Hash][]byte

	// onTip, onHeaders and onBlocks replace an answer. They may call the
	// stranger's own.
	onTip, onHeaders, onBlocks http.HandlerFunc

	counter
}

// counter notes the paths that are asked for.
type counter struct {
	http.Handler
	mu    sync.Mutex
	calls []string
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.calls = append(c.calls, r.URL.Path)
	handler := c.Handler
	c.mu.Unlock()
	handler.ServeHTTP(w, r)
}

// set changes who answers.
func (c *counter) set(h http.Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Handler = h
}

// asked counts the calls of a path.
func (c *counter) asked(path string) (count int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range c.calls {
		if call == path {
			count++
		}
	}
	return count
}

// stranger has the chain of blocks from height 1, and claims what it adds up to.
func (n *network) stranger(blocks ...*types.Block) *stranger {
	s := &stranger{blocks: make(map[types.Hash][]byte)}
	s.Handler = http.HandlerFunc(s.answer)
	s.claim = claim{Chain: n.rules.ChainID(), Hash: n.rules.ChainID(), Height: uint32(len(blocks))}
	for _, b := range blocks {
		hash := b.Header.Hash()
		s.headers = append(s.headers, b.Header)
		s.blocks[hash] = b.Encode()
		s.claim.Hash = hash
		s.claim.Work = s.claim.Work.Add(consensus.WorkOf(b.Header.Bits))
	}
	return s
}

// setAnswer changes an answer while requests may be under way.
func (s *stranger) setAnswer(place *http.HandlerFunc, h http.HandlerFunc) {
	s.changing.Lock()
	defer s.changing.Unlock()
	*place = h
}

func (s *stranger) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", mediaType)
	s.changing.Lock()
	onTip, onHeaders, onBlocks := s.onTip, s.onHeaders, s.onBlocks
	s.changing.Unlock()
	choose := func(other, own http.HandlerFunc) {
		if other == nil {
			other = own
		}
		other(w, r)
	}
	switch r.URL.Path {
	case tipPath:
		choose(onTip, s.serveTip)
	case headersPath:
		choose(onHeaders, s.serveHeaders)
	case blocksPath:
		choose(onBlocks, s.serveBlocks)
	default:
		http.NotFound(w, r)
	}
}

func (s *stranger) serveTip(w http.ResponseWriter, _ *http.Request) { w.Write(s.claim.append(nil)) }

// after returns the headers that a request asks for.
func (s *stranger) after(r *http.Request) []types.Header {
	locator, _ := parseHashes(r.FormValue("after"), maxLocator)
	max, _ := strconv.Atoi(r.FormValue("max"))
	from := 0
search:
	for _, hash := range locator {
		for i := range s.headers {
			if s.headers[i].Hash() == hash {
				from = i + 1
				break search
			}
		}
	}
	return s.headers[from:min(len(s.headers), from+max)]
}

func (s *stranger) serveHeaders(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("max") == "0" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	headers := s.after(r)
	w.Write(binary.LittleEndian.AppendUint32(s.claim.append(nil), uint32(len(headers))))
	for i := range headers {
		b := headers[i].Encode()
		w.Write(b[:])
	}
}

func (s *stranger) serveBlocks(w http.ResponseWriter, r *http.Request) {
	hashes, _ := parseHashes(r.FormValue("hash"), maxBlocks)
	for _, hash := range hashes {
		b := s.blocks[hash]
		w.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(b))))
		w.Write(b)
	}
}
